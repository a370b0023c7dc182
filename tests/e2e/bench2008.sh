#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench/2008, short: its results, its tables and its chart are there and say what was measured; what
# is there is not measured again; BFQ is either measured or said to be missing, and why; wrong
# options are refused; and nothing is left of it when it is ended half-way.

. "$(dirname "$0")/../lib.sh"
need_root
need gawk qemu-system-x86_64 fio jq

export BENCH_BUILD
BENCH_BUILD=$(dirname "$FUSEBAND")
export BENCH_DIR=$WORK/bench
mkdir "$BENCH_DIR"
experiment=$TESTS/../bench/2008
base=$WORK/results/quick

says() { # FILE REGEX
	grep -qE -- "$2" "$1" || {
		sed 's/^/# /' "$1" | tail -n 40
		return 1
	}
}

# Loop devices of ours, of test disks that have ended, or of nobody but still with BFQ
loops_left() {
	local loop file
	for loop in /sys/block/loop*; do
		file=$(cat "$loop/loop/backing_file" 2>/dev/null)
		case $file in
		"$BENCH_DIR"/* | /disk*) echo "# ${loop##*/}: $file" ;;
		'') grep -q '\[bfq\]' "$loop/queue/scheduler" && echo "# ${loop##*/} has bfq" ;;
		esac
	done
}

nothing_left() {
	[ -z "$(ls -A "$BENCH_DIR")" ] && ! grep -qF "$BENCH_DIR" /proc/self/mountinfo &&
		same '' "$(loops_left)" && same '' "$(find /sys/fs/cgroup -maxdepth 3 -type d \
			-name "fuseband-2008.$pid")"
}

# the experiment: runs it, its process is $pid. What it says is in $WORK/NAME.out
run() { # NAME ARGUMENTS...
	local name=$1
	shift
	"$experiment" "$@" >"$WORK/$name.out" 2>&1 &
	pid=$!
	wait $pid || fail "it ended with status $?: $(tail -n 5 "$WORK/$name.out")"
}

refused() { # ARGUMENTS
	"$experiment" "$@" >"$WORK/refused.out" 2>&1
	[ $? = 2 ] && says "$WORK/refused.out" "^bench/2008: "
}

promise "a ratio that is none is refused" refused -r 80/20
promise "a case that does not exist is refused" refused -c guest
promise "a device that is none is refused" refused -d "$WORK"
promise "a word without an option is refused" refused 80:20

# A slow disk: even emulated guests beside other tests keep it busy.
short=(-t 3 -i 500 -r 80:20 -n "$base")

run first "${short[@]}" -c host -w fuseband
promise "a row of the results" says "$base.tsv" \
	$'^fuseband\thost\tthreads\t80:20\t[0-9]+\t[0-9]+\t[0-9.]+\tbusy$'
promise "the share is right" says "$WORK/first.out" '^fuseband .*wanted 80:20 +got (79|80)\.[0-9]+ : '
promise "text, beside 2008" says "$WORK/first.out" '^  80:20 +(79|80)\.[0-9] : [0-9.]+ +2 : 98 '
promise "Markdown, beside 2008" says "$base.md" '^\| 80:20 \| (79|80)\.[0-9] : .* \| 2 : 98 \|'
promise "a whole chart" says "$base.svg" '^</svg>$'
promise "which has the share" says "$base.svg" '>(79|80)\.[0-9] : [0-9.]+<'
promise "and 2008" says "$base.svg" '>2 : 98<'
promise "nothing else of it is left" nothing_left

"$experiment" "${short[@]}" -c local -w "bfq fuseband" >"$WORK/half.out" 2>&1 &
pid=$!
wait_for 30 says "$WORK/half.out" '^# [01] of 2: ' >"$WORK/waiting" || fail "it does not measure: $(cat "$WORK/half.out")"
kill -TERM $pid
wait_pid 20 $pid
promise "ended half-way, it says so by its status" [ $? = 143 ]
promise "and nothing of it is left" nothing_left

run rest "${short[@]}" -c local
promise "what is there is not measured again" not says "$WORK/rest.out" '^# [0-9] of [0-9]: fuseband, host' >"$WORK/waiting"
promise "BFQ, or why not" says "$base.md" '^(BFQ: one setting|Not run: BFQ: .)'
promise "and the setting of before" says "$base.md" '^fuseband: 2 settings'
promise "nothing of it is left" nothing_left

"$experiment" "${short[@]}" -t 4 -c local -w fuseband >"$WORK/otherwise.out" 2>&1
promise "results of other conditions are not mixed" says "$WORK/otherwise.out" 'was measured otherwise'
exit $failed
