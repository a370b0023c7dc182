#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fuseband-top: screens on recorded statuses, byte for byte; keys, resizing, mounts that come and go;
# each message; and a mount with a load whose shares are known, as a table, as JSON and on the
# screen, while its data path is killed.
#
#   GOLDEN=1    writes the screens instead of comparing them; look at them before they are committed

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need tmux jq fio setpriv python3
need_root

export FUSEBAND_TOP=${FUSEBAND%/*}/fuseband-top
[ -x "$FUSEBAND_TOP" ] || skip "no $FUSEBAND_TOP: install libjansson-dev and build again"
export TMPDIR=$WORK
on_exit=$(trap -p EXIT)
# shellcheck source=tests/top/terminal.sh
. "$TESTS/top/terminal.sh"
eval "$on_exit" # kills all of ours, and removes $WORK

screen() { # NAME: it is on the terminal
	terminal_capture | sed 's/ *$//' >"$WORK/screen"
	[ -z "${GOLDEN:-}" ] || cp "$WORK/screen" "$TESTS/top/$1.screen"
	diff "$TESTS/top/$1.screen" "$WORK/screen"
}

shown() { # NAME WIDTH HEIGHT STATUS KEY...
	terminal_show "${@:2}"
	promise "the screen $1" screen "$1"
	terminal_end
}

# ---- recorded ----

shown 80x24 80 24 small
shown 80x24-times 80 24 large Tab l
shown 80x24-details 80 24 large / d e l t a - v m 3 Enter Down Down Enter
shown 200x60 200 60 large Down Down Down Enter
shown 200x60-flat 200 60 large t i
shown 120x30-disk 120 30 large d d d
TERMINAL_LOCALE=C
shown 80x24-ascii 80 24 small
TERMINAL_LOCALE=C.UTF-8

terminal_show 80 24 small
terminal_tmux send-keys '?'
promise "the help" terminal_wait "any key: back"
promise "the screen 80x24-help" screen 80x24-help
terminal_end

terminal_show 80 24 large
terminal_tmux resize-window -x 200 -y 60
promise "a larger window is filled" terminal_wait "READ  WRITE"
terminal_tmux resize-window -x 70 -y 14
promise "a smaller one keeps the keys" terminal_wait "? help"
terminal_tmux resize-window -x 40 -y 8
promise "one that is too small says so" terminal_wait "too small: 80x24, please"
terminal_tmux resize-window -x 80 -y 24
promise "and it comes back" terminal_wait "WAITS FOR"

rm "$TERMINAL_DIR/mnt/ioband/.fuseband/status.json"
promise "a mount that is gone is told" terminal_wait "! ioband is not where a fuseband is mounted"
terminal_put large-2
terminal_tmux send-keys Space
promise "pausing" terminal_wait PAUSED
terminal_tmux send-keys Space q
ended() {
	! terminal_tmux has-session 2>/dev/null
}
promise "q ends it" wait_for 5 ended
terminal_end

# ---- messages ----

mkdir -p "$WORK/plain" "$WORK/bad/.fuseband"
says() { # STATUS MESSAGE COMMAND...
	local status=$1 message=$2 got
	shift 2
	"$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	[ $got = "$status" ] && [ ! -s "$WORK/out" ] && grep -qF -- "fuseband-top: $message" "$WORK/err" && return
	printf '# status %s, out: %s, err: %s\n' "$got" "$(cat "$WORK/out")" "$(cat "$WORK/err")"
	return 1
}
top=$FUSEBAND_TOP
promise "without a mount" says 2 "say which mount" "$top"
promise "two mounts" says 2 "one mount at a time, not also b" "$top" --once a b
promise "an option that is none" says 2 "unknown option or missing argument: --onc-e" "$top" --onc-e a
promise "no argument" says 2 "unknown option or missing argument: -d" "$top" a -d
promise "a time that is none" says 2 "-d is a number of seconds from 0.1 to 3600, not 1x" "$top" -d 1x a
promise "a key that is none" says 2 "-s does not know size" "$top" -s size a
promise "a filter that is too long" says 2 "-f is too long: xxx" "$top" -f "$(printf 'x%.0s' {1..64})" a
promise "both outputs" says 2 "--once or --json, not both" "$top" --once --json a
promise "a filter for scripts" says 2 "--json is always all of it" "$top" --json -f x a
promise "no terminal" says 2 "this is no terminal: use --once or --json" "$top" "$WORK/plain"
promise "built without ncurses" says 2 "this one was built without ncurses" "${top}-plain" "$WORK/plain"
promise "nothing there" says 1 "$WORK/none: there is no such directory" "$top" --once "$WORK/none/"
promise "no mount there" says 1 "$WORK/plain is not where a fuseband is mounted" "$top" --json "$WORK/plain"
cp "$TESTS/top/small-1.json" "$WORK/bad/.fuseband/status.json"
promise "a copy" says 1 "$WORK/bad/.fuseband/status.json does not change: is it a copy?" \
	env "$top" --once -d 5 "$WORK/bad"
sed 's/"queued"/"qeued"/' "$TESTS/top/small-1.json" >"$WORK/bad/.fuseband/status.json"
to_full() {
	"$top" --once -d 0.1 -s name "$MNT" >/dev/full
}
promise "another version's" says 1 "$WORK/bad/.fuseband/status.json: device nvme0n1: there is no \"queued\"" \
	"$top" --once "$WORK/bad"

cp "$TESTS/top/small-1.json" "$WORK/bad/.fuseband/status.json"
mkdir -p "$TERMINAL_DIR/mnt"
terminal_run 80 24 sh -c "TERM=none '$top' '$WORK/bad'; sleep 60"
promise "a terminal that nobody knows" terminal_wait "cannot use this terminal: is TERM right?"
terminal_end

# ---- a mount with a load ----

PART_BYTES=$((16 << 20))
start_testdisk -s 4 -t 2000 -b $((2 * PART_BYTES))
{
	section fuseband "log_level = info"
	section device:td "policy = weight"
	part heavy.img 0 "weight = 80" "device = td"
	part light.img 1 "weight = 20" "device = td"
} | ini "$WORK/ioband.ini"
start_fuseband "$WORK/ioband.ini"
promise "no mount given: those that there are" says 2 "say which mount: fuseband serves " "$top"
promise "and this one is among them" grep -qF "$MNT" "$WORK/err"
chmod 711 "$WORK"
cp "$top" "$WORK/top" # where others get at it
promise "others are told who may" says 1 "$MNT/.fuseband/status.json: permission denied" \
	setpriv --reuid=12345 --regid=12345 --clear-groups "$WORK/top" --once "$MNT"

for name in heavy light; do
	start_load $name --filename="$MNT/$name.img" --rw=randread --bs=4k --iodepth=32 --size=$PART_BYTES
done
window_is_full() { # the shares are those of ten seconds in which both were there
	"$top" --json -d 0.2 "$MNT" >"$WORK/top.json" &&
		jq -e '.uptime_s > 12 and ([.files[] | select(.read_iops > 0)] | length) == 2' "$WORK/top.json" >/dev/null
}
promise "loads run" wait_for 40 window_is_full
"$top" --json -d 2 "$MNT" >"$WORK/top.json" || miss "--json: status $?"
json() {
	jq -r "$1" "$WORK/top.json"
}
note "JSON: $(json '[.files[] | .name, .read_iops, .achieved_pct, .entitled_pct] | map(tostring) | join(" ")')"
rates=$(json '.files[0].read_iops / (.files[0].read_iops + .files[1].read_iops) * 100')
promise "rates are 80:20" within "$rates" 80 2
promise "shares are 80:20" within "$(json '.files[0].achieved_pct')" 80 2
promise "so they should be" within "$(json '.files[0].entitled_pct')" 80 2
promise "of what two seconds had" within "$(json .interval_s)" 2 1
promise "the disk has the sum" within "$(json '.devices[0].read_iops')" \
	"$(json '.files[0].read_iops + .files[1].read_iops')" 1
promise "bytes are those of the requests" within "$(json '.files[0].read_bps')" "$(json '.files[0].read_iops * 4096')" 100
promise "somebody waits all the time" holds "$(json '.files[1].waited_pct | add') > 90"

"$top" --once -s got "$MNT" >"$WORK/table" || miss "--once: status $?"
sed 's/^/# /' "$WORK/table"
promise "the table has the heavy one first" same "heavy.img light.img" \
	"$(awk '!/^#/ && NR > 2 { printf "%s%s", sep, $1; sep = " " }' "$WORK/table")"
promise "and its share" within "$(awk '$1 == "heavy.img" { print $6 + 0 }' "$WORK/table")" 80 2
promise "an output that is full" says 1 "cannot write: No space left on device" to_full
promise "a filter leaves one" same light.img "$("$top" --once -d 0.2 -f LIGHT "$MNT" | awk '$2 == "file" { print $1 }')"

mkdir -p "$TERMINAL_DIR/mnt"
terminal_run 100 24 "$top" -d 0.2 "$MNT"
promise "the screen has it" terminal_wait "heavy.img"
promise "and rates" terminal_wait_rates
promise "80 of 100" terminal_until grep -E 'heavy.img .* (79|80|81)\.[0-9]%'
kill_data_path
promise "a crash that was survived is told" terminal_wait "1 crash survived"
promise "and the loads noticed nothing" stop_loads
stop_fuseband
promise "a daemon that ended is told" terminal_wait "! $MNT is not where a fuseband is mounted"
start_fuseband "$WORK/ioband.ini"
gone_again() {
	! terminal_capture | grep -q "^!"
}
promise "and one that is back is shown" wait_for 10 gone_again
terminal_end

# while nobody answers, keys work all the same
terminal_run 100 24 "$top" -d 0.2 "$MNT"
promise "the screen again" terminal_wait "heavy.img"
for pid in $(our_processes fuseband-io) $(spares) "$FUSEBAND_PID"; do
	kill -STOP "$pid"
done
promise "no answer is told" terminal_wait "! no answer for"
terminal_tmux send-keys q
promise "and quitting works" wait_for 5 ended
terminal_end
promise "a script does not wait for ever" says 1 "$MNT does not answer within 10 s" "$top" --json "$MNT"
terminal_run 100 24 "$top" "$MNT"
promise "a beginning waits" terminal_wait "waiting for $MNT"
for pid in $(our_processes fuseband-io) $(spares) "$FUSEBAND_PID"; do
	kill -CONT "$pid"
done
promise "until there is an answer" terminal_wait "heavy.img"
terminal_end
stop_fuseband
exit $failed
