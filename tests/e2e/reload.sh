#!/bin/bash
# SPDX-License-Identifier: MIT
#
# SIGHUP takes over what the configuration says now, all of it or nothing, and nobody who does I/O
# notices. While one fio writes and verifies a.img and another one reads and writes b.img, both
# on a test disk of 4 servers x 2 ms, so 2000 I/O per second:
#
#   - weights, groups, owners, policies, windows and limits change, and act at once
#   - what is wrong changes nothing
#   - files come and go; who has one open keeps it
#   - 200 reloads in a row cost neither a request, nor memory, nor a descriptor

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio cmp qemu-io
need_root

# The failed requests that this test provokes, beyond the end of an image that has shrunk.
# shellcheck disable=SC2034
ALLOWED_ERRORS='shrink.img: read of 4096 bytes at [0-9]+ failed: Input/output error'
# What AddressSanitizer keeps of freed memory looks like a leak.
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=1}

reloads=${RELOADS:-200}
part=$((64 << 20)) # a.img, b.img, and what is added, on the test disk
log=$WORK/disk.log

# ---- the configuration ----

WEIGHT_A=80
WEIGHT_B=20
POLICY=weight
THROTTLE=auto
LEVEL=info
KEYS_B=
KEYS_D=

# config: a.img and b.img, and what is on stdin.
config() {
	ini "$WORK/fuseband.ini" <<-END
		[fuseband]
		log_level = $LEVEL

		[device:disk]
		path = $DISK
		policy = $POLICY
		io_throttle = $THROTTLE
		$KEYS_D

		[a.img]
		path = $DISK
		size = $part
		weight = $WEIGHT_A

		[b.img]
		path = $DISK
		offset = $part
		size = $part
		weight = $WEIGHT_B
		$KEYS_B

		$(cat)
	END
}

accepted() {
	config
	reload_fuseband
}

accepted_with() { # FILE
	accepted <"$1"
}

# True if the reload is refused and the log then says why.
refused_with() { # REGEX
	local before
	before=$(wc -l <"$WORK/fuseband.log")
	config
	! reload_fuseband || return 1
	tail -n +$((before + 1)) "$WORK/fuseband.log" >"$WORK/said"
	grep -qE -- "$1" "$WORK/said" && return
	sed 's/^/# said: /' "$WORK/said"
	return 1
}

# ---- what can be seen ----

# What the log says after SIGUSR1.
status() {
	local before
	before=$(wc -l <"$WORK/fuseband.log")
	kill -USR1 "$FUSEBAND_PID"
	wait_for 5 grows_beyond "$before"
	sleep 0.2
	tail -n +$((before + 1)) "$WORK/fuseband.log"
}

grows_beyond() { # LINES
	[ "$(wc -l <"$WORK/fuseband.log")" -gt "$1" ]
}

generation() {
	status | sed -n 's/.*generation \([0-9]*\) of the configuration.*/\1/p'
}

listed() { # NAMES
	same "$1" "$(cd "$MNT" && echo *)"
}

# The share of a.img in what the disk did in so many seconds from now, and how many I/O per second.
measure() { # SECONDS
	local served
	ctl log-reset
	watch "$1"
	read -ra served < <(served "$log" "$FROM" "$TO" "$part")
	SHARE=$(ratio "${served[@]}")
	PER_SECOND=$(per_second $((served[0] + served[1])) "$FROM" "$TO")
}

# For thrice: a load that others keep from the processor has nothing queued, and no share.
shares_hold() { # WANTED SECONDS
	measure "$2"
	MISSED="share of a.img: $SHARE, wanted $1, $PER_SECOND IO/s"
	note "$MISSED"
	within "$SHARE" "$1" 3
}

# ---- load ----

# Four writers that read back what they wrote; enough of them that a.img always has something queued.
verify_load() {
	start_load verify --filename="$MNT/a.img" --size=$((part / 4)) --numjobs=4 \
		--offset_increment=$((part / 4)) --iodepth=32 --rw=randwrite --bs=4k --verify=crc32c --verify_state_save=0 \
		--verify_backlog=64 --verify_fatal=1 --verify_state_save=0
}

