#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Files that lie on one physical disk share it by their weights without being told to; files that
# do not, do not disturb each other. On this kernel's own block layer: partitions of a loop device,
# images on one file system, and two test disks.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio sgdisk losetup
need_root

conf=$WORK/fuseband.ini

# ---- what --check says ----

# The DISK column of each NAME.
disk_of() { # NAMES
	local name
	for name; do
		awk -v name="$name" '$1 == name && !seen++ { print $5 }' "$WORK/check"
	done | xargs
}

check() {
	timeout 20 "$FUSEBAND" --check -c "$conf" >"$WORK/check" 2>&1
}

# The two are on one disk, alone, and get 80 % and 20 % of it.
share_one_tree() { # A B
	local disks
	disks=$(disk_of "$1" "$2")
	[ -n "$disks" ] && [ "${disks% *}" = "${disks#* }" ] &&
		[ "$(grep -c 'OF SIBLINGS' "$WORK/check")" = 1 ] &&
		grep -qE "^ +$1 +80 +80.0 % +80.0 %" "$WORK/check" &&
		grep -qE "^ +$2 +20 +20.0 % +20.0 %" "$WORK/check" && return
	sed 's/^/# /' "$WORK/check"
	return 1
}

# ---- load ----

load() { # FILE [ARGS]
	local name=$1
	shift
	start_load "$name" --filename="$MNT/$name" --iodepth=64 --rw=randrw --bs=4k --size=32m \
		--norandommap "$@"
}

stop() {
	stop_loads || fail "the load ended early, or a request failed"
}

# Reads and writes of each NAME since the start, as the daemon's status says at one moment.
counters() { # NAMES
	local before name
	before=$(grep -c 'generation .* of the configuration' "$WORK/fuseband.log")
	kill -USR1 "$FUSEBAND_PID"
	wait_for 5 another_status "$before"
	sleep 0.2
	for name; do
		awk -v name="$name" '$2 == name { for (i = 3; i <= NF; i++) {
			if ($i ~ /^reads/) n = $(i - 1)
			if ($i ~ /^writes/) n += $(i - 1)
		} } END { print n + 0 }' "$WORK/fuseband.log"
	done
}

another_status() { # THAN
	[ "$(grep -c 'generation .* of the configuration' "$WORK/fuseband.log")" -gt "$1" ]
}

# Both are loaded; the share of the first in what both did in 3 seconds.
shares_hold() { # A B
	local before after share
	load "$1" --bs=64k
	load "$2" --bs=64k
	sleep 1.5
	mapfile -t before < <(counters "$1" "$2")
	sleep 3
	mapfile -t after < <(counters "$1" "$2")
	stop
	share=$(ratio $((after[0] - before[0])) $((after[1] - before[1])))
	note "$1 got $share % of $(((after[0] - before[0] + after[1] - before[1]) / 3)) IO/s, wanted 80"
	within "$share" 80 2
}

# ---- one disk ----

test_partitions() {
	local one two
	truncate -s 100M "$WORK/disk.img"
	sgdisk -n 1:2048:+32M -n 2:0:+32M "$WORK/disk.img" >/dev/null || fail "sgdisk"
	LOOP=$(losetup -P -f --show "$WORK/disk.img") || skip "no loop device to be had"
	LOOPS+=("$LOOP")
	losetup --direct-io=on "$LOOP" 2>/dev/null
	partition 1
	one=$PART
	partition 2
	two=$PART
	{
		section p1 "path = $one" "weight = 80"
		section p2 "path = $two" "weight = 20"
	} | ini "$conf"
	check
	promise "two partitions of a disk: --check puts them below one scheduler" share_one_tree p1 p2
	promise "and says how it came there" grep -qE \
		"^[^ ].*: $one is a partition of ${LOOP#/dev/}, a loop device on $WORK/disk.img, which lies on" \
		"$WORK/check"
	{
		section device:loop "path = $LOOP" "io_throttle = 1"
		section p1 "path = $one" "weight = 80"
		section p2 "path = $two" "weight = 20"
	} | ini "$conf"
	check
	promise "a device section with the disk's path is theirs, without a key in the files" \
		same "loop loop" "$(disk_of p1 p2)"
	start_fuseband "$conf"
	promise "and the weights hold, one slice at a time" shares_hold p1 p2
	stop_fuseband
	{
		section device:one "path = $LOOP"
		section device:two "path = $one"
		section p1 "path = $one"
	} | ini "$conf"
	promise "two device sections for one disk are refused" not check
	promise "with the reason" grep -q 'two schedulers for one disk' "$WORK/check"
}

