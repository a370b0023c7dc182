#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Writes that do not fill their blocks are a read, a merge and a write, and nobody's bytes get lost
# between: unaligned writers race with each other in the same blocks, with aligned direct
# writers of the blocks next to them, and with punches, each verifying its own bytes. On an image
# of odd size (its last page is written through the page cache, beside direct writes of the
# same page), on ranges that begin off a page, on block devices of 512 and 4096-byte sectors, and
# on a test disk, slow enough that everything overlaps. Seeds are printed; SEED=... runs one again.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root
seed=()
[ -z "${SEED:-}" ] || seed=(-s "$SEED")

# race NAME FILE [OPTION...]: leaves what must be in FILE in $WORK/NAME.
race() {
	local name=$1 file=$2 unit
	shift 2
	unit=$("$HELPERS/fileop" r "$file" dioinfo | cut -d' ' -f2)
	timeout 100 "$HELPERS/rmw" -a "$unit" "${seed[@]}" -o "$WORK/$name" "$@" "$file" \
		>"$WORK/$name.out" 2>&1 || fail "$name: $(cat "$WORK/$name.out")"
	note "$(head -n 1 "$WORK/$name.out" | sed "s|$WORK/||")"
	printf 'ok: %s: %s\n' "$name" "$(sed -n '2s/rmw: //p' "$WORK/$name.out")"
}

same() { # NAME FILE FROM BYTES
	cmp "$WORK/$1" <(tail -c +$(($3 + 1)) "$2" | head -c "$4") >"$WORK/out" 2>&1 ||
		fail "$1: the backing differs: $(cat "$WORK/out")"
}

odd=200003 # bytes: few blocks, so that the threads meet
head -c $odd /dev/urandom >"$WORK/odd.img"
head -c $((65536 + 6000)) /dev/urandom >"$WORK/shifted.img"
mkloop 256K
sectors512=$LOOP
truncate -s 1M "$WORK/loop4k.img"
sectors4k=$(losetup -f --show -b 4096 "$WORK/loop4k.img") || skip "no loop device of 4096"
LOOPS+=("$sectors4k")
# blocks of the filesystem smaller than a page
truncate -s 32M "$WORK/ext4.img"
mkfs.ext4 -q -F -b 1024 "$WORK/ext4.img" || fail "mkfs.ext4"
mkdir "$WORK/ext4"
mount -o loop "$WORK/ext4.img" "$WORK/ext4" || fail "mount"
head -c $odd /dev/urandom >"$WORK/ext4/img"
start_testdisk -s 8 -t 500 -b 100001

ini "$WORK/fuseband.ini" <<END
[odd]
path = $WORK/odd.img
[ext4]
path = $WORK/ext4/img
[shifted1]
path = $WORK/shifted.img
size = 66048
[shifted2]
path = $WORK/shifted.img
offset = 66048
[sectors512]
path = $sectors512
[sectors4k]
path = $sectors4k
[disk]
path = $DISK
END
start_fuseband "$WORK/fuseband.ini"

race odd "$MNT/odd" -t 4
race odd-tail "$MNT/odd" -t 4 -r $((odd / 4096 * 4096 - 4096)) -u 4 -d 4
race ext4-tail "$MNT/ext4" -t 4 -r $((odd / 4096 * 4096)) -u 4 -d 4
race sectors512 "$MNT/sectors512" -t 4 -p 512
race sectors4k "$MNT/sectors4k" -t 4 -p 4096
race disk "$MNT/disk" -t 4
race disk-tail "$MNT/disk" -t 4 -r $((100001 - 5000)) -u 6 -d 6
# the end of one range and the beginning of the next are in one page
race shifted1 "$MNT/shifted1" -t 5 -r 61440 -u 2 -d 2 &
pid=$!
race shifted2 "$MNT/shifted2" -t 5 -u 3 -d 3 && wait $pid || exit 1
stop_fuseband
same odd-tail "$WORK/odd.img" 0 $odd
same ext4-tail "$WORK/ext4/img" 0 $odd
same shifted1 "$WORK/shifted.img" 0 66048
same shifted2 "$WORK/shifted.img" 66048 5488
same sectors512 "$sectors512" 0 $((256 << 10))
same sectors4k "$sectors4k" 0 $((1 << 20))
same disk-tail "$DISK" 0 100001
echo "ok: the backings have what was written"
