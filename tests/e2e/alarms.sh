#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every alarm, for real: one line in the log that says what to do, however long it lasts; the counter in
# the metrics; its name in status.json until it is over.
#
#	share         small.img, 0.7 % of a disk, pays 143 seconds for a flush that took one
#	reservation   promised.img and [group:g], on a disk that does a fifth of what they are promised
#	latency       that disk takes five times its target
#	size          short.img becomes shorter than it was
#	weight        alone.img has one, and a disk to itself
#	kernel        a time limit for requests, and, for an ordinary user, max_user_bgreq; both only
#	              look so, to this test, in a mount namespace of its own
#	memory        is provoked by memory.sh, which asks for the same three
#
# Exact limits, and what is no alarm: unit/test_alarm.c, unit/test_watch.c in virtual time. No verdict
# depends on how fast anything is: the disks' speeds are given, and each alarm has half a minute
# longer than it takes. But small.img's debt is forgiven when large.img has nothing queued: its client
# must not be without a processor for four seconds.

if [ -z "${ALARMS_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	ALARMS_NAMESPACE=1 exec unshare -m "$0"
fi
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio jq setpriv
need_root
[ -n "${ALARMS_NAMESPACE:-}" ] || skip "no mount namespaces: settings of the kernel cannot be made up"

# the read beyond the end of what is left
# shellcheck disable=SC2034
ALLOWED_ERRORS='short.img'
PART_BYTES=$((16 << 20))
conf=$WORK/fuseband.ini
LOG=$WORK/fuseband.log

# pretend FILE VALUE: whoever reads that setting here gets VALUE.
pretend() {
	local setting
	setting=$WORK/setting.${1##*/}
	[ -e "$1" ] || return 1
	echo "$2" >"$setting"
	chmod 644 "$setting"
	mount --bind "$setting" "$1" || fail "$1 cannot be made up"
}

# true_of FILTER: it is, of status.json; else some time passes.
true_of() {
	[ "$(value "$1")" = true ] && return
	sleep 0.3
	return 1
}

# on FILTER NAME: of what FILTER finds, that alarm is on.
on() {
	true_of "$1 | .alarms | index(\"$2\") != null"
}

# alarm TEXT FILTER NAME LABELS LOG-REGEX...: it begins; then it is counted and told, once, each time that
# this is asked.
ALARMS=()
alarm() {
	local text=$1
	promise "$text is an alarm" wait_for 90 on "$2" "$3"
	on "$2" "$3" || note "$(value '.devices + .files | tostring')"
	ALARMS+=("$text")
	eval "check_${#ALARMS[@]}() { once $(printf '%q ' "${@:3}"); }"
	promise "$text is counted and told" "check_${#ALARMS[@]}"
}

once() { # NAME LABELS LOG-REGEX
	same 1 "$(metric "fuseband_guarantee_missed_total{$2guarantee=\"$1\"}")" &&
		same 1 "$(grep -cE -- "$3" "$LOG")"
}

the_file() { # NAME: a filter
	echo ".files[] | select(.name == \"$1\")"
}

settings() { # KEYS of promised.img, of the group, of the slow disk
	section group:g "$2"
	section device:slow "$3"
	section promised.img "path = $SLOW" "size = $PART_BYTES" "device = slow" "$1"
	section member.img "path = $SLOW" "offset = $PART_BYTES" "device = slow" "parent = g"
	section device:fast "policy = weight" "io_throttle = 32"
	part small.img 0 "device = fast" "weight = 70"
	part large.img 1 "device = fast" "weight = 9930"
	section alone.img "path = $OTHER" "size = $PART_BYTES" "device = other" "weight = 80"
	section short.img "path = $WORK/short.img"
}

start_testdisk -s 1 -t 10000 -b $((2 * PART_BYTES))
SLOW=$DISK
start_testdisk -s 1 -t 1000 -b $((2 * PART_BYTES))
OTHER=$DISK
start_testdisk -s 4 -t 4000 -b $((2 * PART_BYTES))
truncate -s 1M "$WORK/short.img"
settings "min_iops = 200" "min_iops = 300" "latency_target = 2ms" | ini "$conf"
in_the_way=0
! pretend /proc/sys/fs/fuse/default_request_timeout 86400 || in_the_way=1
start_fuseband "$conf"

# ---- at the start ----

if [ $in_the_way = 1 ]; then
	alarm "a time limit for requests" . kernel '' \
		'longer than 86400 s \(fs.fuse.default_request_timeout\).*: sysctl fs.fuse.default_request_timeout=0 before'
else
	note "this kernel has no time limit for requests"
fi
alarm "a weight for nothing" "$(the_file alone.img)" weight 'file="alone.img",device="other",' \
	'alone.img: weight 80 has no effect: it is the only file on disk other, and .*; fuseband --check prints which disk'
promise "no other weight is" same alone.img "$(value '.files[] | select(.alarms | index("weight")) | .name')"

# ---- while they last ----

load() { # NAME DEPTH
	start_load "$1" --filename="$MNT/$1.img" --rw=randread --bs=4k --iodepth="$2" --size=$PART_BYTES
}
load promised 8
load member 8
load small 8
load large 4096 # four seconds of the disk: when nobody else wants it, small.img has it all, and owes nothing
# and what the disk does in a second is known
wait_for 60 true_of '[.files[] | select(.read_ios > 10)] | length == 4 and any(.[]; .read_ios > 2000)' || fail "the loads do not work: $(value '[.files[] | {name, read_ios}] | tostring')"
truncate -s 128K "$WORK/short.img"
! dd if="$MNT/short.img" of=/dev/null bs=64k skip=2 count=1 iflag=direct 2>/dev/null ||
	fail "what is not there could be read"
ctl "flush 1000000 1"
dd if=/dev/zero of="$MNT/small.img" bs=4k count=1 oflag=direct conv=notrunc,fsync status=none || fail "dd"

alarm "a backing that shrank" "$(the_file short.img)" size "file=\"short.img\",device=\"$(value "$(the_file short.img) | .device")\"," \
	'short.img: .* is shorter than it was: .*make it as large again, and reload'
alarm "a reservation" "$(the_file promised.img)" reservation 'file="promised.img",device="slow",' \
	'promised.img: reservation missed: .*min_iops 200 .*: the disk cannot do more, or too much of it is promised'
alarm "a group's reservation" '.groups[]' reservation 'group="g",' \
	'group g: reservation missed: .*min_iops 300 .*: the disk cannot do more, or too much of it is promised'
alarm "a latency target" '.devices[] | select(.name == "slow")' latency 'device="slow",' \
	'disk slow: latency target missed: .*wanted were 2.0 ms: it is slower than that .*, or used by others'
alarm "a share" "$(the_file small.img)" share 'file="small.img",device="fast",' \
	'small.img: got 0.0% of disk fast, but was entitled to 0.7%, for 30 s: flushes .*: let it flush less often, or give it more weight'
promise "nobody else's share is" same small.img "$(value '.files[] | select(.alarms | index("share")) | .name')"

# ---- when they are over ----

promise "the loads noticed nothing" stop_loads
truncate -s 1M "$WORK/short.img"
{
	settings "min_iops = 0" "min_iops = 0" "latency_target = 0"
	section beside.img "path = $OTHER" "offset = $PART_BYTES" "device = other"
} | ini "$conf"
promise "a reload" reload_fuseband
promise "all but those of the kernel are over" \
	wait_for 60 true_of '[.devices, .groups, .files | .[].alarms[]] | length == 0'
note "on are: $(value '[.alarms, (.devices, .groups, .files | .[].alarms)] | add | join(" ")')"
for ((i = 0; i < ${#ALARMS[@]}; i++)); do
	promise "${ALARMS[i]} was told and counted once" "check_$((i + 1))"
done
stop_fuseband

# ---- an ordinary user ----

as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
home=$WORK/user
mkdir -p "$home/mnt" "$home/dev"
if ! [ -u "$(command -v fusermount3)" ] || ! mount -t tmpfs none "$home/dev" ||
	! mknod -m 666 "$home/dev/fuse" c 10 229 || ! mount --bind "$home/dev/fuse" /dev/fuse; then
	note "no setuid fusermount3, or no /dev/fuse for others: an ordinary user is not tried"
	exit $failed
fi
pretend /sys/module/fuse/parameters/max_user_bgreq 12 || fail "no max_user_bgreq"
cp "$FUSEBAND" "$home/program"
truncate -s 1M "$home/a.img"
section a.img "path = $home/a.img" "uid = 65534" >"$home/ini"
chown -R 65534:65534 "$home/ini" "$home/mnt" "$home/a.img"
chmod 711 "$WORK"
(ulimit -l 8192 && exec "${as_nobody[@]}" "$home/program" -f -c "$home/ini" "$home/mnt" >"$home/log" 2>&1) &
pid=$!
wait_for 20 grep -q 'serving 1 files' "$home/log" || fail "nobody cannot start it: $(cat "$home/log")"
promise "what the kernel lets an ordinary user have is told" \
	same 1 "$(grep -c 'no more than 12 asynchronous requests .*echo 65535 > .*max_user_bgreq as root' "$home/log")"
promise "and that memory cannot be locked" \
	same 1 "$(grep -c 'memory cannot be locked .*allow more (ulimit -l' "$home/log")"
promise "the kernel's is an alarm" same '["kernel"]' "$("${as_nobody[@]}" jq -c .alarms "$home/mnt/.fuseband/status.json")"
promise "and counted with the other one" same $((in_the_way + 1)) "$("${as_nobody[@]}" sed -n \
	's/^fuseband_guarantee_missed_total{guarantee="kernel"} //p' "$home/mnt/.fuseband/fuseband.prom")"
kill -TERM "$pid"
wait_pid 20 "$pid"
promise "it stops" same 0 $?
exit $failed
