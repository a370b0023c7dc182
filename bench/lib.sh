#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the benchmarks share: the backings, the contenders, one measurement, the machine. Below it is
# tests/lib.sh: a private directory $WORK, and however a benchmark ends, Ctrl-C included, nothing
# of it is left but its results.
#
# Backings. backing_NAME makes one and sets FILES, what is to be read and written (several for
# several clients with a file each), SIZE_BYTES of each, and INI, lines for each section of
# ioband.ini. One exists at a time; backing_gone ends it.
#
#	file      images on the disk below $BENCH_DIR, preallocated and written
#	loop      loop devices over files in RAM: a block device that is faster than we are
#	testdisk  the disk of tests/testdisk.c, 20 servers x 1 ms: 20,000 IO/s whatever the machine
#
# Contenders. contender_start NAME sets PATHS[NAME], what clients open, and PIDS[NAME], the
# daemon; status 1: it is not to be had here, and why has been said. All of them serve the same
# backing, side by side; those that are not being measured sleep.
#
#	direct       the backing itself
#	fuseband     this
#	passthrough  bench/passthrough.c: libfuse, its 10 threads, pread and pwrite
#	passthrough-N  the same with N threads
#	qemu-N       the FUSE export of qemu-storage-daemon with N iothreads
#	newqemu-N    the same of another QEMU: one below the directory $QEMU_ROOT, which has
#	             another Debian in it, such as debootstrap makes
#
# Shapes. OP-BLOCK-DEPTH[-CLIENTS][-ENGINE], at random offsets, O_DIRECT:
#
#	read-4k-32          one client, 32 requests of 4 KiB outstanding
#	mixed-64k-1-psync   OP: read write mixed; ENGINE: io_uring (default) libaio psync
#	write-4k-32-2c      two clients on one file, 32 requests each
#	write-4k-32-4f      four clients with a file each
#	read-4k-1024-99n    one client that takes turns with the files f0 to f98

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$bench")
build=${BENCH_BUILD:-$top/build/release} # BENCH_BUILD: where it has been built already
BENCH_DIR=${BENCH_DIR:-/var/tmp}
QEMU_ROOT=${QEMU_ROOT:-}
RAMP=1
export TMPDIR=$BENCH_DIR
export FUSEBAND=$build/fuseband TESTDISK=$build/testdisk

# shellcheck source=tests/lib.sh
. "$top/tests/lib.sh"
# shellcheck source=tests/packages.sh
. "$top/tests/packages.sh"

FILES=()
SIZE_BYTES=0
INI=
declare -A PATHS=() PIDS=()

need_packages() { # [PACKAGE...]: and what all need
	need_root
	[ -c /dev/fuse ] || fail "/dev/fuse is missing: modprobe fuse, or a container without it"
	install_packages gcc make cmake pkg-config libc6-dev libfuse3-dev liburing-dev libinih-dev \
		libcmocka-dev fuse3 fio jq gawk util-linux mount procps qemu-system-common "$@" || exit 1
}

build_release() {
	[ -z "${BENCH_BUILD:-}" ] || return
	note "building in $build"
	(cd "$top" && cmake --preset release && cmake --build --preset release -j"$(nproc)") \
		>"$WORK/build.log" 2>&1 || {
		tail -n 40 "$WORK/build.log" >&2
		fail "the build failed"
	}
}

# KEY<TAB>VALUE lines.
machine() {
	lscpu | awk -F': *' '$1 == "Model name" { print "CPU\t" $2 }'
	printf 'cores\t%s\n' "$(nproc)"
	printf 'memory\t%s GiB\n' "$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)"
	printf 'Linux\t%s\n' "$(uname -r | grep -o '^[0-9.]*[0-9]')"
	printf 'libfuse\t%s\n' "$(pkg-config --modversion fuse3)"
	printf 'liburing\t%s\n' "$(pkg-config --modversion liburing)"
	qemu --version 2>/dev/null | awk 'NR == 1 { print "QEMU\t" $3 }'
	[ -z "${QEMU_ROOT:-}" ] || newqemu --version 2>/dev/null | awk 'NR == 1 { print "QEMU of newqemu\t" $3 }'
	printf 'fio\t%s\n' "$(fio --version | sed 's/^fio-//')"
	printf 'fuseband\t%s\n' "$("$FUSEBAND" --version | awk '{ print $2; exit }')"
	printf 'load before\t%s\n' "$(cut -d ' ' -f 1 /proc/loadavg)"
}

