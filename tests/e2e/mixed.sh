#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Everything at once, on four disks and with more workers than needed, so that requests change hands:
# random operations, racing unaligned writers, signals, clients that are killed, a disk that stops
# for a moment, and weights that change all the time. Every byte is verified. Above all a test for
# the sanitizers' builds.

WORKERS=${WORKERS:-3}
. "$(dirname "$0")/../lib.sh"
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
need_root
RUN_SECONDS=${RUN_SECONDS:-12}

config() { # WEIGHT WEIGHT
	ini "$WORK/fuseband.ini" <<-END
		[odd]
		path = $WORK/odd.img
		weight = $1
		[image]
		path = $WORK/ramfs/img
		buffered = yes
		weight = $2
		[loop]
		path = $LOOP
		weight = $2
		parent = group
		[disk]
		path = $DISK
		weight = $1
		device = testdisk
		[victim]
		path = ${DISK}1
		weight = $2
		device = testdisk
		[group:group]
		weight = $1
		[device:testdisk]
		io_throttle = $((1 + $1 % 9))
	END
}

# Clients of a file whose contents do not matter, killed after some milliseconds.
killing() {
	local i victims
	for ((i = 0; i < RUN_SECONDS * 3; i++)); do
		"$HELPERS/signals" pile "$MNT/victim" 8 0 $((i % 3)) >/dev/null 2>&1 &
		victims=$!
		disown
		"$HELPERS/fileop" rw "$MNT/victim" write $((i * 7)) 700000 1 >/dev/null 2>&1 &
		victims+=" $!"
		disown
		sleep 0.$((RANDOM % 3 + 1))
		# shellcheck disable=SC2086 # two of them
		kill -KILL $victims 2>/dev/null
	done
}

odd=300007
head -c $odd /dev/urandom >"$WORK/odd.img"
mkdir "$WORK/ramfs"
mount -t ramfs none "$WORK/ramfs" || fail "ramfs"
head -c 3000001 /dev/urandom >"$WORK/ramfs/img"
mkloop 4M
start_testdisk -s 8 -t 200 -b 16M -n 2
config 10 20
start_fuseband "$WORK/fuseband.ini"
names=()
pids=()
start() { # NAME COMMAND...
	names+=("$1")
	timeout $((RUN_SECONDS + 60)) "${@:2}" >"$WORK/$1.out" 2>&1 &
	pids+=($!)
}
unit=$("$HELPERS/fileop" r "$MNT/odd" dioinfo | cut -d' ' -f2)
start racing "$HELPERS/rmw" -t "$RUN_SECONDS" -a "$unit" -o "$WORK/odd" "$MNT/odd"
start image "$HELPERS/fsx" -t "$RUN_SECONDS" -o "$WORK/image" "$MNT/image"
start loop "$HELPERS/fsx" -t "$RUN_SECONDS" -p 512 -o "$WORK/loop" "$MNT/loop"
start signals "$HELPERS/signals" storm "$MNT/disk" 12 "$RUN_SECONDS"
killing &
killer=$!
end=$((SECONDS + RUN_SECONDS))
reloads=0
while [ $SECONDS -lt $end ]; do
	config $((1 + RANDOM % 10000)) $((1 + RANDOM % 10000))
	kill -HUP "$FUSEBAND_PID" || fail "fuseband is gone"
	sleep 0.1
	if ((++reloads % 20 == 0)); then
		ctl "hang on"
		sleep 0.2
		ctl "hang off"
	fi
done
for ((i = 0; i < ${#pids[@]}; i++)); do
	wait "${pids[i]}" || fail "${names[i]}: $(tail -n 5 "$WORK/${names[i]}.out")"
	printf 'ok: %s: %s\n' "${names[i]}" "$(tail -n 1 "$WORK/${names[i]}.out")"
done
wait $killer
timeout 20 dd if=/dev/zero of="$MNT/victim" bs=1M count=16 conv=notrunc oflag=direct status=none ||
	fail "the file of the killed clients is stuck"
stop_fuseband
! grep -q refused "$WORK/fuseband.log" || fail "$(grep refused "$WORK/fuseband.log")"
cmp "$WORK/odd" "$WORK/odd.img" || fail "odd.img differs"
cmp "$WORK/image" "$WORK/ramfs/img" || fail "img differs"
cmp "$WORK/loop" "$LOOP" || fail "the loop device differs"
echo "ok: the backings have what was written, after $(reload_lines) reloads"
