#!/bin/bash
# SPDX-License-Identifier: MIT
#
# From the start to the end: in the background, by mount(8), with what else may be in the way; and
# every way to stop, with requests queued, with files open, with a disk that hangs.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio cmp
need_root
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}

# The failed requests that this test provokes, at a disk that hangs.
# shellcheck disable=SC2034
ALLOWED_ERRORS='answered with an error|failed: Input/output error'
pidfile=$WORK/pid
conf=$WORK/fuseband.ini

differ() {
	[ "$1" != "$2" ]
}

# ---- starting, and whether something runs ----

# In the background stderr leads nowhere: reports of sanitizers go to files $WORK/report.PID.
in_background() {
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$WORK/report \
		UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$WORK/report \
		TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}log_path=$WORK/report "$@"
}

# run ARGS: in the background or just to say something. Sets STATUS; $WORK/out and $WORK/err.
run() {
	in_background timeout 20 "$FUSEBAND" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	STATUS=$?
}

# in_foreground ARGS: for at most 10 seconds; the same.
in_foreground() {
	timeout -k 5 10 "$FUSEBAND" -f "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	STATUS=$?
}

# With FUSEBAND_PID set and the log as after start_fuseband, so that stop_fuseband can be used.
start() {
	start_fuseband "$conf" "$@"
}

is_mounted() { # DIR
	grep -qF " $1 " /proc/self/mountinfo
}

is_gone() { # PID
	! kill -0 "$1" 2>/dev/null || grep -qs '^State:.Z' "/proc/$1/status"
}

# A daemon in the background that was told to end did: no process, no mount, no pid file.
all_gone() { # PID
	is_gone "$1" && ! is_mounted "$MNT" && [ ! -e "$pidfile" ]
}

said() { # REGEX
	grep -qE -- "$1" "$WORK/err" && return
	sed 's/^/# said: /' "$WORK/err"
	return 1
}

logged() { # REGEX
	grep -qE -- "$1" "$WORK/fuseband.log"
}

# The exit status of the daemon that start() started.
status_of_end() { # SECONDS
	wait_pid "$1" "$FUSEBAND_PID"
	STATUS=$?
	FUSEBAND_PID=
	return 0
}

# True if another daemon can have PATH now.
claimable() { # PATH
	mkdir -p "$WORK/other"
	section other.img "path = $1" | ini "$WORK/other.ini"
	in_background timeout 30 "$FUSEBAND" -c "$WORK/other.ini" -p "$WORK/other.pid" "$WORK/other" \
		2>"$WORK/err" || return 1
	kill -TERM "$(cat "$WORK/other.pid")"
	wait_for 10 not test -e "$WORK/other.pid"
}

mode_is() { # MODE
	[ "$(stat -c %a "$MNT/a.img" 2>/dev/null)" = "$1" ]
}

elapsed_ms() { # SINCE (log_now)
	echo $((($(log_now) - $1) / 1000))
}

# ---- what it says about itself ----

test_words() {
	local option
	for option in --help --version --help-config; do
		run $option
		promise "$option exits 0" same 0 $STATUS
		promise "and says it on stdout" test -s "$WORK/out"
		promise "and nothing on stderr" not test -s "$WORK/err"
	done
	for option in --bogus -x; do
		run $option "$MNT"
		promise "an unknown option exits 2" same 2 $STATUS
		promise "and is named" said "^fuseband: .*$option\$"
	done
	run
	promise "no mount point exits 2" same 2 $STATUS
	run -xf "$MNT"
	promise "that one, when there are several" said '^fuseband: .*-x$'
	run -c
	promise "an option without its argument exits 2" same 2 $STATUS
	run "$conf" "$MNT" more
	promise "one argument too many exits 2" same 2 $STATUS
}

# ---- to the background ----

