#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The data path is killed again and again under load. Nobody sees more than a pause: no error, no
# wrong byte, and after each the shares are what they were.
#
# KILLS=N: how often (default 12; 500 for the full proof). A seed for when: SEED=N, printed.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need fio cmp
need_root
KILLS=${KILLS:-12}
RANDOM=${SEED:=$$}
note "KILLS=$KILLS SEED=$SEED"
conf=$WORK/fuseband.ini

random_nap() { # LEAST MOST, in ms
	sleep "$(calc "($1 + $RANDOM % ($2 - $1)) / 1000")"
}

# kills N LEAST MOST: so many, with so many ms of quiet between them.
kills() {
	local i
	for ((i = 0; i < $1; i++)); do
		random_nap "$2" "$3"
		kill_data_path
	done
}

percentile() { # PCT: of the numbers on stdin, longest first
	awk -v p="$1" '{ v[NR] = $1 } END { i = int(NR * (100 - p) / 100) + 1; print v[i] }'
}

# ---- a fast disk: an image and a loop device, three engines, verified ----

test_fast() {
	local engine args=(--bs=4k --iodepth=32 --rw=randrw --verify=crc32c --verify_backlog=256
		--verify_fatal=1 --size=48M)
	truncate -s 64M "$WORK/a.img" "$WORK/b.img" "$WORK/c.img"

	mkloop 64M
	{
		section a.img "path = $WORK/a.img" "weight = 80"
		section b.img "path = $LOOP" "weight = 20"
		section c.img "path = $WORK/c.img"
		section d.img "path = $WORK/b.img"
	} | ini "$conf"
	start_fuseband "$conf"
	start_load libaio "${args[@]}" --filename="$MNT/a.img" --fsync=64
	start_load io_uring "${args[@]}" --ioengine=io_uring --filename="$MNT/b.img"
	start_load psync "${args[@]}" --ioengine=psync --numjobs=2 --iodepth=1 --filename="$MNT/c.img" \
		--offset_increment=16M --size=16M --bssplit=4k/50:64k/40:512k/10 --bs_unaligned=0
	sleep 1
	kills "$KILLS" 100 900
	promise "$KILLS kills at random moments: no request fails, all data verify" stop_loads
	"$HELPERS/pause" "$MNT/d.img" 600 "$KILLS" >"$WORK/pauses" &
	local pause=$!
	sleep 1
	kills "$KILLS" 200 600
	kill -TERM $pause
	promise "a client of one request at a time sees no error" wait $pause
	note "its pauses in ms: median $(percentile 50 <"$WORK/pauses"), p99 $(percentile 99 <"$WORK/pauses"), longest $(head -n 1 "$WORK/pauses")"
	kill -USR1 "$FUSEBAND_PID"
	wait_for 5 grep -q 'd.img .* reads' "$WORK/fuseband.log"
	promise "counters go on where they were" holds \
		"$(sed -n 's/.*d\.img.*, \([0-9]*\) reads.*/\1/p' "$WORK/fuseband.log" | tail -n 1) > 2000"
	stop_fuseband
}

# ---- a slow disk, where most of what there is is at the disk or in the queue ----

test_slow() {
	start_testdisk -s 8 -t 3000 -b 128M
	PART_BYTES=$((64 << 20))
	{
		part a 0 "weight = 80"
		part b 1 "weight = 20"
	} | ini "$conf"
	start_fuseband "$conf"
	start_load va --filename="$MNT/a" --bs=4k --iodepth=32 --rw=randrw --size=16M --verify=crc32c \
		--verify_backlog=64 --verify_fatal=1
	start_load vb --filename="$MNT/b" --bs=64k --iodepth=16 --rw=randrw --size=32M --verify=crc32c \
		--verify_backlog=64 --verify_fatal=1
	sleep 1
	kills "$KILLS" 50 700
	promise "a slow disk, $KILLS kills: no request fails, all data verify" stop_loads
	stop_fuseband
}

# ---- the shares ----

# Of a, in the second after the data path was replaced, and what the disk did in it.
share_after_kill() {
	local from counts
	kill_data_path
	from=$(log_now)
	sleep 1.1
	read -ra counts < <(served "$log" "$from" "$((from + 1000000))" $PART_BYTES)
	SHARE=$(ratio "${counts[@]}")
	RATE=$((counts[0] + counts[1]))
}

test_shares() {
	local i rate=
	log=$WORK/disk.log
	start_testdisk -s 4 -t 4000 -b 128M -l "$log"
	PART_BYTES=$((64 << 20))
	{
		part a 0 "weight = 80"
		part b 1 "weight = 20"
	} | ini "$conf"
	start_fuseband "$conf"
	start_load a --filename="$MNT/a" --bs=4k --iodepth=128 --rw=randrw --size=64M --norandommap
	start_load b --filename="$MNT/b" --bs=4k --iodepth=128 --rw=randrw --size=64M --norandommap
	sleep 2
	for i in 1 2 3 4 5; do
		share_after_kill
		promise "80:20 in the second after a kill" within "$SHARE" 80 3
		rate="$rate $RATE"
	done
	note "the disk did$rate of 1000 in that second"
	promise "no request failed" stop_loads
	stop_fuseband
}

