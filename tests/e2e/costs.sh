#!/bin/bash
# SPDX-License-Identifier: MIT
#
# With policy = cost equal weights are equal disk time, whatever the requests are like. On test disks
# that take time for each byte, and for writes more than for reads; the configuration tells what
# they can do. Of 1 server, and of 4.
#
# Demanded:
#   - 4 KiB against 1 MiB, reads against writes that take three times as long, and both at once:
#     the times for which the two occupied servers, as the disk's log has them, differ by 10 %
#     at most, and it is busy for 85 % of the time at least;
#   - of a reader's requests of 4 KiB, one at a time, beside a writer of 1 MiB 99 % take at most 6
#     times what they take alone. (A slice of the writer takes three times as long as such a
#     read, and may just have begun.)

. "$(dirname "$0")/../lib.sh"
need fio
need_root

PART_BYTES=$((1 << 30))
WINDOW=${WINDOW:-5}
log=$WORK/disk.log

# disk SERVERS SERVICE_US PER_BYTE_NS WRITE_COST_PCT: starts it and a daemon that knows it.
disk() {
	start_testdisk -s "$1" -t "$2" -p "$3" -b $((2 * PART_BYTES)) -l "$log"
	of_disk "$@"
	start_fuseband "$WORK/fuseband.ini"
}

of_disk() {
	local iops bps
	iops=$(calc "int($1 * 1e6 / ($2 + 4.096 * $3))")
	bps=$(calc "int($1 * 1e9 / $3)")
	ctl "write-cost $4"
	{
		section device:disk "path = $DISK" "policy = cost" \
			"read_iops = $iops" "read_bps = $bps" \
			"write_iops = $((iops * 100 / $4))" "write_bps = $((bps * 100 / $4))"
		part small.img 0
		part large.img 1
	} | ini "$WORK/fuseband.ini"
}

load() { # NAME RW BLOCK_SIZE DEPTH
	start_load "$1" --filename="$MNT/$1.img" --size=$PART_BYTES --norandommap --ioengine=io_uring \
		--rw="rand$2" --bs="$3" --iodepth="$4"
}

# equal TEXT RW_A SIZE_A RW_B SIZE_B
equal() {
	load small "$2" "$3" 32
	load large "$4" "$5" 32
	measure_time "$log" "$servers"
	note "$1: $SHARE % of the time of a disk that is busy for ${BUSY%.*} %"
	# 10 % of the time of either is 2.5 % of the time of both
	within "$SHARE" 50 2.5 || miss "$1: the share is $SHARE"
	MISSED="busy for $BUSY % only"
	holds "$BUSY >= 85"
}

reader() { # SECONDS
	load small read 4k 1
	sleep "$1"
	stop_loads small || fail "the reader ended early, or a request failed"
}

beside() { # TEXT
	local solo
	reader "$WINDOW"
	solo=$(p99 "$WORK/small.json" small)
	load large write 1m 8
	sleep 1
	reader "$WINDOW"
	stop_loads large || fail "the writer ended early, or a request failed"
	MISSED="p99 $(p99 "$WORK/small.json" small) ms, alone $solo ms"
	note "$1: a reader of 4 KiB beside a writer of 1 MiB: $MISSED"
	holds "$(p99 "$WORK/small.json" small) <= 6 * $solo"
}

all() { # SERVERS SERVICE_US PER_BYTE_NS
	local servers=$1 sizes reads writes
	disk "$@" 100
	thrice "$1 servers, sizes" equal "$1 servers, read 4 KiB, write 1 MiB" read 4k write 1m
	thrice "$1 servers, latency" beside "$1 servers"
	of_disk "$@" 300
	reload_fuseband || fail "the reload was refused"
	for sizes in "4k 4k" "4k 1m" "1m 4k"; do
		read -r reads writes <<<"$sizes"
		thrice "$1 servers, writes that take longer, $sizes" equal \
			"$1 servers, read $reads, write $writes, which takes three times as long" \
			read "$reads" write "$writes"
	done
	stop_fuseband
}

all 1 1000 16
all 4 2000 32
exit $failed