test_background() {
	local pid
	section a.img "path = $WORK/a.img" | ini "$conf"
	run -c "$conf" -p "$pidfile" "$MNT"
	promise "the start in the background exits 0" same 0 $STATUS
	promise "it serves at once" cmp "$MNT/a.img" "$WORK/a.img"
	promise "and has said nothing" not grep -s . "$WORK/out" "$WORK/err"
	pid=$(cat "$pidfile")
	promise "the pid file has the pid" same fuseband \
		"$(tr '\0' '\n' <"/proc/$pid/cmdline" | head -n 1 | xargs basename | cut -c 1-8)"
	promise "it has a session of its own" differ "$(ps -o sid= -p $$)" "$(ps -o sid= -p "$pid")"
	promise "it keeps no directory busy" same / "$(readlink "/proc/$pid/cwd")"
	section a.img "path = $WORK/a.img" "mode = 0604" | ini "$conf"
	kill -HUP "$(cat "$pidfile")"
	promise "it reloads in the background" wait_for 5 mode_is 604
	kill -TERM "$pid"
	promise "SIGTERM ends it: no process, no mount, no pid file" wait_for 10 all_gone "$pid"

	cd "$WORK" || exit 1
	run -c fuseband.ini -p pid mnt
	promise "relative paths do" same 0 $STATUS
	pid=$(cat "$pidfile")
	section a.img "path = $WORK/a.img" "mode = 0640" | ini "$conf"
	kill -HUP "$pid"
	promise "for a reload, too" wait_for 5 mode_is 640
	kill -TERM "$pid"
	promise "and at the end" wait_for 10 all_gone "$pid"
	cd / || exit 1
}

# In the background, as far as a data path that has only just begun. Sets STARTER and STOPPED.
start_hesitating() {
	echo fuseband-io >"$WORK/hesitate"
	LD_PRELOAD=$HELPERS/hesitate.so HESITATE=$WORK/hesitate timeout 20 "$FUSEBAND" -c "$conf" \
		-p "$pidfile" "$MNT" 2>"$WORK/err" &
	STARTER=$!
	wait_for 10 stopped fuseband-io || fail "no data path is started"
	rm "$WORK/hesitate"
}

# Either of the two dies before the mount serves: whoever waits for that is told what became of it.
test_cut_start() {
	local pid
	if grep -q -a '__asan_init\|__tsan_init' "$FUSEBAND"; then
		note "a sanitizer cannot be preloaded to: nobody dies during the start"
		return
	fi
	section a.img "path = $WORK/a.img" | ini "$conf"
	start_hesitating
	pid=$(cat "$pidfile")
	kill -KILL "$pid"
	kill -CONT "$STOPPED"
	wait $STARTER
	promise "a start whose parent is killed is over when the mount serves" same 0 $?
	promise "and does" cmp "$MNT/a.img" "$WORK/a.img"
	promise "with another parent" wait_for 10 parent_is "$pid"
	pid=$(cat "$pidfile")
	kill -TERM "$pid"
	promise "that can be told to end" wait_for 10 all_gone "$pid"
	start_hesitating
	kill -KILL "$STOPPED"
	wait $STARTER
	promise "one whose data path is killed has failed" same 1 $?
	promise "and says so" said 'the data path was killed by signal 9 \(Killed\) while it started'
	promise "and leaves nothing" wait_for 5 not test -e "$pidfile"
}

test_closed_descriptors() {
	local pid
	section a.img "path = $WORK/a.img" | ini "$conf"
	timeout 20 "$FUSEBAND" -c "$conf" -p "$pidfile" "$MNT" <&- >&- 2>&-
	promise "it starts without stdin, stdout and stderr" same 0 $?
	promise "and serves" cmp "$MNT/a.img" "$WORK/b.img"
	pid=$(cat "$pidfile")
	kill -USR1 "$pid"
	kill -TERM "$pid"
	promise "and obeys" wait_for 10 all_gone "$pid"
	timeout -k 5 10 "$FUSEBAND" -f -c "$conf" -p "$pidfile" "$MNT" <&- >&- 2>&- &
	promise "in the foreground, too" wait_for 5 serves "$MNT"
	promise "nothing but /dev/null is open there" same "/dev/null /dev/null /dev/null" \
		"$(for i in 0 1 2; do readlink "/proc/$(cat "$pidfile")/fd/$i"; done | xargs)"
	kill -USR1 "$(cat "$pidfile")"
	kill -TERM "$(cat "$pidfile")"
	wait $!
	promise "it ends" same 0 $?
	promise "and no log line is in the image" cmp "$WORK/a.img" "$WORK/b.img"
}