other_load() { # BLOCK_SIZE
	start_load other --filename="$MNT/b.img" --size=$part --numjobs=2 --iodepth=32 --rw=randrw \
		--norandommap --bs="$1"
}

# ---- other users of an image ----

# True if another daemon can have PATH now.
claimable() { # PATH
	local conf=$WORK/other.ini
	mkdir -p "$WORK/other"
	section other.img "path = $1" | ini "$conf"
	timeout 30 "$FUSEBAND" -c "$conf" -p "$WORK/other.pid" "$WORK/other" 2>"$WORK/claim.err" ||
		return 1
	kill -TERM "$(cat "$WORK/other.pid")"
	wait_for 10 not test -e "$WORK/other.pid"
}

# ---- the tests ----

turned() {
	WEIGHT_A=80 WEIGHT_B=20
	accepted </dev/null
	WEIGHT_A=20 WEIGHT_B=80
	promise "other weights are accepted" accepted </dev/null
	sleep 1
	shares_hold 20 3
}

test_weights() {
	sleep 1
	thrice "80:20 holds" shares_hold 80 2
	thrice "20:80 holds from 1 s after the signal" turned
	WEIGHT_A=80 WEIGHT_B=20
	accepted </dev/null
	sleep 1
	thrice "and 80:20 again" shares_hold 80 3
}

test_broken() {
	local before
	before=$(generation)
	WEIGHT_A=abc WEIGHT_B=50
	promise "a broken file is refused, with file and line" refused_with \
		'fuseband.ini:[0-9]+: \[a.img\] weight: "abc" is not a number from 1 to 10000' \
		< <(section c.img "path = $DISK" "colour = red")
	promise "and every error of it is told" grep -q 'fuseband.ini:[0-9]*: \[c.img\] colour: unknown' \
		"$WORK/said"
	WEIGHT_A=20 WEIGHT_B=80
	promise "one that names what is not there is refused" refused_with \
		'fuseband.ini:[0-9]+: \[gone.img\] path: ".*/gone.img" ' \
		< <(section gone.img "path = $WORK/gone.img")
	mv "$WORK/fuseband.ini" "$WORK/moved.ini"
	promise "a file that cannot be read is refused" not reload_fuseband
	mv "$WORK/moved.ini" "$WORK/fuseband.ini"
	promise "a broken file changes no generation" same "$before" "$(generation)"
	thrice "and no share" shares_hold 80 2
	WEIGHT_A=80 WEIGHT_B=20
	promise "the next good one is accepted" accepted </dev/null
}

