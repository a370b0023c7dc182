#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Broken configurations: each is refused three times, by --check, in the foreground and on the way
# to the background, with the same words and status 2, and nothing is mounted afterwards.
#
#     bad_conf.sh [REGEX]      only the cases whose names match

. "$(dirname "$0")/../lib.sh"

[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"
ONLY=${1:-}
N_CASES=0

mkdir "$WORK/conf"
cd "$WORK/conf" || exit 1
truncate -s 8M "$WORK/a.img" "$WORK/b.img"
A=$WORK/a.img
B=$WORK/b.img
POINT=$MNT
NL=$'\n'

is_mounted() {
	grep -qF " $MNT " /proc/self/mountinfo
}

# refuse NAME CHECK: ioband.ini is refused all three times; CHECK looks at what $WORK/err says.
refuse() {
	local name=$1 check=$2 mode status
	local -a args
	for mode in --check foreground background; do
		case $mode in
		--check) args=(--check -c ioband.ini "$POINT") ;;
		foreground) args=(-f -c ioband.ini "$POINT") ;;
		background) args=(-c ioband.ini -p "$WORK/pid" "$POINT") ;;
		esac
		timeout 30 "$FUSEBAND" "${args[@]}" >"$WORK/out" 2>"$WORK/err" </dev/null
		status=$?
		if [ $status != 2 ]; then
			cat ioband.ini "$WORK/err" >&2
			fail "$name ($mode): status $status"
		fi
		! is_mounted || fail "$name ($mode): something is mounted"
		"$check" "$name ($mode)"
	done
	N_CASES=$((N_CASES + 1))
}

wanted() {
	[[ $1 =~ $ONLY ]]
}

# bad NAME MESSAGE...: the configuration on stdin gets exactly these messages, each given without
# "fuseband: ioband.ini" in front of it.
bad() {
	local name=$1
	wanted "$name" || return 0
	shift
	cat >ioband.ini
	printf 'fuseband: ioband.ini%s\n' "$@" >"$WORK/expected"
	refuse "$name" same_messages
}

same_messages() {
	diff "$WORK/expected" "$WORK/err" >&2 || fail "$1: < expected and > said differ"
}

# machine NAME REGEX...: refused for a reason that only the machine shows; each matches a message.
machine() {
	local name=$1
	wanted "$name" || return 0
	shift
	cat >ioband.ini
	printf '%s\n' "$@" >"$WORK/expected"
	refuse "$name" matching_messages
}

matching_messages() {
	local regex
	while read -r regex; do
		if ! grep -qE '^fuseband: ioband\.ini:[0-9]+: \[' "$WORK/err" ||
			! grep -qiE -- "$regex" "$WORK/err"; then
			cat "$WORK/err" >&2
			fail "$1: no message like '$regex'"
		fi
	done <"$WORK/expected"
	! grep -qv '^fuseband: ' "$WORK/err" || fail "$1: $(grep -v '^fuseband: ' "$WORK/err")"
}

# good NAME: the configuration on stdin is accepted by --check.
good() {
	wanted "$1" || return 0
	cat >ioband.ini
	timeout 30 "$FUSEBAND" --check -c ioband.ini >"$WORK/out" 2>"$WORK/err" </dev/null ||
		fail "$1: refused: $(cat "$WORK/err")"
	[ ! -s "$WORK/err" ] || fail "$1: $(cat "$WORK/err")"
	N_CASES=$((N_CASES + 1))
}

# A case about one key of a file.
bad_key() { # KEY VALUE REASON
	bad "value: $1 = $2" ":3: [vm1] $1: \"$2\" $3" <<<"[vm1]${NL}path = $A${NL}$1 = $2"
}

# The same for other sections.
bad_key_in() { # SECTION KEY VALUE REASON
	bad "value: [$1] $2 = $3" ":4: [$1] $2: \"$3\" $4" \
		<<<"[vm1]${NL}path = $A${NL}[$1]${NL}$2 = $3"
}

repeat() { # COUNT CHARACTER
	printf "%$1s" "" | tr ' ' "$2"
}

# ---- what must not be refused, or the rest proves nothing ----

