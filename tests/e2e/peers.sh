#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checks of those who use such files for a living: several processes each of which has a part of one
# file for itself, with all operations at all alignments; QEMU's tools with every way they have to
# do I/O, on an image with an odd end and on a block device: random sequences of writes, zeroes and
# discards against a model of them, compare and convert, a benchmark's requests, and a qcow2 image
# inside of the file, which its own check finds without a fault.

. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need qemu-io qemu-img
need_root
UNIT=$((32 << 10))
RANDOM=${SEED:=$RANDOM}
note "SEED=$SEED"

done_well() { # TEXT COMMAND...
	local text=$1
	shift
	timeout 120 "$@" >"$WORK/out" 2>&1 || fail "$text: $(tail -n 5 "$WORK/out")"
	! grep -iE 'fail|error|pattern ver|leaked|corrupt' "$WORK/out" | grep -qv '^No errors were found' ||
		fail "$text: $(cat "$WORK/out")"
	printf 'ok: %s\n' "$text"
}

size=15179491 # odd
truncate -s $size "$WORK/image.img"
truncate -s 16M "$WORK/device.img" "$WORK/target.img"
mkloop 16M "$WORK/device.img"
ini "$WORK/fuseband.ini" <<END
[image]
path = $WORK/image.img
[device]
path = $LOOP
[target]
path = $WORK/target.img
END
start_fuseband "$WORK/fuseband.ini"

# ---- processes side by side ----

# sharing FILE SIZE PUNCH_ALIGN: parts begin at odd sectors, so that they share pages and slices
sharing() {
	local i pids=() at=0 len align
	align=$("$HELPERS/fileop" r "$MNT/$1" dioinfo | cut -d' ' -f2)
	for i in 0 1 2 3; do
		len=$((($2 / 4 / align + 3 * i + 1) * align))
		args=(-b "$at" -l "$len")
		[ $i != 3 ] || args=(-b "$at")
		timeout 60 "$HELPERS/fsx" -t 2 -s $((SEED + i)) -a "$align" -p "$3" -o "$WORK/part$i" "${args[@]}" \
			"$MNT/$1" >"$WORK/out$i" 2>&1 &
		pids+=($!)
		at=$((at + len))
	done
	for i in 0 1 2 3; do
		wait "${pids[i]}" || fail "process $i of $1: $(cat "$WORK/out$i")"
	done
	note "$(grep -h operations "$WORK"/out[0-3] | tr '\n' ' ')"
	cat "$WORK"/part[0-3] >"$WORK/whole"
	done_well "four processes on parts of the $1" cmp "$WORK/whole" "$MNT/$1"
}

sharing image $size 1
sharing device $((16 << 20)) 512

# ---- QEMU's I/O, in all of its ways ----

# random_io N: N commands, to $WORK/commands, and the reads that must find what they did, to
# $WORK/checks. Units of 32 KiB have one pattern each, and a command has up to six of them.
random_io() {
	local i n at len byte where units=$((16 * 32)) pattern=()
	for ((i = 0; i < units; i++)); do pattern[i]=0; done
	{
		echo "write -z 0 16M"
		for ((n = 0; n < $1; n++)); do
			at=$((RANDOM % (units - 6))) len=$((1 + RANDOM % 6)) byte=$((1 + RANDOM % 255))
			where="$((at * UNIT)) $((len * UNIT))"
			case $((RANDOM % 8)) in
			0) byte=0 && echo "write -z $where" ;;
			1) byte=0 && echo "write -z -u $where" ;;
			2) byte=0 && echo "discard $where" ;;
			3) echo "aio_write -P $byte $where" && echo aio_flush ;;
			4) echo "write -f -P $byte $where" ;;
			5) echo "writev -P $byte ${where% *} $((len * UNIT / 2)) $((len * UNIT / 2))" ;;
			*) echo "write -P $byte $where" ;;
			esac
			for ((i = at; i < at + len; i++)); do pattern[i]=$byte; done
			[ $((n % 16)) != 15 ] || echo flush
		done
	} >"$WORK/commands"
	for ((i = 0; i < units; i++)); do
		echo "read -P ${pattern[i]} $((i * UNIT)) $UNIT"
	done >"$WORK/checks"
}