test_images() {
	truncate -s 32M "$WORK/a.img" "$WORK/b.img"
	images() {
		section a.img "path = $WORK/a.img" "weight = 80"
		section b.img "path = $WORK/b.img" "weight = 20"
	}
	images | ini "$conf"
	check
	promise "two images on a file system: --check puts them below one scheduler" \
		share_one_tree a.img b.img
	{
		section device:fs "path = $WORK" "io_throttle = 2"
		images
	} | ini "$conf"
	check
	promise "a device section with a directory's path is theirs" same "fs fs" \
		"$(disk_of a.img b.img)"
	start_fuseband "$conf"
	promise "and the weights hold, two slices at a time" shares_hold a.img b.img
	stop_fuseband
}

# ---- two disks ----

# The I/O per second of each LOG's test disk in so many seconds from now.
rates() { # SECONDS LOGS
	local log n
	watch "$1"
	shift
	for log; do
		read -r n _ < <(served "$log" "$FROM" "$TO" $((1 << 40)))
		per_second "$n" "$FROM" "$TO"
	done
}

test_two_disks() {
	local one two solo_one solo_two both hung
	start_testdisk -s 4 -t 2000 -b 32M -l "$WORK/one.log"
	one=$DISK
	start_testdisk -s 4 -t 2000 -b 32M -l "$WORK/two.log"
	two=$DISK
	{
		section one.img "path = $one" "weight = 1"
		section two.img "path = $two" "weight = 1000"
	} | ini "$conf"
	check
	promise "files on two file systems: --check makes two schedulers" \
		same 2 "$(grep -c 'OF SIBLINGS' "$WORK/check")"
	start_fuseband "$conf"
	load one.img
	sleep 1
	solo_one=$(rates 3 "$WORK/one.log")
	stop
	load two.img
	sleep 1
	solo_two=$(rates 3 "$WORK/two.log")
	load one.img
	sleep 1
	mapfile -t both < <(rates 3 "$WORK/one.log" "$WORK/two.log")
	note "IO/s alone $solo_one and $solo_two, both at once ${both[0]} and ${both[1]}"
	promise "the one gets at least 97 % of what it got alone" \
		holds "${both[0]} >= 0.97 * $solo_one"
	promise "so does the other" holds "${both[1]} >= 0.97 * $solo_two"
	ctl 'hang on'
	sleep 0.3
	hung=$(rates 3 "$WORK/one.log")
	ctl 'hang off'
	note "IO/s while the other disk hangs: $hung"
	promise "also while the other one hangs" holds "$hung >= 0.97 * $solo_one"
	stop
	stop_fuseband
}

# Every worker reads requests for every disk, and answers those that others have read.
test_many_disks() {
	local i name
	for i in 1 2 3 4; do
		start_testdisk -s 64 -t 50 -b 32M
		section "many$i.img" "path = $DISK"
	done >"$WORK/many"
	ini "$conf" <"$WORK/many"
	start_fuseband "$conf"
	for i in 1 2 3 4; do
		load "many$i.img" --iodepth=16
	done
	sleep 4
	mapfile -t served < <(counters many1.img many2.img many3.img many4.img)
	note "four disks at once: ${served[*]} I/O"
	for name in "${!LOADS[@]}"; do
		promise "four fast disks at full speed: $name goes on" is_running "$name"
	done
	stop
	stop_fuseband
}

test_partitions
test_images
test_two_disks
test_many_disks
exit $failed