# ---- backings ----

fill() { # FILE
	fio --name=fill --filename="$1" --rw=write --bs=1M --size="$SIZE_BYTES" --direct="$2" \
		--ioengine=io_uring --iodepth=4 --output=/dev/null || fail "cannot fill $1"
}

backing_file() { # FILES
	local i
	SIZE_BYTES=$((1 << 30))
	for ((i = 1; i <= $1; i++)); do
		FILES+=("$WORK/disk$i.img")
		fallocate -l "$SIZE_BYTES" "$WORK/disk$i.img" || fail "no room for $WORK/disk$i.img"
		fill "$WORK/disk$i.img" 1
	done
}

backing_loop() { # FILES [BYTES]
	local i
	SIZE_BYTES=${2:-$((512 << 20))}
	mkdir "$WORK/ram"
	mount -t tmpfs -o size=$(($1 * (SIZE_BYTES + (1 << 20)))) ram "$WORK/ram" || fail "no tmpfs"
	for ((i = 1; i <= $1; i++)); do
		truncate -s "$SIZE_BYTES" "$WORK/ram/disk$i" && fill "$WORK/ram/disk$i" 0
		LOOP=$(losetup -f --show --direct-io=off "$WORK/ram/disk$i") || fail "no loop device"
		LOOPS+=("$LOOP")
		FILES+=("$LOOP")
	done
	INI='device = ram'
}

backing_testdisk() { # FILES
	SIZE_BYTES=$((1 << 30))
	start_testdisk -s 20 -t 1000 -b "$SIZE_BYTES"
	FILES=("$DISK")
}

backing_gone() {
	local loop
	for loop in "${LOOPS[@]}"; do
		losetup -d "$loop"
	done
	unmount_ours
	[ -z "${TESTDISK_PID:-}" ] || wait_pid 10 "$TESTDISK_PID"
	rm -rf "$WORK/ram" "$WORK"/disk*.img
	FILES=() LOOPS=() INI='' TESTDISK_PID=
}

# ---- contenders ----

qemu() {
	exec qemu-storage-daemon "$@"
}

newqemu() { # with its own loader and libraries, but no chroot: it has to see the same paths
	exec "$QEMU_ROOT"/lib64/ld-linux-*.so.2 --library-path "$(echo "$QEMU_ROOT"/usr/lib/*-linux-gnu)" \
		"$QEMU_ROOT/usr/bin/qemu-storage-daemon" "$@"
}

# start_daemon NAME READY COMMAND...: until READY is a mount that serves.
start_daemon() {
	local name=$1 ready=$2 log=$WORK/$1.log
	shift 2
	"$@" >"$log" 2>&1 &
	PIDS[$name]=$!
	until serves "$ready"; do
		if ! kill -0 "${PIDS[$name]}" 2>/dev/null; then
			note "$name is left out: $(tail -n 1 "$log")"
			unset "PIDS[$name]"
			return 1
		fi
		sleep 0.05
	done
}

