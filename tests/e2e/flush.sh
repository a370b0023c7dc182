#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What a flush promises, read from the test disk's log: whatever was answered before it came
# is flushed at the disk before it is answered. And so for writes with O_DSYNC.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need mkfs.ext4 fallocate
need_root
ALLOWED_ERRORS='fuseband: [a-z0-9]+: (write|flush) of .* failed|errors were not logged'
log=$WORK/disk.log

# syncers WANTED [-d] FILE THREADS ROUNDS LENGTH
syncers() {
	local wanted=$1 got
	shift
	got=$(timeout 60 "$HELPERS/syncers" "$@" 2>&1)
	[ "$got" = "$wanted" ] || fail "syncers $*: $got, should be: $wanted"
}

# What the log shows of syncers with that many threads and rounds of that length.
stable() { # TEXT THREADS ROUNDS LENGTH
	awk -v threads="$2" -v rounds="$3" -v length_="$4" -f "$TESTS/flushlog.awk" "$log" >"$WORK/out" ||
		fail "$1: $(cat "$WORK/out")"
	printf 'ok: %s (%s)\n' "$1" "$(cat "$WORK/out")"
}

flushes() { # recv|done
	grep -c " F $1 .* disk [^ ]*$" "$log"
}

more_flushes() { # recv|done THAN
	[ "$(flushes "$1")" -gt "$2" ]
}

writes() { # recv|done NUMBER
	[ "$(grep -c " W $1 .* disk [^ ]*$" "$log")" -ge "$2" ]
}

start_testdisk -s 4 -t 300 -b 32M -n 2 -l "$log"
for throttle in auto 1 16; do
	two_disks_ini $throttle
	start_fuseband "$WORK/fuseband.ini"
	ctl log-reset
	syncers "0 failed" "$MNT/a" 16 15 4096
	stable "fsync, io_throttle $throttle" 16 15 4096
	ctl log-reset
	syncers "0 failed" "$MNT/a" 4 4 1M
	stable "fsync after 1 MiB, io_throttle $throttle" 4 4 1048576
	ctl log-reset
	syncers "0 failed" -d "$MNT/a" 16 15 4096
	stable "O_DSYNC of 4 KiB, io_throttle $throttle" 16 15 4096
	[ "$(flushes recv)" = 0 ] || fail "a flush beside the flag"
	ctl log-reset
	syncers "0 failed" -d "$MNT/a" 1 5 1M
	stable "O_DSYNC of 1 MiB, io_throttle $throttle" 1 5 1048576
	[ "$(flushes recv)" = 5 ] || fail "not one flush for each: $(flushes recv) for 5"
	ctl log-reset
	syncers "0 failed" -d "$MNT/a" 8 4 1M
	stable "O_DSYNC of 1 MiB, eight threads, io_throttle $throttle" 8 4 1048576
	stop_fuseband
done

two_disks_ini 64
start_fuseband "$WORK/fuseband.ini"

# The kernel lets one fsync() of a file through at a time, but any number of writes. The first one
# to be complete starts a flush, which hangs; the others, on their way to the disk already, have
# to wait for the next one, a single one.
ctl log-reset "servers 32" hang\ on
timeout 60 "$HELPERS/syncers" -d "$MNT/a" 16 1 256K >"$WORK/joined" 2>&1 &
pid=$!
wait_for 10 writes recv 32 || fail "the writes do not arrive"
ctl hang-fsync\ on hang\ off
wait_for 10 writes "done" 32 || fail "the writes are not done"
wait_for 10 more_flushes recv 0 || fail "no flush arrives"
sleep 0.3
[ "$(flushes recv)" = 1 ] || fail "a second flush while one is on its way"
got=$(timeout 5 "$HELPERS/fileop" r,direct "$MNT/a" read 0 4096)
[ "$got" = 4096 ] || fail "a read during a flush: $got"
got=$(timeout 5 "$HELPERS/fileop" rw,direct "$MNT/b" write 0 4096 1)
[ "$got" = 4096 ] || fail "a write of another file during a flush: $got"
kill -0 $pid || fail "the writes are answered before the flush: $(cat "$WORK/joined")"
ctl hang-fsync\ off
wait $pid
[ "$(cat "$WORK/joined")" = "0 failed" ] || fail "joined: $(cat "$WORK/joined")"
[ "$(flushes recv)" = 2 ] || fail "$(flushes recv) flushes for 16 writes that came during one"
stable "those that come during a flush are served by one later flush" 16 1 262144
ctl "servers 4"

