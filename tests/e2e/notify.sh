#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What a service manager hears (sd_notify(3)), and what fuseband --reload and --upgrade tell whoever
# calls them: how it went, and why not.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_root
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
conf=$WORK/fuseband.ini
heard=$WORK/heard
mkdir "$WORK/bin"
program=$WORK/bin/fuseband
cp "$FUSEBAND" "$program"
original=$FUSEBAND
FUSEBAND=$program

listen() { # SOCKET
	: >"$heard"
	"$HELPERS/notified" "$1" >"$heard" &
	export NOTIFY_SOCKET=$1
	if [ "${1#/}" != "$1" ]; then
		wait_for 5 test -S "$1" || fail "nobody listens at $1"
	else
		wait_for 5 grep -qF "$1" /proc/net/unix || fail "nobody listens at $1"
	fi
}

hears() { # REGEX: in one message since the last forget
	wait_for 10 grep -qE -- "$1" "$heard"
}

forget() {
	: >"$heard"
}

order() { # STATUS MESSAGE-REGEX ARGUMENT...; no message: none at all
	local wanted=$1 message=$2
	shift 2
	timeout 70 "$FUSEBAND" "$@" >"$WORK/out" 2>"$WORK/err"
	same "$wanted" $? && if [ -n "$message" ]; then
		grep -qE -- "$message" "$WORK/err"
	else
		not test -s "$WORK/err"
	fi && return
	sed 's/^/# /' "$WORK/err"
	return 1
}

install_program() { # FILE
	cp "$1" "$program.new" && chmod +x "$program.new" && mv "$program.new" "$program"
}

truncate -s 1M "$WORK/a.img" "$WORK/b.img"
section a.img "path = $WORK/a.img" | ini "$conf"

# ---- in the foreground ----

listen "$WORK/notify"
JOURNAL_STREAM='' start_fuseband "$conf"
promise "READY=1 from the process that stays" hears "^READY=1 [|] MAINPID=$FUSEBAND_PID\$"
promise "and what is served" hears "^READY=1 [|] STATUS=serving 1 files at $MNT, generation 1\$"
forget
section b.img "path = $WORK/b.img" | cat "$conf" - >"$WORK/more"
mv "$WORK/more" "$conf"
promise "--reload waits until it is done" order 0 '' --reload "$MNT"
promise "so that the new file is there at once" test -e "$MNT/b.img"
promise "RELOADING=1 with the time" hears '^RELOADING=1 [|] MONOTONIC_USEC=[0-9]+$'
promise "then READY=1" hears '^READY=1 [|] STATUS=serving 2 files at .*, generation 2$'
forget
echo 'weight = many' >>"$conf"
promise "--reload of a broken file fails with the reason" \
	order 2 'reload refused, nothing has changed: .*: \[b.img\] weight: "many" is not' --reload "$MNT"
promise "and again, with the same error" order 2 'weight: "many"' --reload "$MNT"
promise "which STATUS= has, too" \
	hears '^READY=1 [|] STATUS=reload refused: .*"many".*; serving 2 files at .*, generation 2$'
sed -i '$d' "$conf"
promise "a reload by signal tells as much" reload_fuseband
promise "of itself" hears 'STATUS=serving 2 files at .*, generation 3$'
forget

install_program "$original"
promise "--upgrade waits for the new program" order 0 '' --upgrade "$MNT"
for pid in "$FUSEBAND_PID" "$(data_path)"; do
	promise "which runs then" same "$(stat -c %d:%i "$program")" "$(stat -L -c %d:%i "/proc/$pid/exe")"