good "good: two files" <<<"[vm1]${NL}path = $A${NL}[vm2]${NL}path = $B${NL}weight = 400"
good "good: CRLF and BOM" < <(printf '\xef\xbb\xbf[vm1]\r\npath = %s\r\nweight = 5\r\n' "$A")
good "good: UTF-8 names" <<<"[výroční ☃.img]${NL}path = $A${NL}device = disk-ø"
good "good: comments, indented too" <<<"[vm1] # x${NL}path = $A ; x${NL}   ; x${NL}	# x${NL}"
good "good: a line of 198 bytes" <<<"[vm1]${NL}path = $A${NL}weight = $(repeat 188 0)5"
good "good: halves of an image" <<<"[l]${NL}path = $A${NL}size = 4M${NL}[r]${NL}path = $A${NL}offset = 4M"
good "good: read-only twice" <<<"[a]${NL}path = $A${NL}readonly = yes${NL}[b]${NL}path = $A${NL}readonly = yes"

# ---- lines ----

bad "line: empty file" ": no files to serve" </dev/null
bad "line: only comments" ": no files to serve" <<<"; nothing"
bad "line: no section of a file" ": no files to serve" <<<"[fuseband]${NL}workers = 1"
bad "line: a key before any section" ":1: weight: stands before any [section]" \
	<<<"weight = 5${NL}[vm1]${NL}path = $A"
bad "line: neither section nor key" ':3: "hello" is neither "[section]" nor "key = value"' \
	<<<"[vm1]${NL}path = $A${NL}hello"
bad "line: a key without a value" ":3: [vm1] weight: has no value" <<<"[vm1]${NL}path = $A${NL}weight ="
bad "line: a value without a key" ":3: [vm1] a value without a key" <<<"[vm1]${NL}path = $A${NL}= 5"
bad "line: [ without ]" ':3: "[" without "]"' <<<"[vm1]${NL}path = $A${NL}[vm2${NL}foo = 1"
bad "line: text after ]" ':1: text after "]"' <<<"[vm1] weight = 5${NL}path = $A"
bad "line: indented" ":3: the line is indented; it would continue the value above" \
	<<<"[vm1]${NL}path = $A${NL}  weight = 5"
bad "line: indented by a tab" ":4: the line is indented; it would continue the value above" \
	<<<"[vm1]${NL}path = $A${NL}${NL}	[vm2]"
bad "line: more of a value" ":3: the line is indented; it would continue the value above" \
	<<<"[vm1]${NL}path = $A${NL}    /more"
bad "line: 199 bytes" ":3: the line is 199 bytes long, at most 198 are allowed" \
	<<<"[vm1]${NL}path = $A${NL}weight = $(repeat 189 0)5"
bad "line: a comment of 300 bytes" ":3: the line is 300 bytes long, at most 198 are allowed" \
	<<<"[vm1]${NL}path = $A${NL};$(repeat 299 x)"
bad "line: a section of 300 bytes" ":3: the line is 300 bytes long, at most 198 are allowed" \
	<<<"[vm1]${NL}path = $A${NL}[$(repeat 298 x)]${NL}path = $B"
bad "line: 5000 bytes" ":3: the line is 5000 bytes long, at most 198 are allowed" \
	<<<"[vm1]${NL}path = $A${NL}$(repeat 5000 x)"
bad "line: NUL" ":3: the line contains a NUL byte" \
	< <(printf '[vm1]\npath = %s\nweight = 5\0000\n' "$A")
bad "line: control character" ':3: the line contains the control character \x1b' \
	< <(printf '[vm1]\npath = %s\nweight = 5\033[2J\n' "$A")
bad "line: # after a value" \
	':3: [vm1] weight: "5 # x" has a "#" in it: comments after a value begin with ";"' \
	<<<"[vm1]${NL}path = $A${NL}weight = 5 # x"

# ---- sections, keys and names ----

bad "section: unknown" ':3: [devise:x] unknown kind of section; did you mean "device:"?' \
	<<<"[vm1]${NL}path = $A${NL}[devise:x]"
bad "section: unknown, nothing like it" \
	":3: [vm:2] unknown kind of section; there are device:, group: and disk:, and file names have no colon" \
	<<<"[vm1]${NL}path = $A${NL}[vm:2]${NL}path = $B"
bad "section: twice" ":3: [vm1] is already at ioband.ini:1" <<<"[vm1]${NL}path = $A${NL}[vm1]${NL}path = $B"
bad "section: [fuseband] twice" ":4: [fuseband] is already at ioband.ini:1" \
	<<<"[fuseband]${NL}[vm1]${NL}path = $A${NL}[fuseband]"