start_qemu() { # NAME
	local i n=${1#*-} args=() threads=
	for ((i = 0; i < n; i++)); do
		args+=(--object "iothread,id=t$i")
		threads+=${threads:+,}\"t$i\"
	done
	[ "$n" = 1 ] || threads="[$threads]" # a list is understood by new ones only
	for i in "${!FILES[@]}"; do
		: >"$WORK/$1/$i"
		args+=(--blockdev "$(
			jq -nc --arg path "${FILES[i]}" --arg node "n$i" '{driver: "raw", "node-name": $node, file: {
				driver: (if $path | startswith("/dev/") then "host_device" else "file" end),
				filename: $path, cache: {direct: true}, aio: "io_uring", locking: "off"}}'
		)")
		args+=(--export "$(
			jq -nc --arg node "n$i" --arg at "$WORK/$1/$i" --argjson threads "$threads" '{
				type: "fuse", id: "e\($node)", "node-name": $node, mountpoint: $at,
				writable: true, growable: false, iothread: $threads}'
		)")
	done
	start_daemon "$1" "$WORK/$1/$((${#FILES[@]} - 1))" "${1%-*}" "${args[@]}"
}

contender_start() { # NAME
	local i paths=()
	mkdir -p "$WORK/$1"
	for i in "${!FILES[@]}"; do
		case $1 in
		direct) paths+=("${FILES[i]}") ;;
		fuseband) paths+=("$MNT/f$i") ;;
		passthrough | passthrough-*) paths+=("$WORK/$1/$((i + 1))") ;;
		qemu-* | newqemu-*) paths+=("$WORK/$1/$i") ;;
		*) fail "there is no contender $1" ;;
		esac
	done
	case $1 in
	fuseband)
		for i in "${!FILES[@]}"; do
			printf '[f%d]\npath = %s\n%s\n' "$i" "${FILES[i]}" "$INI"
		done | ini "$WORK/fuseband.ini"
		start_fuseband "$WORK/fuseband.ini"
		PIDS[$1]=$(data_path)
		;;
	passthrough) start_daemon "$1" "$WORK/$1" "$build/passthrough" "$WORK/$1" "${FILES[@]}" ;;
	passthrough-*)
		start_daemon "$1" "$WORK/$1" "$build/passthrough" -t "${1#*-}" "$WORK/$1" "${FILES[@]}"
		;;
	*qemu-*) start_qemu "$1" ;;
	esac || return
	PATHS[$1]=${paths[*]}
}

contenders_stop() {
	local name
	for name in "${!PIDS[@]}"; do
		if [ "$name" = fuseband ]; then
			stop_fuseband
		else
			kill -TERM "${PIDS[$name]}"
			wait_pid 20 "${PIDS[$name]}" || note "$name ended with status $?"
		fi
	done
	PIDS=() PATHS=()
}

# ---- one measurement ----

shape_files() { # SHAPE: how many it needs
	[[ $1 =~ -([0-9]+)f(-|$) ]] && echo "${BASH_REMATCH[1]}" || echo 1
}

# load SECONDS SHAPE OUTPUT FILE...: fio, as JSON
load() {
	local seconds=$1 shape=$2 output=$3 clients=1 engine=io_uring each='' turns='' i word words jobs=()
	shift 3
	IFS=- read -ra words <<<"$shape"
	local op=${words[0]} block=${words[1]} depth=${words[2]}
	for word in "${words[@]:3}"; do
		case $word in
		*[0-9]c) clients=${word%c} ;;
		*[0-9]f) clients=${word%f} each=1 ;;
		*[0-9]n) turns=${word%n} ;;
		*) engine=$word ;;
		esac
	done
	for ((i = 1; i <= clients; i++)); do
		jobs+=(--name="client$i" --filename="$1")
		[ -z "$each" ] || shift
	done
	# shellcheck disable=SC2016 # fio's variable
	[ -z "$turns" ] || jobs=(--name=client --directory="${1%/*}" --filename_format='f$filenum'
		--nrfiles="$turns" --file_service_type=roundrobin:1 --size=$((SIZE_BYTES * turns)))
	local how=(--iodepth="$depth")
	[ "$engine" != psync ] || how=(--thread --numjobs="$depth")
	case $op in
	read | write) op=rand$op ;;
	mixed) op=randrw ;;
	*) fail "$shape: it is read, write or mixed" ;;
	esac
	timeout $((seconds + 60)) fio --output-format=json --output="$output" --group_reporting \
		--unified_rw_reporting=1 --lat_percentiles=1 --direct=1 --rw="$op" --bs="$block" \
		--ioengine="$engine" "${how[@]}" --size="$SIZE_BYTES" --norandommap --randrepeat=0 \
		--time_based --ramp_time="$RAMP" --runtime="$((seconds - RAMP))" "${jobs[@]}" \
		2>"$WORK/fio.err"
}