done
promise "MAINPID= of the same process" hears "^MAINPID=$FUSEBAND_PID\$"
promise "and the new data path says what it serves" hears '^READY=1 [|] STATUS=serving 2 files'
rm "$program"
FUSEBAND=$original
promise "--upgrade to nothing fails with the reason" order 1 "upgrade refused.* $program: No such" --upgrade "$MNT"
install_program "$HELPERS/impostor"
"$original" --version | grep -o 'state [0-9]*' | cut -d ' ' -f 2 >"$program.state"
promise "and to one that ends" order 1 'upgrade refused.*: the new program ended' --upgrade "$MNT"
before=$FUSEBAND_PID
wait "$FUSEBAND_PID" 2>/dev/null
wait_for 10 parent_is "$before" || miss "no parent"
FUSEBAND_PID=$(cat "$WORK/pid")
promise "MAINPID= of the parent in its place" hears "^MAINPID=$FUSEBAND_PID\$"
install_program "$original"
FUSEBAND=$program
forget
kill_parent
promise "MAINPID= of the parent in the place of one that was killed" hears "^MAINPID=$FUSEBAND_PID\$"
forget
kill_data_path
promise "a new data path says what it serves" hears '^READY=1 [|] STATUS=serving 2 files at .*, generation 3$'
kill -TERM "$FUSEBAND_PID"
promise "STOPPING=1" hears '^STOPPING=1 [|] STATUS='
wait_for 20 not kill -0 "$FUSEBAND_PID" 2>/dev/null || miss "it does not stop"

promise "who serves nothing cannot reload" order 2 "$MNT: is not the mount point of a fuseband" --reload "$MNT"
promise "nor does what is not there" order 2 'No such file' --reload "$WORK/nowhere"
promise "--reload takes a mount point and nothing else" order 2 '--reload and --upgrade go with a mount point only' --reload -c "$conf" "$MNT"

# ---- alone ----

sed -i '1i[fuseband]\nsupervise = no' "$conf"
start_fuseband "$conf"
promise "alone: READY=1" hears "^READY=1 [|] MAINPID=$FUSEBAND_PID\$"
promise "reloads" order 0 '' --reload "$MNT"
promise "and cannot upgrade" order 1 'upgrade refused.*supervise = yes' --upgrade "$MNT"
stop_fuseband
sed -i 1,2d "$conf"

# ---- in the background, another kind of name ----

forget
listen "@fuseband-$$"
"$FUSEBAND" -c "$conf" -p "$WORK/pid" "$MNT" 2>"$WORK/err" || fail "$(cat "$WORK/err")"
promise "READY=1 names the process in the background" hears "^READY=1 [|] MAINPID=$(cat "$WORK/pid")\$"
pid=$(cat "$WORK/pid")
kill -TERM "$pid"
wait_for 20 not kill -0 "$pid" 2>/dev/null || miss "it does not stop"

# ---- who does not listen ----

export NOTIFY_SOCKET=$WORK/nobody
start_fuseband "$conf"
promise "a manager that is not there does no harm" \
	grep -q "the service manager cannot be told (NOTIFY_SOCKET=$WORK/nobody): No such" "$WORK/fuseband.log"
stop_fuseband
"$HELPERS/notified" -f "$WORK/deaf" >"$WORK/full" &
wait_for 5 grep -q full "$WORK/full" || fail "no queue that is full"
export NOTIFY_SOCKET=$WORK/deaf
start_fuseband "$conf"
promise "nor does one that is deaf" order 0 '' --reload "$MNT"
stop_fuseband
unset NOTIFY_SOCKET

# ---- a mount that is dead ----

sed -i '1i[fuseband]\nsupervise = no' "$conf"
"$FUSEBAND" -f -c "$conf" -p "$WORK/pid" "$MNT" 2>"$WORK/err" &
wait_for 20 test -e "$MNT/a.img" || fail "it does not serve: $(cat "$WORK/err")"
kill -KILL $!
wait $! 2>/dev/null
for what in reload upgrade; do
	promise "no $what of what is dead, and what to do about that" \
		order 1 "$MNT: is a dead FUSE mount: fusermount3 -uz $MNT, then start it again" --$what "$MNT"
done
umount -l "$MNT"
sed -i 1,2d "$conf"

# ---- whose mount, and the journal ----

: >"$WORK/fuseband.log"
JOURNAL_STREAM=$(stat -c %d:%i "$WORK/fuseband.log") start_fuseband "$conf"
promise "lines for the journal begin with their level" grep -qE '^<6>serving 2 files' "$WORK/fuseband.log"
if command -v setpriv >/dev/null; then
	chmod a+rx "$WORK"
	STATUS=0
	setpriv --reuid 65534 --regid 65534 --clear-groups "$FUSEBAND" --reload "$MNT" 2>"$WORK/err" || STATUS=$?
	promise "who did not mount it tells it nothing" grep -q 'was mounted by user 0, who alone may' "$WORK/err"
	promise "and fails" same 2 $STATUS
fi
stop_fuseband
exit $failed
