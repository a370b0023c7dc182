#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every message that a user can meet is in messages.txt, and says what is wrong, where, and what to do
# (messages.py). And some of them are provoked here that no other test waits for: wrong usage, and
# what a start and a reload have to tell.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need python3
[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"

# ---- the table ----

python3 "$TESTS/docs/messages.py" "$TESTS/.." >"$WORK/out" || fail "$(cat "$WORK/out")"
note "$(cat "$WORK/out")"

# It can fail: a tree of one source and one test, with a table that has this row.
finds() { # WANTED ROW
	printf '[a.c]\n%s\n' "$2" >"$WORK/top/tests/docs/messages.txt"
	python3 "$TESTS/docs/messages.py" "$WORK/top" >"$WORK/out"
	grep -qF -- "$1" "$WORK/out" && return
	sed 's/^/# /' "$WORK/out"
	return 1
}

mkdir -p "$WORK/top/tests/docs" "$WORK/top/tests/e2e"
cat >"$WORK/top/a.c" <<'END'
/* log_error("not this one"); */
void f(const char *name)
{
	log_error("%s: gone; " /* joined */
		  "bring it back", name);
}
END
printf '# bring it back\ngrep "gone; bring it" log\n' >"$WORK/top/tests/e2e/a.sh"
row='%: gone; bring it back | "%" | "bring it back" | e2e/a.sh "gone; bring it"'
promise "a row that is right is taken" finds "1 messages, 1 of them provoked" "$row"
promise "a message without a row is found" finds "a.c:4: has no row in the table: %: gone; bring it back" ""
promise "a row without a message" finds "is not in a.c any more: %: lost" "${row/gone; bring it back/lost}"
promise "words that the message does not have" finds 'DO is not in the message: "fetch it"' "${row/\"bring it back\"/\"fetch it\"}"
promise "words that stand in a comment of the test only" finds "does not contain: gone; bring it back" "${row% | *} | e2e/a.sh"
promise "a test that is not there" finds "TEST is neither a test" "${row% | *} | e2e/b.sh"
promise "no reason for no test" finds "TEST does not say why not" "${row% | *} | no: "

row='trouble: % | whole | says | no: a test of this test'
printf 'void f(void)\n{\n\tlog_error("trouble: %%s", strerror(errno));\n}\n' >"$WORK/top/a.c"
promise "the name of an error only" finds "does not say what to do" "$row"
promise "... of something in particular" finds "1 messages" "${row/whole/\"trouble\"}"

# of a script: what it says, with what it puts in
rm "$WORK/top/a.c"
mkdir "$WORK/top/packaging"
cat >"$WORK/top/packaging/build" <<'END'
# say "not this one"
say() {
	echo "$*" >&2
}
[ -n "$mnt" ] || say "${mnt}: is gone, $(cat "$mnt/why" | head -n 1): mount \"it\""
echo "nor this one"
END
promise "messages of scripts" finds 'packaging/build:5: has no row in the table: %: is gone, %: mount "it"' ""
promise "... and no others" same 1 "$(grep -c 'has no row' "$WORK/out")"

# ---- wrong usage ----

# usage MESSAGE ARGUMENT...: it is the first line; the usage follows, and status 2
usage() {
	local message=$1 status
	shift
	timeout 10 "$FUSEBAND" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	status=$?
	promise "$message" same "2 fuseband: $message" "$status $(head -n 1 "$WORK/err")"
	promise "and the usage" grep -q '^usage: ' "$WORK/err"
}

usage "--calibrate goes with nothing but --overwrite" --calibrate a -f
usage "--overwrite goes only with --calibrate" --overwrite a "$MNT"
usage "too many arguments: c" a b c
usage "no mount point" -f
usage "--reload and --upgrade go with a mount point only" --reload -f "$MNT"

# ---- a start and a reload ----

need_root
told() { # WORDS
	grep -qF -- "$1" "$WORK/fuseband.log"
}

config() { # SUPERVISE WORKERS
	{
		section fuseband "supervise = $1" "workers = $2"
		section a.img "path = $WORK/a.img" "weight = 80"
	} >"$WORK/fuseband.ini"
}

truncate -s 1M "$WORK/a.img"
config no 1
start_fuseband "$WORK/fuseband.ini"
promise "what is served, and where" told "serving 1 files at $MNT"
promise "a weight for nothing" told "has no effect: it is the only file on disk"
kill -USR2 "$FUSEBAND_PID"
promise "an upgrade that cannot be had" wait_for 5 told 'upgrade in place needs `supervise = yes` and Linux 6.9 or newer'
config no 2
promise "a reload" reload_fuseband
promise "and its number" told "reloaded: generation 2, 1 files"
promise "what a reload does not change" told "a changed number of workers takes effect at the next start"
stop_fuseband

: >"$WORK/fuseband.log"
config yes 1
start_fuseband "$WORK/fuseband.ini"
kill_data_path
promise "how a data path ended" told "the data path was killed by signal 9 (Killed): another one takes over"
stop_fuseband

: >"$WORK/fuseband.log"
start_fuseband "$WORK/fuseband.ini" -o auto_unmount
promise "an option that costs something" told "with auto_unmount a crash ends the mount: without that option it is survived"
stop_fuseband
exit $failed
