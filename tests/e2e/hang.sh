#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A disk that stands still delays its own files only: with 64 flushes, and then 64 reads and
# writes, stuck at disk A, disk B is as fast as before and the mount answers; what was stuck goes
# through when the disk moves again. Nor do others wait for it when the data path is killed meanwhile,
# and again, or the process that waits for flushes and discards is.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need fio
need_root
FILES=64
HALF=32

# load NAME: fio on b, sets P99 and IOPS
load() {
	timeout 60 fio --name=b --filename="$MNT/b" --direct=1 --ioengine=libaio --iodepth=8 --rw=randrw \
		--bs=4k --size=64M --rate_iops=1500,1500 --time_based --runtime=3 --fsync=16 --norandommap --randrepeat=0 \
		--output-format=json --output="$WORK/fio.json" 2>"$WORK/fio.err" ||
		fail "$1: fio on b did not end well: $(cat "$WORK/fio.err")"
	P99=$(p99 "$WORK/fio.json" b)
	IOPS=$(fio_iops "$WORK/fio.json" b)
	note "$1: $IOPS IO/s, p99 $P99 ms"
}

# answers COMMAND...: within a second, in one of three tries: what else there is to do, such as
# memory to be found for what has just been stuck, comes and goes, a disk that hangs stays.
answers() {
	timeout 1 "$@" >/dev/null || timeout 1 "$@" >/dev/null || timeout 1 "$@" >/dev/null ||
		fail "$TOPIC: $1 takes more than a second, three times"
}

# As fast as before, and the mount can be looked at.
undisturbed() { # WHAT
	answers ls -l "$MNT"
	answers stat "$MNT/a0" "$MNT/b"
	answers stat -f "$MNT"
	answers "$HELPERS/fileop" rw "$MNT/a$((FILES - 1))" open
	load "$1"
	holds "$P99 <= 2 * $before + 5" || load "$1"
	holds "$P99 <= 2 * $before + 5" || load "$1"
	holds "$P99 <= 2 * $before + 5" || fail "$1: p99 of b is $P99 ms, was $before ms"
	echo "ok: $1: other disks and metadata are not delayed"
}

# stuck FROM TO OP...: that fileop on some of the files of A, in the background.
stuck() {
	local i to=$2
	for ((i = $1; i < to; i++)); do
		timeout 60 "$HELPERS/fileop" rw "$MNT/a$i" "${@:3}" >>"$WORK/stuck" 2>&1 &
		pids+=($!)
	done
}

released() { # WANTED LINES
	wait "${pids[@]}"
	pids=()
	if [ "$(sort -u "$WORK/stuck")" != "$1" ] || [ "$(wc -l <"$WORK/stuck")" != "$2" ]; then
		fail "$TOPIC: not all that was stuck went through: $(sort "$WORK/stuck" | uniq -c)"
	fi
	rm "$WORK/stuck"
	echo "ok: $TOPIC: what was stuck went through"
}

has() { # KEY LEAST
	[ "$(ctl_value "$1")" -ge "$2" ]
}

# B in memory, and a block device: writes to two files of a network or FUSE file system may end up
# in one queue of the kernel, one in 64 pairs
mkdir "$WORK/ramfs"
mount -t ramfs none "$WORK/ramfs" || fail "ramfs"
truncate -s 64M "$WORK/ramfs/b"
mkloop 64M "$WORK/ramfs/b"
start_testdisk -s 4 -t 500 -b 64M
{
	for ((i = 0; i < FILES; i++)); do
		printf '[a%d]\npath = %s\noffset = %dM\nsize = 1M\ndevice = a\n' $i "$DISK" $i
	done
	printf '[b]\npath = %s\n[device:a]\nio_throttle = 64\n' "$LOOP"
} | ini "$WORK/fuseband.ini"
start_fuseband "$WORK/fuseband.ini"
load "before"
before=$P99
pids=()

TOPIC="64 flushes at a disk that stands still"
ctl "hang-fsync on"
stuck 0 $FILES fsync
wait_for 10 has fsyncs_in_flight 1 || fail "no flush arrives"
undisturbed "$TOPIC"
ctl clear
released 0 $FILES

TOPIC="32 flushes, then writes and reads"
ctl "hang-fsync on"
stuck 0 $HALF fsync
wait_for 10 has fsyncs_in_flight 1 || fail "no flush arrives"
# of other files: the kernel holds writes back from a file while it is flushed
stuck $HALF $FILES write 0 4096 1
stuck 0 $FILES read 0 4096
sleep 0.5
undisturbed "$TOPIC"
ctl clear
released $'0\n4096' $((2 * FILES))

TOPIC="64 writes and 64 reads"
ctl "hang on"
stuck 0 $FILES write 0 1M 2
stuck 0 $FILES read 0 1M
wait_for 10 has in_flight 1 || fail "nothing arrives"
undisturbed "$TOPIC"
ctl clear
released 1048576 $((2 * FILES))

TOPIC="64 punches, unaligned writes and SEEK_HOLE"
ctl "hang on"
stuck 0 $FILES punch 0 4096
stuck 0 $FILES write 100 1000 3
stuck 0 $FILES hole 0
wait_for 10 has in_flight 1 || fail "nothing arrives"
undisturbed "$TOPIC"
ctl clear
released $'0\n1000\n1048576' $((3 * FILES))

two_errands() { # those of the killed data paths have ended, the standby has one
	[ "$(our_processes fuseband-errand | wc -l)" = 2 ]
}

# the one of the data path, not of the standby: it was made before
errand_of_data_path() {
	our_processes fuseband-errand | head -n 1
}

TOPIC="flushes, punches and seeks that hang, and kill -9"
ctl "hang on"
stuck 0 8 fsync
stuck 8 16 punch 0 4096
stuck 16 24 hole 0
stuck 24 32 read 0 4096
wait_for 10 has in_flight 1 || fail "nothing arrives"
for i in 1 2 3; do
	kill_data_path
	undisturbed "$TOPIC, for the $i. time"
done
ctl clear
released $'0\n1048576\n4096' 32

TOPIC="flushes that hang, and the process that waits for them is killed"
ctl "hang-fsync on"
stuck 0 8 fsync
wait_for 10 has fsyncs_in_flight 1 || fail "no flush arrives"
wait_for 20 two_errands || fail "not two wait for flushes: $(our_processes fuseband-errand)"
kill -KILL "$(errand_of_data_path)"
ctl clear
released 0 8
stuck 0 8 fsync
stuck 8 16 punch 0 4096
released 0 16
undisturbed "$TOPIC"
grep -q "fuseband-errand has died" "$WORK/fuseband.log" || fail "nobody says that fuseband-errand has died"
stop_fuseband
no_errands() {
	[ -z "$(our_processes fuseband-errand)" ]
}
wait_for 5 no_errands || fail "somebody still waits for flushes: $(our_processes fuseband-errand)"