bad "section: a group twice" ":4: [group:g] is already at ioband.ini:3" \
	<<<"[vm1]${NL}path = $A${NL}[group:g]${NL}[group:g]"
bad "section: a disk without a path" ":3: [disk:sda] path: is missing, every disk needs one" \
	<<<"[vm1]${NL}path = $A${NL}[disk:sda]${NL}weight = 5"
bad "section: a disk without a table" ":4: [disk:sda] path: \"$B\" has no partition table (GPT or MBR)" \
	<<<"[vm1]${NL}path = $A${NL}[disk:sda]${NL}path = $B"
bad "key: unknown" ':3: [vm1] wieght: unknown key; did you mean "weight"?' \
	<<<"[vm1]${NL}path = $A${NL}wieght = 5"
bad "key: nothing like it" ":3: [vm1] cache: unknown key; fuseband --help-config lists all" \
	<<<"[vm1]${NL}path = $A${NL}cache = none"
bad "key: of another section" ":3: [vm1] io_throttle: unknown key here; it belongs to [device:NAME]" \
	<<<"[vm1]${NL}path = $A${NL}io_throttle = 4"
bad "key: twice" ":4: [vm1] weight: is already set in line 3" \
	<<<"[vm1]${NL}path = $A${NL}weight = 5${NL}weight = 5"
bad "key: 50 bytes" ":3: [vm1] $(repeat 50 k): the key is 50 bytes long, at most 49 are allowed" \
	<<<"[vm1]${NL}path = $A${NL}$(repeat 50 k) = 5"
bad "key: path is missing" ":1: [vm1] path: is missing, every file needs one" <<<"[vm1]${NL}weight = 5"
bad "name: 50 bytes" ":1: [$(repeat 50 n)] the name in brackets is 50 bytes long, at most 49 are allowed" \
	<<<"[$(repeat 50 n)]${NL}path = $A"
bad "name: a device of 50 bytes" ":3: [vm1] device: \"$(repeat 50 n)\" is longer than 49 bytes" \
	<<<"[vm1]${NL}path = $A${NL}device = $(repeat 50 n)"
bad "name: empty" ":1: [] the name is empty" <<<"[]${NL}path = $A"
bad "name: a slash" ':1: [a/b] the name contains "/"' <<<"[a/b]${NL}path = $A"
bad "name: a leading dot" ':1: [.fuseband] the name begins with "."' <<<"[.fuseband]${NL}path = $A"
bad "name: .." ':1: [..] the name begins with "."' <<<"[..]${NL}path = $A"
bad "name: a blank around it" ":1: [ vm1 ] the name begins or ends with a blank" <<<"[ vm1 ]${NL}path = $A"
bad "name: reserved" ":3: [group:fuseband] the name is reserved" <<<"[vm1]${NL}path = $A${NL}[group:fuseband]"
bad "name: reserved device" ':3: [vm1] device: "fuseband" is reserved' \
	<<<"[vm1]${NL}path = $A${NL}device = fuseband"
bad "name: not UTF-8" ':1: [\xe9] the name is not valid UTF-8' < <(printf '[\351]\npath = %s\n' "$A")

# ---- values ----

