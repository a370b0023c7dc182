#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Who flushes after every write pays for it. One client writes 4 KiB and calls fsync(), again and
# again, from one thread and from 128; the other one, of the same weight, reads, or writes and never
# flushes. On test disks of 1 server and of 4, where a flush takes 5 ms of one server, or of all.
#
# Demanded, by the time for which the log of the disk says that its servers were occupied: writes
# and flushes do not take more than their half, + 5 points. Where a flush leaves servers to others
# they take much less: it is charged as if it had all of them.

. "$(dirname "$0")/../lib.sh"
need fio
need_root

PART_BYTES=$((1 << 30))
WINDOW=${WINDOW:-4}
log=$WORK/disk.log

storm() { # THREADS SERVERS_OF_A_FLUSH READ_OR_WRITE
	local text="$servers servers, $1 threads, flushes that take $2, beside one who ${3}s"
	ctl "flush 5000 $2"
	start_load storm --filename="$MNT/storm.img" --ioengine=psync --thread --numjobs="$1" \
		--size=$PART_BYTES --norandommap --rw=randwrite --bs=4k --fsync=1
	start_load other --filename="$MNT/other.img" --size=$PART_BYTES --norandommap --rw="rand$3" \
		--bs=4k --iodepth=32
	measure_time "$log" "$servers"
	note "$text: $SHARE % of a disk that is busy for ${BUSY%.*} %," \
		"$(grep -c ' F done ' "$log") flushes, $(served "$log" "$FROM" "$TO" $PART_BYTES) writes and reads"
	promise "$text: no more than half" holds "$SHARE >= 5 && $SHARE <= 55"
}

for servers in 1 4; do
	start_testdisk -a -s $servers -t 1000 -b $((2 * PART_BYTES)) -l "$log"
	{
		part storm.img 0
		DISK=$DISK.alias
		part other.img 1
	} | ini "$WORK/fuseband.ini"
	start_fuseband "$WORK/fuseband.ini"
	for threads in 1 128; do
		for rw in read write; do
			storm $threads 1 $rw
			[ $servers = 1 ] || storm $threads all $rw
		done
	done
	stop_fuseband
done
exit $failed
