#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the shell tests share. A test says
#
#     . "$(dirname "$0")/../lib.sh"
#
# and then has a private directory $WORK, an empty directory $MNT to mount fuseband on, and the
# functions below. However it ends, the processes it started are killed (those that carry
# TEST_WORK=$WORK in their environment, so those of a daemon that forked too, and no others), its
# mounts are unmounted and its loop devices detached; then put_back is called, if the test has such
# a function. Functions that start something set variables instead of printing, so that they run in
# this shell and what they started is known to it.
#
# Exit status of a test: 0 passed, 1 failed, 77 skipped.
#
# From the environment: FUSEBAND and TESTDISK, the programs (default ../build/release/); WORKERS, a number
# of workers to write into every configuration; KEEP=1 keeps $WORK. What else a test takes from there is
# listed in tests/run.

set -u
shopt -s inherit_errexit 2>/dev/null

TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FUSEBAND=${FUSEBAND:-$TESTS/../build/release/fuseband}
TESTDISK=${TESTDISK:-$TESTS/../build/release/testdisk}
WORKERS=${WORKERS:-}
# Lines with the word error that this test expects in the daemon's log (extended regex).
ALLOWED_ERRORS=${ALLOWED_ERRORS:-}

WORK=$(mktemp -d "${TMPDIR:-/tmp}/fuseband-test.XXXXXX") || exit 1
MNT=$WORK/mnt
export TEST_WORK=$WORK
mkdir "$MNT"
LOOPS=()
N_TESTDISKS=0
BEGAN=$(cut -d ' ' -f 1 /proc/uptime)
FUSEBAND_PID=

note() {
	printf '# %s\n' "$*"
}

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

skip() {
	printf 'SKIP: %s\n' "$*"
	exit 77
}

