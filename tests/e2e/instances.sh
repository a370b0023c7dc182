#!/bin/bash
# SPDX-License-Identifier: MIT
#
# packaging/instances, with which the package's scripts upgrade and stop what runs: it finds what
# this program serves, under names that shells do not like, and takes nothing from anybody who uses it.
# (What a package manager makes of it: tests/package/run.)

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_root
program=$WORK/bin/fuseband
mkdir "$WORK/bin"
cp "$FUSEBAND" "$program"
original=$FUSEBAND
sed "s|^program=.*|program=$program|" "$TESTS/../packaging/instances" >"$WORK/instances"
MNT="$WORK/a 100%s [x]* mount"
mkdir "$MNT"

instances() { # STATUS MESSAGE-REGEX COMMAND; no message: none of what this test has mounted
	sh "$WORK/instances" "$3" >"$WORK/out" 2>"$WORK/err"
	same "$1" $? && if [ -n "$2" ]; then
		grep -qE -- "$2" "$WORK/err"
	else
		not grep -qF "$WORK" "$WORK/err"
	fi && return
	sed 's/^/# /' "$WORK/err"
	return 1
}

list_is() { # PID MOUNTPOINT, or nothing
	instances 0 '' list && same "$1" "$(cat "$WORK/out")"
}

is_served() {
	[ -e "$MNT/a.img" ]
}

nothing_runs() {
	[ -z "$(our_processes 'fuseband.*')" ]
}

start() { # PROGRAM
	"$1" -c "$WORK/fuseband.ini" -p "$WORK/pid" "$MNT" || fail "it does not start"
	wait_for 10 is_served || fail "it does not serve"
}

truncate -s 1M "$WORK/a.img"
section a.img "path = $WORK/a.img" | ini "$WORK/fuseband.ini"

promise "nothing runs" list_is ''
start "$original"
promise "what another program serves is none of its business" list_is ''
promise "and not stopped" instances 0 '' stop
promise "so it serves" is_served
umount "$MNT"
wait_for 10 nothing_runs || miss "it goes on"

start "$program"
pid=$(cat "$WORK/pid")
promise "it finds what this program serves" list_is "$pid $MNT"
promise "which needs no upgrade" instances 0 '' upgrade
cp "$original" "$program.new" && mv "$program.new" "$program"
promise "it finds it when another file has that name" list_is "$pid $MNT"
promise "and upgrades it" instances 0 ': upgraded, its users' upgrade
promise "so that the new file runs" same "$(stat -c %d:%i "$program")" "$(stat -L -c %d:%i "/proc/$pid/exe")"
printf '#!/bin/sh\n[ "$1" != --upgrade ] || exec %s "$@"\necho "fuseband 9 (state 999)"\n' "$original" >"$program.new"
chmod +x "$program.new" && mv "$program.new" "$program"
promise "one that refuses is named, with what that means" \
	instances 1 "goes on with the old program \(process $pid\)" upgrade
promise "and why" grep -q 'upgrade refused.*state as version 999' "$WORK/err"
sleep 1000 <"$MNT/a.img" &
holder=$!
promise "in use, it is not stopped, and it says by whom" instances 1 "is in use by sleep \($holder\)" stop
promise "so it serves" is_served
kill $holder
wait $holder 2>/dev/null
promise "in use by nobody, it is" instances 0 ': stopped' stop
promise "and gone" not is_served
promise "with all of its processes" wait_for 10 nothing_runs
promise "nothing is left to stop" instances 0 '' stop

# ---- what is in the way ----

{
	section fuseband "supervise = no"
	section a.img "path = $WORK/a.img"
} | ini "$WORK/fuseband.ini"
cp "$original" "$program.new" && mv "$program.new" "$program"
start "$program"
kill -KILL "$(cat "$WORK/pid")"
wait_for 10 nothing_runs
promise "one that is dead is named, with what to do" instances 0 ': is dead: left alone \(umount -l ' stop
promise "and left" grep -qF "${MNT##*/}" <(sed 's/\\040/ /g; s/\\134/\\/g' /proc/self/mountinfo)
umount -l "$MNT"
start "$program"
cd "$MNT" || fail "nobody gets there"
sleep 1000 3>"$WORK/none" &
holder=$!
cd "$WORK" || exit 1
promise "whose directory it is uses it, too" instances 1 "is in use by sleep \($holder\)" stop
promise "how to give files up is said" grep -q 'nothing was stopped. Stop the guests first, or give their files up: umount -l' "$WORK/err"
kill $holder
wait $holder 2>/dev/null
promise "then it is stopped" instances 0 ': stopped' stop
sh "$WORK/instances" nonsense 2>"$WORK/err"
promise "nonsense is none of its commands" same "2 usage: instances list | upgrade | stop" "$? $(cat "$WORK/err")"
exit $failed
