#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Signals. A program that uses timers never sees EINTR from its disk; a program that is being
# killed does not wait for its queued requests, whatever signals it had before; and nobody else's
# requests are touched by either.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root
LIMIT_US=1000000 # a killed process is gone by then

storm() { # NAME FILE THREADS
	timeout 60 "$HELPERS/signals" storm "$2" "$3" 3 ${SEED:+"$SEED"} >"$WORK/out" 2>&1 ||
		fail "$1: $(cat "$WORK/out")"
	note "$(head -n 1 "$WORK/out")"
	printf 'ok: no EINTR, %s: %s\n' "$1" "$(sed -n '2s/signals: //p' "$WORK/out")"
}

# pile NAME FILE THREADS FIRST ALARMS: starts it, sets PILE; its output goes to $WORK/NAME.
pile() {
	local name=$1
	shift
	"$HELPERS/signals" pile "$@" >"$WORK/$name" 2>&1 &
	PILE=$!
	disown $PILE # the shell would tell of its end
	wait_for 20 grep -q alarmed "$WORK/$name" || fail "$name did not begin: $(cat "$WORK/$name")"
}

# The first thread of a process is a zombie while others still wait.
# shellcheck disable=SC2317 # called through wait_for
gone() {
	[ ! -d "/proc/$1" ] || {
		grep -qs '^State:.Z' "/proc/$1/status" &&
			[ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -le 1 ]
	}
}

# killed WHAT PID: by SIGKILL, in time.
killed() {
	local from took
	from=$(log_now)
	kill -KILL "$2"
	wait_for 30 gone "$2" || fail "$1: is never gone"
	took=$(($(log_now) - from))
	[ $took -le $LIMIT_US ] || fail "$1: gone after $((took / 1000)) ms only"
	MOST=$((took > MOST ? took : MOST))
}

start_testdisk -s 4 -t 300 -b 64M -n 2 -l "$WORK/disk.log"
two_disks_ini auto
start_fuseband "$WORK/fuseband.ini"
storm "a fast disk" "$MNT/a" 8
stop_fuseband
ctl "service 1500" "servers 1"
two_disks_ini 1
start_fuseband "$WORK/fuseband.ini"
storm "requests that queue" "$MNT/a" 32

# Each of 64 threads has a request; done one after the other they take 6.4 s.
ctl "service 100000"
for alarms in 0 3; do
	MOST=0
	pile victim "$MNT/a" 64 0 $alarms
	victim=$PILE
	pile other "$MNT/b" 8 0 1
	other=$PILE
	pile same "$MNT/a" 4 100 0
	same=$PILE
	killed "64 queued requests, $alarms alarms" "$victim"
	wait_for 20 gone "$other" || fail "requests of another file are not answered"
	wait_for 20 gone "$same" || fail "requests of the same file are not answered"
	grep -q "8 of 8" "$WORK/other" || fail "requests of another file: $(cat "$WORK/other")"
	grep -q "4 of 4" "$WORK/same" || fail "requests of the same file: $(cat "$WORK/same")"
	echo "ok: SIGKILL, 64 queued requests, $alarms alarms before: gone after $((MOST / 1000)) ms"
done

# Unaligned writes into one block, each a read and a write, wait for each other first.
MOST=0
pids=()
for ((i = 0; i < 32; i++)); do
	"$HELPERS/fileop" rw "$MNT/a" write $((i * 10)) 10 1 >/dev/null &
	pids+=($!)
	disown $!
done
"$HELPERS/fileop" rw "$MNT/a" write 500 10 7 >"$WORK/last" &
last=$!
sleep 0.5
from=$(log_now)
kill -KILL "${pids[@]}" 2>/dev/null
for pid in "${pids[@]}"; do
	wait_for 30 gone "$pid" || fail "an unaligned write is never gone"
done
took=$(($(log_now) - from))
[ $took -le $LIMIT_US ] || fail "32 unaligned writes: gone after $((took / 1000)) ms only"
wait $last
[ "$(cat "$WORK/last")" = 10 ] || fail "one that was not killed: $(cat "$WORK/last")"
[ "$("$HELPERS/fileop" r "$MNT/a" check 500 10 7)" = same ] || fail "it is not there"
echo "ok: SIGKILL, 32 unaligned writes of one block: gone after $((took / 1000)) ms"

# A single one is queued behind a disk that stands still. Its alarm wakes one of the workers, any
# of them, and nothing else does.
MOST=0
ctl "hang on"
pile holder "$MNT/b" 1 0 0
holder=$PILE
for i in 1 2 3 4 5 6 7 8 9 10; do
	pile victim "$MNT/a" 1 0 1
	sleep 0.1
	killed "one queued request, after an alarm ($i)" "$PILE"
done
ctl "hang off"
wait_for 20 gone "$holder" || fail "the request before it is not answered"
grep -q "1 of 1" "$WORK/holder" || fail "the request before it: $(cat "$WORK/holder")"
echo "ok: SIGKILL, one queued request, an alarm before: gone after $((MOST / 1000)) ms"

ctl "service 300"
[ "$("$HELPERS/fileop" r,direct "$MNT/a" read 0 1M)" = 1048576 ] || fail "a does not work any more"
stop_fuseband
