#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is written is what is there: fio with verification, QEMU's tools, a filesystem on a loop
# device, a random test against a copy in memory; on image files of even and odd size and
# on partitions, whole and as ranges.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root

# promise TEXT COMMAND...: the command succeeds.
promise() {
	local text=$1
	shift
	timeout 120 "$@" >"$WORK/out" 2>&1 || fail "$text: $(tail -n 5 "$WORK/out")"
	printf 'ok: %s\n' "$text"
}

random_file() { # FILE BYTES
	head -c "$2" /dev/urandom >"$1" || fail "cannot write $1"
}

# fio_verify TEXT FILE ENGINE SIZE
fio_verify() {
	promise "$1" fio --name=verify --filename="$2" --direct=1 --ioengine="$3" --iodepth=32 \
		--rw=randwrite --bsrange=4k-1m --blockalign=4k --size="$4" --verify=crc32c --verify_state_save=0 \
		--verify_fatal=1 --verify_backlog=64 --fsync=50 --randrepeat=0
}

verifying() {
	local engine
	truncate -s 96M "$WORK/a.img"
	truncate -s 70M "$WORK/disk.img"
	LOOP=$(losetup -P -f --show "$WORK/disk.img") || skip "no loop device to be had"
	LOOPS+=("$LOOP") # with -P partitions go when it is detached
	if sgdisk -n 1:2048:+32M -n 2:0:+32M "$LOOP" >/dev/null; then
		partition 1
		one=$PART
		partition 2
		two=$PART
	else
		fail "cannot partition $LOOP"
	fi
	ini "$WORK/fuseband.ini" <<-END
		[a]
		path = $WORK/a.img
		[one]
		path = $one
		[two]
		path = $two
	END
	start_fuseband "$WORK/fuseband.ini"
	for engine in libaio io_uring; do
		fio_verify "fio $engine, image" "$MNT/a" $engine 96M
		fio_verify "fio $engine, partition" "$MNT/one" $engine 32M
	done
	promise "random operations, partition" "$HELPERS/fsx" -t 4 -p 512 -o "$WORK/two" "$MNT/two"
	stop_fuseband
	promise "the partition has what was written" cmp "$WORK/two" "$two"
	promise "partition 1 begins where it should" \
		cmp -n 1M "$one" "$WORK/disk.img" --ignore-initial=0:1M
	rm -f "$WORK/disk.img" "$WORK/a.img" "$WORK/two"
}

# Two ranges of an image and one of a device: what is around them stays as it is.
ranges() {
	random_file "$WORK/r.img" 8000123
	cp "$WORK/r.img" "$WORK/r.old"
	mkloop 8M
	random_file "$WORK/d.old" 8M
	dd if="$WORK/d.old" of="$LOOP" bs=1M conv=fsync status=none
	ini "$WORK/fuseband.ini" <<-END
		[first]
		path = $WORK/r.img
		offset = 1049088
		size = 1M
		[last]
		path = $WORK/r.img
		offset = 7M
		[middle]
		path = $LOOP
		offset = 3M
		size = 2M
	END
	start_fuseband "$WORK/fuseband.ini"
	promise "random operations, range of an image" "$HELPERS/fsx" -t 2 -o "$WORK/first" "$MNT/first"
	promise "random operations, odd end of an image" "$HELPERS/fsx" -t 2 -o "$WORK/last" "$MNT/last"
	promise "random operations, range of a device" \
		"$HELPERS/fsx" -t 2 -p 512 -o "$WORK/middle" "$MNT/middle"
	stop_fuseband
	{
		head -c 1049088 "$WORK/r.old"
		cat "$WORK/first"
		head -c 7M "$WORK/r.old" | tail -c +$((1049088 + 1048576 + 1))
		cat "$WORK/last"
	} >"$WORK/r.new"
	promise "ranges of an image, and what is around them" cmp "$WORK/r.new" "$WORK/r.img"
	{
		head -c 3M "$WORK/d.old"
		cat "$WORK/middle"
		tail -c 3M "$WORK/d.old"
	} >"$WORK/d.new"
	promise "range of a device, and what is around it" cmp "$WORK/d.new" "$LOOP"
	rm -f "$WORK"/?.new "$WORK"/?.old "$WORK/r.img"
}

