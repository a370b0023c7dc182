#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The files of .fuseband: who may read them, that all promised fields are there and right after loads
# that are known to the last request, that what belongs together is of one moment, and that they and
# their counters outlive the data path.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
ALLOWED_ERRORS='short.img'
need jq fio python3 setpriv
need_root

conf=$WORK/ioband.ini
json=$MNT/.fuseband/status.json
PART_BYTES=$((16 << 20))

file_value() { # NAME KEY
	value ".files[] | select(.name == \"$1\") | .$2"
}

is() { # WANTED FILTER
	same "$1" "$(value "$2")"
}

quietly() {
	"$@" >"$WORK/out" 2>"$WORK/err"
}

counts() { # WANTED SERIES
	same "$1" "$(metric "$2")"
}

# ---- what is there ----

start_testdisk -s 4 -t 2000 -b $((2 * PART_BYTES))
truncate -s 4M "$WORK/own.img" "$WORK/short.img"
settings() { # WEIGHT [KEY=VALUE...]
	section fuseband "log_level = info" "${@:2}"
	section group:g "weight = 100"
	section group:h "weight = 100" "parent = g"
	section device:td "policy = weight"
	part heavy.img 0 "weight = $1" "device = td"
	part light.img 1 "device = td" "parent = h"
	section own.img "path = $WORK/own.img" "device = images" "weight = 300"
	section short.img "path = $WORK/short.img" "device = images"
	section absent.img "path = $WORK/none" "optional = yes"
}
settings 80 "gid = 65534" | ini "$conf"
start_fuseband "$conf"

promise "the directory is listed for who asks for hidden names" same ". .. .fuseband absent.img heavy.img light.img own.img short.img" \
	"$(ls -a "$MNT" | sort | tr '\n' ' ' | sed 's/ $//')"
promise "three files" same "fuseband.prom metrics status.json" "$(ls "$MNT/.fuseband" | tr '\n' ' ' | sed 's/ $//')"
promise "modes and owners" same "$(printf '%s\n' '550 0 65534 directory' '440 0 65534 regular empty file')" \
	"$(stat -c '%a %u %g %F' "$MNT/.fuseband" "$MNT"/.fuseband/* | uniq)"

nobody=(setpriv --reuid=12345 --regid=12345 --clear-groups)
chmod 711 "$WORK"
promise "others do not get in" not quietly "${nobody[@]}" ls "$MNT/.fuseband"
promise "nor at a file by its name" not quietly "${nobody[@]}" cat "$json"
promise "the group reads" quietly setpriv --reuid=12345 --regid=65534 --clear-groups cat "$json"
promise "nobody writes" not quietly dd if=/dev/zero of="$json" count=1 conv=notrunc status=none
promise "nothing is made there" not quietly touch "$MNT/.fuseband/x"
promise "nothing is removed" not quietly rm -f "$json"
promise "copies are whole" cp "$json" "$WORK/copy.json"
promise "and JSON" quietly jq -e .version "$WORK/copy.json"
promise "a seek fails and takes nothing from others" python3 - "$json" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
try:
    os.lseek(fd, 0, os.SEEK_DATA)
    sys.exit(1)
except OSError:
    pass
first = os.pread(fd, 100, 0)
assert len(first) == 100 and os.pread(fd, 50, 50) == first[50:], "one text for one open file"
assert os.pread(fd, 10, 1 << 30) == b""
PY

# ---- fields ----