test_files() {
	head -c 4M /dev/urandom >"$WORK/random"
	cp "$WORK/random" "$WORK/e.img"
	cp "$WORK/random" "$WORK/f.img"
	head -c 1M /dev/urandom >"$WORK/fresh"
	truncate -s 8M "$WORK/loop.img"
	mkloop 0 "$WORK/loop.img"
	files() {
		section group:g "weight = 10"
		section c.img "path = $DISK" "offset = $((2 * part))" "parent = g"
		section e.img "path = $WORK/e.img"
		section loop.img "path = $LOOP"
	}
	promise "files are added" accepted < <(files)
	promise "and listed" listed "a.img b.img c.img e.img loop.img"
	dd if="$WORK/fresh" of="$MNT/c.img" bs=128k oflag=direct conv=notrunc status=none
	promise "a new file of the same disk is written" cmp -n $((1 << 20)) -i $((2 * part)):0 \
		"$DISK" "$WORK/fresh"
	promise "a new file of another disk is read" cmp "$MNT/e.img" "$WORK/random"

	exec 5<>"$MNT/c.img" 6<>"$MNT/e.img" 7<>"$MNT/loop.img"
	promise "files that are open are removed" accepted </dev/null
	promise "and no longer listed" listed "a.img b.img"
	promise "nor found" not stat "$MNT/e.img" 2>/dev/null
	dd if="$WORK/fresh" bs=128k oflag=direct status=none >&6
	promise "writes to a removed file land" cmp -n $((1 << 20)) "$WORK/e.img" "$WORK/fresh"
	dd bs=128k count=8 of="$WORK/got" status=none <&6
	promise "reads of it bring what is there" cmp -n $((1 << 20)) -i 0:$((1 << 20)) \
		"$WORK/got" "$WORK/random"
	dd if="$WORK/fresh" bs=4k oflag=direct status=none seek=512 conv=notrunc >&5
	promise "on a disk that others use, too" cmp -n $((1 << 20)) \
		-i $((2 * part + (2 << 20))):0 "$DISK" "$WORK/fresh"
	promise "the status shows it" grep -q 'e.img.*removed, open' <(status)
	promise "its image stays claimed" not claimable "$WORK/e.img"
	promise "its block device, too" not claimable "$LOOP"
	promise "its bytes cannot be had under another name" refused_with \
		'\[c2.img\] offset: "[0-9]*" overlaps c.img, which was removed but is still open' \
		< <(section c2.img "path = $DISK" "offset = $((2 * part))")

	promise "its name comes back with another path" accepted \
		< <(section e.img "path = $WORK/f.img")
	exec 8<>"$MNT/e.img"
	dd if="$WORK/fresh" bs=128k oflag=direct status=none >&8
	dd if="$WORK/fresh" bs=128k oflag=direct status=none >&6 # at 2M by now
	promise "the new one serves the new path" cmp -n $((1 << 20)) "$WORK/f.img" "$WORK/fresh"
	promise "the old one the old path" cmp -n $((1 << 20)) -i $((2 << 20)):0 "$WORK/e.img" \
		"$WORK/fresh"
	exec 6>&- 7>&-
	promise "closed, an image is free for others" wait_for 5 claimable "$WORK/e.img"
	promise "a block device, too" wait_for 5 claimable "$LOOP"
	promise "but not the one that took its name" not claimable "$WORK/f.img"
	exec 5>&-
	section c2.img "path = $DISK" "offset = $((2 * part))" >"$WORK/c2"
	promise "the bytes of a removed file are free when it is closed" \
		wait_for 5 accepted_with "$WORK/c2"
	exec 8>&-
	accepted </dev/null
}

test_changes() {
	cp "$WORK/random" "$WORK/e.img"
	cp "$WORK/fresh" "$WORK/f.img"
	promise "a file to be changed is there" accepted < <(section e.img "path = $WORK/e.img")
	exec 6<>"$MNT/e.img"
	KEYS_B="mode = 0600"
	promise "another path of an open file is refused" refused_with \
		'\[e.img\] path: ".*f.img" is open' < <(section e.img "path = $WORK/f.img")
	promise "another offset, too" refused_with '\[e.img\] offset: "4096" is open' \
		< <(section e.img "path = $WORK/e.img" "offset = 4096")
	promise "another size, too" refused_with '\[e.img\] size: "8192" is open' \
		< <(section e.img "path = $WORK/e.img" "size = 8192")
	promise "another device, too" refused_with '\[e.img\] device: "new" is open' \
		< <(section e.img "path = $WORK/e.img" "device = new")
	promise "then nothing else of the file is taken over" same 660 "$(stat -c %a "$MNT/b.img")"
	exec 6>&-
	KEYS_B=
	promise "another path of a closed file is accepted" accepted \
		< <(section e.img "path = $WORK/f.img")
	promise "and seen" cmp "$MNT/e.img" "$WORK/fresh"
	promise "another range, too" accepted \
		< <(section e.img "path = $WORK/e.img" "offset = 8192" "size = 1M")
	promise "and seen" cmp -n $((1 << 20)) -i 0:8192 "$MNT/e.img" "$WORK/random"
	promise "with its size" same $((1 << 20)) "$(stat -c %s "$MNT/e.img")"
	accepted </dev/null
}