# An image that has to be written in blocks of 4096, on ext4 on a disk of such sectors, of odd size;
# and one that refuses O_DIRECT.
other_backings() {
	local loop4k
	truncate -s 32M "$WORK/disk4k"
	loop4k=$(losetup -f --show -b 4096 "$WORK/disk4k") || fail "no loop device of 4096"
	LOOPS+=("$loop4k")
	mkfs.ext4 -q "$loop4k" || fail "mkfs.ext4"
	mkdir "$WORK/ext4" "$WORK/ramfs"
	mount "$loop4k" "$WORK/ext4" || fail "mount"
	mount -t ramfs none "$WORK/ramfs" || fail "ramfs"
	random_file "$WORK/ext4/img" 3000011
	random_file "$WORK/ramfs/img" 3000011
	ini "$WORK/fuseband.ini" <<-END
		[blocks]
		path = $WORK/ext4/img
		[buffered]
		path = $WORK/ramfs/img
		buffered = yes
	END
	start_fuseband "$WORK/fuseband.ini"
	[ "$("$HELPERS/fileop" r "$MNT/blocks" dioinfo | cut -d' ' -f2)" = 4096 ] ||
		fail "not announced as blocks of 4096"
	promise "random operations, blocks of 4096" \
		"$HELPERS/fsx" -t 3 -a 4096 -o "$WORK/blocks" "$MNT/blocks"
	promise "random operations, buffered" "$HELPERS/fsx" -t 2 -o "$WORK/buffered" "$MNT/buffered"
	stop_fuseband
	promise "blocks of 4096 have what was written" cmp "$WORK/blocks" "$WORK/ext4/img"
	promise "buffered image has what was written" cmp "$WORK/buffered" "$WORK/ramfs/img"
	umount "$WORK/ext4" "$WORK/ramfs"
	rm -f "$WORK/disk4k" "$WORK/blocks" "$WORK/buffered"
}

# 512-byte sectors, the size no multiple of 4096: QEMU has to find that out by itself.
odd_size() {
	local size=$((20 * 1048576 + 3 * 512)) end=$((20 * 1048576 + 2 * 512))
	need qemu-io qemu-img
	truncate -s $size "$WORK/odd.img"
	mkloop 0 "$WORK/odd.img" # a disk of that size
	truncate -s 1000003 "$WORK/tail.img"
	ini "$WORK/fuseband.ini" <<-END
		[odd]
		path = $LOOP
		[tail]
		path = $WORK/tail.img
	END
	start_fuseband "$WORK/fuseband.ini"
	[ "$("$HELPERS/fileop" r "$MNT/odd" dioinfo | cut -d' ' -f2)" = 512 ] ||
		fail "not announced as 512-byte sectors"
	qio() { # TEXT COMMAND...
		local text=$1 c args=()
		shift
		for c; do args+=(-c "$c"); done
		promise "$text" qemu-io -f raw -t none "${args[@]}" "$MNT/odd"
		! grep -qiE 'fail|error|pattern' "$WORK/out" || fail "$text: $(cat "$WORK/out")"
	}
	qio "QEMU opens an odd size with cache=none" "length"
	qio "QEMU writes the last sector" "write -P 0xa5 $end 512" "write -P 1 512 512" "flush"
	qio "QEMU reads it" "read -P 0xa5 $end 512" "read -P 0 0 512" "read -P 1 512 512" "read -P 0 1k 512"
	promise "random operations, odd size in sectors" "$HELPERS/fsx" -t 3 -p 512 "$MNT/odd"
	promise "random operations, odd size in bytes" \
		"$HELPERS/fsx" -t 3 -a "$("$HELPERS/fileop" r "$MNT/tail" dioinfo | cut -d' ' -f2)" \
		-o "$WORK/tail" "$MNT/tail"

	# One write of a sector is one write of a sector: QEMU does not read and modify.
	start_testdisk -b $size -t 0 -l "$WORK/disk.log"
	stop_fuseband
	cat >>"$WORK/fuseband.ini" <<-END
		[logged]
		path = $DISK
	END
	start_fuseband "$WORK/fuseband.ini"
	promise "QEMU's write of a sector" qemu-io -f raw -t none -c "write -P 7 1536 512" "$MNT/logged"
	grep -q ' W done 1536 512 ' "$WORK/disk.log" || fail "it is not in the disk's log"
	[ "$(grep -c ' W done ' "$WORK/disk.log")" = 1 ] || fail "it is more than one write"
	echo "ok: QEMU found the alignment of 512"
	stop_fuseband
	promise "the odd image has what was written" cmp "$WORK/tail" "$WORK/tail.img"
	rm -f "$WORK/tail" "$WORK"/{odd,tail}.img
}

