#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A disk that fails hurts its own files only. Errors on some or all requests, of a fault injector
# that others made (nbdkit's filters) and of the test disk; a disk that is slow, one that hangs for
# a while, one that hangs until we stop, short reads, one that is full, a device that went away, an
# image that was cut: whoever uses it gets the right errno, what was wrong works again as soon as
# the disk does, without a restart, and the neighbour, a client of another disk, does not notice:
# the p99 of its latency during the fault is at most 1.1 times that of before.
#
# Why 1.1 is a verdict here and not luck: the neighbour's disk takes 10 ms for a request and has a
# server for each of the 8 that are there at once, so that 10 ms of each latency are the test
# disk's clock; the processor has a millisecond for what it does in some 50 us. Before and during
# are a second each, one after the other, twice, with the same load on the victim in both, so that
# only the fault differs, and are 1600 requests each. What other programs do to it can only make it
# worse: one of three tries must hold.
#
# SOAK=1: the hang takes 30 s instead of 2.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need nbdkit nbdfuse mkfs.ext4
need_root
ALLOWED_ERRORS='.' # they are the point
HANG_SECONDS=2
[ -z "${SOAK:-}" ] || HANG_SECONDS=30
MIB=$((1 << 20))

# p99_us FROM TO: of the neighbour's reads that began from FROM to TO (log_now), and their number.
p99_us() {
	awk -v from="$1" -v to="$2" '$1 >= from && $1 < to { print $2 }' "$WORK/neighbour" | sort -n |
		awk '{ us[NR] = $1 } END { print NR ? us[int(NR * 0.99) + (NR >= 100 ? 0 : 1)] : 0, NR }'
}