bad_key weight 0 "is not a number from 1 to 10000"
bad_key weight 10001 "is not a number from 1 to 10000"
bad_key weight abc "is not a number from 1 to 10000"
bad_key weight -1 "is not a number from 1 to 10000"
bad_key weight 99999999999999999999 "is not a number from 1 to 10000"
bad_key offset 1000 "is not a multiple of 512"
bad_key offset 10x "is not a size from 0 to 2097152T"
bad_key size 1.5M "is not a size from 0 to 2097152T"
bad_key size 16777216T "is not a size from 0 to 2097152T"
bad_key discard unmap "is not pass or ignore"
bad_key readonly true "is not yes or no"
bad_key buffered 1 "is not yes or no"
bad_key uid "no such user" "is not a user name or number"
bad_key gid 4294967295 "is not a group name or number"
bad_key mode 1777 "is not an octal number from 0 to 0777"
bad_key mode 668 "is not an octal number from 0 to 0777"
bad_key burst 5 "is not a time (us, ms, s) from 0 to 3600s"
bad_key burst 3601s "is not a time (us, ms, s) from 0 to 3600s"
bad_key class high "is not realtime, normal or idle"
bad_key max_iops 1K "is not a number of I/Os per second from 0 to 1000000000"
bad_key max_write_iops -1 "is not a number of I/Os per second from 0 to 1000000000"
bad_key min_bps 10T "is not a number of bytes per second from 0 to 9T"
bad_key max_read_bps fast "is not a number of bytes per second from 0 to 9T"
bad_key iops_size 100 "is not a size from 512 to 1G"
bad_key parent nobody "is not declared: there is no [group:nobody]"
bad_key device a/b 'contains "/"'
bad_key_in fuseband workers 65 "is not auto or a number from 1 to 64"
bad_key_in fuseband memory 1M "is not auto or a size from 16M to 1024T"
bad_key_in fuseband log_level verbose "is not error, warning, info or debug"
bad_key_in fuseband supervise maybe "is not yes or no"
bad_key_in fuseband gid nosuchgroup "is not a group name or number"
bad_key_in device:d policy fair "is not cost, weight or weight-iosize"
bad_key_in device:d io_throttle 0 "is not auto or a number from 1 to 4096"
bad_key_in device:d isolation full "is not auto, strict or throughput"
bad_key_in device:d latency_target 11s "is not a time (us, ms, s) from 0 to 10s"
bad_key_in device:d latency_target 5 "is not a time (us, ms, s) from 0 to 10s"
bad_key_in device:d read_iops 10K "is not auto or a number of I/Os per second from 1 to 1000000000"
bad_key_in group:g weight 1.0 "is not a number from 1 to 10000"
bad_key_in group:g min_iops auto "is not a number of I/Os per second from 0 to 1000000000"
bad_key_in group:g burst 10 "is not a time (us, ms, s) from 0 to 3600s"
bad "value: a relative path" ':2: [vm1] path: "a.img" is not an absolute path' <<<"[vm1]${NL}path = a.img"
bad "value: a quoted path" ":2: [vm1] path: \"\"$A\"\" is not an absolute path; write it without quotes" \
	<<<"[vm1]${NL}path = \"$A\""

# ---- groups, and everything at once ----

bad "group: undeclared parent of a group" \
	':4: [group:a] parent: "b" is not declared: there is no [group:b]' \
	<<<"[vm1]${NL}path = $A${NL}[group:a]${NL}parent = b"
bad "group: its own parent" ':4: [group:a] parent: "a" makes a cycle: a -> a' \
	<<<"[vm1]${NL}path = $A${NL}[group:a]${NL}parent = a"
bad "group: a cycle of three" ':4: [group:a] parent: "b" makes a cycle: a -> b -> c -> a' <<EOF
[vm1]
path = $A
[group:a]
parent = b
[group:b]
parent = c
[group:c]
parent = a
EOF
bad "all: in one run, in their order" \
	':1: [vm1] path: is missing, every file needs one' \
	':2: [vm1] weight: "x" is not a number from 1 to 10000' \
	':3: [vm1] parent: "nobody" is not declared: there is no [group:nobody]' \
	':5: the line is indented; it would continue the value above' \
	':6: [fuseband] wrokers: unknown key; did you mean "workers"?' \
	':8: [group:g] parent: "g" makes a cycle: g -> g' \
	':9: [vm1] is already at ioband.ini:1' <<EOF
[vm1]
weight = x
parent = nobody
[fuseband]
 workers = 1
wrokers = 1
[group:g]
parent = g
[vm1]
EOF

# ---- promises that cannot be kept ----

never="allows, and could never be met: lower it, or raise the cap"
bad "promise: above the own cap" ":4: [vm1] min_iops: \"500\" is more than max_iops = 300 $never" \
	<<<"[vm1]${NL}path = $A${NL}max_iops = 300${NL}min_iops = 500"
bad "promise: above both directions" \
	":3: [vm1] min_bps: \"3M\" is more than max_read_bps + max_write_bps = 2M $never" \
	<<<"[vm1]${NL}path = $A${NL}min_bps = 3M${NL}max_read_bps = 1M${NL}max_write_bps = 1M"
bad "promise: bytes above a cap on I/Os" \
	":3: [vm1] min_bps: \"100M\" is more than max_iops = 100 of iops_size = 32K $never" \
	<<<"[vm1]${NL}path = $A${NL}min_bps = 100M${NL}max_iops = 100"
bad "promise: above the cap of a group above" \
	":3: [vm1] min_bps: \"2M\" is more than max_bps = 1M of [group:top] $never" <<EOF
