#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Memory, descriptors, threads and rings that are not to be had, one call at a time: the daemon's
# first call that could fail does, then its second one, and so on until all went well. At the
# start, with a reload, and under a short load. Whatever it was, the daemon either does without, or
# says so in one line (two at most, where the mount adds its own) and
#   at the start   ends with status 1 or 2 and leaves no mount behind,
#   at a reload    refuses it, and the files are those of before, all of them,
#   under load     fails that request with ENOMEM at worst; what was answered is what is there.
# Then the same for descriptors by their limit. No verdict depends on the clock.
#
# STEP=N tries each Nth call of the start and the reload only, from one of the first N on (default:
# all of them).

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
FAILING=${FAILING:-$(dirname "$FUSEBAND")/fuseband-failing}
STEP=${STEP:-1}
FUSEBAND=$FAILING
WORKERS=${WORKERS:-1}
need_root
[ -x "$FAILING" ] || skip "no daemon at $FAILING"
export FAIL_FILE=$WORK/fail
# each failure is told as an error
ALLOWED_ERRORS='.'

countdown() {
	"$HELPERS/countdown" "$FAIL_FILE" "$@"
}

# Sets LEFT, and WHAT failed.
get_countdown() {
	read -r LEFT WHAT < <(countdown get)
}

truncate -s 1M "$WORK/a.img" "$WORK/b.img" "$WORK/c.img"
truncate -s 1000003 "$WORK/odd.img"
mkloop 1M
SUPERVISE=yes # what both processes do at a start and a reload counts

config_a() { # FILE
	{
		section fuseband "supervise = $SUPERVISE"
		section a "path = $WORK/a.img" "parent = group"
		section odd "path = $WORK/odd.img" "max_iops = 100000"
		section loop "path = $LOOP"
		section group:group "weight = 50"
	} | ini "$1"
}

config_b() { # FILE
	{
		section fuseband "supervise = $SUPERVISE"
		section a "path = $WORK/a.img" "weight = 20" "parent = other"
		section b "path = $WORK/b.img" "device = new"
		section loop "path = $LOOP" "min_iops = 1"
		section device:new "io_throttle = 4"
		section group:other "max_iops = 50000"
	} | ini "$1"
}

# One to three lines, each of them ours, none of them the sanitizers'.
says_why() { # WHAT FILE
	local lines
	lines=$(grep -c '' "$2")
	if [ "$lines" -lt 1 ] || [ "$lines" -gt 3 ] || grep -qvE '^fuse(band)?: ' "$2"; then
		fail "$1: it says: $(cat "$2")"
	fi
}

# ended WHAT PID: a start that failed.
ended() {
	local status
	wait "$2"
	status=$?
	case $status in
	1 | 2) ;;
	*) fail "$1: it ends with status $status: $(cat "$WORK/err")" ;;
	esac
	says_why "$1" "$WORK/err"
	! grep -qF " $MNT " /proc/self/mountinfo || fail "$1: it ended and left a mount"
}

# The mount may have gone between the two looks of serves().
is_up() { # PID
	kill -0 "$1" 2>/dev/null && serves "$MNT"
}

starts() {
	local n pid failures=0 without=0
	config_a "$WORK/fuseband.ini"
	for ((n = 1 + RANDOM % STEP; ; n += STEP)); do
		countdown set $n
		"$FAILING" -f -c "$WORK/fuseband.ini" -p "$WORK/pid" -o noexec "$MNT" 2>"$WORK/err" &
		pid=$!
		until serves "$MNT" || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
		get_countdown
		if is_up $pid; then
			countdown set 0
			grep -F " $MNT " /proc/self/mountinfo | grep -qw noexec ||
				fail "start, call $n, $WHAT: it serves, but not as -o says"
			[ "$(timeout 20 "$HELPERS/fileop" rw "$MNT/odd" write 100 1000 7)" = 1000 ] ||
				fail "start, call $n, $WHAT: it serves, but not odd"
			kill $pid
			wait_pid 20 $pid || fail "start, call $n, $WHAT: it ends with status $?: $(cat "$WORK/err")"
			[ "$LEFT" = 0 ] || break
			without=$((without + 1))
		else
			ended "start, call $n, $WHAT" $pid
			failures=$((failures + 1))
		fi
	done
	echo "ok: of $((n - LEFT)) calls at the start, $failures end it with a word, it does without $without"
	countdown set 0
}

# In the background, which forks and waits: a word and a status from the process that was started.
in_background() {
	local n status pid seen=
	for ((n = 1; n <= 6; n++)); do
		countdown set $n
		"$FAILING" -c "$WORK/fuseband.ini" -p "$WORK/pid" "$MNT" 2>"$WORK/err"
		status=$?
		get_countdown
		seen+=" $WHAT"
		case $status in
		0)
			serves "$MNT" || fail "background, call $n, $WHAT: status 0, but it does not serve"
			pid=$(cat "$WORK/pid")
			kill "$pid"
			wait_for 20 not test -d "/proc/$pid" || fail "it does not stop"
			;;
		1 | 2) says_why "background, call $n, $WHAT" "$WORK/err" ;;
		*) fail "background, call $n, $WHAT: status $status" ;;
		esac
	done
	[[ $seen = *pipe2*fork* ]] || fail "the calls in the background were$seen"
	echo "ok: in the background, too"
	countdown set 0
}

is_serving() { # FILES
	same "$1" "$(ls -C "$MNT" | tr -s ' ')"
}

