#!/bin/bash
# SPDX-License-Identifier: MIT
#
# [disk:NAME]: the partitions of a loop device as files, while somebody changes the table and fio
# writes and verifies. What is served is the table as it was when the last reload read it: for
# whoever takes over, too. The table itself is never written.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio sfdisk cmp python3
need_root
if "$FUSEBAND" --check -c <(printf '[disk:d]\npath = /dev/null\n') 2>&1 | grep -q 'built with libblkid'; then
	skip "this fuseband was built without libblkid"
fi
conf=$WORK/fuseband.ini
MIB=$((1 << 20))

# ---- the disk ----

# table ARGS: the script on stdin, for the disk whose kernel need not know.
table() {
	sfdisk -q --no-reread --no-tell-kernel "$@" "$LOOP" >"$WORK/sfdisk.log" 2>&1 ||
		fail "sfdisk: $(cat "$WORK/sfdisk.log")"
}

forget() { # NUMBER
	sfdisk -q --no-reread --no-tell-kernel --delete "$LOOP" "$1" >"$WORK/sfdisk.log" 2>&1 ||
		fail "sfdisk: $(cat "$WORK/sfdisk.log")"
}

config() {
	{
		printf '[disk:d]\npath = %s\nweight = 50\n' "$LOOP"
		cat
	} | ini "$conf"
}

files() {
	find "$MNT" -maxdepth 1 -type f -printf '%f\n' | sort | tr '\n' ' '
}

put() { # FILE BYTE: its first block
	head -c 4096 /dev/zero | tr '\0' "$2" |
		dd of="$1" bs=4096 count=1 oflag=direct conv=notrunc status=none
}

put_open() { # FD BYTE: it has no name any more
	python3 -c 'import os, sys; os.pwrite(int(sys.argv[1]), sys.argv[2].encode() * 4096, 0)' "$1" "$2"
}

byte_at() { # MIB: of the disk
	dd if="$LOOP" bs=4096 skip=$(($1 * 256)) count=1 iflag=direct status=none | head -c 1 | tr -d "\0"
}

first_byte() { # FILE
	dd if="$1" bs=4096 count=1 iflag=direct status=none | head -c 1
}

refused_with() { # REGEX
	local before
	before=$(wc -l <"$WORK/fuseband.log")
	! reload_fuseband || return 1
	tail -n "+$((before + 1))" "$WORK/fuseband.log" | grep -qE "$1" || {
		tail -n "+$((before + 1))" "$WORK/fuseband.log" >&2
		return 1
	}
}

# Both ends of the disk, where a GPT is.
table_bytes() {
	dd if="$LOOP" bs=1M count=1 iflag=direct status=none
	dd if="$LOOP" bs=1M skip=127 iflag=direct status=none | tail -c $((33 * 512))
}

mkloop 128M
table <<-END
	label: gpt
	start=2048,size=48M,name="system"
	start=$((64 * 2048)),size=8M
	start=$((80 * 2048)),size=8M
END

# ---- before anything is served ----

config <<-END
	[d2]
	weight = 400
	readonly = yes
	[d7]
	weight = 1
END
"$FUSEBAND" --check -c "$conf" >"$WORK/check" || fail "--check refuses a good table"
promise "--check shows the partitions, with what the table calls them" \
	grep -qE '^d1 .* 48M .*from 1M, partition 1 \(GPT "system", type ' "$WORK/check"
promise "... what a section says of one of them" grep -qE '^d2 .* read-only, from 64M, partition 2' "$WORK/check"
promise "... and that there is none yet for another section" \
	grep -qF "[d7] $LOOP has no partition 7 now" "$WORK/check"

config <<-END
	[other]
	path = $LOOP
	offset = 84M
	size = 1M
END
"$FUSEBAND" --check -c "$conf" >/dev/null 2>"$WORK/check"
promise "a range that a partition has, too, is refused" grep -qE 'overlaps (other|d3)' "$WORK/check"
truncate -s 1M "$WORK/d1.img"
config <<-END
	[d1]
	path = $WORK/d1.img
END
"$FUSEBAND" --check -c "$conf" >/dev/null 2>"$WORK/check"
promise "a file with the name of a partition is refused" \
	grep -qE "ini:[0-9]+: \[d1\] is the name of partition 1 of $LOOP, and already at" "$WORK/check"

# ---- served ----

