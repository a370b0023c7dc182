#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The 2008 experiment, small: two QEMU guests with 128 threads of random 4 KiB direct I/O each, on
# two files of one disk, at the four settings of then; and one guest at 80 against a fio on the
# host at 20. With each of QEMU's three ways to do I/O, as it was the guests' way that broke the
# shares then. The weights change under the running guests, by SIGHUP.
#
# Demanded: the shares are the weights', within 2 points. They are counted at the disk, from its
# log, in a window in which both sides were working: emulated guests start and stop their load
# seconds apart, so their own figures cover different times. And the disk was busy: where it is
# not, a guest cannot ask for its share (emulated guests on two loaded cores do about 3000 IO/s
# each), and the figure says nothing.
#
# AIO: the ways to test (default "io_uring native threads").
# DISK_IOPS: speed of the test disk of 4 servers (default 2000).
# WINDOW: how many seconds each setting is measured (default 10).

. "$(dirname "$0")/../lib.sh"
# shellcheck source=../guest/guest.sh
. "$TESTS/guest/guest.sh"
need_root
guest_setup

size=$((2 << 30))
PART_BYTES=$((size / 2))
log=$WORK/disk.log
disk_iops=${DISK_IOPS:-2000}
window=${WINDOW:-10}
load="--direct=1 --ioengine=psync --rw=randrw --bs=4k --numjobs=128 --thread --group_reporting
	--norandommap --randrepeat=0 --gtod_reduce=1"
load=$(tr -s '\n\t' ' ' <<<"$load")

weights() { # A:B
	{
		part a.img 0 "weight = ${1%:*}"
		part b.img 1 "weight = ${1#*:}"
	} | ini "$WORK/fuseband.ini"
}

reweigh() { # A:B
	weights "$1"
	reload_fuseband || fail "the weights $1 were refused"
}

# ---- the loads, which go on while weights change ----

guest_load() { # NAME
	guest_cmd "$1" "sh fio --name=load --filename=/dev/vda $load --output-format=json --time_based --runtime=3600 >/out 2>&1 & echo \$! >/pid" ||
		fail "no load in $1"
}

guest_load_stop() { # NAME
	guest_cmd "$1" 'sh kill -INT $(cat /pid) && wait $(cat /pid); cat /out' >"$WORK/$1.json"
	if ! grep -q '"error" : 0' "$WORK/$1.json" || grep -q '"error" : [1-9]' "$WORK/$1.json"; then
		fail "the load of $1 ended early, or a request failed: $(tail -n 5 "$WORK/$1.json")"
	fi
}

# ---- what they get ----

# Sets SERVED, of both sides, and PER_SECOND.
count() { # SECONDS
	ctl log-reset
	watch "$1"
	read -ra SERVED < <(served "$log" "$FROM" "$TO" $PART_BYTES)
	PER_SECOND=$(per_second "$((SERVED[0] + SERVED[1]))" "$FROM" "$TO")
}

# Until both sides are at work and the disk is busy: an emulated guest takes a while to start 128 threads.
both_began() { # TEXT
	local i
	for ((i = 0; i < 30; i++)); do
		count 1
		[ "${SERVED[0]}" -lt 20 ] || [ "${SERVED[1]}" -lt 20 ] || holds "$PER_SECOND < 0.98 * $disk_iops" || return 0
	done
	note "$1: after half a minute ${SERVED[*]} IO in a second"
}

# measure TEXT SHARE: false if the disk was not busy, as then the figure says nothing.
measure() {
	local share
	count "$window"
	share=$(ratio "${SERVED[@]}")
	note "$1: $share, $PER_SECOND IO/s"
	holds "$PER_SECOND >= 0.97 * $disk_iops" || return 1
	within "$share" "$2" 2 || miss "$1: the share is $share"
	return 0
}

# A measurement counts only if the disk was the bottleneck. Others on the machine can take the processor
# from emulated guests: three tries.
busy() { # TEXT SHARE
	measure "$@" || measure "$@" || measure "$@" || fail "$1: the disk was not busy in three tries"
}

start_testdisk -s 4 -t $((4000000 / disk_iops)) -b $size -l "$log"
weights 50:50
start_fuseband "$WORK/fuseband.ini"

for aio in ${AIO:-io_uring native threads}; do
	for guest in a b; do
		guest_start $guest -drive "file=$MNT/$guest.img,format=raw,if=virtio,cache=none,aio=$aio"
	done
	for guest in a b; do
		guest_wait_ready $guest
		guest_load $guest
	done
	both_began "aio=$aio, two guests"
	for pair in 80:20 50:50 20:80 10:90; do
		reweigh $pair
		sleep 1
		busy "aio=$aio, guests at $pair" "${pair%:*}"
	done
	guest_load_stop b
	guest_stop b

	reweigh 80:20
	# shellcheck disable=SC2086 # many words
	start_load host --filename="$MNT/b.img" --size=$PART_BYTES $load
	both_began "aio=$aio, guest and host"
	busy "aio=$aio, guest at 80, host at 20" 80
	stop_loads || fail "the host's load ended early, or a request failed"
	guest_load_stop a
	guest_stop a
done
stop_fuseband
exit $failed
