#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is hard about taking over: a write of the dead process that lands after it, on a disk that
# is slow, and one that hangs; the parent killed; parent and data path killed, in every order, and the
# standby, too; killed again while it takes over.
#
# TIMES=N: how often each is killed (default 5; 50 for the full proof). ORDERS=N: how often parent and
# data path one after the other (default 3 times TIMES).

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need fio cmp
need_root
TIMES=${TIMES:-5}
ORDERS=${ORDERS:-$((3 * TIMES))}
conf=$WORK/fuseband.ini

fill() { # FILE BYTE: its first block
	head -c 4096 /dev/zero | tr '\0' "$2" |
		dd of="$1" bs=4096 count=1 oflag=direct conv=notrunc status=none
}

first_byte() {
	dd if="$1" bs=4096 count=1 iflag=direct status=none | head -c 1
}

# ---- a write outlives its process ----

# The disk holds a write of A for two seconds. The data path is killed, A is written and answered by
# the next one, then B. Or all processes are killed, and only B is written after a new start. At the
# end there must be B.
late_write() { # KILL: what ends up there: sets CONTENT
	local writer
	start_testdisk -s 4 -t 1000 -b 16M
	{
		section fuseband "log_level = debug"
		section a "path = $DISK"
	} | ini "$conf"
	start_fuseband "$conf"
	fill "$MNT/a" 0
	ctl "service 2000000"
	fill "$MNT/a" A &
	writer=$!
	wait_for 5 in_service 1 || fail "A does not reach the disk"
	ctl "service 1000"
	"$1"
	if [ "$1" = kill_all ]; then
		wait $writer
		umount -l "$MNT"
		start_fuseband "$conf"
	else
		wait $writer || miss "the writer of A got an error"
	fi
	fill "$MNT/a" B || miss "the writer of B got an error"
	sleep 2.2 # the first A has landed by then, whatever became of it
	CONTENT=$(first_byte "$MNT/a")
	same "$CONTENT" "$(first_byte "$DISK")" || miss "the mount and the disk differ"
	stop_fuseband
	umount "$(dirname "$DISK")"
	wait_pid 10 "$TESTDISK_PID"
}

in_service() {
	[ "$(ctl_value in_flight)" = "$1" ]
}

test_late_write() {
	local i kill line
	for ((i = 0; i < (TIMES + 2) / 3; i++)); do
		late_write kill_data_path
		promise "a write that the disk holds for 2 s does not land over a newer one" same B "$CONTENT"
	done
	for line in "a: opened by process" "a: closed" "standing by to take over 1 files" \
		"a: writes wait until the disk has done what it was told before" \
		"a: the disk has done what it was told before"; do
		promise "with log_level = debug the log says: $line" grep -q "$line" "$WORK/fuseband.log"
	done
	late_write kill_all
	promise "nor if all processes are killed, and it is started again" same B "$CONTENT"
	promise "which says that writes wait" grep -q '1 files can be read, but not written to before' \
		"$WORK/fuseband.log"
	if ! grep -q -a __asan_init\\\|__tsan_init "$FUSEBAND"; then
		for kill in kill_data_path kill_all; do
			LD_PRELOAD=$HELPERS/nofence.so late_write $kill
			promise "without the fence it does: this test can fail" same A "$CONTENT"
		done
	fi
}

# ---- what the dead process had not read is not carried out twice ----

holds_requests() { # CONNECTION N
	[ "$(cat "$FUSECTL/$1/waiting")" = "$2" ]
}