median() {
	printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# errors FROM TO: those of the victim's requests that began from FROM to TO, each kind once.
errors() {
	awk -v from="$1" -v to="$2" '$1 >= from && $1 < to && $3 { print $3 }' "$WORK/victim" | sort -u | tr '\n' ' '
}

# undisturbed SECONDS ON OFF ERRORS: by the fault that ON (a command) makes and OFF ends. MISSED says
# why not. Of the victim it fails at once.
# shellcheck disable=SC2034
undisturbed() {
	local seconds=$1 round before=() during=() n=0 m=0 us count got
	for round in 1 2; do
		watch "$seconds"
		read -r us count < <(p99_us "$FROM" "$TO")
		before+=("$us") n=$((n + count))
		$2
		watch "$seconds"
		$3
		read -r us count < <(p99_us "$FROM" "$TO")
		during+=("$us") m=$((m + count))
		got=$(errors "$FROM" "$TO")
		[ "$got" = "$4" ] || fail "$TOPIC: its client gets: ${got:-no errors}, not: $4"
		sleep 0.1
	done
	us=$(median "${before[@]}")
	RATIO=$(calc "$(median "${during[@]}") / $us")
	MISSED="p99 of the neighbour $us us, $RATIO times that during it, $n and $m requests"
	note "$TOPIC: $MISSED"
	holds "$RATIO <= 1.1 && $m >= 0.9 * $n"
}

# fault TOPIC FILE ERRORS ON OFF [SECONDS]: with a client of FILE that goes on whatever happens to
# it, and is to get ERRORS (each followed by a space) meanwhile.
fault() {
	local file=$2 pid from
	TOPIC=$1
	"$HELPERS/latency" ${WRITES--w} -p 20000 "$MNT/$file" 8 >"$WORK/victim" &
	pid=$!
	sleep 0.2
	thrice "$TOPIC" undisturbed "${6:-1}" "$4" "$5" "$3"
	[ -z "$3" ] || works "$file"
	from=$(log_now)
	sleep 0.2
	kill $pid
	wait_pid 30 $pid
	[ $? != 124 ] || fail "$TOPIC: its client does not come back"
	same "" "$(errors "$from" inf)" || fail "$TOPIC: its client goes on getting errors"
	works "$file"
	printf 'ok: %s: the neighbour had %.2f times its p99; it works again\n' "$TOPIC" "$RATIO"
}

# is WANTED FLAGS FILE OP [ARG...]: what fileop says.
is() {
	local wanted=$1 got
	shift
	got=$(timeout 60 "$HELPERS/fileop" "$1" "$MNT/$2" "${@:3}" 2>&1)
	[ "$got" = "$wanted" ] || fail "$TOPIC: $* gives $got, should be $wanted"
}

works() { # FILE
	is 131072 rw,direct "$1" write 0 131072 9
	is same r,direct "$1" check 0 131072 9
	is 0 rw "$1" fsync
}

# nbd NAME NBDKIT-ARGS: $WORK/nbd.NAME/disk, 64 MiB, as nbdkit makes it.
nbd() {
	local dir=$WORK/nbd.$1
	mkdir "$dir"
	nbdfuse -o allow_other "$dir/disk" --command nbdkit -s memory 64M "${@:2}" 2>"$dir.err" &
	wait_for 10 test -s "$dir/disk" || fail "no nbdfuse: $(cat "$dir.err")"
}

# ---- the disks ----

start_testdisk -s 8 -t 10000 -b 64M
neighbour=$DISK
start_testdisk -s 8 -t 1000 -b 64M -l "$WORK/disk.log"
nbd some --filter=error error=EIO error-rate=20% error-file="$WORK/some"
nbd all --filter=error error-pwrite=ENOSPC error-pwrite-rate=100% error-pwrite-file="$WORK/all.w" \
	error-pread=EIO error-pread-rate=100% error-pread-file="$WORK/all.r"
nbd slow --filter=delay delay-read=200ms delay-write=200ms
truncate -s 64M "$WORK/cut.img" "$WORK/gone.img"
mkloop 64M "$WORK/gone.img"
truncate -s 24M "$WORK/small.fs"
mkfs.ext4 -q -F -O ^has_journal "$WORK/small.fs" || fail "mkfs.ext4"
mkdir "$WORK/small"
mount -o loop "$WORK/small.fs" "$WORK/small" || fail "mount"
truncate -s 64M "$WORK/small/img"
{
	section neighbour "path = $neighbour" "device = neighbour"
	section disk "path = $DISK" "device = disk"
	for name in some all slow; do
		section $name "path = $WORK/nbd.$name/disk" "device = $name"
		section device:$name "io_throttle = 16"
	done
	section cut "path = $WORK/cut.img"
	section gone "path = $LOOP"
	section full "path = $WORK/small/img"
	for name in neighbour disk; do
		section device:$name "io_throttle = 16"
	done
} | ini "$WORK/fuseband.ini"
start_fuseband "$WORK/fuseband.ini"
"$HELPERS/latency" "$MNT/neighbour" 8 >"$WORK/neighbour" &
sleep 0.5

# ---- errors ----

nothing() {
	:
}

some_on() {
	touch "$WORK/some"
}

some_off() {
	rm "$WORK/some"
}

fault "EIO on a fifth of the requests" some "EIO " some_on some_off
touch "$WORK/some"
for ((i = 0; i < 200; i++)); do
	timeout 20 "$HELPERS/fileop" r,direct "$MNT/some" read 0 4096
done | sort | uniq -c | awk '{ print $2 }' | sort | tr '\n' ' ' >"$WORK/out"
rm "$WORK/some"
same "4096 EIO " "$(cat "$WORK/out")" || fail "a fifth of the reads do not fail with EIO"
works some

all_on() {
	touch "$WORK/all.r" "$WORK/all.w"
}

all_off() {
	rm "$WORK/all.r" "$WORK/all.w"
}

fault "an error on every request" all "EIO ENOSPC " all_on all_off
all_on
is EIO r,direct all read 0 4096
is ENOSPC rw,direct all write 0 4096 1
is EIO rw all write 100 100 1 # its block cannot be read
is 4096 r,direct neighbour read 0 4096
all_off
works all

failing_on() {
	ctl "fail-read-at 0 EILSEQ" "fail-write-at 0 EDQUOT"
}

failing_off() {
	ctl clear
}

TOPIC="errors at one place"
failing_on
is EILSEQ r,direct disk read 0 4096
is EDQUOT rw,direct disk write 0 4096 1
is 4096 rw,direct disk write 4096 4096 1
failing_off
works disk

# ---- short ----

short_on() {
	ctl "short-read 1000000"
}

fault "every read is short" disk "" short_on failing_off
is $MIB rw,direct disk write 0 $MIB 7
short_on
is same r,direct disk check 0 $MIB 7
failing_off

# the middle of a request is where the space ends, so that its write is short
full_on() {
	fallocate -p -o 0 -l 64M "$WORK/small/img"
	dd if=/dev/zero of="$WORK/small/filler" bs=64k status=none 2>/dev/null
	truncate -s -98304 "$WORK/small/filler"
}

full_off() {
	rm -f "$WORK/small/filler"
	fallocate -p -o 0 -l 64M "$WORK/small/img"
}

TOPIC="a short write"
full_on
is ENOSPC rw,direct full write $((15 * MIB)) $MIB 1
full_off
works full
fault "a full file system" full "ENOSPC " full_on full_off

# ---- slow, and hanging ----

slow_on() {
	ctl "service 200000"
}

slow_off() {
	ctl "service 1000"
}

fault "a disk two hundred times as slow" disk "" slow_on slow_off
fault "a disk that always takes 200 ms" slow "" nothing nothing

hang_on() {
	ctl "hang on"
}

fault "a disk that hangs for $HANG_SECONDS s" disk "" hang_on failing_off $HANG_SECONDS

# ---- gone ----

# to the kernel, a device that was pulled out has no bytes left; a loop device keeps one page
gone_on() {
	truncate -s 4096 "$WORK/gone.img" && losetup -c "$LOOP"
}

gone_off() {
	truncate -s 64M "$WORK/gone.img" && losetup -c "$LOOP"
}

fault "a device that went away" gone "EIO " gone_on gone_off
gone_on
is EIO r,direct gone read 4096 4096
is EIO rw,direct gone write 4096 4096 1
is EIO rw gone punch 4096 4096
gone_off
losetup -d "$LOOP" # takes effect when we close it
works gone

cut_on() {
	truncate -s 4096 "$WORK/cut.img"
}

cut_off() {
	truncate -s 64M "$WORK/cut.img"
}

# reading alone: a write would make it longer again, until a reload has seen that it is shorter
WRITES= fault "an image that was cut" cut "EIO " cut_on cut_off
cut_on
is EIO r,direct cut read 8192 4096
is 4096 r,direct cut read 0 4096
cut_off
works cut

# ---- for ever ----

TOPIC="a disk that hangs until we stop"
watch 2
read -r before n < <(p99_us "$FROM" "$TO")
hang_on
timeout 60 "$HELPERS/fileop" rw,direct "$MNT/disk" write 0 4096 1 >"$WORK/forever" 2>&1 &
hung=$!

# shellcheck disable=SC2317,SC2034
still_undisturbed() {
	local us m
	watch 2
	read -r us m < <(p99_us "$FROM" "$TO")
	RATIO=$(calc "$us / $before")
	MISSED="p99 of the neighbour $before us, $RATIO times that now, $n and $m requests"
	note "$TOPIC: $MISSED"
	holds "$RATIO <= 1.1 && $m >= 0.9 * $n"
}

thrice "$TOPIC" still_undisturbed
kill -TERM "$FUSEBAND_PID"
sleep 0.5
kill -TERM "$FUSEBAND_PID" # do not wait for what hangs
wait_pid 20 "$FUSEBAND_PID"
[ $? != 124 ] || fail "$TOPIC: and so we do not"
wait $hung
same EIO "$(cat "$WORK/forever")" || fail "$TOPIC: its client is not told"
failing_off
FUSEBAND_PID=
echo "ok: $TOPIC: its client gets EIO then"
exit $failed
