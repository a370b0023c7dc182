# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of docs/ ask of each program's --help and manual. To be sourced after lib.sh, with the
# current directory in $WORK: what --help prints is left in `help` there, the manual as text in `man`.

# same_usage PROGRAM MANUAL: the synopsis of the manual is what --help prints as usage. Arguments are upper
# case in one and underlined in the other.
same_usage() {
	"$1" --help >help || fail "$1 --help ended with status $?"
	mandoc -T lint -W warning "$2" || fail "mandoc has warnings about $2"
	mandoc -T ascii -O width=200 "$2" | sed 's/.\x08//g' >man
	sed -n '/^usage:/,/^$/p' help | sed 's/^usage://; s/^ *//; /^$/d' | tr '[:upper:]' '[:lower:]' >help.usage
	sed -n '/^SYNOPSIS/,/^DESCRIPTION/p' man | sed '1d; $d; s/^ *//; s/ \.\.\./.../g; /^$/d' >man.usage
	[ "$(wc -l <help.usage)" -ge 2 ] || fail "no usage in $1 --help: has its form changed?"
	diff help.usage man.usage || fail "< $1 --help and > the synopsis of $2 differ"
}

# same_options PROGRAM MANUAL: after same_usage: both explain the same options with the same arguments,
# which are left in `options`, a line "OPTION" or "OPTION argument" for each.
same_options() {
	sed -n 's/^  \(-[^ ].*\)$/\1/p' help | sed 's/  .*//; s/, /\n/g' | tr '[:upper:]' '[:lower:]' |
		sort >options
	sed -n '/^\.Sh DESCRIPTION/,/^\.Ss/s/^\.It Fl //p' "$2" |
		sed 's/ , Fl /\n/g' | sed 's/^Fl /--/; t long; s/^/-/; :long; s/Ar //' | sort >man.options
	diff options man.options || fail "< $1 --help and > $2 explain different options"
	[ -s options ] || fail "no options in $1 --help: has its form changed?"
}

# examples MANUAL SECTION: each literal block below that .Sh or .Ss, as a reader sees it, in a file example.N;
# as many as there are.
examples() {
	rm -f example.[0-9]*
	awk -v section="$2" '
		/^\.S[hs] / { inside = substr($0, 5) == section }
		inside && /^\.Bd/ { copy = 1; n++; next }
		/^\.Ed/ { copy = 0 }
		copy { gsub(/\\\(aq/, "\047"); gsub(/\\e/, "\\"); print >("example." n) }' "$1"
}