cat >"$WORK/wanted" <<'EOF'
config.generation
config.last_error
config.path
config.reloads
config.reloads_refused
devices.in_flight
devices.in_flight_limit
devices.isolation
devices.latency_us.p50
devices.latency_us.p99
devices.name
devices.policy
devices.queued
files.achieved_pct
files.device
files.discards
files.entitled_pct
files.errors
files.flushes
files.in_flight
files.name
files.parent
files.path
files.queued
files.read_bytes
files.read_ios
files.service_us.p50
files.service_us.p99
files.service_us.p999
files.size_bytes
files.throttled_by
files.wait_us.p50
files.wait_us.p99
files.wait_us.p999
files.waited_us.anticipation
files.waited_us.cap
files.waited_us.share
files.waited_us.window
files.weight
files.write_bytes
files.write_ios
groups.achieved_pct
groups.device
groups.entitled_pct
groups.name
groups.parent
groups.weight
pid
restarts
upgrade_error
upgrades
upgrades_refused
uptime_s
version
workers
EOF
jq -r '[paths(type != "object" and type != "array")] | map(map(select(type == "string")) | join(".")) |
	unique | .[]' "$json" | LC_ALL=C sort >"$WORK/got"
promise "nothing is missed" is "[]" '[.alarms, (.devices, .groups, .files | .[].alarms)] | add | tostring'
promise "all fields are there, and no others" diff "$WORK/wanted" "$WORK/got"
# as the manual has them
sed -n '/^\.Ss Status and metrics/,/^\.Ss Calib/p' "$TESTS/../man/fuseband.8" >"$WORK/manual"
for name in alarms $(tr . '\n' <"$WORK/wanted" | sort -u) \
	$(grep -oE '^# TYPE [a-z_]+' "$MNT/.fuseband/metrics" | cut -d' ' -f3); do
	grep -qw -- "$name" "$WORK/manual" || miss "fuseband(8) does not tell of $name"
done
for name in ios_total bytes_total errors_total wait_seconds service_seconds queued in_flight weight \
	entitled_ratio achieved_ratio guarantee_missed_total reloads_total reloads_refused_total \
	upgrades_refused_total restarts_total; do
	grep -q "^# TYPE fuseband_$name " "$MNT/.fuseband/fuseband.prom" || miss "no metric fuseband_$name"
done

# FAMILY LABEL, and FAMILY - for each; le and quantile come with the type
awk '
	$2 == "TYPE" { family = $3; print family, "-" }
	/^#/ { next }
	{
		for (text = $0; match(text, /[a-z_]+="[^"]*"/); text = substr(text, RSTART + RLENGTH)) {
			label = substr(text, RSTART, RLENGTH)
			sub(/=.*/, "", label)
			if (label != "le" && label != "quantile")
				print family, label
		}
	}' "$MNT/.fuseband/metrics" | LC_ALL=C sort -u >"$WORK/labels"
awk '
	/^\.It Cm fuseband_/ {
		sub(/^\.It Cm /, "")
		split($0, half, / Brq Cm /)
		n = split(half[1], name, / , /)
		m = split(half[2], label, / , /)
		for (i = 1; i <= n; i++) {
			print name[i], "-"
			for (j = 1; j <= m; j++)
				print name[i], label[j]
		}
	}' "$WORK/manual" | LC_ALL=C sort -u >"$WORK/manual.labels"
promise "each metric has the labels that the manual gives it" diff "$WORK/manual.labels" "$WORK/labels"

promise "who is to be signalled" is "$FUSEBAND_PID" .pid
promise "where it was read from" is "$conf 1 null" '"\(.config.path) \(.config.generation) \(.config.last_error)"'
promise "the group is a node on the disk of its file" is "g null td h g td" '[.groups[] | .name, .parent, .device] | map(tostring) | join(" ")'
promise "what is absent has no disk" is "null 0" '.files[] | select(.name == "absent.img") | "\(.device) \(.size_bytes)"'

# ---- numbers ----

dd if=/dev/zero of="$MNT/own.img" bs=64k count=32 oflag=direct conv=notrunc status=none
flushes=$(file_value own.img flushes)
sync "$MNT/own.img"
dd if="$MNT/own.img" of=/dev/null bs=4k count=256 iflag=direct status=none
fallocate -p -o 0 -l 65536 "$MNT/own.img" # it ends with an fsync
promise "reads" same "256 $((256 * 4096))" "$(file_value own.img read_ios) $(file_value own.img read_bytes)"
promise "writes" same "32 $((32 << 16))" "$(file_value own.img write_ios) $(file_value own.img write_bytes)"
promise "flushes and discards" same "$((flushes + 2)) 1" \
	"$(file_value own.img flushes) $(file_value own.img discards)"