# What is refused is refused in the same words and with the same status.
refused() { # TEXT STATUS REGEX ARGS...
	local text=$1 status=$2 regex=$3
	shift 3
	in_foreground "$@"
	promise "$text: exit status $status" same "$status" $STATUS
	promise "it says why" said "$regex"
	cp "$WORK/err" "$WORK/err.foreground"
	run "$@"
	promise "in the background, too" same "$status" $STATUS
	promise "in the same words" diff "$WORK/err.foreground" "$WORK/err"
	promise "and nothing is left" not is_mounted "$MNT"
}

test_refusals() {
	section a.img "path = $WORK/a.img" "weight = abc" >"$WORK/bad.ini"
	section a.img "path = $WORK/a.img" >"$conf"
	refused "a broken configuration" 2 'bad.ini:3: \[a.img\] weight: "abc" is not' \
		-c "$WORK/bad.ini" -p "$pidfile" "$MNT"
	refused "no configuration" 2 'none.ini' -c "$WORK/none.ini" -p "$pidfile" "$MNT"
	refused "no image" 2 'gone.ini:2: \[a.img\] path: "/nowhere/a.img"' \
		-c "$WORK/gone.ini" -p "$pidfile" "$MNT"
	refused "no such mount point" 2 'none: No such file or directory' -c "$conf" -p "$pidfile" \
		"$WORK/none"
	refused "a file for a mount point" 2 'a.img: the mount point is not a directory' -c "$conf" \
		-p "$pidfile" "$WORK/a.img"
	refused "options that nobody knows" 1 'bogus' -c "$conf" -p "$pidfile" -o bogus "$MNT"
	refused "a pid file that cannot be written" 1 'pid file /nowhere/pid: No such' -c "$conf" \
		-p /nowhere/pid "$MNT"

	# a mount point that was left behind by a dead file system
	if "$TESTDISK" "$WORK/dead" 2>/dev/null & then
		wait_for 5 serves "$WORK/dead"
		kill -KILL $!
		wait $! 2>/dev/null
		refused "a mount point that is dead" 2 'dead: is a dead FUSE mount: fusermount3 -uz .*dead, then start it again' -c "$conf" \
			-p "$pidfile" "$WORK/dead"
		umount -l "$WORK/dead"
	fi
}

# How many descriptors it may have decides where the start fails: each time it has to say so and end.
test_no_descriptors() {
	local n hung=
	for ((n = 4; n < 64; n++)); do
		timeout -k 1 2 prlimit --nofile=$n:$n "$FUSEBAND" -f -c "$conf" "$MNT" 2>"$WORK/err"
		STATUS=$?
		is_mounted "$MNT" && hung="$hung $n"
		umount -l "$MNT" 2>/dev/null
		[ $STATUS != 124 ] || break # SIGTERM ended it: it has served
		[ $STATUS != 137 ] && ! grep -q . "$WORK/err" && hung="$hung $n (silent)"
	done
	note "it needs $n descriptors"
	promise "a start without descriptors left fails, it does not hang" same "" "$hung"
}

# ---- two of them ----

test_two() {
	local pid second=$WORK/mnt2
	mkdir -p "$second"
	section b.img "path = $WORK/b.img" | ini "$WORK/b.ini"
	section a.img "path = $WORK/a.img" | ini "$conf"
	echo 999999999 >"$pidfile"
	run -c "$conf" -p "$pidfile" "$MNT"
	promise "a pid file of a dead process is taken over" same 0 $STATUS
	pid=$(cat "$pidfile")
	promise "with the new pid" kill -0 "$pid"
	run -c "$WORK/b.ini" -p "$pidfile" "$second"
	promise "a second one with the same pid file is refused" same 1 $STATUS
	promise "it says why" said 'pid file .*/pid: is in use by another fuseband'
	promise "the pid file is still that of the first" same "$pid" "$(cat "$pidfile")"
	section c.img "path = $WORK/a.img" | ini "$WORK/c.ini"
	run -c "$WORK/c.ini" -p "$WORK/pid2" "$second"
	promise "a second one on the same image is refused" same 2 $STATUS
	promise "it says why" said 'c.ini:[0-9]+: \[c.img\] path: ".*/a.img" is served by another fuseband'
	promise "and leaves no pid file" not test -e "$WORK/pid2"
	run -c "$WORK/b.ini" -p "$WORK/pid2" "$MNT"
	promise "a second one on the same mount point is refused" same 2 $STATUS
	promise "it says why" said "$MNT: is the mount point of another fuseband"
	[ $STATUS != 0 ] || umount "$MNT"
	promise "the first one still serves" cmp "$MNT/a.img" "$WORK/a.img"
	kill -TERM "$pid"
	promise "and ends well" wait_for 10 all_gone "$pid"

	echo $$ >"$pidfile"
	run -c "$conf" -p "$pidfile" "$MNT"
	promise "a pid file with the pid of somebody else is taken over" same 0 $STATUS
	kill -TERM "$(cat "$pidfile")"
	promise "and he lives" wait_for 10 not test -e "$pidfile"
}