# need PROGRAM...: skips the test if one of them is not there.
need() {
	local p
	for p; do
		command -v "$p" >/dev/null || skip "no $p"
	done
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# The kernel's control files of FUSE mounts, where nobody mounts them. Sets FUSECTL.
need_fusectl() {
	FUSECTL=/sys/fs/fuse/connections
	[ -z "$(ls $FUSECTL 2>/dev/null)" ] || return 0
	FUSECTL=$WORK/fusectl
	mkdir "$FUSECTL"
	mount -t fusectl none "$FUSECTL" || skip "no fusectl"
}

# ---- verdicts ----

# A test that goes on after a failure ends with: exit $failed
failed=0

miss() {
	printf 'FAIL: %s\n' "$*" >&2
	# shellcheck disable=SC2034
	failed=1
}

# promise TEXT COMMAND...: the command succeeds.
promise() {
	local text=$1
	shift
	if "$@"; then
		printf 'ok: %s\n' "$text"
	else
		miss "$text"
	fi
}

idle_ticks() {
	awk '$1 == "cpu" { print $5 + $6 }' /proc/stat
}

# Waits, for half a minute at most, until others leave most of the processors alone.
calm() {
	local i before after
	for ((i = 0; i < 30; i++)); do
		before=$(idle_ticks)
		sleep 1
		after=$(idle_ticks)
		[ $((after - before)) -lt $(($(getconf CLK_TCK) * $(nproc) * 6 / 10)) ] || return 0
	done
}

# thrice TEXT COMMAND...: the command, which puts into MISSED what it misses, holds in one of three
# tries. For figures that processor time which others take can only make worse.
thrice() {
	local text=$1 i
	shift
	for i in 1 2 3; do
		[ $i = 1 ] || calm
		! "$@" || return 0
	done
	miss "$text: $MISSED"
}

not() {
	! "$@"
}

same() { # WANTED GOT
	[ "$1" = "$2" ] && return
	printf '# wanted "%s", got "%s"\n' "$1" "$2"
	return 1
}

# ---- cleaning up ----

# Pids of the processes started by this test, this shell itself excepted.
our_pids() {
	local env
	for env in /proc/[0-9]*/environ; do
		grep -qzxF "TEST_WORK=$WORK" "$env" 2>/dev/null || continue
		env=${env#/proc/}
		echo "${env%/environ}"
	done
}

kill_ours() { # SIGNAL
	local pid
	for pid in $(our_pids); do
		[ "$pid" = $$ ] || kill "-$1" "$pid" 2>/dev/null
	done
}

# Mounts below $WORK, the last one first.
our_mounts() {
	awk -v dir="$WORK/" 'index($5, dir) == 1 { print $3, $5 }' /proc/self/mountinfo | tac
}

# Unmounts what is mounted below $WORK; a FUSE mount whose daemon does not answer is aborted.
unmount_ours() {
	local dev dir
	while read -r dev dir; do
		timeout 5 umount "$dir" 2>/dev/null && continue
		echo 1 2>/dev/null >"/sys/fs/fuse/connections/${dev#*:}/abort"
		umount -l "$dir" 2>/dev/null || fusermount3 -uz "$dir" 2>/dev/null
	done < <(our_mounts)
}

# Waits until none of our processes is left.
wait_gone() { # SECONDS
	local i
	for ((i = 0; i < $1 * 10; i++)); do
		[ -z "$(our_pids)" ] && return 0
		sleep 0.1
	done
	return 1
}

cleanup() {
	local status=$? loop
	trap - EXIT INT TERM HUP
	if [ "$status" != 0 ] && [ "$status" != 77 ] && [ -s "$WORK/fuseband.log" ]; then
		echo "--- the end of fuseband.log:"
		tail -n 40 "$WORK/fuseband.log"
	fi
	kill_ours CONT
	kill_ours TERM
	wait_gone 3
	for loop in "${LOOPS[@]}"; do
		# unless it has gone already, and another test has that number now
		case $(cat "/sys/block/${loop#/dev/}/loop/backing_file" 2>/dev/null) in
		"$WORK"/*) losetup -d "$loop" 2>/dev/null ;;
		esac
	done
	unmount_ours
	kill_ours KILL
	wait_gone 3 || echo "# processes left: $(our_pids | tr '\n' ' ')"
	unmount_ours
	! declare -F put_back >/dev/null || put_back
	if [ -n "${KEEP:-}" ]; then
		echo "# kept $WORK"
	else
		rm -rf --one-file-system "$WORK"
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- waiting ----

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -le $end ] || return 1
		sleep 0.02
	done
}

# True if DIR is a FUSE mount that answers. statfs blocks until the daemon serves, so it is the
# proof; the limit is for one that never will.
serves() { # DIR
	awk -v d="$1" '$5 == d && / - fuse/ { n = 1 } END { exit !n }' /proc/self/mountinfo &&
		timeout 10 stat -f "$1" >/dev/null 2>&1
}

# Exit status of process PID, which is a child of this shell, within SECONDS.
wait_pid() { # SECONDS PID
	local end=$((SECONDS + $1))
	while [ -d "/proc/$2" ] && ! grep -qs '^State:.Z' "/proc/$2/status"; do
		[ $SECONDS -le $end ] || return 124
		sleep 0.02
	done
	wait "$2"
}

# ---- the test disk ----

# start_testdisk [ARGS]: sets DISK, CTL and TESTDISK_PID. Several can run; the variables are those
# of the last one.
start_testdisk() {
	local dir=$WORK/testdisk$((N_TESTDISKS++))
	mkdir "$dir"
	[ -x "$TESTDISK" ] || skip "no test disk program at $TESTDISK"
	"$TESTDISK" "$@" "$dir" 2>"$dir.err" &
	TESTDISK_PID=$!
	# shellcheck disable=SC2034
	DISK=$dir/disk
	CTL=$dir/ctl
	until serves "$dir"; do
		if ! kill -0 "$TESTDISK_PID" 2>/dev/null; then
			cat "$dir.err" >&2
			fail "the test disk did not start"
		fi
		sleep 0.02
	done
}

# ctl COMMAND...: one line each for the test disk started last.
ctl() {
	printf '%s\n' "$@" >"$CTL" || fail "ctl: $*"
}

# ctl_value KEY [DISK]: a counter of the test disk started last.
ctl_value() {
	awk -v disk="${2:-disk}:" -v key="$1" '$1 == disk {
		for (i = 2; i <= NF; i++)
			if (split($i, kv, "=") == 2 && kv[1] == key)
				print kv[2]
	}' "$CTL"
}

# Now, in the microseconds of the test disk's log.
log_now() {
	awk '{ printf "%.0f\n", $1 * 1e6 }' /proc/uptime
}

# Lets time pass, in FROM and TO as log_now.
watch() { # SECONDS
	FROM=$(log_now)
	sleep "$1"
	TO=$(log_now)
}

# served LOG FROM TO PART [PARTS]: how many reads and writes the disk answered from FROM to TO (as
# log_now), in each of its parts of PART bytes (default: two, the last one being all the rest). What
# the disk did in a window common to all its users is exact where the users' own windows differ by
# seconds.
served() {
	answered 0 "$@"
}

# disk_time LOG FROM TO PART [PARTS]: the microseconds for which they occupied servers, and
# discards; flushes have no offset and count as the first part's.
disk_time() {
	answered 1 "$@"
}

answered() { # TIME LOG FROM TO PART [PARTS]
	awk -v time="$1" -v from="$3" -v to="$4" -v part="$5" -v parts="${6:-2}" '
		$4 == "done" && $2 >= from && $2 < to && (time || $3 ~ /[RW]/) {
			i = int($5 / part)
			n[i < parts ? i : parts - 1] += time ? $11 : 1
		}
		END { for (i = 0; i < parts; i++) printf i < parts - 1 ? "%d " : "%d\n", n[i] }' "$2"
}

# measure_time LOG SERVERS: after a second for the loads to settle, measures for $WINDOW seconds, and
# ends them. Sets TIMES, the microseconds for which both parts of the disk occupied its servers, the
# first one's SHARE of that, and for how many percent of the time the disk was BUSY. The disk has
# two parts of $PART_BYTES.
measure_time() {
	sleep 1
	ctl log-reset
	watch "$WINDOW"
	stop_loads || fail "the load ended early, or a request failed"
	read -ra TIMES < <(disk_time "$1" "$FROM" "$TO" "$PART_BYTES")
	SHARE=$(ratio "${TIMES[@]}")
	BUSY=$(calc "100 * (${TIMES[0]} + ${TIMES[1]}) / $2 / ($TO - $FROM)")
}

# measure_fio LOG SECONDS SETTLE ARGS...: fio with ARGS on both parts of the test disk started last, for
# SECONDS from SETTLE seconds after its start, and a little longer. Sets LOWER and UPPER, what both parts
# did meanwhile, and PER_SECOND, their sum. fio's own figures are in $WORK/fio.json.
measure_fio() {
	local log=$1 window=$2 settle=$3 pid
	shift 3
	ctl log-reset
	fio --thread --group_reporting --direct=1 --rw=randrw --bs=4k --size="$PART_BYTES" --norandommap \
		--randrepeat=0 --time_based --runtime="$(calc "int($window + $settle + 1)")" \
		--output-format=json --output="$WORK/fio.json" "$@" 2>"$WORK/fio.err" &
	pid=$!
	sleep "$settle"
	watch "$window"
	wait $pid || fail "fio: $(cat "$WORK/fio.err")"
	read -r LOWER UPPER < <(served "$log" "$FROM" "$TO" "$PART_BYTES")
	PER_SECOND=$(per_second "$((LOWER + UPPER))" "$FROM" "$TO")
}

# per_second COUNT FROM TO: the rate, for two times of log_now.
per_second() {
	awk -v n="$1" -v us="$(($3 - $2))" 'BEGIN { printf "%.1f\n", n * 1e6 / us }'
}

# mkloop SIZE [FILE]: a loop device of that size (on FILE if given); sets LOOP.
mkloop() {
	local file=${2:-$WORK/loop${#LOOPS[@]}.img}
	[ -n "${2:-}" ] || truncate -s "$1" "$file" || fail "mkloop: no $file"
	LOOP=$(losetup -f --show "$file") || skip "no loop device to be had"
	LOOPS+=("$LOOP")
	losetup --direct-io=on "$LOOP" 2>/dev/null
	return 0
}

# Sets PART to the node of partition N of the loop device in $LOOP. Kernels without a parser for
# the table are told, systems without udev get a node.
partition() { # N
	local name=${LOOP#/dev/}p$1 dev
	[ -e "/sys/class/block/$name" ] || partx -a "$LOOP" 2>/dev/null
	dev=$(cat "/sys/class/block/$name/dev") || fail "the kernel does not see $name"
	wait_for 3 test -b "/dev/$name"
	PART=/dev/$name
	[ -b "$PART" ] && return
	PART=$WORK/$name
	mknod "$PART" b "${dev%:*}" "${dev#*:}" || fail "no node for $name"
}

# ---- the daemon ----

# ini FILE: writes the configuration on stdin to FILE, with the number of workers of the run.
ini() {
	if [ -z "$WORKERS" ]; then
		cat >"$1.new"
	else
		awk -v line="workers = $WORKERS" '
			{ text = text $0 "\n" }
			/^\[fuseband\]/ { text = text line "\n"; done = 1 }
			END { printf "%s%s", done ? "" : "[fuseband]\n" line "\n", text }' >"$1.new"
	fi
	mv "$1.new" "$1"
}

section() { # NAME KEY=VALUE...
	printf '[%s]\n' "$1"
	shift
	printf '%s\n' "$@"
}

# part NAME N KEY=VALUE...: the section of a file that is the Nth part, from 0, of the test disk
# started last, of $PART_BYTES.
part() {
	local name=$1 offset=$(($2 * PART_BYTES))
	shift 2
	section "$name" "path = $DISK" "offset = $offset" "size = $PART_BYTES" "$@"
}

# two_disks_ini IO_THROTTLE: $WORK/fuseband.ini, where a and b are the first disks of the test disk that was
# started last, with -n 2, and share one scheduler.
two_disks_ini() {
	{
		section a "path = $DISK" "device = testdisk"
		section b "path = ${DISK}1" "device = testdisk"
		section device:testdisk "io_throttle = $1"
	} | ini "$WORK/fuseband.ini"
}

# start_fuseband INI [ARGS]: sets FUSEBAND_PID. Mounts on $MNT; the log is $WORK/fuseband.log.
start_fuseband() {
	local conf=$1
	shift
	[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"
	: >>"$WORK/fuseband.log"
	"$FUSEBAND" -f -c "$conf" "$@" -p "$WORK/pid" "$MNT" 2>>"$WORK/fuseband.log" &
	FUSEBAND_PID=$!
	until serves "$MNT"; do
		if ! kill -0 "$FUSEBAND_PID" 2>/dev/null; then
			wait "$FUSEBAND_PID"
			fail "fuseband ended with status $? before it served"
		fi
		sleep 0.02
	done
}

# our_processes NAME: those of this test's daemon that are called so.
our_processes() {
	local pid
	for pid in $(pgrep -x "$1"); do
		! grep -qzxF "TEST_WORK=$WORK" "/proc/$pid/environ" 2>/dev/null || echo "$pid"
	done
}

# Those that stand by, or are about to take over.
spares() {
	our_processes fuseband-spare
}

# The process that does the I/O; without a parent it is the only one.
data_path() {
	local i
	for ((i = 0; i < 100; i++)); do
		our_processes fuseband-io | grep . && return
		[ -n "$(spares)" ] || break
		sleep 0.05
	done
	echo "$FUSEBAND_PID"
}

# stopped NAME: one of our processes that is called so has stopped; sets STOPPED.
stopped() {
	for STOPPED in $(our_processes "$1"); do
		! grep -qs '^State:.T' "/proc/$STOPPED/status" || return 0
	done
	return 1
}

took_over() {
	grep -c 'took over:' "$WORK/fuseband.log"
}

more_than() { # NUMBER COMMAND...
	local n=$1
	shift
	[ "$("$@")" -gt "$n" ]
}

# kill_data_path: and wait until another one serves.
kill_data_path() {
	local before
	before=$(took_over)
	kill -KILL "$(data_path)" || fail "the data path was gone already"
	wait_for 20 more_than "$before" took_over || fail "nobody took over"
}

# Those that serve, or would if the others did not.
all_who_serve() {
	our_processes fuseband
	our_processes fuseband-io
	spares
}

nobody_serves() {
	[ -z "$(all_who_serve)" ]
}

# kill_all: at the same time, as who is left replaces the others; with the parent standing still there
# are no new ones meanwhile. Waits until they are gone.
kill_all() {
	local all
	kill -STOP "$FUSEBAND_PID"
	all=$(all_who_serve)
	# shellcheck disable=SC2086
	kill -STOP $all
	# shellcheck disable=SC2086
	kill -KILL $all
	wait "$FUSEBAND_PID" 2>/dev/null
	FUSEBAND_PID=
	wait_for 10 nobody_serves || fail "somebody of fuseband is left: $(all_who_serve)"
}

parent_is() { # PID: of the pid file, alive and another one than PID
	local now
	now=$(cat "$WORK/pid" 2>/dev/null)
	[ -n "$now" ] && [ "$now" != "$1" ] && kill -0 "$now" 2>/dev/null
}

# kill_parent [SECONDS]: and wait until another one has its place. Sets FUSEBAND_PID.
kill_parent() {
	local old=$FUSEBAND_PID
	kill -KILL "$old"
	wait "$old" 2>/dev/null
	wait_for "${1:-10}" parent_is "$old" || fail "nobody took the parent's place"
	FUSEBAND_PID=$(cat "$WORK/pid")
}

# What both of them need, in KiB. What they share (keep.h) is the parent's, who has all of it locked.
rss_kib() {
	{
		awk '$1 == "VmRSS:" { print $2 }' "/proc/$FUSEBAND_PID/status"
		awk '$1 == "RssAnon:" || $1 == "RssFile:" { print $2 }' "/proc/$(data_path)/status"
	} | awk '{ sum += $1 } END { print sum }'
}

descriptors() {
	find "/proc/$FUSEBAND_PID/fd" "/proc/$(data_path)/fd" -mindepth 1 | wc -l
}

# The system calls that the filter has refused to this program since the test began, as far as the
# kernel says so. Whatever runs at the same time must not try any, either (or under another name).
refused_calls() {
	dmesg 2>/dev/null | awk -v from="$BEGAN" -v exe="exe=\"$(realpath "$FUSEBAND")\"" '
		/ type=1326 / && index($0, exe) && match($0, /^\[ *[0-9.]+\]/) {
			if (substr($0, 2, RLENGTH - 2) + 0 >= from)
				print
		}'
}

# Fails if the log has a sanitizer's report, or an error that ALLOWED_ERRORS does not name; or if
# the filter of system calls has a gap.
check_log() {
	local log=$WORK/fuseband.log bad
	bad=$(refused_calls)
	[ -z "$bad" ] || fail "the filter of system calls has refused: $bad"
	if grep -E 'ERROR: [A-Za-z]+Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$log" >&2; then
		fail "a sanitizer's report in the log"
	fi
	bad=$(grep -iw 'error' "$log")
	[ -z "$ALLOWED_ERRORS" ] || bad=$(grep -Ev "$ALLOWED_ERRORS" <<<"$bad")
	[ -z "$bad" ] || fail "unexpected in the log: $bad"
}

# Where the threads of process PID and of its children sleep.
where_it_hangs() { # PID
	local task
	for task in /proc/"$1"/task/* $(pgrep -P "$1" | sed 's|.*|/proc/&/task/&|'); do
		printf '%s %s: %s\n' "${task##*/}" "$(cat "$task/comm")" "$(cat "$task/wchan")"
	done 2>/dev/null
}

# SIGTERM; the daemon has to end with status 0, unmounted, with a clean log.
stop_fuseband() {
	local status
	kill -TERM "$FUSEBAND_PID" || fail "fuseband is not running"
	wait_pid 30 "$FUSEBAND_PID"
	status=$?
	if [ "$status" = 124 ]; then
		where_it_hangs "$FUSEBAND_PID" >&2
		fail "fuseband did not stop within 30 s"
	fi
	[ "$status" = 0 ] || fail "fuseband ended with status $status"
	FUSEBAND_PID=
	! grep -qF " $MNT " /proc/self/mountinfo || fail "fuseband stopped but $MNT is mounted"
	check_log
}

# The same after kill_parent: it is nobody's child here.
stop_adopted() {
	kill -TERM "$FUSEBAND_PID"
	wait_for 25 not kill -0 "$FUSEBAND_PID" 2>/dev/null || miss "it does not stop"
	! grep -qF " $MNT " /proc/self/mountinfo || miss "it is still mounted"
	check_log
	FUSEBAND_PID=
}

# ---- its status ----

# value FILTER: what jq finds in status.json
value() {
	jq -r "$1" "$MNT/.fuseband/status.json"
}

# metric SERIES: its value
metric() {
	awk -v series="$1" 'substr($0, 1, length(series) + 1) == series " " { print $NF }' \
		"$MNT/.fuseband/metrics"
}

# ---- reloads ----

reload_lines() {
	grep -cE 'reloaded|reload refused' "$WORK/fuseband.log"
}

more_reload_lines() { # THAN
	[ "$(reload_lines)" -gt "$1" ]
}

# SIGHUP; 0 if the log then says reloaded, 1 if it says reload refused.
reload_fuseband() {
	local before
	before=$(reload_lines)
	kill -HUP "$FUSEBAND_PID" || fail "fuseband is not running"
	wait_for 10 more_reload_lines "$before" || fail "no word of the reload in the log"
	grep -E 'reloaded|reload refused' "$WORK/fuseband.log" | tail -n 1 | grep -q reloaded
}

# ---- load ----

declare -A LOADS=() # pids, by name

# start_load NAME ARGS: fio, until stop_loads; its figures are in $WORK/NAME.json then.
start_load() {
	local name=$1
	shift
	fio --name="$name" --ioengine=libaio --direct=1 --time_based --runtime=3600 --randrepeat=0 --verify_state_save=0 \
		--disk_util=0 --group_reporting --output-format=json --output="$WORK/$name.json" "$@" \
		2>"$WORK/$name.err" &
	LOADS[$name]=$!
}

is_running() { # NAME
	kill -0 "${LOADS[$1]}" 2>/dev/null
}

# A load ends. fio forgets a SIGINT that its worker gets while it sets itself up, which takes long on
# a busy machine, and goes on for ever: say it again.
wait_load() { # PID
	local i
	for ((i = 0; i < 12; i++)); do
		wait_pid 5 "$1"
		[ $? = 124 ] || return 0
		kill -INT "$1" 2>/dev/null
	done
	return 124
}

# stop_loads [NAME...]: those, or all. True if they ran until now and no request of them failed.
stop_loads() {
	local name status=0
	[ $# -gt 0 ] || set -- "${!LOADS[@]}"
	for name; do
		kill -INT "${LOADS[$name]}" 2>/dev/null || status=1
	done
	for name; do
		if ! wait_load "${LOADS[$name]}"; then
			where_it_hangs "${LOADS[$name]}" | sed 's/^/# /'
			status=1
		elif ! grep -q '"error" : 0' "$WORK/$name.json" ||
			grep -qE '"error" : [1-9]' "$WORK/$name.json" || [ -s "$WORK/$name.err" ]; then
			sed 's/^/# /' "$WORK/$name.err" | head -n 5
			status=1
		fi
		unset "LOADS[$name]"
	done
	return $status
}

# ---- numbers ----

# calc EXPRESSION: its value, as awk computes it.
calc() {
	awk "BEGIN { printf \"%.10g\\n\", $1 }"
}

# holds CONDITION: true if it is, as awk computes it.
holds() {
	awk "BEGIN { exit !($1) }"
}

# ratio A B: A as a percentage of A + B.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", a + b ? 100 * a / (a + b) : 0 }'
}

# within A B TOL: true if they differ by TOL at most.
within() {
	awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(d <= t && -d <= t) }'
}