promise "the metrics say the same" counts 256 'fuseband_ios_total{file="own.img",device="images",op="read"}'
promise "histograms have each request once" counts 256 'fuseband_service_seconds_count{device="images",op="read"}'
promise "writes apart" counts 32 'fuseband_wait_seconds_count{device="images",op="write"}'
promise "summaries have all of them" counts 288 'fuseband_file_wait_seconds_count{file="own.img",device="images"}'
promise "percentiles are in order" is true '.files[] | select(.name == "own.img") | .service_us |
	.p50 > 0 and .p50 <= .p99 and .p99 <= .p999'
promise "the neighbour has none" is null '.files[] | select(.name == "short.img") | .wait_us.p50'

# an alarm at the end of the window
truncate -s 128K "$WORK/short.img"
promise "a backing that shrank gives an error" \
	not quietly dd if="$MNT/short.img" of=/dev/null bs=64k skip=2 count=1 iflag=direct
promise "which is counted" same 1 "$(file_value short.img errors)"

# ---- one moment ----

start_load heavy --filename="$MNT/heavy.img" --rw=randread --bs=4k --iodepth=32 --size=$PART_BYTES
start_load light --filename="$MNT/light.img" --rw=randread --bs=4k --iodepth=32 --size=$PART_BYTES
working() {
	[ "$(value '[.files[] | select(.device == "td" and .read_ios > 100)] | length')" = 2 ]
}
promise "loads run" wait_for 20 working
for ((i = 0; i < 100; i++)); do
	cat "$json"
	sleep 0.04
done >"$WORK/many.json"
jq -c '[(.devices[] | select(.name == "td") | .in_flight, .queued),
	([.files[] | select(.device == "td")] |
	([.[].in_flight] | add), ([.[].queued] | add), ([.[].achieved_pct] | add)),
	(.groups[0].achieved_pct - (.files[] | select(.name == "light.img") | .achieved_pct))]' \
	"$WORK/many.json" >"$WORK/moments"
promise "a hundred snapshots" same 100 "$(wc -l <"$WORK/moments")"
promise "files and disk are of one moment" same 100 "$(jq -c 'select(.[0] == .[2] and .[1] == .[3])' "$WORK/moments" | wc -l)"
promise "parts make a whole" same 100 "$(jq -c 'select(.[4] > 99.9 and .[4] < 100.1 and .[5] > -0.1 and .[5] < 0.1)' "$WORK/moments" | wc -l)"
share=$(file_value heavy.img achieved_pct)
note "heavy.img has $share %, entitled to $(file_value heavy.img entitled_pct)"
# 80 against a group of 100
promise "the shares are those of the weights" within "$share" 44.4 3
promise "entitled to that" within "$(file_value heavy.img entitled_pct)" 44.4 3
promise "it waits for the disk or its turn" is true '.files[] | select(.name == "heavy.img") | .throttled_by | . == "share" or . == "window"'
note "the disk's latency: $(value '.devices[] | select(.name == "td") | .latency_us | tostring')"
promise "the disk takes as long as it does" is true '.devices[] | select(.name == "td") | .latency_us.p50 > 1600'

# ---- exposition ----

cat "$MNT/.fuseband/fuseband.prom" >"$WORK/prom"
promise "the metrics keep the rules" python3 "$TESTS/prom.py" <"$WORK/prom"
if command -v promtool >/dev/null; then
	promise "promtool says so, too" promtool check metrics <"$WORK/prom"
fi

# ---- what the windows brought ----