[vm1]
path = $A
min_bps = 2M
parent = inner
[group:inner]
parent = top
[group:top]
max_bps = 1M
EOF
bad "promise: of a group, above the cap of a group above" \
	":5: [group:inner] min_iops: \"11\" is more than max_iops = 10 of [group:top] $never" <<EOF
[vm1]
path = $A
parent = inner
[group:inner]
min_iops = 11
parent = top
[group:top]
max_iops = 10
EOF
bad "promise: to all members of a group together" \
	":9: [group:g] promises its members min_iops = 120 together, more than max_iops = 100 allows: lower theirs, or raise the cap" <<EOF
[vm1]
path = $A
parent = g
min_iops = 60
[vm2]
path = $B
parent = g
min_iops = 60
[group:g]
max_iops = 100
EOF
bad "promise: more than the disk can do" \
	":1: [device:d] its files and groups are promised 1500 IO/s, which is 150.0 % of it in reads (read_iops=1000) and 300.0 % of it in writes (write_iops=500): lower min_iops and min_bps, or correct what it can do" <<EOF
[device:d]
read_iops = 1000
write_iops = 500
[vm1]
path = $A
device = d
min_iops = 1000
[group:g]
min_iops = 500
[vm2]
path = $B
parent = g
min_iops = 300
EOF

# told NAME LINE: the configuration on stdin is accepted, and --check says this as well.
told() {
	local name=$1
	wanted "$name" || return 0
	good "$name"
	grep -qxF -- "$2" "$WORK/out" || {
		cat "$WORK/out" >&2
		fail "$name: not said: $2"
	}
}

told "promise: more than the disk can write" \
	"ioband.ini:1: [device:d] its files and groups are promised 1000 IO/s, which is 200.0 % of it in writes (write_iops=500): they cannot rely on that while it writes" \
	<<<"[device:d]${NL}read_iops = 1000${NL}write_iops = 500${NL}[vm1]${NL}path = $A${NL}device = d${NL}min_iops = 1000"
told "promise: what it comes to" \
	"  promised: 1000 IO/s, at least 50.0 % of the disk in reads" \
	<<<"[device:d]${NL}read_iops = 2000${NL}[vm1]${NL}path = $A${NL}device = d${NL}min_iops = 1000"
told "no effect: burst without a cap" \
	"ioband.ini:3: [vm1] burst: has no effect: it is saved up of a max_* of the same section, and there is none" \
	<<<"[vm1]${NL}path = $A${NL}burst = 5s"
told "no effect: iops_size without a limit" \
	"ioband.ini:4: [group:g] iops_size: has no effect: it is what the *_iops of the same section count in, and there are none" \
	<<<"[vm1]${NL}path = $A${NL}[group:g]${NL}iops_size = 4K"
told "limits: shown" \
	"  vm1     100      100.0 %  100.0 %  class=idle min_iops=5 max_bps=20M burst=5s" \
	<<<"[vm1]${NL}path = $A${NL}class = idle${NL}min_iops = 5${NL}max_bps = 20M${NL}burst = 5000ms"
told "device: shown" "  isolation=strict latency_target=5ms" \
	<<<"[vm1]${NL}path = $A${NL}device = d${NL}[device:d]${NL}isolation = strict${NL}latency_target = 5000us"

# ---- the files themselves ----

if wanted "file: ioband.ini.d"; then
	mkdir ioband.ini.d
	printf '[vm1]\npath = %s\n' "$B" >ioband.ini.d/20-b.ini
	printf '[vm2]\nweight = 0\npath = %s\n' "$B" >ioband.ini.d/10-a.ini
	echo junk >ioband.ini.d/.hidden.ini
	echo junk >ioband.ini.d/notes.txt
	bad "file: ioband.ini.d" \
		'.d/10-a.ini:2: [vm2] weight: "0" is not a number from 1 to 10000' \
		'.d/20-b.ini:1: [vm1] is already at ioband.ini:1' <<<"[vm1]${NL}path = $A"
	rm -r ioband.ini.d
fi

# unreadable NAME MESSAGE: ioband.ini was made by the caller.
unreadable() {
	printf 'fuseband: ioband.ini%s\n' "$2" >"$WORK/expected"
	refuse "$1" same_messages
	rm -rf ioband.ini
}
if wanted "file: unreadable"; then
	rm -rf ioband.ini
	unreadable "file: missing" ": cannot be read: No such file or directory"
	mkdir ioband.ini
	unreadable "file: a directory" ": cannot be read: Is a directory"
	mkfifo ioband.ini
	unreadable "file: a FIFO" ": is not a regular file"
	truncate -s $(((16 << 20) + 1)) ioband.ini
	unreadable "file: more than 16M" ": is larger than 16M"