test_once() {
	local log=$WORK/once.log writer connection
	grep -q -a __asan_init\\\|__tsan_init "$FUSEBAND" && return
	need_fusectl
	start_testdisk -s 4 -t 1000 -b 16M -l "$log"
	section a "path = $DISK" | ini "$conf"
	LD_PRELOAD=$HELPERS/slowresend.so start_fuseband "$conf"
	fill "$MNT/a" 0
	ctl "service 1500000"
	ctl log-reset
	exec 9<>"$MNT/a"
	connection=$(mountpoint -d "$MNT" | cut -d : -f 2)
	kill -STOP "$(data_path)"
	head -c 4096 /dev/zero | dd bs=4096 count=1 iflag=fullblock status=none >&9 &
	writer=$!
	wait_for 5 holds_requests "$connection" 1 || fail "nobody waits for the data path"
	kill_data_path
	promise "a request that the dead process had not read goes through" wait $writer
	sleep 1 # had it been read twice: by now the second one is in the log, too
	promise "and is carried out once" same 1 "$(grep -c ' W recv ' "$log")"
	exec 9>&-
	stop_fuseband
	umount "$(dirname "$DISK")"
	wait_pid 10 "$TESTDISK_PID"
}

# ---- a disk that hangs holds back its own files, and only writes ----

# The disk hangs with a write of a in it. Sets WRITER.
hang_with() { # BYTE
	ctl "hang on"
	fill "$MNT/a" "$1" &
	WRITER=$!
	wait_for 5 in_service 1 || fail "$1 does not reach the disk"
}

# It moves again.
lands() { # BYTE TEXT
	ctl "hang off"
	promise "$2" wait $WRITER
	promise "and is there" same "$1" "$(first_byte "$MNT/a")"
}

test_hanging_disk() {
	start_testdisk -s 4 -t 1000 -b 16M
	section b "path = $DISK" >"$WORK/b.ini"
	start_testdisk -s 4 -t 1000 -b 16M
	{
		cat "$WORK/b.ini"
		section a "path = $DISK"
	} | ini "$conf"
	start_fuseband "$conf"
	hang_with A
	kill_data_path
	promise "another disk is written to while one hangs" timeout 5 sh -c \
		"head -c 4096 /dev/zero | dd of='$MNT/b' bs=4096 oflag=direct conv=notrunc status=none"
	promise "and the mount can be looked at" timeout 5 ls "$MNT"
	kill -0 $WRITER 2>/dev/null || miss "the write was answered while the disk hangs"
	lands A "the write goes through when the disk moves again"
	hang_with C
	kill_data_path
	kill_data_path
	lands C "likewise after two kills while it hangs"
	hang_with D
	kill_data_path
	kill -KILL $(pgrep -P $WRITER) # now nobody waits for the disk but the fence
	wait $WRITER
	kill -TERM "$FUSEBAND_PID"
	promise "a stop does not wait for the fence of a disk that hangs" wait_pid 10 "$FUSEBAND_PID"
	promise "nor is it a crash" not grep -q 'Assert\|giving up' "$WORK/fuseband.log"
	FUSEBAND_PID=
	ctl "hang off"
}

# ---- a disk that is gone ----

reads() { # FILE
	timeout 10 dd if="$MNT/$1" of=/dev/null bs=4k count=1 iflag=direct status=none
}

test_gone_disk() {
	local i
	start_testdisk -s 4 -t 1000 -b 16M
	truncate -s 8M "$WORK/p.img"
	{
		section gone "path = $DISK"
		section p.img "path = $WORK/p.img"
	} | ini "$conf"
	start_fuseband "$conf"
	wait_for 10 has_standby 2 || fail "no standby"
	kill -KILL "$TESTDISK_PID"
	wait "$TESTDISK_PID" 2>/dev/null
	for i in 1 2 3; do # by a standby from before, by later ones
		kill_data_path
		promise "take-over $i after a disk has gone: other files are served" reads p.img
		wait_for 10 has_standby 2 || miss "no standby without that disk"
	done
	promise "its own file fails" not reads gone
	kill -TERM "$FUSEBAND_PID"
	wait_pid 20 "$FUSEBAND_PID" || miss "it does not stop"
	FUSEBAND_PID=
}

# ---- a server that is away ----

# Locks of a file on FUSE are asked for as on a network file system: the file system may have to
# be asked, and here it does not answer.
writes() { # FILE
	timeout 5 "$HELPERS/fileop" rw "$MNT/$1" write 0 4096 7 >/dev/null
}