cpu_ticks() { # PID
	local line words
	read -r line <"/proc/$1/stat"
	read -ra words <<<"${line##*) }"
	echo $((words[11] + words[12]))
}

# measure CONTENDER SHAPE SECONDS: IO/s, p50 and p99 in us, the daemon's CPU time in us per request.
# That is taken from a part of the run in the middle, so that starting and ending do not count.
measure() {
	local pid=${PIDS[$1]:-} out=$WORK/fio.json fio from to ticks=0
	# shellcheck disable=SC2086 # they are several
	load "$3" "$2" "$out" ${PATHS[$1]} &
	fio=$!
	sleep "$(calc "$RAMP + 0.4")"
	from=${EPOCHREALTIME/./}
	[ -z "$pid" ] || ticks=$(cpu_ticks "$pid")
	sleep "$(calc "$3 - $RAMP - 0.8")"
	to=${EPOCHREALTIME/./}
	[ -z "$pid" ] || ticks=$(($(cpu_ticks "$pid") - ticks))
	wait "$fio" || fail "fio, $1 $2: $(head -n 3 "$WORK/fio.err")"
	jq -r --argjson us $((to - from)) --argjson ticks "$ticks" --argjson hz "$(getconf CLK_TCK)" '
		.jobs[0].mixed | [.iops, .lat_ns.percentile["50.000000"] / 1e3,
		.lat_ns.percentile["99.000000"] / 1e3, $ticks / $hz * 1e12 / $us / .iops] | @tsv' "$out"
}

# scheduler_part CONTENDER SHAPE: the part of the daemon's CPU samples, kernel included, that hit
# functions of the scheduler's library; nothing printed: it could not be found out.
scheduler_part() {
	local fio pid=${PIDS[$1]}
	command -v perf >/dev/null || {
		note "the scheduler's part of the time is left out: no perf" >&2
		return
	}
	nm "$build/libfbsched.a" | awk '$2 ~ /^[tT]$/ { print $3 }' >"$WORK/symbols"
	# shellcheck disable=SC2086 # they are several
	load 8 "$2" "$WORK/fio.json" ${PATHS[$1]} &
	fio=$!
	sleep "$(calc "$RAMP + 0.5")"
	perf record -q -e cpu-clock -F 1999 -p "$pid" -o "$WORK/perf.data" -- sleep 5 \
		>"$WORK/perf.log" 2>&1
	wait "$fio" || fail "fio, $1 $2: $(head -n 3 "$WORK/fio.err")"
	perf script -i "$WORK/perf.data" -F ip,sym 2>>"$WORK/perf.log" | awk '
		NR == FNR { ours[$1]; next }
		NF { n++; if ($2 in ours) mine++ }
		END { if (n > 1000) printf "%.4f\n", mine / n; else exit 1 }' "$WORK/symbols" - ||
		note "the scheduler's part of the time is left out: $(tail -n 1 "$WORK/perf.log")" >&2
}

# ---- how far it is ----

# progress DONE ALL TEXT: on a terminal a bar, which progress_end takes away before anything else is
# written; elsewhere a line, without characters that only terminals understand. On stderr.
progress() {
	local percent=$((100 * $1 / $2)) bar=####################
	if [ -t 2 ]; then
		printf '\r\033[K[%-20s] %3d %%  %.48s' "${bar:0:percent / 5}" "$percent" "$3" >&2
	else
		printf '# %d of %d: %s\n' "$1" "$2" "$3" >&2
	fi
}

progress_end() {
	[ ! -t 2 ] || printf '\r\033[K' >&2
}
