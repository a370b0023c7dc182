#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The same options everywhere: the synopsis of fuseband(8) is what --help prints as usage, both
# describe the same options with the same arguments, each option in the one is explained in the
# other, and the program takes them.

. "$(dirname "$0")/../lib.sh"
need mandoc

[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"
"$FUSEBAND" --help >"$WORK/help" || fail "--help ended with status $?"
mandoc -T ascii -O width=200 "$TESTS/../man/fuseband.8" | sed 's/.\x08//g' >"$WORK/man"

# ---- usage = synopsis ----

# Arguments are upper case in one and underlined in the other.
sed -n '/^usage:/,/^$/p' "$WORK/help" | sed 's/^usage://; s/^ *//; /^$/d' |
	tr '[:upper:]' '[:lower:]' >"$WORK/help.usage"
sed -n '/^SYNOPSIS/,/^DESCRIPTION/p' "$WORK/man" | sed '1d; $d; s/^ *//; s/ \.\.\./.../g; /^$/d' \
	>"$WORK/man.usage"
[ "$(wc -l <"$WORK/help.usage")" -ge 4 ] || fail "no usage in --help: has its form changed?"
diff "$WORK/help.usage" "$WORK/man.usage" || fail "< --help and > the synopsis of fuseband(8) differ"

# ---- what is explained ----

# Lines "OPTION" or "OPTION argument".
sed -n 's/^  \(-[^ ].*\)$/\1/p' "$WORK/help" | sed 's/  .*//; s/, /\n/g' |
	tr '[:upper:]' '[:lower:]' | sort >"$WORK/help.options"
sed -n '/^\.Sh DESCRIPTION/,/^\.Ss/s/^\.It Fl //p' "$TESTS/../man/fuseband.8" |
	sed 's/ , Fl /\n/g' | sed 's/^Fl /--/; t long; s/^/-/; :long; s/Ar //' | sort >"$WORK/man.options"
diff "$WORK/help.options" "$WORK/man.options" ||
	fail "< --help and > fuseband(8) explain different options"

# Those of the synopsis, [-df] being two.
grep -oE -- '(^|[^-[:alnum:]])--?[a-z][a-z-]*' "$WORK/help.usage" | sed 's/^[^-]//' |
	sed '/^-[a-z][a-z]/{s/^-//; s/./-&\n/g}' | sed '/^$/d' | sort -u >"$WORK/usage.names"
cut -d' ' -f1 "$WORK/help.options" >"$WORK/help.names"
diff "$WORK/usage.names" "$WORK/help.names" || fail "< the usage and > its explanation differ"

# ---- what is taken ----

# One mount point too many, so that nothing is done; unknown options are noticed before.
while read -r option argument; do
	timeout 10 "$FUSEBAND" "$option" ${argument:+"$argument"} a b c >/dev/null 2>"$WORK/err"
	! grep -q 'unknown option or missing argument' "$WORK/err" || fail "$option $argument is not known"
	[ -n "$argument" ] || continue
	timeout 10 "$FUSEBAND" "$option" >/dev/null 2>"$WORK/err"
	[ $? = 2 ] || fail "$option needs no argument"
	grep -q "unknown option or missing argument: $option" "$WORK/err" || fail "$option: $(head -n 1 "$WORK/err")"
done <"$WORK/help.options"
timeout 10 "$FUSEBAND" --calibrat-e x >/dev/null 2>"$WORK/err"
[ $? = 2 ] || fail "an option that does not exist is taken"

# ---- each manual names the others ----

for page in "$TESTS"/../man/*.[158]; do
	for other in "$TESTS"/../man/*.[158]; do
		[ "$page" != "$other" ] || continue
		name=${other##*/}
		sed -n '/^\.Sh SEE ALSO/,/^\.Sh [^S]/p' "$page" | grep -q "^\.Xr ${name%.*} ${name##*.}" ||
			fail "${page##*/}: $name is not in SEE ALSO"
	done
done

note "$(wc -l <"$WORK/help.options") options: help and manual agree"
