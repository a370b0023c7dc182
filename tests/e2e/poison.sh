#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A fuseband with bugs: a request that crashes it is answered EIO at the third try, beside others
# that see nothing of it; one that crashes whatever is asked of it gives up with a message; one that
# does nothing any more is replaced.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need fio
need_root
! grep -q -a '__asan_init\|__tsan_init' "$FUSEBAND" ||
	skip "a sanitizer has its own ideas of memcpy() and of crashes"
conf=$WORK/fuseband.ini

poison() { # WORDS [BLOCK]
	printf 'poison: %s' "$1" | dd of="$MNT/a.img" bs=4096 seek="${2:-0}" conv=sync,notrunc \
		oflag=direct status=none 2>"$WORK/poison.err"
}

start_poisoned() {
	: >"$WORK/fuseband.log"
	LD_PRELOAD=$HELPERS/poison.so start_fuseband "$conf"
}

crashes() {
	grep -c 'another one takes over' "$WORK/fuseband.log"
}

test_poison() {
	local word
	start_poisoned
	start_load b --filename="$MNT/b.img" --bs=4k --iodepth=16 --rw=randrw --size=16M --verify=crc32c \
		--verify_backlog=128 --verify_fatal=1
	sleep 0.3
	for word in abort segv; do
		promise "a request that crashes it ($word) is answered with an error" not poison "$word"
		promise "which is EIO" grep -q 'Input/output error' "$WORK/poison.err"
	done
	promise "after two crashes each" same 4 "$(crashes)"
	printf 'harmless' | dd of="$MNT/a.img" bs=4096 conv=sync,notrunc oflag=direct status=none
	promise "others see nothing of it" stop_loads
	promise "and its own file goes on" same harmless "$(head -c 8 "$MNT/a.img")"
	ALLOWED_ERRORS='has ended several processes' stop_fuseband
}

malformed() {
	grep -c 'a malformed request of 48 bytes was dropped' "$WORK/fuseband.log"
}

reads_on() {
	dd if="$MNT/a.img" of=/dev/null bs=4k count=1 iflag=direct status=none
}

# What was not logged in one second is told with the first line of another.
tells_how_many() {
	poison garbage && reads_on && grep -q 'errors were not logged' "$WORK/fuseband.log"
}

test_garbage() {
	local n
	start_poisoned
	poison garbage || miss "it is not written"
	promise "a thousand malformed requests do no harm" reads_on
	n=$(malformed)
	note "$n of them were logged"
	promise "nor do they flood the log" holds "$n > 0 && $n < 500"
	promise "which says how many it does not have" wait_for 5 tells_how_many
	ALLOWED_ERRORS='errors were not logged' stop_fuseband
}

gave_up() {
	grep -q 'giving up' "$WORK/fuseband.log"
}

test_loop() {
	local i pids=()
	start_poisoned
	for ((i = 0; i < 12; i++)); do
		poison abort "$i" &
		pids+=($!)
	done
	wait_pid 120 "$FUSEBAND_PID" # a dozen take-overs, on whatever machine
	promise "one crash after the other: it ends with status 1" same 1 $?
	promise "and says that it gives up" gave_up
	promise "and unmounts" not grep -qF " $MNT " /proc/self/mountinfo
	FUSEBAND_PID=
	for i in "${pids[@]}"; do
		wait_pid 10 "$i"
		[ $? != 124 ] || miss "a client waits for ever"
	done
}

test_hang() {
	local pids=() i
	start_poisoned
	for i in 1 2 3 4; do # one for each worker
		poison hang "$i" &
		pids+=($!)
	done
	promise "a data path that does nothing any more is replaced" \
		wait_for 25 grep -q 'has done nothing for' "$WORK/fuseband.log"
	promise "and the next one serves" wait_for 10 more_than 0 took_over
	kill_all
	kill "${pids[@]}" 2>/dev/null
	umount -l "$MNT"
}

# Where /proc shows nobody whom one may not trace, as hidepid=2 does to users and this one to root: if
# that can be had. Sets FUSEBAND and MNT.
hide_processes() {
	# shellcheck disable=SC2016
	local hide='mount --make-rprivate /proc && mount -t proc -o hidepid=ptraceable proc /proc || exit 1'
	if ! unshare -m --propagation unchanged sh -c "$hide" 2>/dev/null; then
		note "no other /proc to be had: its processes are there to be seen"
		return
	fi
	mkdir -p "$WORK/shared/mnt" # what is mounted in there is seen outside
	mount --bind "$WORK/shared" "$WORK/shared" && mount --make-shared "$WORK/shared" ||
		fail "$WORK/shared cannot be bound"
	printf '#!/bin/sh\nexec unshare -m --propagation unchanged sh -c '\''%s; exec "$0" "$@"'\'' "%s" "$@"\n' \
		"$hide" "$FUSEBAND" >"$WORK/hidden"
	chmod +x "$WORK/hidden"
	FUSEBAND=$WORK/hidden MNT=$WORK/shared/mnt
}

test_stopped() {
	local pid FUSEBAND=$FUSEBAND MNT=$MNT
	section a.img "path = $WORK/a.img" | ini "$conf"
	: >"$WORK/fuseband.log"
	hide_processes
	start_fuseband "$conf"
	pid=$(data_path)
	kill -STOP "$pid"
	sleep 12
	promise "one that somebody has stopped is not" kill -0 "$pid"
	kill -CONT "$pid"
	promise "and goes on" reads_on
	stop_fuseband
}

truncate -s 32M "$WORK/a.img" "$WORK/b.img"
{
	section a.img "path = $WORK/a.img"
	section b.img "path = $WORK/b.img"
} | ini "$conf"
for part in ${PARTS:-poison garbage loop hang stopped}; do
	"test_$part"
done
exit $failed
