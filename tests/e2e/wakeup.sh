#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Alone, whoever wants the disk gets all of it; and who wakes up gets his share at once. On a test
# disk of 4 servers x 1 ms, so 4000 I/O per second:
#
#   - 128 processes on a file of weight 20 alone get at least 98 % of what they got from the disk
#   - a file of weight 80 that wakes up beside them, with 128 requests at once, gets 80 %, within 5
#     points, of what the disk does from 100 to 400 ms after its first request came there
#
# The disk's log tells: a file's requests are known by their offset. 300 ms are 1200 requests.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio
need_root

size=$((128 << 20))
PART_BYTES=$((size / 2)) # the light file is below, the heavy one above
log=$WORK/disk.log

light_load() { # FILE
	fio --name=light --filename="$1" --thread --ioengine=psync --direct=1 --rw=randrw --bs=4k \
		--size=$PART_BYTES --numjobs=128 --norandommap --randrepeat=0 --group_reporting \
		--time_based --runtime=3600 --output="$WORK/light.out" 2>"$WORK/light.err" &
	LIGHT=$!
}

stop_light() {
	kill -INT $LIGHT || fail "the load ended early"
	wait_pid 60 $LIGHT
	[ ! -s "$WORK/light.err" ] || fail "the load: $(head -n 3 "$WORK/light.err")"
}

# What the disk does per second: the best of up to four windows of 2 seconds. Neither the disk nor a
# scheduler has better moments than it should, but the machine may have worse ones.
rate() {
	local i n m now best=0
	for i in 1 2 3 4; do
		ctl log-reset
		watch 2
		read -r n m < <(served "$log" "$FROM" "$TO" $PART_BYTES)
		now=$(per_second $((n + m)) "$FROM" "$TO")
		! holds "$now > $best" || best=$now
		! holds "$best >= 3960" || break
	done
	echo "$best"
}

# Asynchronous, so that all 128 are there at once, whatever the processor has to do.
wake_up() {
	fio --name=heavy --filename="$MNT/heavy.img" --ioengine=libaio --iodepth=128 --direct=1 \
		--rw=randrw --bs=4k --size=$PART_BYTES --norandommap --randrepeat=0 --time_based \
		--runtime=1 --output="$WORK/heavy.out" 2>"$WORK/heavy.err" || fail "$(cat "$WORK/heavy.err")"
}

# The share of the upper half in what the disk answered, FROM to TO ms after the first request there.
share_since_waking() { # FROM TO
	awk -v from="$1" -v to="$2" -v half=$PART_BYTES '
		!first && $4 == "recv" && $3 ~ /[RW]/ && $5 >= half { first = $2 }
		first && $4 == "done" && $3 ~ /[RW]/ && $2 >= first + 1000 * from &&
			$2 < first + 1000 * to { n[$5 >= half]++ }
		END { printf "%.2f\n", n[1] ? 100 * n[1] / (n[0] + n[1]) : 0 }' "$log"
}

start_testdisk -s 4 -t 1000 -b $size -l "$log"
{
	part light.img 0 "weight = 20"
	part heavy.img 1 "weight = 80"
} | ini "$WORK/fuseband.ini"

light_load "$DISK"
sleep 1
direct=$(rate)
stop_light
within "$direct" 4000 60 || fail "this machine cannot do the measurement: $direct IO/s of 4000"
start_fuseband "$WORK/fuseband.ini"
light_load "$MNT/light.img"
sleep 1
alone=$(rate)
note "IO/s: the disk itself $direct, through a file of weight 20 alone $alone"
promise "alone, the weight does not matter" holds "$alone >= 0.98 * $direct"

for round in 1 2 3 4 5; do
	sleep 0.5
	ctl log-reset
	wake_up
	share=$(share_since_waking 100 400)
	note "round $round: $share % from 100 to 400 ms after waking up," \
		"$(share_since_waking 0 100) % before"
	promise "waking up, round $round: 80 % after 100 ms" within "$share" 80 5
done
promise "afterwards the other one has the disk again" holds "$(rate) >= 0.98 * $direct"
stop_light
stop_fuseband
exit $failed
