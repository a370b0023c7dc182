# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# BFQ as a contender of bench/2008: what Linux itself has for weights between processes. The disk's
# queue is given the scheduler bfq and each side a control group with its weight; both sides open
# the block device, each its own half. The test disk is a file, so a loop device is put on it.
#
# bfq_up: status 1 if it cannot be had here, and BFQ_WHY says why. Control groups of version 2
# (io.bfq.weight) or 1 (blkio.bfq.weight), whichever has the disk's controller. low_latency is
# off, as it favours whoever looks interactive over the weights; the rest is as the kernel has it.
# bfq_down puts everything back; it may be called at any time, and twice.

BFQ_WHY=
bfq_queue='' bfq_before='' bfq_group='' bfq_root='' bfq_open=''

# The file system of control groups whose options or type match, and its controllers if it has a list.
bfq_mount() { # TYPE [OPTION]
	awk -v type="$1" -v option="${2:-}" '{
		for (i = 7; $i != "-"; i++)
			;
		if ($(i + 1) == type && (option == "" || index("," $(i + 3) ",", "," option ",")))
			at = $5
	} END { print at }' /proc/self/mountinfo
}

bfq_groups_v2() {
	local root
	root=$(bfq_mount cgroup2)
	grep -qw io "$root/cgroup.controllers" 2>/dev/null || return 1
	if ! grep -qw io "$root/cgroup.subtree_control"; then
		echo +io 2>/dev/null >"$root/cgroup.subtree_control" || return 1
		bfq_root=$root
	fi
	bfq_group=$root/fuseband-2008.$$
	mkdir "$bfq_group" && echo +io >"$bfq_group/cgroup.subtree_control" &&
		mkdir "$bfq_group"/{a,b} && [ -w "$bfq_group/a/io.bfq.weight" ]
} 2>/dev/null

bfq_groups_v1() {
	local root
	root=$(bfq_mount cgroup blkio)
	[ -n "$root" ] || return 1
	bfq_group=$root/fuseband-2008.$$
	mkdir -p "$bfq_group"/{a,b} && [ -w "$bfq_group/a/blkio.bfq.weight" ]
} 2>/dev/null

# A loop device that ends with the last one who has it open, us and our children: as soon as they have
# ended the test disk nobody could tell any more whose it was.
bfq_loop() { # FILE
	BFQ_DEVICE=$(losetup -f --show --direct-io=on "$1") && exec {bfq_open}<>"$BFQ_DEVICE" &&
		losetup -d "$BFQ_DEVICE"
}

# bfq_up DISK: a block device, or a file for which there will be one. Sets BFQ_DEVICE.
bfq_up() {
	local name
	BFQ_DEVICE=$1
	if [ ! -b "$1" ]; then
		bfq_loop "$1" || {
			BFQ_WHY="no loop device with direct I/O for the test disk"
			return 1
		}
	fi
	name=$(readlink -f "/sys/class/block/$(basename "$(readlink -f "$BFQ_DEVICE")")")
	[ ! -e "$name/partition" ] || name=${name%/*}
	bfq_number=$(cat "$name/dev")
	modprobe -q bfq
	if ! grep -qw bfq "$name/queue/scheduler"; then
		BFQ_WHY="this kernel has no scheduler bfq for $BFQ_DEVICE"
		return 1
	fi
	bfq_queue=$name/queue
	bfq_before=$(sed 's/.*\[\(.*\)\].*/\1/' "$bfq_queue/scheduler")
	if ! echo bfq >"$bfq_queue/scheduler" || ! echo 0 >"$bfq_queue/iosched/low_latency"; then
		BFQ_WHY="$BFQ_DEVICE does not take the scheduler bfq"
		return 1
	fi
	bfq_groups_v2 || {
		bfq_groups_gone
		bfq_groups_v1
	} || {
		BFQ_WHY="no control groups with weights for bfq here (of version 2, or blkio of version 1)"
		return 1
	}
}

bfq_weights() { # A B
	local file=$bfq_group/a/io.bfq.weight
	[ -e "$file" ] || file=$bfq_group/a/blkio.bfq.weight
	echo "$1" >"$file" && echo "$2" >"${file/%a\/*/b/}${file##*/}"
}

bfq_join() { # SIDE PID
	echo "$2" >"$bfq_group/$1/cgroup.procs"
}

# The reads and writes of both sides until now.
bfq_counts() {
	local side
	for side in a b; do
		if [ -e "$bfq_group/$side/io.stat" ]; then
			awk -v disk="$bfq_number" '$1 == disk {
				for (i = 2; i <= NF; i++)
					if (split($i, kv, "=") && kv[1] ~ /^[rw]ios$/)
						n += kv[2]
			} END { printf "%d ", n }' "$bfq_group/$side/io.stat"
		else
			awk -v disk="$bfq_number" '$1 == disk && ($2 == "Read" || $2 == "Write") { n += $3 }
				END { printf "%d ", n }' "$bfq_group/$side/blkio.bfq.io_serviced"
		fi
	done
	echo
}

bfq_groups_gone() {
	[ -z "$bfq_group" ] || rmdir "$bfq_group"/{a,b} "$bfq_group" 2>/dev/null
	[ -z "$bfq_root" ] || echo -io >"$bfq_root/cgroup.subtree_control"
	bfq_group='' bfq_root=''
}

# After those who joined have ended.
bfq_down() {
	bfq_groups_gone
	[ -z "$bfq_queue" ] || echo "$bfq_before" >"$bfq_queue/scheduler"
	bfq_queue=''
	[ -z "$bfq_open" ] || exec {bfq_open}>&-
	bfq_open=''
}