fi

# ---- the mount point, where nothing is wrong with the configuration ----

# no_mountpoint NAME POINT MESSAGE
no_mountpoint() {
	wanted "mount point: $1" || return 0
	printf '[vm1]\npath = %s\n' "$A" >ioband.ini
	printf 'fuseband: %s\n' "$3" >"$WORK/expected"
	POINT=$2 refuse "mount point: $1" same_messages
}

no_mountpoint "missing" "$MNT/typo" "mount point $MNT/typo: No such file or directory"
no_mountpoint "below a file" "$A/x" "mount point $A/x: Not a directory"
no_mountpoint "a file" "$A" "$A: the mount point is not a directory: name one"

# ---- the machine: paths ----

one_path() { # NAME PATH REGEX
	machine "machine: $1" ":2: \\[vm1\\] path: .*$3" <<<"[vm1]${NL}path = $2"
}

mkdir "$WORK/directory"
mkfifo "$WORK/fifo"
: >"$WORK/empty"
ln -s circle "$WORK/circle"
ln -s "$A" "$WORK/symlink"
ln "$A" "$WORK/hardlink"
: >"$MNT/below"
one_path "missing" "$WORK/nothing" "does not exist"
one_path "missing device" "/dev/no/such/disk" "does not exist"
one_path "directory" "$WORK/directory" "directory"
one_path "FIFO" "$WORK/fifo" "FIFO|pipe"
one_path "character device" /dev/null "character device"
one_path "empty image" "$WORK/empty" "empty"
ln -s fifo "$WORK/to-fifo"
ln -s nothing "$WORK/to-nothing"
if command -v socat >/dev/null; then
	socat "UNIX-LISTEN:$WORK/socket" - <>"$WORK/fifo" >/dev/null 2>&1 &
	wait_for 5 test -S "$WORK/socket"
	one_path "socket" "$WORK/socket" "socket"
	kill $!
	wait $! 2>/dev/null
fi
one_path "link to a FIFO" "$WORK/to-fifo" "FIFO"
one_path "link to nothing" "$WORK/to-nothing" "does not exist"
one_path "standard input" /dev/stdin "character device|FIFO|does not exist"
one_path "a descriptor of the daemon, which leads to a file" /proc/self/fd/2 "empty"
one_path "a descriptor that is not there" /dev/fd/777 "does not exist"
one_path "FUSE itself" /dev/fuse "character device"
one_path "circle of links" "$WORK/circle" "symbolic links"
one_path "file as a directory" "$A/x" "Not a directory"
one_path "below the mount point" "$MNT/below" "mount"
one_path "the mount point itself" "$MNT" "mount|directory"
machine "machine: every one of them" ":2: .*does not exist" ":4: .*directory" ":6: .*empty" <<EOF
[vm1]
path = $WORK/nothing
[vm2]
path = $WORK/directory
[vm3]
path = $WORK/empty
EOF
machine "machine: offset beyond the end" "\\[vm1\\] offset: .*beyond" <<<"[vm1]${NL}path = $A${NL}offset = 8M"
machine "machine: size beyond the end" "\\[vm1\\] size: .*beyond" \
	<<<"[vm1]${NL}path = $A${NL}offset = 1M${NL}size = 8M"

# ---- the machine: overlaps ----

overlap() { # NAME PATH1 PATH2
	machine "machine: overlap, $1" "\\[vm[12]\\] .*(overlap|in use|busy|attached|already)" \
		<<<"[vm1]${NL}path = $2${NL}[vm2]${NL}path = $3"
}

overlap "the same image" "$A" "$A"
overlap "another spelling" "$A" "$WORK/./directory/../a.img"
overlap "a symbolic link" "$A" "$WORK/symlink"
overlap "a hard link" "$A" "$WORK/hardlink"
machine "machine: overlap, of ranges" "\\[right\\] offset: .*overlap" <<EOF
[left]
path = $A
size = 4M
[right]
path = $A
offset = 3M
EOF
machine "machine: overlap, a range of it all" "\\[part\\] .*overlap" <<EOF
[all]
path = $A
[part]
path = $A
offset = 4M
size = 512K
EOF
machine "machine: overlap, with a reader" "overlap" <<EOF
[writer]
path = $A
[reader]
path = $A
readonly = yes
EOF

