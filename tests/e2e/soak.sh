#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Everything at once, for as long as one likes: 50 files on four disks under load, while weights
# change, files come and go, the data path is killed, the parent is killed, the program is upgraded
# in place, and a disk fails requests, is slow or hangs for a while. No request of the others is
# lost or wrong; memory and descriptors stay what they were.
#
# SOAK=SECONDS: how long (default 25; 1200 for the full proof). SEED=N, printed.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need fio
need_root
# shellcheck disable=SC2034
ALLOWED_ERRORS='f4[5-9]: |errors were not logged|no upgrade: a data path is just starting'
SOAK=${SOAK:-25}
RANDOM=${SEED:=$$}
note "SOAK=$SOAK SEED=$SEED"
conf=$WORK/fuseband.ini
FILES=50
PART_BYTES=$((16 << 20))

random() { # BELOW
	echo $((RANDOM % $1))
}

# Files 0-19 are parts of a loop device, 20-39 of an image, 40-44 images, 45-49 parts of a test disk
# that misbehaves. Those from 10 to 14 are not always there.
config() {
	local i
	{
		echo "[group:tenant]"
		echo "weight = $(($(random 100) + 1))"
		for ((i = 0; i < FILES; i++)); do
			if [ $i -ge 10 ] && [ $i -lt 15 ] && [ "$(random 2)" = 0 ]; then
				continue
			fi
			section "f$i" "weight = $(($(random 1000) + 1))"
			case $i in
			?|1?) echo "path = $LOOP" "offset = $((i * PART_BYTES))" "size = $PART_BYTES" ;;
			2?|3?) echo "path = $WORK/image" "offset = $(((i - 20) * PART_BYTES))" "size = $PART_BYTES" ;;
			49|48|47|46|45) echo "path = $DISK" "offset = $(((i - 45) * PART_BYTES))" "size = $PART_BYTES" ;;
			*) echo "path = $WORK/image$i" ;;
			esac | sed 's/ \([a-z]* = \)/\n\1/g'
			[ $((i % 7)) != 3 ] || echo "parent = tenant"
		done
	} | ini "$conf"
}

load() { # NAME FILE ARGS...
	local name=$1 file=$2
	shift 2
	start_load "$name" --filename="$MNT/$file" --size=$PART_BYTES --rw=randrw --verify=crc32c \
		--verify_backlog=64 --verify_fatal=1 "$@"
}

# A reader of the bad disk's files, which may get errors but must always get an answer.
poke() {
	local i
	for i in 45 46 47 48 49; do
		timeout 30 "$HELPERS/fileop" rw,direct "$MNT/f$i" write 0 4096 1 >/dev/null 2>&1 &
	done
}

event() {
	local before
	case $(random 12) in
	0|1|2|3) kill_data_path ;;
	4|5|6)
		config
		reload_fuseband || miss "a reload was refused: $(grep -B 3 'reload refused' "$WORK/fuseband.log" | tail -n 4)"
		;;
	7) kill_parent 20 ;;
	8)
		before=$(took_over)
		sleep 0.5
		kill -USR2 "$FUSEBAND_PID"
		wait_for 5 more_than "$before" took_over || note "no upgrade this time"
		;;
	9) ctl "fail-write 1 EIO" "fail-read 2 ENOSPC" ;;
	10) ctl "service $(($(random 20) + 1))000" ;;
	11)
		ctl "hang on"
		poke
		sleep 0.5
		kill_data_path
		ctl "hang off" clear "service 1000"
		;;
	esac
	poke
}

start_testdisk -s 8 -t 1000 -b $((5 * PART_BYTES))
truncate -s $((20 * PART_BYTES)) "$WORK/image" "$WORK/loop.img"
for i in 40 41 42 43 44; do
	truncate -s $PART_BYTES "$WORK/image$i"
done
mkloop "$((20 * PART_BYTES))" "$WORK/loop.img"
config
start_fuseband "$conf"
load loop f0 --bs=4k --iodepth=16 --rate_iops=1500
load loop2 f1 --bs=64k --iodepth=4 --rate_iops=200
load image f20 --bs=4k --iodepth=16 --fsync=32 --ioengine=io_uring --rate_iops=1500
load image2 f21 --bs=4k --iodepth=1 --ioengine=psync --numjobs=2 --offset_increment=8M --size=8M --rate_iops=300
load alone f40 --bs=512k --iodepth=2 --rate_iops=50
for ((i = 0; i < 8; i++)); do
	kill_data_path
	config
	reload_fuseband
done
sleep 1
rss=$(rss_kib) fds=$(descriptors) events=0
end=$((SECONDS + SOAK))
while [ $SECONDS -lt $end ]; do
	event
	events=$((events + 1))
	sleep "0.$(random 5)"
done
ctl "hang off" clear
sleep 1.5 # a standby, too
note "$events events; VmRSS $rss -> $(rss_kib) KiB, descriptors $fds -> $(descriptors)"
promise "no request of the good disks failed, all data verify" stop_loads
promise "memory is what it was: within a fifth and 4 MiB" \
	holds "$(rss_kib) < $rss * 1.2 + 4096"
promise "and so are descriptors, but for files that come and go" within "$fds" "$(descriptors)" 24
stop_adopted
exit $failed
