#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pure.sh - the scheduler library calls nothing but memory functions and assert.
#
#     pure.sh OBJECT|ARCHIVE...
#
# No clock, no thread, no I/O: whatever the objects need and do not define among themselves must be
# in the list. What compilers add by themselves when asked to (sanitizers, coverage, stack protector)
# may be there too.
set -eu

if [ $# -eq 0 ]; then
	echo "usage: $0 OBJECT|ARCHIVE..." >&2
	exit 2
fi
if ! command -v "${NM:=nm}" >/dev/null; then
	echo "$0: skipped: no nm"
	exit 77
fi

allowed='malloc calloc realloc free memset memcpy memmove __assert_fail'
compilers='__*ti3 __*ti4 __asan_* __ubsan_* __tsan_* __msan_* __sanitizer_* __sancov_* __st*___sancov_* __gcov_* __llvm_* __gcc_*
	__stack_chk_fail __stack_chk_guard _GLOBAL_OFFSET_TABLE_ __memset_chk __memcpy_chk
	__memmove_chk __tls_get_addr'

symbols=$("$NM" -P "$@")
if [ -z "$symbols" ]; then
	echo "$0: no symbols in $*" >&2
	exit 1
fi
# "name U" is wanted; any other type, and lower-case v and w aside, is defined here
wanted=$(echo "$symbols" | awk '
	$2 == "U" || $2 == "v" || $2 == "w" { wants[$1] = 1; next }
	NF > 1 { defines[$1] = 1 }
	END { for (name in wants) if (!(name in defines)) print name }' | sort)

set -f
bad=
for name in $wanted; do
	ok=no
	for pattern in $allowed $compilers; do
		# shellcheck disable=SC2254 # it is a pattern
		case $name in
		$pattern) ok=yes ;;
		esac
	done
	[ $ok = yes ] || bad="$bad $name"
done
if [ -n "$bad" ]; then
	echo "$0: not pure:$bad" >&2
	exit 1
fi
echo "pure: $(echo "$wanted" | tr '\n' ' ')"