# ---- stopping ----

# writers N: each writes one block of $MNT/d.img, no two the same.
writers() {
	fio --name=writers --filename="$MNT/d.img" --ioengine=psync --thread --direct=1 --rw=write \
		--bs=4k --size=4k --offset_increment=4k --numjobs="$1" --buffer_pattern=0xab \
		--group_reporting --output="$WORK/writers.out" 2>"$WORK/writers.err" &
	WRITERS=$!
}

test_drain() {
	local begun
	section d.img "path = $DISK" | ini "$conf"
	ctl 'servers 1' 'service 50000' reset
	start
	writers 40
	wait_for 10 holds_writes 3
	begun=$(log_now)
	kill -TERM "$FUSEBAND_PID"
	status_of_end 20
	promise "SIGTERM with requests queued exits 0" same 0 $STATUS
	wait_pid 10 $WRITERS
	promise "no request fails" same 0 $?
	note "it took $(elapsed_ms "$begun") ms to write the rest"
	promise "all of them are on the disk" same 40 "$(od -An -v -t x1 -w4096 -N $((40 * 4096)) "$DISK" |
		cut -c 2-12 | grep -c 'ab ab ab ab')"
	promise "it is unmounted" not is_mounted "$MNT"
	promise "the pid file is gone" not test -e "$pidfile"
	promise "the image is free" claimable "$DISK"
	promise "the log is clean" not logged 'did not finish'
	ctl 'servers 4' 'service 1000'
}

holds_writes() { # LEAST
	[ "$(ctl_value writes)" -ge "$1" ]
}

# A disk that hangs: SIGTERM, then MORE (a second one, or the wait until the limit).
hang() { # TEXT
	local reader begun ms
	section d.img "path = $DISK" | ini "$conf"
	start
	ctl 'hang on'
	LC_ALL=C dd if="$MNT/d.img" of=/dev/null bs=4k count=1 iflag=direct 2>"$WORK/dd.err" &
	reader=$!
	# more than the window takes: some of them wait in the daemon
	fio --name=w --filename="$MNT/d.img" --ioengine=libaio --iodepth=200 --direct=1 --rw=write \
		--bs=4k --size=800k --offset=1m --output="$WORK/fio.out" 2>"$WORK/fio.err" &
	wait_for 5 holds_in_flight 1
	sleep 0.5
	begun=$(log_now)
	kill -TERM "$FUSEBAND_PID"
	sleep 2
	promise "$1: it waits for what is under way" not is_gone "$FUSEBAND_PID"
	promise "$1: nobody gets an error before" not test -s "$WORK/dd.err"
	[ "$1" != "a second SIGTERM" ] || kill -TERM "$FUSEBAND_PID"
	wait_for 15 is_gone $reader
	ms=$(elapsed_ms "$begun")
	note "$1: answered after $ms ms"
	promise "$1: the reader gets EIO" grep -q 'Input/output error' "$WORK/dd.err"
	promise "$1: soon, or after 10 s" holds "$ms >= 2000 && $ms <= 13000"
	status_of_end 10
	note "$1: exit status $STATUS, after $(elapsed_ms "$begun") ms"
	promise "$1: it ends" differ 124 $STATUS
	promise "$1: a line of the log says what became of them" \
		logged '[0-9]+ requests did not finish and are answered with an error'
	promise "$1: it is unmounted" not is_mounted "$MNT"
	promise "$1: the pid file is gone" not test -e "$pidfile"
	ctl reset 'hang off'
	sleep 0.3
	promise "$1: what was answered EIO is not written after the end" same 0 "$(ctl_value writes)"
	promise "$1: the image is free" wait_for 5 claimable "$DISK"
	: >"$WORK/fuseband.log"
}

holds_in_flight() { # LEAST
	[ "$(ctl_value in_flight)" -ge "$1" ]
}

