#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The cap on memory, under 10,000 writes of 1 MiB that one guest sends at once: forty times what is
# set aside for queued writes. The daemon stays within a tenth of the cap, says so, in the log, in
# status.json and in the metrics, and answers a request for its status within a second; and a neighbour, a client of another disk, has a p99 at
# most 1.5 times that of before, if its requests are synchronous. Asynchronous ones the kernel counts
# together with the flood's: each of them may wait outside until two of those are done.
#
# Both disks are test disks: the neighbour's takes 4 ms for a request, which are most of its
# latency, so that the bound leaves 2 ms for the processor; the flood's writes 256 MB/s, a MiB in
# 4 ms. Before and during are compared within a minute. Others can only make it worse: one of three
# tries must hold.
#
# SOAK=1: the flood runs to its end, and all of it must be written; else it ends with the daemon.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root
ALLOWED_ERRORS='requests did not finish|failed: Input/output error|errors were not logged'
MEMORY_MIB=256
FLOOD=10000

need_fusectl

# p99_us FILE FROM TO: of the requests in FILE that began from FROM to TO, and how many there are.
p99_us() {
	awk -v from="$2" -v to="$3" '$1 >= from && $1 < to { print $2 }' "$1" | sort -n |
		awk '{ us[NR] = $1 } END { print NR ? us[int(NR * 0.99) + (NR >= 100 ? 0 : 1)] : 0, NR }'
}

rss_mib() {
	awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$(data_path)/status"
}

status_lines() {
	grep -c '^fuseband:   neighbour ' "$WORK/fuseband.log"
}

more_status() { # THAN
	[ "$(status_lines)" -gt "$1" ]
}

# Until status.json has the alarm, which ends when half of the memory is free; then $WORK/alarmed is there.
watch_alarm() {
	until grep -q '"alarms":\["memory"\],"config"' "$MNT/.fuseband/status.json"; do
		sleep 0.1
	done
	: >"$WORK/alarmed"
}

# Each episode is one line in the log, and counts once.
counted() {
	local told
	told=$(grep -c "set aside for them ($MEMORY_MIB MiB): .*\`memory\` in \[fuseband\] raises the limit" \
		"$WORK/fuseband.log")
	[ "$told" -gt 0 ] && [ "$told" = "$(metric 'fuseband_guarantee_missed_total{guarantee="memory"}')" ]
}

# Sets SYNC and ASYNC to the p99 of both clients during SECONDS.
measure() { # SECONDS
	watch "$1"
	sleep 0.1
	read -r SYNC n_sync < <(p99_us "$WORK/sync" "$FROM" "$TO")
	read -r ASYNC n_async < <(p99_us "$WORK/async" "$FROM" "$TO")
	note "p99 of $n_sync synchronous reads: $SYNC us, of $n_async asynchronous ones: $ASYNC us"
}

# One flood, in MISSED what was not as it should be.
# shellcheck disable=SC2034
flooded() {
	local before_sync before_async since lines
	start_fuseband "$WORK/fuseband.ini"
	"$HELPERS/latency" "$MNT/neighbour" 2 >"$WORK/sync" &
	local pids=$!
	"$HELPERS/latency" -u "$MNT/neighbour" 2 >"$WORK/async" &
	pids+=" $!"
	sleep 0.5
	measure 3
	before_sync=$SYNC before_async=$ASYNC
	ctl log-reset
	rm -f "$WORK/alarmed"
	watch_alarm &
	pids+=" $!"
	"$HELPERS/flood" "$MNT/flood" $FLOOD 1M >"$WORK/flood.out" 2>&1 &
	local flood=$!
	measure 5
	[ -e "$WORK/alarmed" ] || fail "no alarm in status.json"
	wait_for 10 counted || fail "the metrics do not count what the log tells: $(
		metric 'fuseband_guarantee_missed_total{guarantee="memory"}'), $(tail -n 3 "$WORK/fuseband.log")"
	lines=$(status_lines)
	since=$(log_now)
	kill -USR1 "$FUSEBAND_PID"
	wait_for 10 more_status "$lines" || fail "no status"
	since=$(($(log_now) - since))
	kill -0 $flood || fail "the flood is over already: $(cat "$WORK/flood.out")"
	note "$(rss_mib) MiB of memory at most; the status after $since us;$(
	) $(grep -c . "$WORK/fuseband.log") lines in the log"
	[ "$(rss_mib)" -le $((MEMORY_MIB * 110 / 100)) ] || fail "it takes $(rss_mib) MiB of $MEMORY_MIB"
	if [ -n "${SOAK:-}" ]; then
		wait $flood
		same "$FLOOD written, 0 failed" "$(tail -n 1 "$WORK/flood.out")" || fail "the flood"
	fi
	# shellcheck disable=SC2086 # all of them
	kill $pids 2>/dev/null # one has ended
	kill -TERM "$FUSEBAND_PID"
	sleep 0.5
	kill -TERM "$FUSEBAND_PID" 2>/dev/null # what is queued need not go to the disk
	wait_pid 20 "$FUSEBAND_PID" || note "the daemon ends with status $?"
	check_log
	rm -f "$WORK/fuseband.log"
	wait $flood
	MISSED="p99 $(calc "$SYNC / $before_sync") times that of before (synchronous), $(
	)$(calc "$ASYNC / $before_async") times (asynchronous); the status took $since us"
	holds "$SYNC <= 1.5 * $before_sync && $ASYNC <= 1.5 * $before_async + 2 * 2 * 4000 && $since <= 1000000"
}

start_testdisk -s 8 -t 4000 -b 64M
neighbour=$DISK
start_testdisk -s 4 -t 2000 -b 512M
{
	section fuseband "memory = ${MEMORY_MIB}M"
	section neighbour "path = $neighbour" "device = neighbour"
	section flood "path = $DISK" "device = flood"
	section device:neighbour "io_throttle = 16"
	section device:flood "io_throttle = 8"
} | ini "$WORK/fuseband.ini"
thrice "10,000 writes of 1 MiB" flooded
[ $failed = 0 ] && echo "ok: 10,000 writes of 1 MiB: $MISSED"
exit $failed