# A flush of one file does not wait for that of another, although they share a scheduler.
ctl log-reset "disk:hang-fsync on"
timeout 60 "$HELPERS/fileop" rw "$MNT/a" fsync >"$WORK/fsync.a" &
pid=$!
wait_for 10 more_flushes recv 0 || fail "no flush arrives"
got=$(timeout 5 "$HELPERS/fileop" rw "$MNT/b" fsync)
[ "$got" = 0 ] || fail "b's flush, while a's hangs: $got"
ctl hang-fsync\ off
wait $pid
[ "$(cat "$WORK/fsync.a")" = 0 ] || fail "fsync of a: $(cat "$WORK/fsync.a")"
echo "ok: files do not wait for each other's flushes"
stop_fuseband

# Errors: of a disk that goes away under its user. Its end answers what is left with EIO.
start_testdisk -s 4 -t 300 -b 8M -l "$WORK/second.log"
ini "$WORK/fuseband.ini" <<<$'[a]\npath = '"$DISK"
start_fuseband "$WORK/fuseband.ini"
ctl hang-fsync\ on
log=$WORK/second.log
timeout 60 "$HELPERS/fileop" rw "$MNT/a" fsync >"$WORK/fsync.a" &
pid_a=$!
wait_for 10 more_flushes recv 0 || fail "no flush arrives"
timeout 60 "$HELPERS/syncers" -d "$MNT/a" 1 1 256K >"$WORK/joined" 2>&1 &
pid_b=$!
sleep 0.2
kill "$TESTDISK_PID"
wait $pid_a
[ "$(cat "$WORK/fsync.a")" = EIO ] || fail "an fsync that failed gives $(cat "$WORK/fsync.a")"
wait $pid_b
grep -q "1 failed" "$WORK/joined" || fail "a write that was not flushed: $(cat "$WORK/joined")"
echo "ok: the error of a flush reaches who asked for it"
stop_fuseband

# ---- what could not be written back ----

# The partial block at the end of an image goes through the page cache, and the disk below its file
# system turns out to be full only when it is written back. The kernel tells of that once to each open
# file description; both files of the image would be one.
mkdir "$WORK/small" "$WORK/fs"
mount -t tmpfs -o size=24M none "$WORK/small"
truncate -s 64M "$WORK/small/disk"
mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=0,nodiscard "$WORK/small/disk"
mkloop 0 "$WORK/small/disk"
mount "$LOOP" "$WORK/fs"
fallocate -l $((8 << 20 | 100)) "$WORK/fs/image"
sync -f "$WORK/fs/image"
{
	section a "path = $WORK/fs/image" "size = 4M"
	section b "path = $WORK/fs/image" "offset = 4M"
} | ini "$WORK/fuseband.ini"
start_fuseband "$WORK/fuseband.ini"
dd if=/dev/zero of="$WORK/small/rest" bs=64k status=none 2>/dev/null # all there is
got=$("$HELPERS/fileop" rw "$MNT/b" write $((4 << 20)) 100 1)
[ "$got" = 100 ] || fail "a write to the page cache: $got"
"$HELPERS/fileop" rw "$MNT/a" fsync >"$WORK/fsync.a"
got=$("$HELPERS/fileop" rw "$MNT/b" fsync)
case $got in
ENOSPC | EIO) ;; # as the kernel says it
*) fail "the flush of what could not be written back: $got; that of the other file, before: $(cat "$WORK/fsync.a")" ;;
esac
echo "ok: a write-back that failed is told to whose write it was, whoever flushes first"
stop_fuseband
umount "$WORK/fs"