test_sizes() {
	local qemu
	truncate -s 1M "$WORK/grow.img"
	truncate -s 2M "$WORK/shrink.img"
	rm -f "$WORK/optional.img"
	sizes() {
		section grow.img "path = $WORK/grow.img"
		section shrink.img "path = $WORK/shrink.img"
		section optional.img "path = $WORK/optional.img" "optional = yes"
	}
	promise "an optional file may be missing" accepted < <(sizes)
	promise "it is listed" listed "a.img b.img grow.img optional.img shrink.img"
	promise "and opens with ENXIO" grep -q 'No such device or address' \
		<(LC_ALL=C cat "$MNT/optional.img" 2>&1)
	exec 6<>"$MNT/grow.img" 7<>"$MNT/shrink.img"
	mkfifo "$WORK/qemu"
	qemu-io -f raw -t none "$MNT/grow.img" <"$WORK/qemu" >"$WORK/qemu.out" 2>&1 &
	qemu=$!
	exec 8>"$WORK/qemu"
	echo length >&8
	promise "QEMU has one open" wait_for 20 grep -q '^\(qemu-io> \)*1 MiB' "$WORK/qemu.out"
	truncate -s 3M "$WORK/grow.img"
	truncate -s 1M "$WORK/shrink.img"
	truncate -s 1M "$WORK/optional.img"
	promise "images grow, shrink and appear" accepted < <(sizes)
	promise "what has grown is seen, although it is open" same $((3 << 20)) \
		"$(stat -c %s "$MNT/grow.img")"
	printf '%s\n' "truncate 3M" length "write -P 5 2M 64k" quit >&8
	exec 8>&-
	wait $qemu
	promise "and by QEMU when it is told (block_resize)" grep -q '^\(qemu-io> \)*3 MiB' "$WORK/qemu.out"
	promise "which writes there then" grep -q 'wrote 65536/65536' "$WORK/qemu.out"
	dd if="$WORK/fresh" bs=128k seek=16 oflag=direct status=none conv=notrunc >&6
	promise "and can be written" cmp -n $((1 << 20)) -i $((2 << 20)):0 "$WORK/grow.img" \
		"$WORK/fresh"
	promise "an open image that has shrunk is logged" grep -q 'shrink.img.* has shrunk' \
		"$WORK/fuseband.log"
	promise "what it still has is read" dd bs=4k count=1 iflag=direct of=/dev/null status=none <&7
	promise "what it lost is EIO" grep -q 'Input/output error' \
		<(LC_ALL=C dd bs=4k skip=300 count=1 iflag=direct of=/dev/null status=none 2>&1 <&7)
	promise "and does not make it grow" same $((1 << 20)) "$(stat -c %s "$WORK/shrink.img")"
	truncate -s 4M "$WORK/fixed.img"
	fixed() {
		sizes
		section fixed.img "path = $WORK/fixed.img" "size = 4M"
	}
	promise "an image with a size is there" accepted < <(fixed)
	exec 8<>"$MNT/fixed.img"
	truncate -s 2M "$WORK/fixed.img"
	promise "it may shrink as well" accepted < <(fixed)
	promise "what it still has is written" dd if="$WORK/fresh" bs=4k count=1 oflag=direct \
		conv=notrunc status=none >&8
	promise "what it lost is not, after a reload either" not dd if="$WORK/fresh" bs=4k seek=768 count=1 \
		oflag=direct conv=notrunc status=none >&8 2>/dev/null
	promise "and it does not grow" same $((2 << 20)) "$(stat -c %s "$WORK/fixed.img")"
	exec 8>&-
	promise "an optional file that appeared is read" cmp "$MNT/optional.img" "$WORK/optional.img"
	exec 6>&- 7>&-
	rm "$WORK/optional.img"
	promise "it may go again" accepted < <(sizes)
	promise "and opens with ENXIO then" not cat "$MNT/optional.img" 2>/dev/null
	accepted </dev/null
}

policy_holds() { # POLICY THROTTLE WANTED
	POLICY=$1 THROTTLE=$2
	accepted </dev/null || return 1
	sleep 1
	shares_hold "$3" 2
}

window_is() { # SLICES
	sleep 0.5
	ctl reset
	sleep 1
	same "$1" "$(ctl_value max_in_flight)"
}

