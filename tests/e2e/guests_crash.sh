#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Two guests with a file system each, at work, while the data path is killed, upgraded and killed
# again: their kernels see no error, their data verify, and the file systems are clean at the end.
#
# KILLS=N: how often (default 12; 500 for the full proof); every tenth is an upgrade. SEED=N, printed.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/guest/guest.sh
. "$TESTS/guest/guest.sh"
need mke2fs e2fsck
need_root
guest_setup
KILLS=${KILLS:-12}
RANDOM=${SEED:=$$}
note "KILLS=$KILLS SEED=$SEED"

# At a time as much as shows within the test, for ever: written, flushed and read again.
work='while [ ! -e /stop ]; do
	fio --name=w --directory=/mnt --size=4M --bs=4k --rw=randwrite --ioengine=psync --fsync=16
		--verify=crc32c --do_verify=1 --verify_fatal=1 --numjobs=4 --thread --minimal >/out 2>&1 || exit 1;
	dd if=/dev/urandom of=/mnt/plain bs=64k count=32 2>/dev/null && cp /mnt/plain /mnt/copy &&
		sync && echo 3 >/proc/sys/vm/drop_caches && cmp /mnt/plain /mnt/copy || exit 2;
	rm -rf /mnt/dir; mkdir /mnt/dir; for i in 1 2 3 4 5 6 7 8; do echo $i >/mnt/dir/$i; done;
	echo round >>/rounds; done'
work=$(tr -s '\n\t' ' ' <<<"$work")

for guest in a b; do
	truncate -s 96M "$WORK/$guest.img"
	mke2fs -q -t ext4 -F "$WORK/$guest.img" || fail "no file system"
	section $guest.img "path = $WORK/$guest.img"
done | ini "$WORK/fuseband.ini"
start_fuseband "$WORK/fuseband.ini"
guest_start a -drive "file=$MNT/a.img,format=raw,if=virtio,cache=none,aio=io_uring"
guest_start b -drive "file=$MNT/b.img,format=raw,if=virtio,cache=none,aio=native"
for guest in a b; do
	guest_wait_ready $guest
	guest_cmd $guest "sh mkdir /mnt; mount -t ext4 /dev/vda /mnt" || fail "guest $guest cannot mount"
	guest_cmd $guest "sh (sh -c '$work'; echo \$? >/result) >/dev/null 2>&1 &" || fail "no work"
done
sleep 3
for ((i = 1; i <= KILLS; i++)); do
	sleep "0.$((RANDOM % 9 + 1))"
	if ((i % 10 == 0)); then
		before=$(took_over)
		kill -USR2 "$FUSEBAND_PID"
		wait_for 20 more_than "$before" took_over || miss "no upgrade"
	else
		kill_data_path
	fi
done
for guest in a b; do
	guest_cmd $guest "sh touch /stop; while [ ! -e /result ]; do sleep 1; done; cat /result" 120 >"$WORK/result"
	promise "guest $guest: $KILLS kills, and all that it did succeeded" same 0 "$(cat "$WORK/result")"
	note "guest $guest: $(guest_cmd $guest "sh wc -l </rounds") rounds"
	guest_cmd $guest "sh dmesg" >"$WORK/dmesg"
	promise "its kernel saw no error" not grep -iE 'i/o error|ext4.*error|timed out|hung task' "$WORK/dmesg"
	guest_cmd $guest "sh umount /mnt" || miss "it cannot unmount"
	guest_stop $guest
	promise "its file system is clean" e2fsck -fn "$WORK/$guest.img"
done >"$WORK/verdicts" 2>&1
grep -E '^(ok|FAIL|#)' "$WORK/verdicts"
! grep -q ^FAIL "$WORK/verdicts" || failed=1
stop_fuseband
exit $failed