reloads() {
	local n refused=0
	start_fuseband "$WORK/fuseband.ini"
	is_serving "a loop odd" || fail "the start"
	for ((n = 1 + RANDOM % STEP; ; n += STEP)); do
		config_b "$WORK/fuseband.ini"
		countdown set $n
		: >"$WORK/fuseband.log"
		if reload_fuseband; then
			get_countdown
			countdown set 0
			is_serving "a b loop" || fail "reload, call $n, $WHAT: reloaded, but by half"
			[ "$LEFT" = 0 ] || break
			# and back, as for the others
			config_a "$WORK/fuseband.ini"
			reload_fuseband || fail "reload, call $n, $WHAT: it does not go back: $(cat "$WORK/fuseband.log")"
		else
			get_countdown
			countdown set 0
			is_serving "a loop odd" || fail "reload, call $n, $WHAT: refused, but by half"
			[ "$(grep -c '' "$WORK/fuseband.log")" -ge 2 ] ||
				fail "reload, call $n, $WHAT: refused without a reason: $(cat "$WORK/fuseband.log")"
			refused=$((refused + 1))
		fi
		[ "$(timeout 20 "$HELPERS/fileop" rw "$MNT/a" write 100 1000 7)" = 1000 ] ||
			fail "reload, call $n, $WHAT: a does not work any more"
	done
	echo "ok: of $((n - LEFT)) calls of a reload, $refused have it refused as a whole"
	if [ -n "$(spares)" ]; then
		kill_data_path
		is_serving "a b loop" || fail "its successor serves something else"
		echo "ok: and a successor serves what was accepted last"
	fi
	stop_fuseband
}

# operation N FILE LENGTH FLAGS OFFSET: writes N there; what was answered is in FILLED.
operation() {
	local got
	got=$(timeout 20 "$HELPERS/fileop" "$4" "$MNT/$2" write "$5" "$3" $(($1 % 200 + 1)))
	case $got in
	"$3") FILLED[$2 $5 $3]=$(($1 % 200 + 1)) ;;
	ENOMEM) FAILURES=$((FAILURES + 1)) ;;
	*) fail "load, call $1: a write gives $got" ;;
	esac
}

# What was answered is there, and what failed says why.
load() {
	local n got what
	declare -A FILLED=()
	FAILURES=0
	config_a "$WORK/fuseband.ini"
	for ((n = 1; ; n++)); do
		start_fuseband "$WORK/fuseband.ini" # so that nothing is in stock
		ls "$MNT" >"$WORK/out"
		countdown set $n
		operation $n a 1048576 rw,direct 0
		operation $n loop 4096 rw,direct 4096
		operation $n odd 900 rw 999100
		operation $n odd 70001 rw 1001
		got=$(timeout 20 "$HELPERS/fileop" r "$MNT/a" hole 0)
		[[ $got = 1048576 || $got = ENOMEM || $got = EAGAIN ]] || fail "load, call $n: a seek gives $got"
		got=$(timeout 20 "$HELPERS/fileop" r "$MNT/odd" read 0 100000)
		[[ $got = 100000 || $got = ENOMEM ]] || fail "load, call $n: a read gives $got"
		get_countdown
		countdown set 0
		for what in "${!FILLED[@]}"; do
			# shellcheck disable=SC2086 # a file, an offset, a length
			set -- $what
			got=$(timeout 20 "$HELPERS/fileop" r "$MNT/$1" check "$2" "$3" "${FILLED[$what]}")
			[ "$got" = same ] || fail "load, call $n, $WHAT: $what: $got"
		done
		stop_fuseband
		[ "$LEFT" = 0 ] || break
	done
	echo "ok: of $((n - LEFT)) calls under load, $FAILURES requests failed, and they alone"
}

# Not one call, but all of them from some descriptor on.
descriptors() {
	local i n got pid none=0 some=0
	config_a "$WORK/fuseband.ini"
	for ((n = 6; n < 80; n++)); do
		(
			exec 2>"$WORK/err"
			ulimit -n $n
			exec "$FAILING" -f -c "$WORK/fuseband.ini" -p "$WORK/pid" "$MNT"
		) &
		pid=$!
		until serves "$MNT" || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
		if is_up $pid; then
			some=$((some + 1))
			[ $some -lt 3 ] || break
			kill $pid
			wait_pid 20 $pid || fail "$n descriptors: status $?"
		else
			ended "$n descriptors" $pid
			none=$n
		fi
	done
	[ $some = 3 ] || fail "it does not start with $n descriptors: $(cat "$WORK/err")"
	# it runs, and has two descriptors left: a reload that needs more is refused, and gives them back
	FUSEBAND_PID=$pid
	: >>"$WORK/fuseband.log"
	mv "$WORK/err" "$WORK/fuseband.log"
	config_b "$WORK/fuseband.ini"
	for ((i = 0; i < 10; i++)); do
		! reload_fuseband || fail "a reload without descriptors goes through"
		is_serving "a loop odd" || fail "a reload without descriptors, by half"
	done
	grep -q 'Too many open files' "$WORK/fuseband.log" || fail "it does not say why: $(cat "$WORK/fuseband.log")"
	got=$(timeout 20 "$HELPERS/fileop" rw "$MNT/odd" write 1001 70001 3)
	[ "$got" = 70001 ] || fail "without descriptors, a write gives $got"
	stop_fuseband
	echo "ok: up to $none descriptors are too few, and it says so"
}

starts
in_background
reloads
SUPERVISE=no # a standby, which begins when it likes, would count
load
descriptors