# ---- what the next one serves ----


test_accepted() {
	truncate -s 8M "$WORK/keep.img" "$WORK/gone.img" "$WORK/new.img" "$WORK/other.img"
	printf 'kept data' | dd of="$WORK/keep.img" conv=notrunc status=none
	printf 'gone data' | dd of="$WORK/gone.img" conv=notrunc status=none
	{
		section keep.img "path = $WORK/keep.img" "weight = 70"
		section gone.img "path = $WORK/gone.img" "weight = 30" "max_iops = 500"
	} | ini "$conf"
	start_fuseband "$conf"
	exec 5<>"$MNT/gone.img" 6<>"$MNT/keep.img"
	{
		section keep.img "path = $WORK/keep.img" "weight = 60"
		section new.img "path = $WORK/new.img" "mode = 0600"
	} | ini "$conf"
	promise "a reload removes a file that is open and adds one" reload_fuseband
	# from here on the files say something else
	echo "nonsense" >"$conf"
	mv "$WORK/keep.img" "$WORK/renamed.img"
	mv "$WORK/other.img" "$WORK/keep.img"
	kill_data_path
	promise "a removed file is still there for who has it open" \
		same "gone data" "$(dd bs=9 count=1 status=none <&5)"
	promise "and is not in the directory" same "keep.img new.img" "$(ls "$MNT" | xargs)"
	promise "an image that was renamed is still the one that was opened" \
		same "kept data" "$(dd bs=9 count=1 status=none <&6)"
	promise "and it is the one that is opened now" same "kept data" "$(head -c 9 "$MNT/keep.img")"
	promise "with the settings of the last reload" same 600 "$(stat -c %a "$MNT/new.img")"
	printf 'new words' >&6
	promise "writes go to it" same "new words" "$(tail -c +10 "$WORK/renamed.img" | head -c 9)"
	promise "a second kill changes nothing" kill_data_path
	exec 5>&- 6>&-
	kill_data_path
	promise "the configuration is still that of the last reload" same "keep.img new.img" "$(ls "$MNT" | xargs)"
	! reload_fuseband || miss "nonsense was accepted"
	section new.img "path = $WORK/new.img" | ini "$conf"
	promise "and a reload works as ever" reload_fuseband
	promise "the claim of what was removed is given up" \
		wait_for 5 sh -c "qemu-io -f raw -c 'write 0 4k' '$WORK/gone.img' >/dev/null 2>&1"
	promise "that of what is served is held" \
		not sh -c "qemu-io -f raw -c 'write 0 4k' '$WORK/new.img' >/dev/null 2>&1"
	kill_data_path
	promise "by whoever serves" \
		not sh -c "qemu-io -f raw -c 'write 0 4k' '$WORK/new.img' >/dev/null 2>&1"
	ALLOWED_ERRORS='reload refused|nonsense|ioband|fuseband.ini' stop_fuseband
}

# ---- images that others made shorter or longer meanwhile ----

one_stands_by() {
	[ -n "$(spares)" ]
}

writes() { # DESCRIPTOR BYTES
	dd if=/dev/zero bs="$2" count=1 status=none >&"$1"
}

test_sizes() {
	truncate -s 8M "$WORK/short.img"
	truncate -s 10000 "$WORK/odd.img"
	{
		section short.img "path = $WORK/short.img" "size = 8M"
		section odd.img "path = $WORK/odd.img"
	} | ini "$conf"
	start_fuseband "$conf"
	exec 5<>"$MNT/short.img"
	truncate -s 4M "$WORK/short.img"
	truncate -s 12288 "$WORK/odd.img"
	for i in 1 2; do
		wait_for 10 one_stands_by
		kill_data_path
		promise "an image that became shorter serves what there is" writes 5 4096
		exec 6<>"$MNT/odd.img"
		promise "the odd end of one that became longer is written to" writes 6 10000
		exec 6>&-
	done
	dd if="$MNT/short.img" of=/dev/null bs=4k skip=1500 count=1 status=none 2>/dev/null && miss "nothing was read"
	exec 5>&-
	ALLOWED_ERRORS='has shrunk|Input/output error' stop_fuseband
}

# ---- what cannot be opened when it is taken over, and later can ----

first_word() { # DESCRIPTOR
	dd bs=4 count=1 status=none <&"$1" 2>/dev/null
}

is_served() { # FILE
	dd if="$MNT/$1" of=/dev/null bs=4k count=1 status=none 2>/dev/null
}