config </dev/null
start_fuseband "$conf"
promise "a file for every partition" same "d1 d2 d3 " "$(files)"
promise "... of its size" same "$((48 * MIB)) $((8 * MIB))" "$(stat -c %s "$MNT/d1" "$MNT/d3" | xargs)"
put "$MNT/d2" A
put "$MNT/d3" B
promise "... and in its place" same "A B" "$(byte_at 64) $(byte_at 80)"
start_load verified --bs=4k --iodepth=16 --rw=randrw --verify=crc32c --verify_backlog=128 \
	--verify_fatal=1 --size=40M --filename="$MNT/d1"

# ---- the table changes ----

echo "start=$((96 * 2048)),size=8M" | table --append
promise "a table that changed is not looked at before a reload" same "d1 d2 d3 " "$(files)"
reload_fuseband || fail "the reload with one more partition is refused"
promise "a new partition appears" same "d1 d2 d3 d4 " "$(files)"
put "$MNT/d4" C
promise "... in its place" same C "$(byte_at 96)"

exec {open}<>"$MNT/d3"
forget 3
reload_fuseband || fail "the reload with one partition less is refused"
promise "a partition that is gone vanishes" same "d1 d2 d4 " "$(files)"
put_open $open D
promise "... but serves whoever has it open" same D "$(byte_at 80)"
echo "start=$((82 * 2048)),size=8M" | table -N 3
promise "nothing new is served where it was, as long as it is open" \
	refused_with 'overlaps d3, which was removed but is still open'
put_open $open E
promise "... and it is where it was" same E "$(byte_at 80)"
exec {open}>&-
wait_for 10 reload_fuseband || fail "the reload is refused after the last close"
put "$MNT/d3" F
promise "... and afterwards it is where the table says" same "E F" "$(byte_at 80) $(byte_at 82)"

exec {open}<>"$MNT/d2"
echo "start=$((108 * 2048)),size=8M" | table -N 2
promise "a partition that moved while it is open: nothing changes" \
	refused_with '\[d2\] offset: .* is not where partition 2 began'
put_open $open G
promise "... and it writes where it did" same "G" "$(byte_at 64)"
promise "... and not where the table says" same "" "$(byte_at 108)"
echo "start=$((64 * 2048)),size=4M" | table -N 2
promise "one that shrank likewise" refused_with '\[d2\] size: .* is not where partition 2 began, or as long'
exec {open}>&-
echo "start=$((108 * 2048)),size=8M" | table -N 2
reload_fuseband || fail "the reload with a moved partition is refused, although it is closed"
put "$MNT/d2" H
promise "closed, it moves" same "G H" "$(byte_at 64) $(byte_at 108)"

# ---- a table that is none ----

table_bytes >"$WORK/table"
printf x | dd of="$LOOP" bs=1 seek=532 conv=notrunc status=none # in the header, which has a sum
promise "a damaged table is refused, and the running one stays" \
	refused_with 'has a damaged GPT; the backup at its end is good'
promise "... with all its files" same "d1 d2 d3 d4 " "$(files)"
dd if="$WORK/table" of="$LOOP" bs=1M count=1 conv=notrunc,fsync status=none
reload_fuseband || fail "the reload with the table restored is refused"

# ---- whoever takes over serves the table that was accepted ----

forget 4
echo "start=$((70 * 2048)),size=8M" | table -N 2
table_bytes >"$WORK/table"
exec {open}<>"$MNT/d3"
kill_data_path
promise "after kill -9, and with another table, the files are what they were" same "d1 d2 d3 d4 " "$(files)"
put "$MNT/d2" I
put "$MNT/d4" J
put_open $open K
promise "... where they were" same "I J K" "$(byte_at 108) $(byte_at 96) $(byte_at 82)"
kill_parent
kill_data_path
promise "... and so with another parent" same "d1 d2 d3 d4 I" "$(files)$(first_byte "$MNT/d2")"
promise "... until a reload" reload_fuseband
promise "... reads the table" same "d1 d2 d3 " "$(files)"
exec {open}>&-
put "$MNT/d2" L
promise "... and moves what is closed" same "L I" "$(byte_at 70) $(byte_at 108)"

promise "nobody who wrote and verified all the time saw any of it" stop_loads
promise "the table was never written" cmp -s "$WORK/table" <(table_bytes)
stop_adopted
