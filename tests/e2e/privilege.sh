#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Least privilege: what each process has left once it serves, that everything works with that, and
# that other users can neither look in nor change anything that is not theirs.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need setpriv
need_root
conf=$WORK/fuseband.ini
BUILT_FOR=$(grep -q -a '__asan_init\|__tsan_init' "$FUSEBAND" && echo sanitizer || echo use)
FILTERED=$("$FUSEBAND" --version | grep -q ', seccomp)' && echo yes || echo no)
OTHER=54321 # nobody has these
OTHER_GROUP=54322
MEMLOCK=0 # IPC_LOCK, where the limit cannot be lifted
prlimit --memlock=unlimited:unlimited true 2>/dev/null || MEMLOCK=$((1 << 14))

field() { # PID[/task/TID] NAME
	awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1/status"
}

# capabilities PID BITS: it has these at most and cannot get others.
capabilities() {
	local set value
	for set in CapPrm CapEff CapInh CapAmb CapBnd; do
		value=$((16#$(field "$1" $set)))
		[ $((value & ~$2)) = 0 ] && continue
		note "$(cat "/proc/$1/comm") $1: $set $(field "$1" $set), wanted $(printf %x "$2") at most"
		return 1
	done
}

bits() { # NUMBER...
	local sum=$MEMLOCK bit
	for bit; do
		sum=$((sum | 1 << bit))
	done
	echo $sum
}

DAC_OVERRIDE=1 DAC_READ_SEARCH=2 SETPCAP=8 SYS_ADMIN=21 SYS_RESOURCE=24

steward() {
	our_processes fuseband-admin
}

# And those that stand by.
data_paths() {
	our_processes fuseband-io
	spares
}

no_more_privileges() { # PID
	[ "$(field "$1" NoNewPrivs)" = 1 ]
}

filtered() { # PID[/task/TID]
	[ "$FILTERED" = no ] || [ "$(field "$1" Seccomp)" = 2 ]
}

parent_is_dropped() {
	local allowed=("$DAC_OVERRIDE" "$SETPCAP" "$SYS_RESOURCE")
	[ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null)" != 1 ] || allowed+=("$SYS_ADMIN")
	capabilities "$FUSEBAND_PID" "$(bits "${allowed[@]}")" && no_more_privileges "$FUSEBAND_PID"
}

data_path_is_dropped() { # PID
	local task
	capabilities "$1" "$(bits "$DAC_OVERRIDE")" && no_more_privileges "$1" && filtered "$1" || return 1
	for task in /proc/"$1"/task/*; do
		task=$1/task/${task##*/}
		[ "$task" != "$1/task/$1" ] || continue
		# io-wq threads execute no system calls
		grep -q '^iou-' "/proc/$task/comm" && continue
		no_more_privileges "$task" && filtered "$task" || return 1
		[ $((16#$(field "$task" CapPrm) & ~MEMLOCK)) = 0 ] || return 1
	done
}

all_are_dropped() {
	local pid
	parent_is_dropped || return 1
	for pid in $(data_paths); do
		data_path_is_dropped "$pid" || return 1
	done
}

errands_are_dropped() {
	local pids pid
	pids=$(our_processes fuseband-errand)
	[ -n "$pids" ] || return 1
	for pid in $pids; do
		# the bounding set is that of who made it, which cannot change it
		capabilities "$pid" $((1 << SYS_ADMIN | 1 << DAC_READ_SEARCH)) || return 1
		[ $((16#$(field "$pid" CapPrm))) = 0 ] && no_more_privileges "$pid" && filtered "$pid" || return 1
	done
}

has_standby() {
	[ -n "$(spares)" ]
}

as() { # UID GID COMMAND...
	local uid=$1 gid=$2
	shift 2
	setpriv --reuid "$uid" --regid "$gid" --clear-groups --inh-caps=-all "$@"
}

as_other() {
	as $OTHER $OTHER_GROUP "$@"
}

# ---- what is left ----

test_dropped() {
	promise "there is a standby" wait_for 10 has_standby
	promise "the parent has dropped what it does not need" parent_is_dropped
	promise "so have the data path and the standby, each thread" all_are_dropped
	promise "those that wait for flushes have nothing" errands_are_dropped
	promise "one process may unmount, and nothing else" \
		capabilities "$(steward)" $((1 << SYS_ADMIN | 1 << DAC_READ_SEARCH))
	promise "and is executed no setuid program for" no_more_privileges "$(steward)"
	kill -TERM "$(steward)"
	sleep 0.1
	promise "which is not impressed by signals meant for all of them" kill -0 "$(steward)"
}

# For root without any right (CAP_SYS_PTRACE, CAP_PERFMON): but for the uid it could.
opaque() { # PID
	local file
	for file in environ mem maps fd/0 fdinfo/0 auxv stack syscall; do
		! setpriv --inh-caps=-all --bounding-set=-all head -c 1 "/proc/$1/$file" \
			>/dev/null 2>&1 || { note "$file can be read"; return 1; }
	done
}

hidden() { # PID: from another user
	local file
	for file in environ mem maps smaps fd fd/0 fdinfo/0 auxv io stack syscall personality; do
		! as_other head -c 1 "/proc/$1/$file" >/dev/null 2>&1 &&
			! as_other ls "/proc/$1/fd" >/dev/null 2>&1 || { note "$file can be read"; return 1; }
	done
	! as_other kill -0 "$1" 2>/dev/null
}

test_hidden() {
	local pid
	for pid in "$FUSEBAND_PID" $(data_paths) "$(steward)"; do
		promise "another user cannot look into $(cat "/proc/$pid/comm"), nor signal it" hidden "$pid"
		if [ $BUILT_FOR = use ]; then
			promise "nor can root without the right to trace" opaque "$pid"
		fi
	done
	if command -v strace >/dev/null; then
		promise "nor trace it" not as_other timeout 2 strace -p "$(data_path)" -o /dev/null 2>/dev/null
	fi
}

# ---- files ----

reads() { # UID GID FILE
	as "$1" "$2" dd if="$MNT/$3" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null
}

writes() { # UID GID FILE
	as "$1" "$2" dd if=/dev/zero of="$MNT/$3" bs=4k count=1 oflag=direct conv=notrunc status=none \
		2>/dev/null
}

test_modes() {
	promise "a file of mode 0660 is read by its user" reads $OTHER 1 mine
	promise "and written" writes $OTHER 1 mine
	promise "and by its group" reads 1 $OTHER_GROUP mine
	promise "and written" writes 1 $OTHER_GROUP mine
	promise "and not by others" not reads 1 1 mine
	promise "nor written" not writes 1 1 mine
	promise "one of mode 0604 is read by all" reads 1 1 public
	promise "and not written" not writes 1 1 public
	promise "that of root by nobody" not reads $OTHER $OTHER_GROUP roots
	promise "nor written" not writes $OTHER $OTHER_GROUP roots
	promise "nor can others queue anything" not as_other timeout 5 sh -c \
		"fallocate -p -o 0 -l 4096 '$MNT/roots' || sync '$MNT/roots'" 2>/dev/null
	promise "root can change nothing in the mount" "$HELPERS/tamper" "$MNT" mine
	promise "nor can the owner of a file" as_other "$HELPERS/tamper" "$MNT" mine
	promise "what is there is what was" same "mine public roots" "$(ls "$MNT" | xargs)"
}

# ---- others cannot starve it ----

# Whatever the mount answers without opening a file, as fast as it goes.
pester() {
	# shellcheck disable=SC2016
	as $OTHER 1 nice -n 19 sh -c 'cd / && while :; do
		stat -f "$0" && stat "$0"/* "$0/nothing" && ls -l "$0" "$0/.fuseband"
		true <"$0/roots"; true >"$0/new"; true <"$0/.fuseband/status.json"
	done' "$MNT" >/dev/null 2>&1
}

# The disk's requests in two seconds each, without and with them.
has_its_share() {
	local quiet pestered pids=() i
	watch 2
	quiet=$(served "$WORK/disk.log" "$FROM" "$TO" $((64 << 20)) 1)
	for i in 1 2 3 4; do
		pester &
		pids+=($!)
	done
	watch 2
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
	pestered=$(served "$WORK/disk.log" "$FROM" "$TO" $((64 << 20)) 1)
	MISSED="$quiet requests in two seconds, $pestered while others pester"
	note "$MISSED"
	holds "$quiet > 0 && $pestered > 0.9 * $quiet"
}

test_starve() {
	need fio
	start_testdisk -s 4 -t 4000 -b 64M -l "$WORK/disk.log"
	{
		section roots "path = $DISK" "mode = 0600"
	} | ini "$conf"
	start_fuseband "$conf"
	start_load roots --filename="$MNT/roots" --bs=4k --iodepth=16 --rw=randread --size=64M
	sleep 0.5
	thrice "others who may open nothing cost nobody more than a tenth" has_its_share
	promise "no request failed" stop_loads
	stop_fuseband
}

# ---- what the kernel takes only from root ----

limit_is() { # NUMBER
	[ "$(cat "$FUSECTL/$CONNECTION/max_background")" = "$1" ]
}

with_slots() { # NUMBER, a multiple of 7
	{
		printf '[fuseband]\nmemory = %dM\n' "$(($1 / 7 * 8))"
		section a "path = $WORK/a.img"
	} | ini "$conf"
}

test_limit() {
	local most slots
	most=$(cat /sys/module/fuse/parameters/max_user_bgreq)
	slots=$((most / 7 * 7 + 7))
	if [ $((slots * 3)) -gt 65535 ]; then
		note "max_user_bgreq is $most: there is nothing that only root may do"
		return
	fi
	need_fusectl
	with_slots $slots
	start_fuseband "$conf"
	CONNECTION=$(awk -v dir="$MNT" '$5 == dir { split($3, n, ":"); print n[2] }' /proc/self/mountinfo)
	promise "a limit of $slots requests, more than users may have" limit_is $slots
	with_slots $((slots * 3))
	promise "a reload" reload_fuseband
	promise "raises it, though nobody who serves has the right to" wait_for 5 limit_is $((slots * 3))
	kill_data_path
	with_slots $slots
	promise "a reload after a crash" reload_fuseband
	promise "lowers it" wait_for 5 limit_is $slots
	kill_parent
	with_slots $((slots * 3))
	promise "a reload under another parent" reload_fuseband
	promise "raises it" wait_for 5 limit_is $((slots * 3))
	kill -KILL "$(steward)"
	with_slots $slots
	promise "a reload without who has the right" reload_fuseband
	promise "leaves it, and says so" wait_for 5 \
		grep -q 'the process that sets the limit of asynchronous requests is dead' "$WORK/fuseband.log"
	promise "and goes on serving" cmp -n 65536 "$MNT/a" "$WORK/a.img"
	kill -KILL "$(spares)"
	promise "who stands by does without who waits for flushes, and says so" wait_for 10 \
		grep -q 'no fuseband-errand: ' "$WORK/fuseband.log"
	kill_data_path
	promise "and flushes when it serves" dd if=/dev/zero of="$MNT/a" bs=4k count=1 conv=notrunc,fsync status=none
	promise "without somebody who has died" not grep -q 'fuseband-errand has died' "$WORK/fuseband.log"
	kill -TERM "$FUSEBAND_PID"
	wait_for 20 not kill -0 "$FUSEBAND_PID" 2>/dev/null || miss "it does not stop"
	umount -l "$MNT"
	FUSEBAND_PID=
}

# ---- paths that change while they are looked at ----

# A link that leads somewhere else all the time: to an image, to what would block, to what is none.
change_link() {
	local to
	while :; do
		for to in "$WORK/a.img" "$WORK/fifo" /dev/zero /dev/tty "$WORK/b.img" "$WORK" /nothing; do
			ln -s "$to" "$WORK/game.new" && mv -T "$WORK/game.new" "$WORK/game"
		done
	done
}

test_games() {
	local i taken=0 size pid
	mkfifo "$WORK/fifo"
	truncate -s 4M "$WORK/a.img"
	truncate -s 2M "$WORK/b.img"
	ln -s "$WORK/a.img" "$WORK/game"
	{
		section game "path = $WORK/game"
		section c "path = $WORK/c.img"
	} | ini "$conf"
	start_fuseband "$conf"
	change_link &
	pid=$!
	for ((i = 0; i < 60; i++)); do
		! reload_fuseband || taken=$((taken + 1))
		size=$(stat -c %s "$MNT/game")
		case $size in
		$((4 << 20)) | $((2 << 20))) ;;
		*) miss "a reload took something of $size bytes for an image" ;;
		esac
	done
	kill $pid
	wait $pid 2>/dev/null
	note "$taken of 60 reloads met an image"
	promise "a link that leads elsewhere all the time stops nobody" reads 0 0 c
	rm "$WORK/game"
	ln -s "$WORK/a.img" "$WORK/game"
	promise "a reload with it at rest" reload_fuseband
	promise "serves what it leads to" same $((4 << 20)) "$(stat -c %s "$MNT/game")"
	ALLOWED_ERRORS='reload refused|game' stop_fuseband
}

# ---- it all still works ----

test_works() {
	local before
	# of somebody else, in a directory of his
	mkdir -m 0700 "$WORK/theirs"
	truncate -s 4M "$WORK/theirs/new.img"
	chmod 0600 "$WORK/theirs/new.img"
	chown -R 1:1 "$WORK/theirs"
	section new "path = $WORK/theirs/new.img" >>"$conf"
	promise "a reload opens what belongs to somebody else" reload_fuseband
	promise "which is served" reads 0 0 new
	kill_data_path
	promise "a successor has dropped everything" wait_for 10 all_are_dropped
	promise "and serves it" reads 0 0 new
	wait_for 10 has_standby || miss "no standby"
	before=$(grep -c 'the new program takes over' "$WORK/fuseband.log")
	kill -USR2 "$FUSEBAND_PID"
	promise "an upgrade works" wait_for 10 upgraded "$before"
	promise "and has regained nothing" wait_for 10 all_are_dropped
	wait_for 10 has_standby || miss "no standby"
	promise "a data path without privileges starts a new parent" kill_parent
	promise "which has no more than it" wait_for 10 data_path_is_dropped "$(data_path)"
	promise "and no more than a parent has" parent_is_dropped
	promise "it has a standby" wait_for 10 has_standby
	promise "that takes over" kill_data_path
	promise "a reload works" reload_fuseband
	wait_for 10 has_standby || miss "no standby"
	before=$(grep -c 'the new program takes over' "$WORK/fuseband.log")
	kill -USR2 "$FUSEBAND_PID"
	promise "an upgrade works" wait_for 10 upgraded "$before"
	promise "it serves" reads 0 0 new
	kill -TERM "$FUSEBAND_PID"
	promise "it stops" wait_for 20 not kill -0 "$FUSEBAND_PID" 2>/dev/null
	FUSEBAND_PID=
	promise "and is unmounted" not grep -qF " $MNT " /proc/self/mountinfo
	check_log
	promise "nobody is left" wait_for 5 same "" "$(steward)$(data_paths)"
}

upgraded() { # BEFORE
	[ "$(grep -c 'the new program takes over' "$WORK/fuseband.log")" -gt "$1" ]
}

nobody_unmounts() {
	[ -z "$(steward)" ]
}

has_no_zombies() { # PID
	! pgrep -P "$1" --runstates Z >/dev/null
}

test_all_killed() {
	start_fuseband "$conf"
	wait_for 10 has_standby
	kill_all
	promise "all of them killed: who unmounts ends, too" wait_for 5 nobody_unmounts
	promise "and a dead mount hides what is below" not ls "$MNT" 2>/dev/null
	umount -l "$MNT"
	start_fuseband "$conf"
	kill -KILL "$(steward)"
	promise "who unmounts killed: the parent buries it" wait_for 5 has_no_zombies "$FUSEBAND_PID"
	ALLOWED_ERRORS='cannot be unmounted'
	kill -TERM "$FUSEBAND_PID"
	wait_pid 20 "$FUSEBAND_PID"
	promise "and ends all the same" same 0 $?
	promise "and says so" grep -q 'cannot be unmounted: the process that could is dead' "$WORK/fuseband.log"
	umount -l "$MNT"
	FUSEBAND_PID=
	promise "and tries nothing itself that it has no right to" same "" "$(refused_calls)"
}

test_alone() {
	{
		printf '[fuseband]\nsupervise = no\n'
		section new "path = $WORK/theirs/new.img"
	} | ini "$conf"
	start_fuseband "$conf"
	promise "without a parent: dropped likewise" wait_for 5 data_path_is_dropped "$FUSEBAND_PID"
	promise "a reload works" reload_fuseband
	stop_fuseband
}

# ---- the filter ----

tried() {
	grep -q 'intruder: all was tried' "$WORK/fuseband.log"
}

refused_lines() {
	refused_calls | wc -l
}

test_intruder() {
	[ "$FILTERED" = yes ] && [ $BUILT_FOR = use ] || {
		note "no filter in this build: intruders are not tried"
		return
	}
	: >"$WORK/fuseband.log"
	section new "path = $WORK/theirs/new.img" | ini "$conf"
	cp "$FUSEBAND" "$WORK/intruded" # what it tries is no gap in the filter
	local active FUSEBAND=$WORK/intruded
	LD_PRELOAD=$HELPERS/intruder.so start_fuseband "$conf"
	active=$(data_path)
	printf 'intruder' | dd of="$MNT/new" bs=4096 conv=sync,notrunc oflag=direct status=none
	promise "an intruder tries all sorts of things" tried
	if dmesg >/dev/null 2>&1; then
		promise "which the kernel tells of" more_than 0 refused_lines
	fi
	sed -n '/intruder:.*\(works\|:.*:\)/s/^/# /p' "$WORK/fuseband.log"
	promise "and none of them works" same 1 "$(grep -c intruder: "$WORK/fuseband.log")"
	promise "who is refused does not die of it" same "$active" "$(data_path)"
	promise "and goes on serving" same intruder "$(head -c 8 "$MNT/new")"
	BEGAN=$(cut -d ' ' -f 1 /proc/uptime)
	stop_fuseband
}

# ---- an ordinary user ----

test_ordinary() {
	local home=$WORK/ordinary
	if ! [ -u "$(command -v fusermount3)" ] || ! unshare -m true 2>/dev/null; then
		note "no setuid fusermount3, or no mount namespaces: an ordinary user is not tried"
		return
	fi
	mkdir -p "$home/mnt"
	truncate -s 4M "$home/a.img"
	section a.img "path = $home/a.img" "uid = 65534" | ini "$home/ini"
	chown -R 65534:65534 "$home"
	chmod 711 "$WORK"
	cp "$FUSEBAND" "$WORK/program"
	# shellcheck disable=SC2016
	timeout -k 5 20 unshare -m sh -c 'mount -t tmpfs none /mnt && mknod -m 666 /mnt/fuse c 10 229 &&
		mount --bind /mnt/fuse /dev/fuse || exit 9
		cd "$1" || exit 9
		as="setpriv --reuid 65534 --regid 65534 --clear-groups"
		$as timeout -k 2 8 "$0" -c ini -p pid mnt || exit 8
		pid=$(cat pid)
		grep -q "NoNewPrivs:.1" "/proc/$pid/status" || exit 7
		$as cmp mnt/a.img a.img || exit 6
		$as kill -HUP "$pid"
		for i in 1 2 3; do
			$as kill -KILL "$(pgrep -o -P "$pid" -x fuseband-io)"
			sleep 0.5
			$as cmp mnt/a.img a.img || exit 5
		done
		$as kill -TERM "$pid"
		for i in 1 2 3 4 5 6 7 8 9 10; do
			[ ! -e pid ] && ! grep -q "$1/mnt " /proc/self/mountinfo && exit 0
			sleep 0.3
		done
		exit 4' "$WORK/program" "$home" >"$WORK/out" 2>"$WORK/err"
	STATUS=$?
	[ $STATUS = 0 ] || sed 's/^/# /' "$WORK/out" "$WORK/err"
	[ $STATUS != 9 ] || {
		note "no /dev/fuse for others to be had here"
		return
	}
	promise "an ordinary user can start, reload, crash and stop with all that" same 0 $STATUS
}

truncate -s 4M "$WORK/a.img" "$WORK/b.img" "$WORK/c.img"
{
	section roots "path = $WORK/a.img" "mode = 0600"
	section mine "path = $WORK/b.img" "uid = $OTHER" "gid = $OTHER_GROUP" "mode = 0660"
	section public "path = $WORK/c.img" "mode = 0604"
} | ini "$conf"
chmod 711 "$WORK"
start_fuseband "$conf"
test_dropped
test_hidden
test_modes
test_works
test_all_killed
test_alone
test_games
test_limit
test_starve
test_intruder
test_ordinary
exit $failed
