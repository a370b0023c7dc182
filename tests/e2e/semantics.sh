#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What system calls on the files of the mount return: ends and alignment, punch and zero, holes, what
# is refused, what is only accepted, permissions, errors of the disk.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root
# the disk's errors are logged
ALLOWED_ERRORS='fuseband: [a-z0-9]+: (read|write|flush|discard) of .* failed|errors were not logged'
CASES=0

# is WANTED FLAGS FILE OP [ARG...]: what fileop says.
is() {
	local wanted=$1 got
	shift
	got=$(timeout 60 "$HELPERS/fileop" "$1" "$MNT/$2" "${@:3}" 2>&1)
	[ "$got" = "$wanted" ] || fail "$TOPIC: $* gives $got, should be $wanted"
	CASES=$((CASES + 1))
}

# refused ERRNO COMMAND...: the command fails and says what the errno means.
refused() {
	local why=$1
	shift
	! LC_ALL=C timeout 20 "$@" >"$WORK/out" 2>&1 || fail "$TOPIC: $* works"
	grep -q "$why" "$WORK/out" || fail "$TOPIC: $*: $(cat "$WORK/out"), not: $why"
	CASES=$((CASES + 1))
}

does() { # COMMAND...
	timeout 20 "$@" >"$WORK/out" 2>&1 || fail "$TOPIC: $* fails: $(cat "$WORK/out")"
	CASES=$((CASES + 1))
}

topic() {
	[ -z "${TOPIC:-}" ] || printf 'ok: %s (%s checks)\n' "$TOPIC" $CASES
	TOPIC=$1
	CASES=0
}

MIB=$((1 << 20))
truncate -s $MIB "$WORK/even.img"
truncate -s 1000003 "$WORK/odd.img"
truncate -s $MIB "$WORK/ignore.img"
truncate -s $MIB "$WORK/ro.img"
truncate -s $((4 * MIB)) "$WORK/shrink.img"
mkloop 4M
loop=$LOOP
# a filesystem that cannot punch holes, so a device that can neither discard nor zero
mkdir "$WORK/ramfs" "$WORK/small"
mount -t ramfs none "$WORK/ramfs" || fail "ramfs"
truncate -s 2M "$WORK/ramfs/img"
mkloop 2M "$WORK/ramfs/img"
plain=$LOOP
# a full filesystem below an image with holes
truncate -s 8M "$WORK/small.fs"
mkfs.ext4 -q -F -O ^has_journal "$WORK/small.fs" || fail "mkfs.ext4"
mount -o loop "$WORK/small.fs" "$WORK/small" || fail "mount"
truncate -s 32M "$WORK/small/img"
start_testdisk -s 4 -t 100 -b 64M -l "$WORK/disk.log"

ini "$WORK/fuseband.ini" <<END
[even]
path = $WORK/even.img
uid = 65534
gid = 65534
mode = 0640
[odd]
path = $WORK/odd.img
[ignore]
path = $WORK/ignore.img
discard = ignore
[ro]
path = $WORK/ro.img
readonly = yes
[shrink]
path = $WORK/shrink.img
[loop]
path = $loop
[plain]
path = $plain
[full]
path = $WORK/small/img
[disk]
path = $DISK
device = testdisk
[device:testdisk]
io_throttle = 8
[later]
path = $WORK/later.img
optional = yes
END
start_fuseband "$WORK/fuseband.ini"
align=$("$HELPERS/fileop" r "$MNT/odd" dioinfo | cut -d' ' -f2)
note "direct I/O on $WORK is aligned to $align"

topic "ends"
is 1000003 r odd size
is 1000003 r odd size64
is 3 r odd read 1000000 100
is 0 r odd read 1000003 100
is 0 r odd read 5000000 100
is $((1000003 % align)) r,direct odd read $((1000003 / align * align)) $((4 * align))
is 0 r,direct odd read $((1000003 / align * align + align)) "$align"
is 3 rw odd write 1000000 3 7
is same r odd check 1000000 3 7
is $((MIB - 48573)) rw odd write 0 1000003 9
is same r odd check 0 1000003 9
is ENOSPC rw odd write 1000003 1 1
is ENOSPC rw odd write 1000002 2 1
is ENOSPC rw odd write 999000 2000 1
is ENOSPC rw,direct odd write $((1000003 / align * align)) "$align" 1
is ENOSPC rw odd write 99999999 1 1
is ENOSPC rw,append odd write 0 10 1
is same r odd check 0 1000003 9
is 1000003 r odd size
is ENOSPC rw loop write $((4 * MIB)) 512 1
is ENOSPC rw,direct loop write $((4 * MIB - 512)) 1024 1
is 512 rw,direct loop write $((4 * MIB - 512)) 512 1
is 512 r,direct loop read $((4 * MIB - 512)) 4096
[ "$(stat -c %s "$WORK/odd.img")" = 1000003 ] || fail "the image has grown"

