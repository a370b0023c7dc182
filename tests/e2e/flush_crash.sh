#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The promise of a flush, with the data path killed at random moments: whatever was answered before
# it came is flushed at the disk before it is answered, whoever of the two answers.
#
# ROUNDS=N: of each of 16 threads (default 150; 2000 for the full proof); SEED=N, printed.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root
ROUNDS=${ROUNDS:-150}
RANDOM=${SEED:=$$}
log=$WORK/disk.log

# killed WHAT THREADS ROUNDS LENGTH ARGS...: syncers, while the data path is killed.
killed() {
	local what=$1 threads=$2 rounds=$3 length=$4 pid kills=0
	shift 4
	ctl log-reset
	"$HELPERS/syncers" "$@" "$MNT/a" "$threads" "$rounds" "$length" >"$WORK/syncers" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
		kill_data_path
		kills=$((kills + 1))
	done
	wait $pid
	promise "$what, $kills kills: no round fails" same "0 failed" "$(cat "$WORK/syncers")"
	promise "and each is stable when it is answered" awk -v crashes=1 -v threads="$threads" \
		-v rounds="$rounds" -v length_="$length" -f "$TESTS/flushlog.awk" "$log"
}

note "ROUNDS=$ROUNDS SEED=$SEED"
start_testdisk -s 4 -t 300 -b 32M -l "$log"
section a "path = $DISK" | ini "$WORK/fuseband.ini"
start_fuseband "$WORK/fuseband.ini"
killed "write and fsync" 16 "$ROUNDS" 4096
killed "1 MiB and fsync" 2 $((ROUNDS / 10 + 1)) 1048576
killed "O_DSYNC" 16 "$ROUNDS" 4096 -d
killed "O_DSYNC of 1 MiB" 2 $((ROUNDS / 10 + 1)) 1048576 -d
stop_fuseband
exit $failed
