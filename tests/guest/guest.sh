#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Test guests, for scripts that have sourced lib.sh. A guest boots in a few seconds and obeys
# commands one at a time:
#
#     guest_start a -drive "file=$MNT/a.img,format=raw,if=virtio,cache=none,aio=io_uring"
#     guest_wait_ready a
#     guest_cmd a 'fio --name=x --filename=/dev/vda ...' >a.json &
#     guest_cmd b 'sh dd if=/dev/vda of=/dev/null bs=1M count=10' &
#     guest_stop a
#
# Commands are what guest/init takes. They travel over a virtio port that QEMU connects to two
# fifos, $WORK/guest-NAME.in and .out; the kernel's messages are in $WORK/guest-NAME.console, and
# QEMU's in .err. Everything ends with the test: lib.sh kills what it started.
#
# GUEST_ACCEL: kvm or tcg; by default KVM is tried once per boot of the host, as there are hosts
# where /dev/kvm exists and guests stop booting half-way.
# GUEST_MEM: memory of a guest (default 768M: the initramfs has 90 MB).

declare -A GUEST_PID

# guest_setup: builds the guest if need be and decides the accelerator; skips the test without.
guest_setup() {
	need qemu-system-x86_64 busybox fio
	[ -n "${GUEST_DIR:-}" ] && return
	GUEST_DIR=$("$TESTS/guest/mkguest.sh") || skip "no test guest could be built"
	GUEST_ACCEL=${GUEST_ACCEL:-$(guest_probe_kvm)}
	note "guests run on $GUEST_ACCEL"
}

# guest_qemu NAME ARGS...: becomes QEMU.
guest_qemu() {
	local name=$1
	shift
	exec qemu-system-x86_64 -accel "$GUEST_ACCEL" -m "${GUEST_MEM:-768M}" -smp 1 \
		-nodefaults -no-user-config -no-reboot -display none -vga none \
		-kernel "$GUEST_DIR/vmlinuz" -initrd "$GUEST_DIR/initramfs.cpio" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check edd=off" \
		-serial "file:$WORK/guest-$name.console" \
		-chardev "pipe,id=command,path=$WORK/guest-$name" -device virtio-serial-pci \
		-device virtserialport,chardev=command,name=command \
		"$@" 2>"$WORK/guest-$name.err"
}

# Prints kvm if a guest on it gets ready within seconds, else tcg.
guest_probe_kvm() {
	local boot_id known=$GUEST_DIR/accel
	boot_id=$(cat /proc/sys/kernel/random/boot_id)
	if [ "$(head -n 1 "$known" 2>/dev/null)" != "$boot_id" ]; then
		echo "$boot_id" >"$known.new"
		if [ -w /dev/kvm ] && (
			GUEST_ACCEL=kvm
			guest_start probe-kvm
			trap 'kill -KILL ${GUEST_PID[probe-kvm]}' EXIT
			guest_wait_ready probe-kvm 10
		) >/dev/null 2>&1; then
			echo kvm >>"$known.new"
		else
			echo tcg >>"$known.new"
		fi
		mv "$known.new" "$known"
	fi
	tail -n 1 "$known"
}

# guest_start NAME QEMU_ARGS...: the disks, as -drive arguments.
guest_start() {
	local name=$1
	shift
	guest_setup
	rm -f "$WORK/guest-$name".{in,out}
	mkfifo "$WORK/guest-$name".{in,out} || fail "no fifos for guest $name"
	(guest_qemu "$name" "$@") &
	GUEST_PID[$name]=$!
}

# guest_read NAME SECONDS: reads one line of its output into LINE.
guest_read() {
	local end=$((SECONDS + $2)) fd part status
	exec {fd}<>"$WORK/guest-$1.out"
	LINE=
	while :; do
		IFS= read -r -t 1 part <&"$fd"
		status=$?
		LINE+=$part
		[ $status = 0 ] && break
		[ -d "/proc/${GUEST_PID[$1]}" ] || break
		[ $SECONDS -lt $end ] || break
	done
	exec {fd}>&-
	return $status
}

# guest_wait_ready NAME [SECONDS]: until it obeys. Sets GUEST_DISKS, as "vda=SECTORS vdb=...".
guest_wait_ready() {
	if ! guest_read "$1" "${2:-60}" || [[ $LINE != READY* ]]; then
		fail "guest $1 is not ready: $(tail -n 5 "$WORK/guest-$1".{err,console} 2>&1)"
	fi
	# shellcheck disable=SC2034
	GUEST_DISKS=${LINE#READY}
}

# guest_cmd NAME COMMAND [SECONDS]: prints the command's output, returns its status.
guest_cmd() {
	printf '%s\n' "$2" 1<>"$WORK/guest-$1.in" # <>: does not wait for a QEMU that is gone
	if ! guest_read "$1" 10 || [ "$LINE" != BEGIN ]; then
		fail "guest $1 does not obey: $2"
	fi
	while guest_read "$1" "${3:-120}"; do
		[[ $LINE =~ ^END\ ([0-9]+)$ ]] && return "${BASH_REMATCH[1]}"
		printf '%s\n' "$LINE"
	done
	fail "guest $1 did not end: $2"
}

# guest_stop NAME: powers it off.
guest_stop() {
	printf 'poweroff\n' 1<>"$WORK/guest-$1.in"
	wait_pid 10 "${GUEST_PID[$1]}" || kill -KILL "${GUEST_PID[$1]}" 2>/dev/null
	unset "GUEST_PID[$1]"
}