test_server_away() {
	local writer
	! grep -q -a '__asan_init\|__tsan_init' "$FUSEBAND" || return # it cannot be preloaded to
	start_testdisk -s 4 -t 1000 -b 16M
	truncate -s 8M "$WORK/p.img" "$WORK/q.img"
	section p.img "path = $WORK/p.img" >"$WORK/p.ini"
	section remote "path = $DISK" >"$WORK/remote.ini"
	section other "path = $DISK" >"$WORK/other.ini"
	section q.img "path = $WORK/q.img" >"$WORK/q.ini"
	cat "$WORK/p.ini" "$WORK/remote.ini" | ini "$conf"
	AWAY=$WORK/away LD_PRELOAD=$HELPERS/away.so start_fuseband "$conf"
	fill "$MNT/remote" A
	echo "$DISK" >"$WORK/away"
	cat "$WORK/p.ini" "$WORK/other.ini" | ini "$conf"
	promise "a file on a server that is away can be replaced" reload_fuseband
	cat "$WORK/p.ini" "$WORK/other.ini" "$WORK/q.ini" | ini "$conf"
	promise "and then another reload" reload_fuseband
	promise "it can be read" reads other
	fill "$MNT/other" B &
	writer=$!
	promise "what was there is written to" writes p.img
	promise "and what was added" writes q.img
	wait_for 10 has_standby || fail "no standby"
	kill_data_path
	promise "likewise after a crash" writes p.img
	ini "$conf" <"$WORK/p.ini"
	promise "and it can be removed" reload_fuseband
	kill -0 $writer 2>/dev/null || miss "it was written to without its lock"
	rm "$WORK/away"
	promise "when the server is back it is written to" wait $writer
	promise "and has what was written" same B "$(first_byte "$DISK")"
	stop_fuseband
	umount "$(dirname "$DISK")"
	wait_pid 10 "$TESTDISK_PID"
}

# ---- the parent ----

has_standby() {
	[ "$(spares | wc -l)" -gt 0 ]
}

start_loaded() {
	truncate -s 64M "$WORK/p.img"
	section p.img "path = $WORK/p.img" | ini "$conf"
	start_fuseband "$conf"
	start_load p --filename="$MNT/p.img" --bs=4k --iodepth=16 --rw=randrw --size=32M \
		--verify=crc32c --verify_backlog=128 --verify_fatal=1
	wait_for 10 has_standby || fail "no standby"
}

test_parent() {
	local i active
	start_loaded
	for ((i = 0; i < TIMES; i++)); do
		active=$(data_path)
		kill_parent
		kill -0 "$active" 2>/dev/null || miss "the data path did not live on"
		sleep 0.1
	done
	promise "$TIMES parents killed: each time another one takes its place" wait_for 10 has_standby
	kill -KILL "$(data_path)"
	promise "a new parent has the data path replaced, too" wait_for 10 grep -q 'another one takes over' "$WORK/fuseband.log"
	for ((i = 0; i < TIMES; i++)); do
		kill_parent
		sleep "0.$((RANDOM % 10))"
		kill -KILL "$(data_path)"
		sleep 0.3
	done
	promise "parent and data path killed in turn: no request fails" stop_loads
	promise "and leave no zombies" not grep -qs '^State:.Z' $(sed 's|.*|/proc/&/status|' <<<"$(pgrep -P "$(data_path)")")
	promise "a reload works under a new parent" reload_fuseband
	stop_adopted
	! grep -q -a '__asan_init\|__tsan_init' "$FUSEBAND" || return # it cannot be preloaded to
	test_irreplaceable
}

# Where no parent can be started. What becomes of a crash depends on who still stands by.

reads_on() {
	dd if="$MNT/p.img" of=/dev/null bs=4k count=1 iflag=direct status=none
}

# Without a parent, but with a standby. Sets ACTIVE.
lose_parent_for_good() {
	: >"$WORK/fuseband.log"
	LD_PRELOAD=$HELPERS/noresume.so start_fuseband "$conf"
	wait_for 10 has_standby || fail "no standby"
	ACTIVE=$(data_path)
	kill -KILL "$FUSEBAND_PID"
	wait "$FUSEBAND_PID" 2>/dev/null
	promise "where none can be started it says so, does not try for ever, and counts on the standby" \
		wait_for 20 grep -q 'cannot be replaced.*a crash would be survived once' "$WORK/fuseband.log"
	promise "and serves on" reads_on
}