topic "alignment"
for file in even odd loop disk; do
	unit=$("$HELPERS/fileop" r "$MNT/$file" dioinfo | cut -d' ' -f2)
	is EINVAL r,direct $file read 0 1
	is EINVAL r,direct $file read 0 $((unit + 1))
	is EINVAL r,direct $file read 1 "$unit"
	is EINVAL r,direct $file read $((unit / 2)) "$unit"
	is EINVAL rw,direct $file write 0 1 5
	is EINVAL rw,direct $file write 0 $((unit - 1)) 5
	is EINVAL rw,direct $file write $((unit / 2)) "$unit" 5
	is "$unit" rw,direct $file write "$unit" "$unit" 6
	is same r,direct $file check "$unit" "$unit" 6
	for at in 1 511 513 4095 100001 131071; do
		for len in 1 2 511 513 4097 131073 300001; do
			is $len rw $file write $at $len $((len % 200 + 1))
			is same r $file check $at $len $((len % 200 + 1))
		done
	done
	is same r $file check $((100001 + 131073)) $((300001 - 131073)) $((300001 % 200 + 1))
done

topic "punch, zero, holes of an image"
is $MIB rw even write 0 $MIB 5
is 0 rw even punch 100 1000
is same r even check 100 1000 0
is same r even check 0 100 5
is same r even check 1100 1000 5
is 0 rw even zero 65536 131072
is same r even check 65536 131072 0
is 0 rw even punch 262144 262144
is 0 r even data 0
is 262144 r even hole 196608
is 524288 r even data 262144
is $MIB r even hole 524288
is ENXIO r even data $MIB
is ENXIO r even hole $MIB
is 0 rw even punch $((MIB - 4096)) 100000 # ends at the end
is same r even check $((MIB - 4096)) 4096 0
is 0 rw even punch $((2 * MIB)) 4096
is ENOSPC rw even zero $((MIB - 4096)) 8192
is 0 rw even alloc 262144 4096
is ENOSPC rw even grow $((MIB - 4096)) 8192
is $MIB r even size
is 1000003 r odd hole 900000
is 0 rw odd punch 999000 2000
is same r odd check 999000 1003 0
is 1000003 r odd size

topic "punch and zero of devices"
is $((2 * MIB)) rw loop write 0 $((2 * MIB)) 5
is 0 rw loop punch 4096 8192
is same r loop check 4096 8192 0
is 0 rw loop zero 65536 65536
is same r loop check 65536 65536 0
is same r loop check 12288 $((65536 - 12288)) 5
is EINVAL rw loop punch 100 512
is EINVAL rw loop zero 512 100
is 0 r loop data 0
is 4096 r loop data 4096
is $((4 * MIB)) r loop hole 0
is EOPNOTSUPP rw loop alloc 0 4096
is EOPNOTSUPP rw plain punch 0 4096
is EOPNOTSUPP rw plain zero 0 4096
is 4096 rw plain write 0 4096 3
is same r plain check 0 4096 3
is EOPNOTSUPP rw ignore punch 0 4096
is 0 rw ignore zero 0 4096
is 0 rw disk punch 1000000 2000000
is same r disk check 1000000 2000000 0

topic "what the mount refuses"
is EPERM rw even truncate 0
is EPERM rw even truncate $((2 * MIB))
is EPERM rw,trunc even open
is 0 rw even truncate $MIB
is EOPNOTSUPP rw even xattr
is ENOTTY r loop sectorsize
is $((4 * MIB)) r loop size64
is "4096 512 2147483136" r loop dioinfo
refused "Operation not permitted" touch "$MNT/new"
refused "Operation not permitted" mkdir "$MNT/new"
refused "Operation not permitted" mknod "$MNT/new" p
refused "Operation not permitted" ln -s even "$MNT/new"
refused "Operation not permitted" ln "$MNT/even" "$MNT/new"
refused "Operation not permitted" rm -f "$MNT/even"
refused "Operation not permitted" mv "$MNT/even" "$MNT/new"
refused "Operation not permitted" mv "$MNT/even" "$MNT/odd"
refused "No such file" stat "$MNT/new"

topic "what it accepts without effect"
does chmod 777 "$MNT/even"
does chown 1:1 "$MNT/even"
does touch -m "$MNT/even"
[ "$(stat -c %a:%u:%g "$MNT/even")" = 640:65534:65534 ] || fail "$TOPIC: $(stat "$MNT/even")"