# ---- the machine: disks ----

machine "machine: two schedulers for one disk" "two schedulers|same .*disk|one disk" <<EOF
[vm1]
path = $A
device = a
[vm2]
path = $B
device = b
[device:a]
[device:b]
EOF
machine "machine: two undeclared schedulers" "two schedulers|same .*disk|one disk" <<EOF
[vm1]
path = $A
device = a
[vm2]
path = $B
device = b
EOF
machine "machine: two sections for one disk" "two schedulers|same .*disk|one disk" <<EOF
[vm1]
path = $A
[device:a]
path = $A
[device:b]
path = $B
EOF
machine "machine: a device that is not there" ":4: \\[device:a\\] path: .*does not exist" \
	<<<"[vm1]${NL}path = $A${NL}[device:a]${NL}path = /dev/no/such/disk"

# ---- the machine: who else uses it ----

if command -v qemu-io >/dev/null && wanted "machine: open in QEMU"; then
	mkfifo "$WORK/qemu"
	qemu-io -f raw "$B" <"$WORK/qemu" >"$WORK/qemu.out" 2>&1 &
	exec 8>"$WORK/qemu"
	echo "read 0 512" >&8
	wait_for 20 grep -q "read 512" "$WORK/qemu.out" || fail "qemu-io did not start"
	one_path "open in QEMU" "$B" "QEMU|in use|busy"
	exec 8>&-
	wait
fi

# ---- block devices ----

# Partition 1 of the loop device in $LOOP; sets PART. No partition table, which not every kernel
# can read.
partition_loop() {
	local name=${LOOP#/dev/} dev
	addpart "$LOOP" 1 2048 16384 2>/dev/null || return 1
	dev=$(cat "/sys/block/$name/${name}p1/dev") || return 1
	PART=$WORK/part1
	mknod "$PART" b "${dev%:*}" "${dev#*:}"
}

if [ "$(id -u)" = 0 ] && losetup -f >/dev/null 2>&1 && wanted "machine: block devices"; then
	mkloop 8M "$WORK/a.img"
	overlap "a loop device and its file" "$LOOP" "$A"
	overlap "a file and its loop device" "$A" "$LOOP"
	first=$LOOP
	mkloop 8M "$WORK/a.img"
	overlap "two loop devices of one file" "$first" "$LOOP"

	truncate -s 32M "$WORK/disk.img"
	LOOP=$(losetup -P -f --show "$WORK/disk.img") || fail "no loop device"
	LOOPS+=("$LOOP") # with -P partitions go when it is detached
	if command -v perl >/dev/null; then
		perl -MFcntl -e '
			sysopen(my $disk, $ARGV[0], O_RDWR | O_EXCL) or die "$!\n";
			open(my $ready, ">", $ARGV[1]) or die "$!\n";
			sleep 600' "$LOOP" "$WORK/busy" &
		wait_for 10 test -e "$WORK/busy" || fail "could not make $LOOP busy"
		one_path "busy" "$LOOP" "in use|busy"
		kill $!
		wait $! 2>/dev/null
	fi
	if partition_loop; then
		overlap "a disk and its partition" "$LOOP" "$PART"
		overlap "a partition and its disk" "$PART" "$LOOP"
		machine "machine: overlap, a partition and a range of its disk" \
			"overlap|in use|busy|already" <<-EOF
			[part]
			path = $PART
			[disk]
			path = $LOOP
			offset = 2M
			size = 1M
		EOF
		if command -v mkfs.ext4 >/dev/null; then
			mkdir "$WORK/fs"
			if ! mkfs.ext4 -q "$PART" || ! mount "$PART" "$WORK/fs"; then
				fail "could not mount $PART"
			fi
			one_path "mounted" "$PART" "mounted"
			one_path "a disk with a mounted partition" "$LOOP" "mounted|in use|busy"
			umount "$WORK/fs"
		fi
	else
		note "no partitions on loop devices here: cases left out"
	fi
	mkloop 0 2>/dev/null
	one_path "a device of no size" "$LOOP" "empty"
else
	note "no loop devices here: cases left out"
fi

[ -n "$ONLY" ] || [ $N_CASES -ge 100 ] || fail "only $N_CASES cases were run"
note "$N_CASES configurations"