test_keys() {
	local lines line
	KEYS_B=$'mode = 0640\nuid = 12\ngid = 34'
	promise "mode, uid and gid of an open file change" accepted </dev/null
	promise "and are seen" same "640 12 34" "$(stat -c '%a %u %g' "$MNT/b.img")"
	KEYS_B=
	accepted </dev/null
	promise "and go back" same "660 0 0" "$(stat -c '%a %u %g' "$MNT/b.img")"

	promise "the other load goes well until here" stop_loads other
	other_load 16k
	WEIGHT_A=50 WEIGHT_B=50
	thrice "equal weights, 4K against 16K: policy = weight counts requests" \
		policy_holds weight auto 50
	thrice "policy = weight-iosize counts sectors" policy_holds weight-iosize auto 80
	POLICY=weight WEIGHT_A=80 WEIGHT_B=20
	accepted </dev/null
	THROTTLE=1
	accepted </dev/null
	promise "io_throttle = 1 puts one slice in flight" window_is 1
	thrice "and the weights hold" shares_hold 80 2
	THROTTLE=7
	accepted </dev/null
	promise "io_throttle = 7 puts seven" window_is 7
	THROTTLE=auto
	accepted </dev/null

	LEVEL=error KEYS_B="mode = 0600"
	config </dev/null
	lines=$(reload_lines)
	kill -HUP "$FUSEBAND_PID"
	promise "log_level = error is accepted" wait_for 5 mode_of_b_is 600
	promise "and keeps reloads out of the log" same "$lines" "$(reload_lines)"
	promise "but not what was asked for" grep -q . <(status)
	LEVEL=info KEYS_B=
	promise "until it is info again" accepted </dev/null
	LEVEL=$'info\nworkers = 3\nsupervise = no'
	promise "what only a start can change is accepted" accepted </dev/null
	for line in "number of workers takes effect" "\`supervise\` takes effect"; do
		promise "and told: $line" grep -q "a changed $line at the next start" "$WORK/fuseband.log"
	done
	LEVEL=info
	accepted </dev/null
}

# Limits that are far from being reached: that they are taken over shows in what is refused.
test_limits() {
	local before
	before=$(generation)
	KEYS_B=$'parent = g\nmax_iops = 900000\nmin_iops = 10\nburst = 1s\nclass = realtime'
	KEYS_D=$'isolation = strict\nlatency_target = 1s\nread_iops = 2000\nwrite_iops = 2000'
	promise "limits of files and groups, isolation and a latency target are accepted" accepted \
		< <(section group:g "max_bps = 9T" "min_bps = 1M" "iops_size = 4K" "max_iops = 900000")
	KEYS_B=$'parent = g\nmax_write_bps = 9T\nmin_bps = 2M\nclass = idle'
	KEYS_D=$'isolation = throughput'
	promise "and changed" accepted \
		< <(section group:h "max_read_bps = 9T" "burst = 10s" ; section group:g "parent = h")
	promise "each of them was taken" same $((before + 2)) "$(generation)"
	promise "a promise above a cap is refused" refused_with \
		'\[b.img\] min_bps: "2M" is more than max_bps = 1M of \[group:g\]' \
		< <(section group:g "max_bps = 1M")
	KEYS_B="min_iops = 3000"
	KEYS_D=$'read_iops = 2000\nwrite_iops = 2000'
	promise "a promise that the disk cannot keep, too" refused_with \
		'\[device:disk\] .* promised 3000 IO/s, which is 150.0 %' </dev/null
	promise "both change no generation" same $((before + 2)) "$(generation)"
	KEYS_D='read_iops = 4000'
	KEYS_B=$'min_iops = 3000\nburst = 1s'
	promise "what has no effect is accepted" accepted </dev/null
	promise "and said" grep -q 'b.img. burst: has no effect' "$WORK/fuseband.log"
	KEYS_B=
	KEYS_D=
	promise "and all of it goes again" accepted </dev/null
	sleep 1
	thrice "and the weights hold" shares_hold 80 2
}

mode_of_b_is() { # MODE
	[ "$(stat -c %a "$MNT/b.img" 2>/dev/null)" = "$1" ]
}

# Opens FILE, and again, until there is a file `enough`.
keep_opening() { # FILE
	local never
	exec {never}<> <(:)
	while [ ! -e "$WORK/enough" ]; do
		: <"$1"
		read -rt 0.0005 -u "$never"
	done
}