converting() {
	need qemu-img
	truncate -s 48M "$WORK/source.raw"
	dd if=/dev/urandom of="$WORK/source.raw" bs=1M seek=3 count=9 conv=notrunc status=none
	dd if=/dev/urandom of="$WORK/source.raw" bs=4k seek=7777 count=900 conv=notrunc status=none
	qemu-img convert -f raw -O qcow2 "$WORK/source.raw" "$WORK/source.qcow2" || fail "qemu-img"
	random_file "$WORK/target.img" 48M # so that zeros have to be written
	# and a device that can neither zero nor discard
	mkdir -p "$WORK/ramfs"
	mount -t ramfs none "$WORK/ramfs" || fail "ramfs"
	random_file "$WORK/ramfs/img" 48M
	mkloop 0 "$WORK/ramfs/img"
	plain=$LOOP
	mkloop 48M
	ini "$WORK/fuseband.ini" <<-END
		[image]
		path = $WORK/target.img
		[device]
		path = $LOOP
		[plain]
		path = $plain
	END
	start_fuseband "$WORK/fuseband.ini"
	for file in image device plain; do
		promise "qemu-img convert to the $file" qemu-img convert -n -f qcow2 -O raw -T none -t none \
			"$WORK/source.qcow2" "$MNT/$file"
		promise "qemu-img compare with the $file" \
			qemu-img compare -T none -f qcow2 -F raw "$WORK/source.qcow2" "$MNT/$file"
		promise "QEMU zeroes and discards on the $file" qemu-io -f raw -t none -d unmap \
			-c "write -P 5 0 2M" -c "write -z 64k 128k" -c "write -z -u 512k 128k" \
			-c "discard 1M 256k" -c flush -c "read -P 0 64k 128k" -c "read -P 0 512k 128k" \
			-c "read -P 5 0 64k" -c "read -P 5 192k 320k" -c "read -P 5 640k 384k" \
			-c "read -P 5 1280k 768k" "$MNT/$file"
		! grep -qiE 'fail|error|pattern' "$WORK/out" || fail "QEMU, $file: $(cat "$WORK/out")"
	done
	stop_fuseband
	dd if="$WORK/source.raw" of="$WORK/target.img" bs=2M count=1 conv=notrunc status=none
	promise "the image is the source" cmp "$WORK/source.raw" "$WORK/target.img"
	rm -f "$WORK"/source.* "$WORK/target.img"
}

filesystem() {
	local i pids=()
	truncate -s 128M "$WORK/fs.img"
	ini "$WORK/fuseband.ini" <<<"[fs]${NL}path = $WORK/fs.img"
	start_fuseband "$WORK/fuseband.ini"
	promise "mkfs.ext4 through the mount" mkfs.ext4 -q -F "$MNT/fs"
	mkdir "$WORK/fs"
	promise "mount -o loop" mount -o loop "$MNT/fs" "$WORK/fs"
	for i in 1 2 3; do
		(
			cd "$WORK/fs" && mkdir $i && set -e
			for round in 1 2 3; do
				tar -C "$TESTS" -cf $i/tests.tar .
				mkdir $i/out.$round
				tar -C $i/out.$round -xf $i/tests.tar
				dd if=/dev/urandom of=$i/dd bs=64k count=64 oflag=direct conv=fsync status=none
				[ $round = 3 ] || rm -r $i/out.$round
				fstrim .
			done
			sync -f .
		) >"$WORK/out.$i" 2>&1 &
		pids+=($!)
	done
	for i in 1 2 3; do
		wait "${pids[i - 1]}" || fail "in the filesystem: $(cat "$WORK/out.$i")"
	done
	umount "$WORK/fs" || fail "umount"
	promise "mount it again" mount -o loop "$MNT/fs" "$WORK/fs"
	for i in 1 2 3; do
		promise "files of job $i" diff -r "$TESTS" "$WORK/fs/$i/out.3"
	done
	umount "$WORK/fs" || fail "umount"
	promise "e2fsck through the mount" e2fsck -fn "$MNT/fs"
	stop_fuseband
	promise "e2fsck of the image" e2fsck -fn "$WORK/fs.img"
}

NL=$'\n'
need fio sgdisk partx mkfs.ext4
verifying
ranges
other_backings
odd_size
converting
filesystem
