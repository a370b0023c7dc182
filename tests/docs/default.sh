#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The ioband.ini that is installed is documentation, and works once its two paths are edited: those
# two and nothing else, by sed; then it is checked, served, written to. Every section in it, of those
# behind a ";" too, has a line about it.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need cmp
need_root
[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"

ini=$TESTS/../ioband.ini
conf=$WORK/edited.ini

# ---- two paths ----

promise "two lines say that they are to be edited" same 2 "$(grep -c '; EDIT' "$ini")"
promise "... both of them paths" same 2 "$(grep -cE '^path = [^ ]+ +; EDIT' "$ini")"
promise "... and no other path is set" same 2 "$(grep -cE '^path = ' "$ini")"
truncate -s 8M "$WORK/vm1" "$WORK/vm2"
mapfile -t paths < <(sed -nE 's/^path = ([^ ]+) .*; EDIT.*/\1/p' "$ini")
sed "s|^path = ${paths[0]} |path = $WORK/vm1 |; s|^path = ${paths[1]} |path = $WORK/vm2 |" "$ini" >"$conf"
promise "two lines are changed" same 2 "$(diff "$ini" "$conf" | grep -c '^>')"
"$FUSEBAND" --check -c "$conf" >"$WORK/check" 2>&1 || fail "--check: $(cat "$WORK/check")"
promise "--check takes it: four times the share" grep -qE '^ *vm1.img +400 +80\.0 %' "$WORK/check"
start_fuseband "$conf"
promise "both files are served" same "vm1.img vm2.img" "$(ls "$MNT" | xargs)"
head -c 1M /dev/urandom >"$WORK/data"
dd if="$WORK/data" of="$MNT/vm2.img" bs=64k conv=notrunc oflag=direct status=none
promise "what is written is in the image" cmp -s -n 1M "$WORK/data" "$WORK/vm2"
stop_fuseband

# ---- all keys at once, at the defaults that are shown ----

# Without the ";" in front, each key that stands behind one; NAME and references left out.
awk '
	/^\[/ { section = $1 }
	/^;\[(device|group|fuseband)/ { sub(/^;/, ""); sub(/NAME/, "x"); section = $1; print; next }
	/^;\[/ { section = "" }
	/^;[a-z_]+ = / && section && !/ = NAME/ && !/^;path = / { sub(/^;/, ""); print; next }
	/^[^;]/' "$conf" >"$WORK/all.ini"
[ "$(grep -c = "$WORK/all.ini")" -ge 45 ] || fail "only $(grep -c = "$WORK/all.ini") keys: has the form changed?"
"$FUSEBAND" --check -c "$WORK/all.ini" >"$WORK/check" 2>&1 || fail "--check of all keys: $(cat "$WORK/check")"
promise "every key may be set to the default that is shown" test -s "$WORK/check"

# ---- each section is explained ----

# A comment that is no example and no key stands above it.
awk '
	/^;?\[[^]]*\]/ {
		if (!told) { print NR ": " $1; bad = 1 }
		told = 0
	}
	/^; ?[A-Z]/ || /^; ----/ { told = 1 }
	END { exit bad }' "$ini" >"$WORK/bare" || miss "without a line about it: $(xargs <"$WORK/bare")"
exit $failed