# fio_value JSON JOBNAME KEY PICK: numbers named KEY of the reads and of the writes of the job
# (with group_reporting: of its group); PICK sum adds them up, max takes the largest.
fio_value() {
	awk -v job="$2" -v key="\"$3\"" -v pick="$4" '
		/"jobname"/ { split($0, q, "\""); mine = q[4] == job; seen += mine; side = "" }
		/"disk_util" : \[/ { mine = 0 }
		/^ *"(read|write|trim|sync)" : \{/ { side = $1 }
		mine && $1 == key && (side == "\"read\"" || side == "\"write\"") {
			v = $3 + 0
			out = pick == "sum" ? out + v : v > out ? v : out
		}
		END { if (!seen || out == "") exit 1; printf "%.3f\n", out }' "$1" ||
		fail "no $3 of a job $2 in $1: $(head -c 300 "$1")"
}

# Reads and writes per second.
fio_iops() { # JSON JOBNAME
	fio_value "$1" "$2" iops sum
}

# Milliseconds below which 99 % of the reads, and 99 % of the writes, were complete.
p99() { # JSON JOBNAME
	local ns
	ns=$(fio_value "$1" "$2" 99.000000 max) || exit 1
	awk -v ns="$ns" 'BEGIN { printf "%.1f\n", ns / 1e6 }'
}
