#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A thousand files: ranges of one image, in fifty groups. They start, are listed, served, reloaded
# and stopped in seconds, and reloads that turn all of them over leak nothing. The times are for
# information; the limits are generous.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need cmp
need_root

files=${FILES:-1000}
range=$((64 << 10))
conf=$WORK/fuseband.ini
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=1}

# config PREFIX WEIGHT: every file has its own weight; PREFIX makes all of them new files.
config() {
	awk -v prefix="$1" -v weight="$2" -v n="$files" -v range=$range -v path="$WORK/disk.img" '
		BEGIN {
			for (i = 0; i < 50; i++)
				printf "[group:g%d]\nweight = %d\n", i, i + 1
			for (i = 0; i < n; i++)
				printf "[%s%04d]\npath = %s\noffset = %.0f\nsize = %d\n" \
					"weight = %d\nparent = g%d\n",
					prefix, i, path, i * range, range, weight + i, i % 50
		}' | ini "$conf"
}

# timed TEXT SECONDS COMMAND...: the command succeeds within that time, which is told.
timed() {
	local text=$1 limit=$2 from took
	shift 2
	from=$(log_now)
	promise "$text" "$@"
	took=$(calc "($(log_now) - $from) / 1e6")
	note "it took $took s"
	promise "within $limit s" holds "$took <= $limit"
}

check() {
	"$FUSEBAND" --check -c "$conf" "$MNT" >"$WORK/check"
}

lists() { # PREFIX
	(cd "$MNT" && echo *) >"$WORK/listed"
	same "$files $1" "$(wc -w <"$WORK/listed") $(cut -c 1 "$WORK/listed")"
}

# Each file has the bytes of its range: all of them together are the image.
serves_all() { # PREFIX
	cat "$MNT/$1"* | cmp - "$WORK/disk.img"
}

turn_over() {
	local i
	for i in a b a b a b; do
		config $i 1
		reload_fuseband || return 1
	done
}

head -c $((files * range)) /dev/urandom >"$WORK/disk.img"
config a 1
timed "--check takes $files files" 10 check
timed "they start" 10 start_fuseband "$conf"
timed "they are listed" 5 lists a
timed "they serve" 30 serves_all a
config a 100
timed "a reload with other weights" 10 reload_fuseband
config b 100
timed "a reload that replaces all of them" 10 reload_fuseband
timed "they are listed" 5 lists b
fds=$(descriptors)
rss=$(rss_kib)
timed "they are replaced six times" 60 turn_over
note "descriptors $fds -> $(descriptors), VmRSS $rss -> $(rss_kib) KiB"
promise "that costs no descriptor" same "$fds" "$(descriptors)"
promise "nor memory: within 10 %" within "$(rss_kib)" "$rss" "$(calc "0.1 * $rss")"
promise "they serve" serves_all b
ini "$conf" <<-END
	[one]
	path = $WORK/disk.img
END
timed "a reload that leaves one file of the whole" 10 reload_fuseband
promise "it serves" cmp "$MNT/one" "$WORK/disk.img"
promise "both processes need few descriptors" holds "$(descriptors) < 70"
timed "it stops" 10 stop_fuseband
exit $failed