# With a slow disk, the queue is not empty when the second SIGTERM comes.
test_cut() {
	section d.img "path = $DISK" | ini "$conf"
	ctl 'servers 1' 'service 500000' reset
	start
	writers 30
	wait_for 10 holds_writes 2
	sleep 0.5
	kill -TERM "$FUSEBAND_PID"
	sleep 0.5
	kill -TERM "$FUSEBAND_PID"
	sleep 0.2
	ctl reset
	status_of_end 20
	promise "a second SIGTERM cuts the queue" differ 124 $STATUS
	wait_pid 20 $WRITERS
	promise "whose writers get EIO" grep -q 'Input/output error' "$WORK/writers.err" "$WORK/writers.out"
	sleep 1
	promise "and nothing of it is written afterwards" same 0 "$(ctl_value writes)"
	wait_for 10 idle_disk
	ctl 'servers 4' 'service 1000'
	: >"$WORK/fuseband.log"
}

idle_disk() {
	[ "$(ctl_value in_flight)" = 0 ]
}

test_open_files() {
	section a.img "path = $WORK/a.img" | ini "$conf"
	start
	exec 5<>"$MNT/a.img"
	kill -TERM "$FUSEBAND_PID"
	status_of_end 15
	promise "SIGTERM with a file open exits 0" same 0 $STATUS
	promise "it is unmounted all the same" not is_mounted "$MNT"
	promise "the log names the file" logged 'a.img is still open'
	promise "who has it open gets errors, and does not hang" not timeout 5 \
		dd bs=4k count=1 iflag=direct of=/dev/null status=none <&5 2>/dev/null
	exec 5>&-
	: >"$WORK/fuseband.log"

	start
	cd "$MNT" || exit 1
	kill -INT "$FUSEBAND_PID"
	status_of_end 15
	promise "SIGINT with somebody in the directory exits 0" same 0 $STATUS
	promise "it is unmounted all the same" not is_mounted "$MNT"
	cd / || exit 1
	: >"$WORK/fuseband.log"
}

test_unmounted() {
	local how
	section a.img "path = $WORK/a.img" | ini "$conf"
	for how in "umount" "fusermount3 -u"; do
		start
		$how "$MNT"
		status_of_end 10
		promise "$how ends it with status 0" same 0 $STATUS
		promise "the pid file is gone" not test -e "$pidfile"
		promise "and the log says so" logged 'unmounted'
		: >"$WORK/fuseband.log"
	done
	start
	exec 5<>"$MNT/a.img"
	umount -l "$MNT"
	sleep 0.5
	promise "umount -l leaves it to who has a file open" dd bs=4k count=1 iflag=direct \
		of=/dev/null status=none <&5
	exec 5>&-
	status_of_end 10
	promise "and ends it when he is done" same 0 $STATUS
	: >"$WORK/fuseband.log"

	start
	exec 5<>"$MNT/a.img"
	umount -l "$MNT"
	mount -t tmpfs none "$MNT"
	kill -TERM "$FUSEBAND_PID"
	status_of_end 10
	promise "its end does not unmount what is mounted there since" is_mounted "$MNT"
	exec 5>&-
	umount "$MNT" 2>/dev/null
	: >"$WORK/fuseband.log"
}

# ---- mount(8) ----

