#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fuseband --calibrate: the figures of disks whose speed is known; what it says is a configuration;
# what it refuses; what it leaves alone. Measurements run side by side, on disks so slow that
# the processors do not matter.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need losetup mkfs.ext4 sha256sum script
need_root
[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"

NL=$'\n'
declare -A RUNS=()

# start NAME ARGS: calibrates in the background, with the words in NAME.out and NAME.err.
start() {
	local name=$WORK/$1
	shift
	timeout 120 "$FUSEBAND" --calibrate "$@" >"$name.out" 2>"$name.err" </dev/null &
	RUNS[${name##*/}]=$!
}

# finish NAME STATUS: it ends with that status; after success the output is shown.
finish() {
	local status
	wait_pid 120 "${RUNS[$1]}"
	status=$?
	if [ $status != "$2" ]; then
		cat "$WORK/$1.err" >&2
		fail "$1: status $status, wanted $2"
	fi
	sed "s/^/# $1: /" "$WORK/$1.out"
}

value() { # NAME KEY
	sed -n "s/^$2 = //p" "$WORK/$1.out"
}

# close_to NAME KEY EXPRESSION: the value of KEY is that, to 5 %.
close_to() {
	local wanted got
	wanted=$(calc "$3")
	got=$(value "$1" "$2")
	[ -n "$got" ] || fail "$1: no $2"
	holds "$got > 0.95 * $wanted && $got < 1.05 * $wanted" || fail "$1: $2 = $got, wanted $wanted"
}

# refused WHAT REGEX ARGS: status 1, nothing on stdout, one line on stderr.
refused() {
	local what=$1 regex=$2 status
	shift 2
	timeout 30 "$FUSEBAND" --calibrate "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	status=$?
	[ $status = 1 ] || fail "$what: status $status: $(cat "$WORK/err")"
	[ ! -s "$WORK/out" ] || fail "$what: printed $(cat "$WORK/out")"
	[ "$(wc -l <"$WORK/err")" = 1 ] || fail "$what: not one line: $(cat "$WORK/err")"
	grep -qE -- "^fuseband: /[^:]*: .*($regex)" "$WORK/err" || fail "$what: $(cat "$WORK/err")"
}

# usage WHAT ARGS: status 2 and the usage.
usage() {
	local what=$1 status
	shift
	timeout 30 "$FUSEBAND" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	status=$?
	[ $status = 2 ] && grep -q '^usage: ' "$WORK/err" || fail "$what: status $status: $(cat "$WORK/err")"
}

sum() {
	sha256sum <"$1" | cut -c1-64
}

# How many writes a device has done, whoever had its number.
writes_to() { # DEVICE
	awk '{ print $5 }' "/sys/block/${1#/dev/}/stat"
}

# ---- what there is ----

# a.img is full; b.img has 80M of data in 128M, the hole being in the middle.
head -c 96M /dev/urandom >"$WORK/a.img"
truncate -s 128M "$WORK/b.img"
head -c 40M /dev/urandom | dd of="$WORK/b.img" bs=1M conv=notrunc iflag=fullblock status=none
head -c 40M /dev/urandom | dd of="$WORK/b.img" bs=1M seek=88 conv=notrunc iflag=fullblock status=none
A=$WORK/a.img
B=$WORK/b.img
sync "$A" "$B"
[ "$(stat -c %b "$B")" -lt $((100 << 11)) ] || skip "no sparse files here"

truncate -s 96M "$WORK/fs.img"
mkloop 96M "$WORK/fs.img"
FS_LOOP=$LOOP
mkdir "$WORK/fs" "$WORK/ro" "$WORK/dir"
mkfs.ext4 -q -E nodiscard,lazy_itable_init=0 "$FS_LOOP" || fail "mkfs"
head -c 96M /dev/zero | dd of="$WORK/zero.img" bs=1M iflag=fullblock status=none
mount "$FS_LOOP" "$WORK/fs" || fail "mount"
mount --bind "$WORK" "$WORK/ro" || fail "bind mount"
mount -o remount,bind,ro "$WORK/ro" || fail "read-only bind mount"
mkfifo "$WORK/fifo"
: >"$WORK/empty"
truncate -s 1G "$WORK/holes.img"
truncate -s 32M "$WORK/small.img"
A_SUM=$(sum "$A")
B_SUM=$(sum "$B")

# ---- wrong usage ----

usage "no path" --calibrate
usage "no file" --calibrate "$A" --overwrite
usage "--overwrite alone" --overwrite "$A" "$MNT"
usage "two paths" --calibrate "$A" "$B"
usage "with a configuration" --calibrate "$A" -c "$WORK/ini"
usage "with --check" --check --calibrate "$A"

# ---- refused ----

start_testdisk -b 128M
for option in "" "$A --overwrite"; do
	# shellcheck disable=SC2086 # one word or two
	{
		refused "missing" "does not exist" $option "$WORK/nothing"
		refused "a directory" "is a directory" $option "$WORK/dir"
		refused "a FIFO" "is a FIFO" $option "$WORK/fifo"
		refused "a character device" "is a character device" $option /dev/null
		refused "an empty file" "is empty" $option "$WORK/empty"
		refused "nothing but a hole" "has only 0M of data: at least 64M" $option "$WORK/holes.img"
		refused "too small" "at least 64M" $option "$WORK/small.img"
	}
done
refused "another disk" "is on fs [0-9:]*, $A is on .*: name something on the same disk" \
	"$A" --overwrite "$DISK"
refused "another disk the other way" "is on .*, $DISK is on fs " "$DISK" --overwrite "$A"
refused "a mounted device" "is mounted at $WORK/fs" "$A" --overwrite "$FS_LOOP"
refused "the file of a loop device" "is attached to $FS_LOOP" "$A" --overwrite "$WORK/fs.img"
refused "a read-only file" "is read-only" "$A" --overwrite "$WORK/ro/a.img"
mkloop 96M "$WORK/zero.img"
refused "another name of the path" "contains $WORK/zero.img" "$WORK/zero.img" --overwrite "$LOOP"

ini "$WORK/ini" <<<"[vm1.img]${NL}path = $A"
start_fuseband "$WORK/ini"
refused "through fuseband" "is served by fuseband: name the disk below it" "$MNT/vm1.img"
refused "writing to what is served" "is served by another fuseband" "$B" --overwrite "$A"

# ---- stopped ----

# What a running fuseband serves may be measured. A signal ends that, and nothing is printed.
for signal in INT:130 TERM:143; do
	start stopped "$A"
	wait_for 10 grep -qs "at depth" "$WORK/stopped.err" || fail "no progress: $(cat "$WORK/stopped.err")"
	# the child of timeout
	kill "-${signal%:*}" "$(pgrep -P "${RUNS[stopped]}")" || fail "cannot stop it"
	wait_pid 10 "${RUNS[stopped]}"
	status=$?
	[ $status = "${signal#*:}" ] || fail "${signal%:*}: status $status"
	[ ! -s "$WORK/stopped.out" ] || fail "${signal%:*}: printed $(cat "$WORK/stopped.out")"
	[ "$(tail -n 1 "$WORK/stopped.err")" = "fuseband: $A: stopped" ] ||
		fail "${signal%:*}: said $(tail -n 1 "$WORK/stopped.err")"
done
stop_fuseband

# On a terminal it is one line that is written again and again.
script -qec "timeout --foreground -s INT 2 '$FUSEBAND' --calibrate '$A'" /dev/null >"$WORK/tty" </dev/null
[ "$(tr -cd '\r' <"$WORK/tty" | wc -c)" -gt 3 ] || fail "no progress on a terminal"
[ "$(wc -l <"$WORK/tty")" = 1 ] || fail "progress on a terminal is more than one line"

# ---- an error of the disk ----

ctl "fail-read 5 EIO"
start broken "$DISK"
finish broken 1
tail -n 1 "$WORK/broken.err" | grep -qE "^fuseband: $DISK: cannot read 4096 bytes at [0-9]+: Input/output error$" ||
	fail "a broken disk: $(tail -n 1 "$WORK/broken.err")"

# ---- true figures ----

# Writing on all of "four", whose name is given twice; the others are only read.
start_testdisk -s 4 -t 4000 -p 20 -b 96M
FOUR=$DISK
start_testdisk -s 1 -t 5000 -b 1G
start serial "$DISK"
SERIAL_CTL=$CTL
start_testdisk -s 32 -t 8000 -p 100 -b 1G
start wide "$DISK"
start four "$FOUR" --overwrite "$FOUR"

finish serial 0
finish wide 0
finish four 0
close_to four read_iops "4e6 / (4000 + 4.096 * 20)"
close_to four read_bps "4 / 20e-9"
close_to four write_iops "4e6 / (4000 + 4.096 * 20)"
close_to four write_bps "4 / 20e-9"
close_to wide read_iops "32e6 / (8000 + 4.096 * 100)"
close_to wide read_bps "32 / 100e-9"
# 128K take it as long as 4K: their price says so
close_to serial read_iops "1 / 5e-3"
bps=$(value serial read_bps)
holds "1 / $(value serial read_iops) + 126976 / $bps < 1.05 * 5e-3" || fail "serial: read_bps = $bps"
[ "$bps" -le 10000000000000 ] || fail "serial: read_bps = $bps is more than the key allows"
CTL=$SERIAL_CTL
[ "$(ctl_value writes)" = 0 ] || fail "it wrote without --overwrite"
[ "$(ctl_value max_in_flight)" -le 16 ] || fail "$(ctl_value max_in_flight) in flight at a serial disk"

# ---- real files and devices ----

# A mounted device that cannot be written; an image with a hole, below a mount that is read-only; and
# one like that which is overwritten, beside one that is not. No figure of theirs is a verdict.
cp --sparse=always "$B" "$WORK/c.img" || fail "no third image"
C=$WORK/c.img
sync "$C"
blocks=$(stat -c %b "$C")
[ "$blocks" -lt $((100 << 11)) ] || fail "the hole was copied as data"
LOOP=$(losetup -r -f --show "$WORK/zero.img") || fail "no read-only loop device"
LOOPS+=("$LOOP")
writes_to_loop=$(writes_to "$LOOP")
start device "$LOOP"
start hole "$WORK/ro/b.img"
start written "$A" --overwrite "$C"
finish device 0
finish hole 0
finish written 0
[ "$(sum "$B")" = "$B_SUM" ] || fail "it wrote without --overwrite"
[ "$(writes_to "$LOOP")" = "$writes_to_loop" ] || fail "it wrote to $LOOP"
grep -q '^; reads were of the 80M of 128M that hold data' "$WORK/hole.out" || fail "no word about the hole"
[ "$(sum "$A")" = "$A_SUM" ] || fail "PATH was written to"
[ "$(sum "$C")" != "$B_SUM" ] || fail "FILE was not written to"
[ "$(stat -c %b:%s "$C")" = "$blocks:$((128 << 20))" ] || fail "FILE has another size or fewer holes"
cmp -s -i $((40 << 20)):0 -n $((48 << 20)) "$C" "$WORK/zero.img" || fail "a hole was written to"

# What they print is a configuration, of the disk that files below it find by themselves.
for name in device hole written; do
	for key in read_iops read_bps write_iops write_bps; do
		got=$(value $name $key)
		if [ "$key" != "${key#write}" ] && [ $name != written ]; then
			[ -z "$got" ] || fail "$name: $key = $got, but nothing was written"
		else
			[ "${got:-0}" -gt 0 ] || fail "$name: no $key"
		fi
	done
	{
		echo "[vm1.img]${NL}path = $A"
		cat "$WORK/$name.out"
	} >"$WORK/ini"
	timeout 30 "$FUSEBAND" --check -c "$WORK/ini" >"$WORK/check" 2>&1 ||
		fail "$name: not a configuration: $(cat "$WORK/check")"
	disk=$(sed -n 's/^\[device:\(.*\)\]$/\1/p' "$WORK/$name.out")
	awk -v disk="$disk" '$1 == "vm1.img" && $5 == disk { n++ } END { exit !n }' "$WORK/check" ||
		fail "$name: vm1.img is not on $disk: $(cat "$WORK/check")"
done
grep -q '^;write_iops = auto ; --overwrite FILE measures' "$WORK/device.out" || fail "no word about how to measure writes"
