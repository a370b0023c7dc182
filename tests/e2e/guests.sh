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

. "$(dirname "$0")/../lib.sh"
# shellcheck source=../guest/guest.sh
. "$TESTS/guest/guest.sh"
need_root
guest_setup

size=$((2 << 30))
PART_BYTES=$((size / 2))
log=$WORK/disk.log
disk_iops=${DISK_IOPS:-2000}
settle=3 # seconds both sides work before the window
window=${WINDOW:-10}
load="fio --name=load --direct=1 --ioengine=psync --rw=randrw --bs=4k --numjobs=128 --thread
	--group_reporting --norandommap --randrepeat=0 --gtod_reduce=1 --output-format=json
	--time_based --runtime=$((settle + window + 7))"
load=$(tr -s '\n\t' ' ' <<<"$load")

config() { # WEIGHT_A WEIGHT_B
	{
		part a.img 0 "weight = $1"
		part b.img 1 "weight = $2"
	} | ini "$WORK/fuseband.ini"
}

# shellcheck disable=SC2317 # called through wait_for
both_work() {
	local now counts
	now=$(log_now)
	read -ra counts < <(served "$log" "$((now - 300000))" "$now" "$PART_BYTES")
	[ "${counts[0]}" -gt 5 ] && [ "${counts[1]}" -gt 5 ]
}

# measure NAME WEIGHT_A: after both loads were started as jobs $pid_a and $pid_b.
measure() {
	local served share iops
	wait_for 30 both_work || fail "$1: one side does no I/O"
	sleep $settle
	watch $window
	kill -0 "$pid_a" "$pid_b" || fail "$1: a load ended too early"
	wait "$pid_a" || fail "$1: the load of a: $(tail -n 5 "$WORK/a.json")"
	wait "$pid_b" || fail "$1: the load of b: $(tail -n 5 "$WORK/b.json")"
	read -ra served < <(served "$log" "$FROM" "$TO" $PART_BYTES)
	share=$(ratio "${served[@]}")
	iops=$(per_second "$((served[0] + served[1]))" "$FROM" "$TO")
	note "$1: $share, $iops IO/s"
	holds "$iops >= 0.97 * $disk_iops" || return 1
	within "$share" "$2" 2 || miss "$1: the share is $share"
	return 0
}

# busy COMMAND...: a measurement counts only if the disk was the bottleneck. Others on the machine can
# take the processor from emulated guests: three tries.
busy() {
	"$@" || "$@" || "$@" || fail "$*: the disk was not busy in three tries"
}

# guests AIO WEIGHTS
guests() {
	guest_cmd a "$load --filename=/dev/vda" >"$WORK/a.json" &
	pid_a=$!
	guest_cmd b "$load --filename=/dev/vda" >"$WORK/b.json" &
	pid_b=$!
	measure "aio=$1, guests at $2" "${2%:*}"
}

# guest_and_host AIO
guest_and_host() {
	guest_cmd a "$load --filename=/dev/vda" >"$WORK/a.json" &
	pid_a=$!
	$load --filename="$MNT/b.img" --size=$PART_BYTES >"$WORK/b.json" 2>&1 &
	pid_b=$!
	measure "aio=$1, guest at 80, host at 20" 80
}

start_testdisk -s 4 -t $((4000000 / disk_iops)) -b $size -l "$log"
config 50 50
start_fuseband "$WORK/fuseband.ini"

for aio in ${AIO:-io_uring native threads}; do
	for guest in a b; do
		guest_start $guest -drive "file=$MNT/$guest.img,format=raw,if=virtio,cache=none,aio=$aio"
	done
	guest_wait_ready a
	guest_wait_ready b

	for weights in 80:20 50:50 20:80 10:90; do
		config "${weights%:*}" "${weights#*:}"
		reload_fuseband || fail "the weights $weights were refused"
		ctl log-reset
		busy guests $aio $weights
	done

	guest_stop b
	config 80 20
	reload_fuseband || fail "the weights 80:20 were refused"
	ctl log-reset
	busy guest_and_host $aio
	guest_stop a
done
stop_fuseband
exit $failed