topic "permissions"
is 4096 r ro read 0 4096
is EROFS rw ro open
is EROFS w ro open
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
other=(setpriv --reuid=12345 --regid=12345 --clear-groups)
group=(setpriv --reuid=12345 --regid=65534 --clear-groups)
chmod 711 "$WORK"
does "${nobody[@]}" dd if="$MNT/even" of="$MNT/even" bs=4k count=1 conv=notrunc
does "${group[@]}" cat "$MNT/even"
refused "Permission denied" "${group[@]}" dd if=/dev/zero of="$MNT/even" count=1 conv=notrunc
refused "Permission denied" "${other[@]}" cat "$MNT/even"
refused "Permission denied" "${nobody[@]}" cat "$MNT/odd"
refused "Operation not permitted" "${other[@]}" chmod 777 "$MNT/even"
does "${other[@]}" ls -l "$MNT"

topic "errors of the disk"
ctl "fail-write-at $((400 * 1024)) EIO"
is EIO rw,direct disk write 0 $MIB 1
is $((384 * 1024)) rw,direct disk write 0 $((384 * 1024)) 2
is EIO rw disk write $((400 * 1024)) 1 1
is same r,direct disk check 0 $((384 * 1024)) 2
ctl "clear" "fail-write-at $((600 * 1024)) ENOSPC" "fail-read-at $((200 * 1024)) EILSEQ"
is ENOSPC rw,direct disk write 0 $MIB 1
is EILSEQ r,direct disk read 0 $MIB
is EILSEQ rw disk write $((200 * 1024 + 7)) 9 1 # its block cannot be fetched
ctl "clear" "fail-write 6 EDQUOT"
is EDQUOT rw,direct disk write 0 $MIB 1
ctl "clear"
is $MIB rw,direct disk write 0 $MIB 3
is same r,direct disk check 0 $MIB 3

topic "two slices fail"
# the first slice is long, and fails after the second one has failed
ctl "per-byte 500"
for ((i = 0; i < 20; i++)); do
	ctl "fail-write-at 100 EILSEQ" "fail-write 2 EDQUOT" log-reset
	is EILSEQ rw,direct disk write 0 $((132 * 1024)) 4
	[ "$(awk '$4 == "done" { printf "%s ", $8 }' "$WORK/disk.log")" != "-122 -84 " ] || break
	ctl clear
done
[ $i -lt 20 ] || fail "$TOPIC: but not in that order: $(cat "$WORK/disk.log")"
ctl clear "per-byte 0"

# Short writes cannot be had from the test disk: FUSE makes EIO of one that io_uring started. A
# full filesystem, below, has them.
topic "short reads are continued"
is $MIB rw,direct disk write 0 $MIB 7
is 100001 rw disk write 3000001 100001 8
ctl "short-read 20"
is same r,direct disk check 0 $MIB 7
is same r disk check 3000001 100001 8
ctl clear

topic "a full filesystem"
for ((at = 0; at < 7 * MIB; at += MIB)); do
	[ "$("$HELPERS/fileop" rw,direct "$MNT/full" write $at $MIB 1)" = $MIB ] || break
done
is ENOSPC rw,direct full write $((9 * MIB)) $MIB 1
is ENOSPC rw full write $((9 * MIB + 7)) $MIB 1
is 0 rw full punch 0 $((32 * MIB))
is $MIB rw,direct full write $((8 * MIB)) $MIB 2
is same r full check $((8 * MIB)) $MIB 2

topic "a backing that shrank"
is $((4 * MIB)) rw shrink write 0 $((4 * MIB)) 5
truncate -s $((2 * MIB)) "$WORK/shrink.img"
is same r,direct shrink check 0 $((2 * MIB)) 5
is EIO r,direct shrink read $((2 * MIB)) $MIB
is EIO r,direct shrink read $((2 * MIB - 4096)) 8192
is EIO rw shrink write $((3 * MIB + 1)) 5 5
is $((4 * MIB)) r shrink size
is $MIB rw,direct shrink write $MIB $MIB 6

topic "an optional file that was absent"
is ENXIO r later open
truncate -s 8192 "$WORK/later.img"
reload_fuseband || fail "reload refused"
is 8192 r later size
is 4096 rw later write 4096 4096 1
is same r later check 4096 4096 1

topic "a backing that shrank, after a reload"
is same r,direct shrink check 0 $MIB 5
is EIO r,direct shrink read $((3 * MIB)) 4096
is EIO rw,direct shrink write $((3 * MIB)) 4096 5
is EIO rw shrink write $((3 * MIB + 1)) 5 5
is EIO rw,direct shrink write $((2 * MIB - 4096)) 8192 5
is $((4 * MIB)) r shrink size
[ "$(stat -c %s "$WORK/shrink.img")" = $((2 * MIB)) ] || fail "$TOPIC: the image has grown"

topic ""
stop_fuseband