test_lost() {
	local i
	truncate -s 8M "$WORK/lost.img" "$WORK/other.img"
	{
		section lost.img "path = $WORK/lost.img"
		section other.img "path = $WORK/other.img"
	} | ini "$conf"
	start_fuseband "$conf"
	exec 5<>"$MNT/lost.img"
	truncate -s 0 "$WORK/lost.img" # nobody opens an empty one
	for i in 1 2 3; do
		wait_for 10 one_stands_by
		kill_data_path
		promise "take-over $i: what cannot be opened fails" not is_served lost.img
		promise "nothing else does" is_served other.img
		promise "it is claimed still" \
			not sh -c "qemu-io -f raw -c 'write 0 4k' '$WORK/lost.img' >/dev/null 2>&1"
	done
	promise "that was said once" same 1 "$(grep -c '\[lost.img\] path' "$WORK/fuseband.log")"
	printf 'back' >"$WORK/back"
	truncate -s 8M "$WORK/back"
	cat "$WORK/back" >"$WORK/lost.img"
	promise "it is there again, without a reload" wait_for 20 is_served lost.img
	promise "which is said" grep -q 'can be opened again' "$WORK/fuseband.log"
	promise "also for who has it open" same back "$(first_word 5)"
	promise "and is written to" writes 5 4096
	wait_for 10 one_stands_by
	kill_data_path
	promise "and so it stays" is_served lost.img
	exec 5>&-
	ALLOWED_ERRORS='is empty|lost.img' stop_fuseband
}

# ---- a parent that may have no more descriptors ----

# room_for N: the parent may have N more
room_for() {
	local n=$1 limit
	for ((limit = 0; n >= 0; limit++)); do
		[ -e "/proc/$FUSEBAND_PID/fd/$limit" ] || ((n--))
	done
	prlimit --pid "$FUSEBAND_PID" --nofile="$((limit - 1)):"
}

kept() { # NOT KEPT: how often each was said
	[ "$(grep -c "the configuration cannot be kept (Too many open files)" "$WORK/fuseband.log")" = "$1" ] &&
		[ "$(grep -c "the configuration is kept" "$WORK/fuseband.log")" = "$2" ]
}

test_room() {
	local name
	for name in a b c d; do
		truncate -s 8M "$WORK/$name.img"
		section $name.img "path = $WORK/$name.img" >"$WORK/$name.ini"
	done
	ini "$conf" <"$WORK/a.ini"
	start_fuseband "$conf"
	wait_for 10 one_stands_by || miss "no standby"
	room_for 1
	cat "$WORK"/[abcd].ini | ini "$conf"
	promise "a reload while the parent has no room for three more claims" reload_fuseband
	promise "serves them" is_served c.img
	promise "and says that they are not kept" wait_for 5 kept 1 0
	kill_data_path
	promise "after a crash there is what was before, all of it" same "a.img" "$(ls "$MNT" | xargs)"
	room_for 1
	promise "another reload likewise" reload_fuseband
	promise "says so" wait_for 5 kept 2 0
	room_for 1000
	promise "once there is room they are kept, without a reload" wait_for 5 kept 2 1
	wait_for 10 one_stands_by || miss "no standby"
	kill_data_path
	promise "and served after a crash" is_served c.img
	kill_data_path
	promise "and claimed" not sh -c "qemu-io -f raw -c 'write 0 4k' '$WORK/c.img' >/dev/null 2>&1"
	ini "$conf" <"$WORK/b.ini"
	promise "a reload that takes them away" reload_fuseband
	promise "gives up the claims" \
		wait_for 5 sh -c "qemu-io -f raw -c 'write 0 4k' '$WORK/c.img' >/dev/null 2>&1"
	ALLOWED_ERRORS='Too many open files' stop_fuseband
}

# ---- how much is said of it ----

with_level() { # LEVEL
	{
		section fuseband "log_level = $1"
		section a.img "path = $WORK/a.img"
	} | ini "$conf"
}

# A process of that name that is not $ACTIVE.
another_serves() {
	local now
	now=$(our_processes fuseband-io)
	[ -n "$now" ] && [ "$now" != "$ACTIVE" ]
}

deaths() {
	grep -c 'another one takes over' "$WORK/fuseband.log"
}

test_levels() {
	truncate -s 64M "$WORK/a.img"
	with_level error
	start_fuseband "$conf"
	wait_for 10 one_stands_by || miss "no standby"
	ACTIVE=$(data_path)
	kill -KILL "$ACTIVE"
	wait_for 10 another_serves || miss "nobody took over"
	is_served a.img || miss "nothing is served"
	promise "with log_level = error the parent does not warn" same 0 "$(deaths)"
	with_level info
	promise "a reload changes that" reload_fuseband
	kill_data_path
	promise "for the parent, too" same 1 "$(deaths)"
	kill_parent
	wait_for 10 one_stands_by || miss "no standby"
	kill_data_path
	promise "and for the next parent" same 2 "$(deaths)"
	stop_adopted
}

for part in ${PARTS:-fast slow shares accepted sizes lost room levels}; do
	: >"$WORK/fuseband.log"
	"test_$part"
done
exit $failed
