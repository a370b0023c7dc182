#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The same options everywhere: the synopsis of fuseband(8) is what --help prints as usage, both
# describe the same options with the same arguments, each option in the one is explained in the
# other, and the program takes them.

. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/manual.sh
. "$TESTS/manual.sh"
need mandoc

[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"
cd "$WORK" || exit 1
same_usage "$FUSEBAND" "$TESTS/../man/fuseband.8"
same_options "$FUSEBAND" "$TESTS/../man/fuseband.8"

# Those of the synopsis, [-df] being two.
grep -oE -- '(^|[^-[:alnum:]])--?[a-z][a-z-]*' help.usage | sed 's/^[^-]//' |
	sed '/^-[a-z][a-z]/{s/^-//; s/./-&\n/g}' | sed '/^$/d' | sort -u >usage.names
cut -d' ' -f1 options >help.names
diff usage.names help.names || fail "< the usage and > its explanation differ"

# ---- what is taken ----

# One mount point too many, so that nothing is done; unknown options are noticed before.
while read -r option argument; do
	timeout 10 "$FUSEBAND" "$option" ${argument:+"$argument"} a b c >/dev/null 2>err
	! grep -q 'unknown option or missing argument' err || fail "$option $argument is not known"
	[ -n "$argument" ] || continue
	timeout 10 "$FUSEBAND" "$option" >/dev/null 2>err
	[ $? = 2 ] || fail "$option needs no argument"
	grep -q "unknown option or missing argument: $option" err || fail "$option: $(head -n 1 err)"
done <options
timeout 10 "$FUSEBAND" --calibrat-e x >/dev/null 2>err
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

note "$(wc -l <options) options: help and manual agree"