test_mount() {
	local pid options=noauto,nofail,_netdev,x-systemd.automount,x-systemd.requires=a.service
	section a.img "path = $WORK/a.img" | ini "$conf"
	run "$conf" "$MNT" -p "$pidfile" -o "rw,$options,user,comment=x,nosuid,nodev,noatime"
	promise "FILE MOUNTPOINT -o OPTIONS, as mount(8) calls it" same 0 $STATUS
	promise "serves" cmp "$MNT/a.img" "$WORK/a.img"
	pid=$(cat "$pidfile")
	kill -TERM "$pid"
	promise "and ends" wait_for 10 all_gone "$pid"
	run -o ro "$conf" "$MNT" -p "$pidfile"
	promise "-o ro is accepted" same 0 $STATUS
	promise "reads" cmp "$MNT/a.img" "$WORK/a.img"
	promise "and writes nothing" not dd if=/dev/zero of="$MNT/a.img" bs=4k count=1 conv=notrunc \
		status=none 2>/dev/null
	pid=$(cat "$pidfile")
	kill -TERM "$pid"
	promise "and ends" wait_for 10 all_gone "$pid"
	run "$conf" "$MNT" -p "$pidfile" -o defaults,relatime,nodiratime,lazytime
	promise "options about times mean nothing, and do no harm" same 0 $STATUS
	[ $STATUS != 0 ] || kill -TERM "$(cat "$pidfile")"
	wait_for 10 not is_mounted "$MNT"

	if ! command -v mount.fuse >/dev/null || ! unshare -m true 2>/dev/null; then
		note "no mount.fuse, or no mount namespaces: mount -t fuse.fuseband is not tried"
		return
	fi
	echo "$conf $MNT fuse.fuseband rw,nofail,_netdev,x-systemd.requires=/srv 0 0" >"$WORK/fstab"
	# mount(8) has a PATH of its own; in a namespace something can be put into it for a while
	# shellcheck disable=SC2016
	in_background timeout 30 unshare -m sh -c 'mount -t tmpfs none /usr/local/sbin &&
		ln -s "$0" /usr/local/sbin/fuseband || exit 9
		mount -t fuse.fuseband -o "$1" "$2" "$3" || exit 8
		cmp "$3/a.img" "$4" || exit 7
		grep -F "$3 fuse.fuseband ro," /proc/self/mounts || exit 6
		umount "$3" || exit 5
		until mount -a -T "$6"; do # the one before has still to end
			sleep 0.1
		done
		mount -a -T "$6" && cmp "$3/a.img" "$4" && umount "$3" || exit 3
		mount -t fuse.fuseband "$5" "$3" && exit 4
		exit 0' "$(realpath "$FUSEBAND")" "ro,$options,user" "$conf" "$MNT" "$WORK/a.img" \
		"$WORK/bad.ini" "$WORK/fstab" >"$WORK/out" 2>"$WORK/err"
	STATUS=$?
	if [ $STATUS = 9 ]; then
		note "nothing can be put into /usr/local/sbin: mount -t fuse.fuseband is not tried"
		return
	fi
	promise "mount -t fuse.fuseband FILE MOUNTPOINT and mount -a serve, and umount ends it" same 0 $STATUS
	promise "mount of a broken configuration fails with its message" \
		said 'bad.ini:3: \[a.img\] weight'
	promise "the image is free" wait_for 10 claimable "$WORK/a.img"
}

# ---- signals, debugging ----

# Its parent: the one that is started first.
our_fuseband() {
	pgrep -o -f -- "^$FUSEBAND .*$MNT"
}

test_signals() {
	section a.img "path = $WORK/a.img" | ini "$conf"
	start
	dd if="$MNT/a.img" of=/dev/null bs=4k count=5 iflag=direct status=none
	kill -USR1 "$FUSEBAND_PID"
	promise "SIGUSR1 logs a status" wait_for 5 logged 'a.img .*5 reads, 0 writes, 0 errors'
	kill -USR2 "$FUSEBAND_PID"
	promise "SIGUSR2 puts the program in its own place" wait_for 10 logged 'the new program takes over'
	promise "which changes nothing" cmp "$MNT/a.img" "$WORK/a.img"
	mv "$conf" "$WORK/target.ini"
	ln -s "$WORK/target.ini" "$conf"
	promise "a reload follows a link that was put in place" reload_fuseband
	stop_fuseband
	start
	section a.img "path = $WORK/a.img" "mode = 0602" | ini "$WORK/target2.ini"
	ln -sfn "$WORK/target2.ini" "$conf"
	promise "and one that leads elsewhere since the start" reload_fuseband
	promise "to the new target" mode_is 602
	rm "$conf"
	stop_fuseband

	section a.img "path = $WORK/a.img" | ini "$conf"
	: >"$WORK/fuseband.log"
	start -d
	cmp "$MNT/a.img" "$WORK/a.img" || failed=1
	promise "-d stays in the foreground and shows requests" logged 'LOOKUP'
	stop_fuseband
	: >"$WORK/fuseband.log"

	cat "$conf" | timeout -k 5 5 "$FUSEBAND" -f -c /dev/stdin "$MNT" 2>"$WORK/err" &
	promise "a configuration may come from a pipe" wait_for 3 serves "$MNT"
	kill -HUP "$(our_fuseband)"
	promise "which cannot be read again" wait_for 3 grep -q 'reload refused: .*pipe' "$WORK/err"
	umount "$MNT"
	wait $!
	promise "and ends" same 0 $?
}