short_missed() {
	metric 'fuseband_guarantee_missed_total{file="short.img",device="images",guarantee="size"}'
}
promise "a backing that shrank is an alarm" wait_for 15 more_than 0 short_missed
promise "which is going on" is '["size"]' '.files[] | select(.name == "short.img") | .alarms | tostring'
promise "and told" same 1 "$(grep -c 'short.img: .* is shorter than it was' "$WORK/fuseband.log")"
promise "promises that are kept are none" same 0 "$(awk '/^fuseband_guarantee_missed_total/ && !/short.img/ { n += $NF } END { print n + 0 }' \
	"$MNT/.fuseband/metrics")"

# ---- after a crash ----

before=$(file_value own.img read_ios)
heavy_before=$(file_value heavy.img read_ios)
hist_before=$(metric 'fuseband_service_seconds_count{device="td",op="read"}')
exec 7<"$json" 8<"$json"
head -c 100 <&8 >"$WORK/head"
kill_data_path
promise "an open file that nobody has read from is JSON" quietly jq -e .pid <&7
promise "one that was begun says that it is gone" not quietly cat <&8
exec 7<&- 8<&-
promise "counters go on" same "$before" "$(file_value own.img read_ios)"
promise "of who works, too" holds "$(file_value heavy.img read_ios) >= $heavy_before"
promise "histograms go on" holds "$(metric 'fuseband_service_seconds_count{device="td",op="read"}') >= $hist_before"
promise "a restart is counted" counts 1 fuseband_restarts_total
promise "and shown" is 1 .restarts
promise "the same process is to be signalled" is "$FUSEBAND_PID" .pid
promise "the loads noticed nothing" stop_loads
promise "alarms are counted on" same 1 "$(short_missed)"

# ---- reloads ----

settings 200 "gid = 12345" | ini "$conf"
promise "a reload" reload_fuseband
promise "is counted" same "1 2" "$(metric fuseband_reloads_total) $(value .config.generation)"
promise "its weight is shown" same 200 "$(file_value heavy.img weight)"
promise "the group is another one" same 12345 "$(stat -c %g "$json")"
{
	settings 200
	echo "nonsense = 1"
} | ini "$conf"
promise "one that is wrong is refused" not reload_fuseband
promise "and why is shown" grep -q 'unknown key' <<<"$(value .config.last_error)"
promise "a refused one, too" counts 1 fuseband_reloads_refused_total
promise "nothing else has changed" same "1 2" "$(metric fuseband_reloads_total) $(value .config.generation)"

# ---- many readers, many files, and reloads meanwhile ----

truncate -s 64M "$WORK/many.img"
many() { # WEIGHT
	awk -v n=500 -v path="$WORK/many.img" -v weight="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "[vm%03d.img]\npath = %s\noffset = %d\nsize = 65536\nweight = %d\n",
				i, path, i * 131072, weight + i
	}' | ini "$conf"
}
many 1
promise "five hundred files" reload_fuseband
readers=()
for ((i = 0; i < 2; i++)); do
	(for ((k = 0; k < 5; k++)); do
		jq -e '.files | length == 500' "$json" || exit 1
		python3 "$TESTS/prom.py" <"$MNT/.fuseband/metrics" || exit 1
	done >"$WORK/reader$i") &
	readers+=($!)
done
many 2
promise "and a reload" reload_fuseband
for pid in "${readers[@]}"; do
	promise "a reader never saw anything that is not whole" wait "$pid"
done

cpu_us() { # PID
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) * 1000000 / hz }' "/proc/$1/stat"
}
from=$(cpu_us "$(data_path)")
for ((i = 0; i < 50; i++)); do
	cat "$json"
done >"$WORK/out"
to=$(cpu_us "$(data_path)")
note "status.json of 500 files: $(($(wc -c <"$WORK/out") / 50)) bytes, $(((to - from) / 50)) us of CPU each time"

stop_fuseband
exit $failed