# qemu_does TEXT FILE CACHE AIO: those commands, then those checks, by two processes
qemu_does() {
	done_well "$1" sh -c 'qemu-io -f raw -t "$2" -i "$3" -d unmap "$1" <"$4/commands" &&
		qemu-io -f raw -t "$2" -i "$3" "$1" <"$4/checks"' sh "$2" "$3" "$4" "$WORK"
}

for way in none:native none:io_uring none:threads writeback:threads directsync:native writethrough:io_uring; do
	for file in target device; do
		random_io 150
		qemu_does "QEMU, cache=${way%:*}, aio=${way#*:}, $file" "$MNT/$file" "${way%:*}" "${way#*:}"
	done
done
done_well "qemu-img compare of image and device" \
	sh -c 'qemu-img convert -n -f raw -O raw -T none -t none "$1" "$2" &&
	qemu-img compare -f raw -F raw -T none "$1" "$2"' sh "$MNT/device" "$MNT/target"
done_well "qemu-img map" qemu-img map -f raw --output=json "$MNT/target"
for args in "-i native" "-i io_uring -w" "-i native -w --flush-interval=64" "-i threads -w"; do
	# shellcheck disable=SC2086 # options
	done_well "qemu-img bench $args" qemu-img bench -f raw -t none $args -c 2000 -d 64 -s 4k "$MNT/device"
done
# 512 bytes at a time, at places that are no multiple of them, and up to the odd end
done_well "qemu-io, unaligned" qemu-io -f raw -t none -c "write -P 3 511 1027" -c "write -P 4 131070 5" \
	-c "read -P 3 511 1027" -c "read -P 4 131070 5" "$MNT/image"
done_well "qemu-io, buffered, at the odd end" qemu-io -f raw -c "write -P 5 $((size / 512 * 512 - 100)) 100" \
	-c flush -c "read -P 5 $((size / 512 * 512 - 100)) 100" "$MNT/image"

# ---- a qcow2 image inside ----

qemu-img create -q -f qcow2 -o cluster_size=64k "$WORK/q.qcow2" 12M || fail "qemu-img create"
done_well "a qcow2 image moves in" qemu-img convert -n -f raw -O raw -t none -S 0 "$WORK/q.qcow2" "$MNT/target"
qcow2() { # TEXT ARGS...
	done_well "$1" qemu-io -f qcow2 -t none -i native -d unmap "${@:2}" "$MNT/target"
}
checks=() commands=()
for ((i = 0; i < 80; i++)); do
	at=$((i * 128 * 1024 + RANDOM % 64 * 512)) len=$((512 * (1 + RANDOM % 120)))
	commands+=(-c "write -P $((i + 1)) $at $len")
	checks+=(-c "read -P $((i + 1)) $at $len")
done
qcow2 "qcow2: writes" "${commands[@]}" -c "write -z -u 10M 1M" -c "discard 11M 512k" -c flush
qcow2 "qcow2: reads" "${checks[@]}" -c "read -P 0 10M 1M"
done_well "qemu-img check" qemu-img check -f qcow2 -T none "$MNT/target"
grep -q "No errors were found" "$WORK/out" || fail "qemu-img check: $(cat "$WORK/out")"
done_well "qcow2: qemu-img bench" qemu-img bench -f qcow2 -t none -i native -w -c 1000 -d 32 -s 4k "$MNT/target"
done_well "qemu-img check after it" qemu-img check -f qcow2 -T none "$MNT/target"
stop_fuseband
done_well "qemu-img check without us" qemu-img check -f qcow2 "$WORK/target.img"
