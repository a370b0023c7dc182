#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The same keys everywhere: --help-config (which is the parser's own table), the example
# ioband.ini and the manual page name the same keys in the same sections with the same defaults and,
# help and manual, agree on what a reload does.

. "$(dirname "$0")/../lib.sh"

TOP=$TESTS/..
[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"

# All three are turned into lines "SECTION KEY DEFAULT RELOAD"; a default that cannot be
# written down, such as "the disk below path", is "-".

"$FUSEBAND" --help-config >"$WORK/help" || fail "--help-config ended with status $?"
awk '
	function flush() {
		if (key == "")
			return
		value = "-"
		if (match(text, /; default [^ :;]+;/))
			value = substr(text, RSTART + 10, RLENGTH - 11)
		reload = "live"
		if (text ~ /reload: closed files only/)
			reload = "closed"
		if (text ~ /reload: restart/)
			reload = "restart"
		print section, key, value, reload
		key = ""
	}
	/^\[/ { flush(); section = $1 }
	section && /^  [a-z]/ {
		flush()
		key = $1
		text = ""
		next
	}
	{ text = text " " $0 }
	END { flush() }' "$WORK/help" | sort >"$WORK/help.keys"

awk '
	function flush(i) {
		for (i = 1; i <= n; i++)
			print section, item[i], reload
		n = 0
		reload = "live"
		body = 0
	}
	/^\.S[sh] / { flush(); section = $2 }
	/^\.It Cm [a-z_]+ = / {
		if (body)
			flush()
		item[++n] = $3 " " ($5 == "Ar" ? "-" : $5)
		next
	}
	n { body = 1 }
	/^Reload: closed files only\.$/ { reload = "closed" }
	/^Reload: restart\.$/ { reload = "restart" }
	END { flush() }' reload=live "$TOP/man/ioband.ini.5" | sort >"$WORK/man.keys"

# In the example every file is one [vm1.img], and the value of a key that is set is not its default.
awk '
	{ set = !/^;/; sub(/^;/, "") }
	/^\[/ {
		section = $1
		if (section !~ /:/ && section != "[fuseband]")
			section = "[vm1.img]"
	}
	/^[a-z_]+ = [^ ]/ {
		print section, $1, set ? "set" : $3
	}' "$TOP/ioband.ini" | sort -u >"$WORK/ini.keys"

keys=$(wc -l <"$WORK/help.keys")
[ "$keys" -ge 50 ] || fail "only $keys keys in --help-config: has its form changed?"
[ -z "$(cut -d' ' -f1,2 "$WORK/help.keys" | uniq -d)" ] || fail "a key appears twice in the help"

diff "$WORK/help.keys" "$WORK/man.keys" || fail "< --help-config and > ioband.ini(5) differ"

for names in help ini; do
	cut -d' ' -f1,2 "$WORK/$names.keys" | sort -u >"$WORK/$names.names"
done
diff "$WORK/help.names" "$WORK/ini.names" || fail "< --help-config and > ioband.ini differ"

# Where the help has a default, the example shows the same behind a ";".
while read -r section key value _; do
	if [ "$value" = - ]; then
		value=".*"
	fi
	grep -qx -- "${section//[\[\]]/.} $key $value" "$WORK/ini.keys" ||
		fail "ioband.ini: $section $key: not shown with its default ($value)"
done <"$WORK/help.keys"

note "$keys keys: help, manual and example agree"