stop_orphan() {
	kill -TERM "$ACTIVE"
	wait_for 20 nobody_left || miss "it does not stop"
	FUSEBAND_PID=
}

test_irreplaceable() {
	lose_parent_for_good
	kill -KILL "$ACTIVE"
	promise "which takes over, and says that it was the last one" \
		wait_for 20 grep -q 'cannot be replaced.*: a crash would end the mount' "$WORK/fuseband.log"
	ACTIVE=$(data_path)
	promise "and serves" reads_on
	stop_orphan
	lose_parent_for_good
	# shellcheck disable=SC2046
	kill -KILL $(spares)
	promise "a standby that dies then is missed" wait_for 5 grep -q 'the standby is gone' "$WORK/fuseband.log"
	stop_orphan
	lose_parent_for_good
	kill -HUP "$ACTIVE"
	promise "and one that knows only what was before a reload" \
		wait_for 5 grep -q 'the standby is gone' "$WORK/fuseband.log"
	promise "has ended" wait_for 5 not has_standby
	stop_orphan
}

# ---- both ----

fails() {
	! dd if="$MNT/p.img" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null
}

test_both() {
	local i before=$failed
	for ((i = 0; i < TIMES; i++)); do
		start_loaded
		kill_all
		wait_for 5 fails || miss "the mount does not end with its processes"
		wait_for 20 not kill -0 "${LOADS[p]}" 2>/dev/null || miss "a client waits for ever"
		LOADS=()
		umount -l "$MNT"
	done
	promise "all three killed: users get errors rather than wait" same "$before" "$failed"
	start_fuseband "$conf"
	promise "and it can be started again at once" dd if="$MNT/p.img" of=/dev/null bs=4k count=1 status=none
	stop_fuseband
}

# ---- parent and data path, in every order ----

pause_briefly() { # UP TO so many ms; half of the time below one
	local i
	if [ $((RANDOM % 2)) = 0 ]; then
		for ((i = RANDOM % 2000; i > 0; i--)); do :; done
	else
		sleep "$(calc "$RANDOM % ($1 * 1000) / 1e6")"
	fi
}

alone() {
	grep -c 'the standby takes over' "$WORK/fuseband.log"
}

test_orders() {
	local i parent active before lonely
	start_loaded
	for ((i = 0; i < ORDERS; i++)); do
		parent=$FUSEBAND_PID
		active=$(data_path)
		before=$(took_over)
		case $((i % 3)) in
		0) kill -KILL "$parent" && pause_briefly 20 && kill -KILL "$active" ;;
		1) kill -KILL "$active" && pause_briefly 20 && kill -KILL "$parent" ;;
		2) kill -KILL "$parent" "$active" ;;
		esac || fail "round $i: one of the two was gone already"
		wait "$parent" 2>/dev/null
		wait_for 20 more_than "$before" took_over || fail "round $i: nobody took over"
		wait_for 20 parent_is "$parent" || fail "round $i: nobody took the parent's place"
		FUSEBAND_PID=$(cat "$WORK/pid")
		wait_for 20 has_standby || fail "round $i: there is no standby"
		same 1 "$(our_processes fuseband-io | wc -l)" || miss "round $i: data paths"
	done
	lonely=$(alone)
	promise "$ORDERS times parent and data path, one after the other: no request fails" stop_loads
	promise "$lonely times the standby was alone, and took over" holds "$lonely > 0"
	promise "a reload works" reload_fuseband
	wait_for 20 has_standby || miss "there is no standby"
	kill -KILL "$FUSEBAND_PID" && kill -TERM "$(data_path)"
	promise "a stop without a parent leaves nobody who takes over" wait_for 20 nobody_left
	! grep -qF " $MNT " /proc/self/mountinfo || miss "it is still mounted"
	FUSEBAND_PID=
	check_log
}