# ---- less than root, less than a kernel ----

# In a mount namespace of its own, where DEVICE is /dev/fuse.
without_fuse() { # COMMAND that makes /dev/fuse what it shall be
	# shellcheck disable=SC2016
	timeout -k 5 15 unshare -m sh -c "$1"' && exec timeout -k 2 3 "$0" -f -c "$1" "$2"' \
		"$FUSEBAND" "$conf" "$MNT" >"$WORK/out" 2>"$WORK/err"
	STATUS=$?
}

test_less() {
	local as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	section a.img "path = $WORK/a.img" | ini "$conf"
	if ! command -v unshare >/dev/null || ! unshare -m true 2>/dev/null; then
		note "no mount namespaces: without /dev/fuse, and as nobody, is not tried"
		return
	fi
	without_fuse 'mount -t tmpfs none /dev'
	promise "without /dev/fuse it exits 1" same 1 $STATUS
	promise "and says what is missing" said '/dev/fuse|modprobe fuse'
	without_fuse 'mount --bind /dev/null /dev/fuse'
	promise "with something else for /dev/fuse it exits 1" same 1 $STATUS
	promise "and says that it cannot mount" said "$MNT: cannot mount"

	if ! command -v setpriv >/dev/null || ! [ -u "$(command -v fusermount3)" ]; then
		note "no setpriv, or fusermount3 is not setuid root: as nobody is not tried"
		return
	fi
	if ! "${as_nobody[@]}" test -x "$FUSEBAND"; then
		note "nobody may not run $FUSEBAND: as nobody is not tried"
		return
	fi
	mkdir -p "$WORK/nobody/mnt"
	cp "$WORK/a.img" "$WORK/nobody/"
	section a.img "path = $WORK/nobody/a.img" "uid = 65534" "gid = 65534" | ini "$WORK/nobody/ini"
	chown -R 65534:65534 "$WORK/nobody"
	chmod 711 "$WORK"
	"${as_nobody[@]}" timeout -k 2 5 "$FUSEBAND" -f -c "$WORK/fuseband.ini" "$WORK/nobody/mnt" \
		2>"$WORK/err"
	promise "as nobody, an image of root's is refused" same 2 $?
	promise "and it says why" said 'a.img" cannot be opened: Permission denied'
	# shellcheck disable=SC2016
	timeout -k 5 20 unshare -m sh -c 'mount -t tmpfs none /mnt && mknod -m 666 /mnt/fuse c 10 229 &&
		mount --bind /mnt/fuse /dev/fuse || exit 9
		cd "$1" || exit 9
		as="setpriv --reuid 65534 --regid 65534 --clear-groups"
		$as timeout -k 2 8 "$0" -c ini -p pid mnt || exit 8
		$as cmp mnt/a.img a.img || exit 7
		$as kill -TERM "$(cat pid)"
		for i in 1 2 3 4 5 6 7 8 9 10; do
			[ ! -e pid ] && ! grep -q "$1/mnt " /proc/self/mountinfo && exit 0
			sleep 0.3
		done
		exit 6' "$FUSEBAND" "$WORK/nobody" >"$WORK/out" 2>"$WORK/err"
	STATUS=$?
	[ $STATUS = 0 ] || sed 's/^/# /' "$WORK/out" "$WORK/err"
	if [ $STATUS = 9 ]; then
		note "no /dev/fuse for nobody to be had here"
		return
	fi
	promise "nobody can start, read and stop with an image of his own" same 0 $STATUS
}

mkdir "$WORK/dead"
head -c 4M /dev/urandom >"$WORK/a.img"
cp "$WORK/a.img" "$WORK/b.img"
start_testdisk -s 4 -t 1000 -b 64M
section a.img "path = $WORK/a.img" | ini "$conf"
section a.img "path = /nowhere/a.img" >"$WORK/gone.ini"

test_words
test_background
test_cut_start
test_closed_descriptors
test_refusals
test_no_descriptors
test_two
test_drain
hang "a second SIGTERM"
hang "the limit"
test_cut
test_open_files
test_unmounted
test_mount
test_signals
test_less
promise "no sanitizer has anything to report" not grep -hs . "$WORK"/report.*
exit $failed