# Who opens a file while its path changes gets the one or the other. (A reload that meets it open is
# refused, as it must be, and shows nothing here.)
test_opening() {
	local i taken=0 openers=()
	promise "a file to be opened is there" accepted < <(section e.img "path = $WORK/e.img")
	for i in 1 2 3; do
		keep_opening "$MNT/e.img" 2>"$WORK/opener$i.err" &
		openers+=($!)
	done
	for ((i = 0; i < 120; i++)); do
		config < <(section e.img "path = $WORK/$([ $((i % 2)) = 0 ] && echo f || echo e).img")
		reload_fuseband && taken=$((taken + 1))
	done
	: >"$WORK/enough"
	wait "${openers[@]}"
	note "$taken of 120 reloads were taken, $(cat "$WORK"/opener?.err | wc -l) opens failed"
	promise "opening a file while its path changes never fails" \
		not grep -hm 1 . "$WORK"/opener?.err
	accepted </dev/null
}

# Configuration I of those that test_many goes through again and again. The groups turn round: what
# was above another one comes to be below it, while b.img in one of them has requests queued.
many() { # I
	KEYS_B=$'parent = h\n'"max_iops = $((($1 % 3) * 900000))"
	if [ $(($1 % 2)) = 0 ]; then
		WEIGHT_A=80 WEIGHT_B=20
		section group:g "weight = 20" "max_iops = 900000" "burst = 1s"
		section group:h "parent = g" "min_iops = 1" "max_bps = 9T"
		section group:i "parent = g"
	else
		WEIGHT_A=20 WEIGHT_B=80
		section group:g "parent = i"
		section group:h "weight = 40" "max_read_iops = 900000"
		section group:i "max_write_bps = 9T"
	fi >"$WORK/many"
	{
		section c.img "path = $DISK" "offset = $((2 * part))" "size = $part" "parent = i"
		case $(($1 % 3)) in
		0) section d.img "path = $DISK" "offset = $((3 * part))" "parent = g" ;;
		1) section e.img "path = $WORK/e.img" ;;
		2) section e.img "path = $WORK/f.img" "parent = g" ;;
		esac
	} >>"$WORK/many"
	config <"$WORK/many"
}

# A disk that hangs is no reason to wait.
test_hung() {
	local start
	ctl 'hang on'
	start=$(log_now)
	WEIGHT_A=30 WEIGHT_B=70
	promise "a reload while the disk hangs is accepted" accepted </dev/null
	promise "within 2 s" holds "$(log_now) - $start < 2e6"
	ctl 'hang off'
	sleep 1
	thrice "and holds when it does not any more" shares_hold 30 2
	WEIGHT_A=80 WEIGHT_B=20
	accepted </dev/null
}

test_many() {
	local i before refused=0 rss0=0 rss fds0=0 fds start=$SECONDS
	promise "the loads go well until here" is_running verify
	before=$(reload_lines)
	for ((i = 0; i < reloads; i++)); do
		many $i
		reload_fuseband || refused=$((refused + 1))
		if [ $i = 20 ]; then
			rss0=$(rss_kib)
			fds0=$(descriptors)
		fi
	done
	i=$((reloads - 1))
	while [ $((i++ % 6)) != $((20 % 6)) ]; do
		many $i
		reload_fuseband || refused=$((refused + 1))
		rss=$(rss_kib)
		fds=$(descriptors)
	done
	note "$reloads reloads in $((SECONDS - start)) s; VmRSS $rss0 -> $rss KiB, descriptors $fds0 -> $fds"
	promise "$reloads reloads in a row: none is refused" same 0 $refused
	promise "each is logged" holds "$(reload_lines) - $before >= $reloads"
	# a burst of requests may leave some more buffers in the pool
	promise "memory stays within 5 % and 512 KiB" \
		within "$rss" "$rss0" "$(calc "0.05 * $rss0 + 512")"
	promise "and so do descriptors, exactly" same "$fds0" "$fds"
	WEIGHT_A=80 WEIGHT_B=20 KEYS_B=
	accepted </dev/null
	sleep 1
	thrice "weights hold afterwards" shares_hold 80 2
}

start_testdisk -s 4 -t 2000 -b $((4 * part)) -l "$log"
config </dev/null
start_fuseband "$WORK/fuseband.ini"
verify_load
other_load 4k

test_weights
test_broken
test_files
test_changes
test_sizes
test_keys
test_limits
test_hung
test_opening
test_many

promise "no request of the verified load failed" stop_loads verify
promise "none of the other load" stop_loads other
stop_fuseband
exit $failed