nobody_left() {
	[ -z "$(our_processes fuseband-io)$(spares)$(our_processes fuseband)" ]
}

# ---- again, while it takes over ----

test_again() {
	local i n
	start_loaded
	for ((i = 0; i < TIMES; i++)); do
		for n in 1 2 3; do
			# shellcheck disable=SC2046
			kill -KILL $(our_processes fuseband-io) $(spares | head -n $((RANDOM % 2))) 2>/dev/null
			sleep "0.00$((RANDOM % 10))"
		done
		sleep 0.4
	done
	promise "killed again while it takes over: no request fails, all data verify" stop_loads
	stop_fuseband
}

# ---- one that takes over and hangs ----

another_one() { # than $ACTIVE
	[ -n "$(our_processes fuseband-io)" ] && [ "$(our_processes fuseband-io)" != "$ACTIVE" ]
}

leap() { # SECONDS since the start, for the parent
	echo "$1" >"$WORK/leap.new" && mv "$WORK/leap.new" "$WORK/leap"
}

replaced() {
	grep -c 'has done nothing for 30 s: it is replaced' "$WORK/fuseband.log"
}

test_hanging_successor() {
	! grep -q -a '__asan_init\|__tsan_init' "$FUSEBAND" || return # it cannot be preloaded to
	truncate -s 64M "$WORK/p.img"
	section p.img "path = $WORK/p.img" | ini "$conf"
	LD_PRELOAD="$HELPERS/hesitate.so $HELPERS/leap.so" HESITATE=$WORK/hesitate LEAP=$WORK/leap \
		start_fuseband "$conf"
	wait_for 10 has_standby || fail "no standby"
	ACTIVE=$(data_path)
	echo "fuseband-io for ever" >"$WORK/hesitate"
	kill -KILL "$ACTIVE"
	wait_for 10 another_one || fail "nobody takes over"
	ACTIVE=$(data_path)
	leap 20
	promise "one that takes over and hangs does not serve" not timeout 3 ls "$MNT/.fuseband"
	promise "and has half a minute" same "$ACTIVE 0" "$(data_path) $(replaced)"
	rm "$WORK/hesitate"
	leap 60
	promise "after that it is replaced" wait_for 10 more_than 0 replaced
	promise "by one that serves" reads p.img
	promise "and only once" same "1 1" "$(took_over) $(replaced)"
	ALLOWED_ERRORS='has done nothing for 30 s' stop_fuseband
}

# ---- signals, whichever process gets them ----

stops() {
	grep -c 'stopping' "$WORK/fuseband.log"
}

test_signals() {
	truncate -s 16M "$WORK/p.img"
	section p.img "path = $WORK/p.img" | ini "$conf"
	start_fuseband "$conf"
	wait_for 10 has_standby || fail "no standby"
	kill -HUP "$(data_path)"
	wait_for 5 more_than 0 reload_lines
	promise "a signal to the data path acts" same 1 "$(reload_lines)"
	sleep 1.2
	# shellcheck disable=SC2046
	kill -HUP "$FUSEBAND_PID" $(data_path)
	wait_for 5 more_than 1 reload_lines
	sleep 0.5
	promise "one to both acts once" same 2 "$(reload_lines)"
	wait_for 10 has_standby || fail "no standby"
	kill -HUP "$(spares)"
	kill_data_path
	sleep 0.5
	promise "one to who stood by acts never" same 2 "$(reload_lines)"
	kill -KILL "$(data_path)" && kill -TERM "$FUSEBAND_PID"
	promise "a stop during a take-over stops" wait_pid 20 "$FUSEBAND_PID"
	FUSEBAND_PID=
	check_log
}

# shellcheck disable=SC2034
ALLOWED_ERRORS='do nothing'
for part in ${PARTS:-late_write once hanging_disk server_away gone_disk parent orders both again \
	hanging_successor signals}; do
	: >"$WORK/fuseband.log"
	"test_$part"
done
exit $failed
