#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A large discard does not hold its file up for long. The kernel keeps all writes away from a file
# while it is punched, so what counts is the time until the answer: as long as the disk works, a
# second at most, also where every discard takes the same 20 ms however large it is, as on
# many flash disks.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/helpers}
need_root
log=$WORK/disk.log

start_testdisk -s 1 -t 20000 -b 8G -l "$log"
ini "$WORK/fuseband.ini" <<<$'[a]\npath = '"$DISK"
start_fuseband "$WORK/fuseband.ini"
for size in 16M 256M 2G; do
	ctl log-reset
	got=$(timeout 100 "$HELPERS/fileop" rw "$MNT/a" punch 0 $size)
	[ "$got" = 0 ] || fail "a punch of $size: $got"
	read -r slices ms < <(awk '
		$3 == "D" && $4 == "recv" && !n++ { from = $2 }
		$3 == "D" && $4 == "done" { to = $2 }
		END { printf "%d %d\n", n, (to - from) / 1000 }' "$log")
	[ "$ms" -le 1000 ] || fail "a punch of $size takes $ms ms, in $slices slices"
	echo "ok: a punch of $size, in $slices slices, takes $ms ms"
done
stop_fuseband
