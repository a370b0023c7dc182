#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fuseband-sim as its manual tells it: synopsis, exit status, the example, what is said about a wrong
# scenario; the same run each time; configurations as they are, whatever their paths.

. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/manual.sh
. "$TESTS/manual.sh"
need mandoc

SIM=${FUSEBAND%/*}/fuseband-sim
MAN=$TESTS/../man/fuseband-sim.1
[ -x "$SIM" ] || skip "no $SIM"
cd "$WORK" || exit 1

# ---- usage = synopsis, help = manual ----

same_usage "$SIM" "$MAN"
same_options "$SIM" "$MAN"
"$SIM" --version | grep -qx 'fuseband-sim [0-9.]*' || fail "--version"

# ---- the example ----

sed -n '/^\$ cat db.sim$/,/^\$ fuseband-sim db.sim$/p' "$MAN" | sed '1d; $d' >db.sim
[ "$(wc -l <db.sim)" -ge 4 ] || fail "no example in the manual"
"$SIM" db.sim >out || fail "the manual's example ended with status $?: $(tail -n 1 out)"
[ "$(grep -c '^ *[0-9]*s ' out)" = 10 ] || fail "not one line for each second"

# ---- status and messages ----

# status WANTED ARGUMENT...: and nothing is written where nothing was played
status() {
	local wanted=$1 got
	shift
	"$SIM" "$@" >out 2>err </dev/null
	got=$?
	[ "$got" = "$wanted" ] || fail "$*: status $got, not $wanted: $(cat err)"
	[ "$wanted" != 2 ] || [ ! -s out ] || fail "$*: played although something is wrong"
	[ "$wanted" = 2 ] || [ ! -s err ] || fail "$*: $(cat err)"
}

# says TEXT: one of the errors is just that
says() {
	grep -qxF "fuseband-sim: $1" err || fail "no message '$1' but: $(cat err)"
}

sed 's/78\.\.82/60..70/' db.sim >wrong.sim
status 1 -q wrong.sim
grep -q '^wrong.sim:4: db.img share 60..70 from 4s until 10s: [0-9.]*  NOT AS EXPECTED$' out ||
	fail "what is not as expected is not named"
status 2
status 2 a b
status 2 -x db.sim
status 2 -s 1x db.sim
says 'a seed is a number, not 1x'
status 2 nowhere.sim
says 'nowhere.sim: No such file or directory'
status 2 -c nowhere.ini db.sim
printf '# nothing\n' >empty.sim
status 2 empty.sim
says 'empty.sim: how long? Add a line "run 10s"'
says 'empty.sim: nobody does anything: add a line "client NAME depth 1 4K randread"'

cat >bad.sim <<'END'
disk sda serial 5 ms
disk sdb channels 4 1ms wieght 3
client a dpeth 3
client b on sdb weight 0
client c on sdb depth 1 4K..2K
client d on sdb parent acme
client e on sdb until 2s from 3s
client e on sdb
at 5s a weihgt 5
at 5s nobody weight 5
expect b share 60
expect sdb share 60..
expect b p99 ..8 from 1s
walk 10s
run 10
END
status 2 bad.sim
says 'bad.sim:1: "5" is not a time (us, ms, s) from 0 to 3600s'
grep -qF 'bad.sim:2: "wieght" is none of nearest, size' err || fail "disk: $(cat err)"
says 'bad.sim:3: "a" say on which disk it is, right after the name: on sda'
says 'bad.sim:4: "0" weight: is not a number from 1 to 10000'
says 'bad.sim:5: "4K" is more than what follows the dots'
says 'bad.sim:6: "acme" is no group of a line above: put "group acme ..." before this one'
says 'bad.sim:7: "until" is not after from'
says 'bad.sim:8: "on" comes right after the name, and only once for each file'
says 'bad.sim:9: "weihgt" unknown key; did you mean "weight"?'
says 'bad.sim:10: "nobody" is no client, group or disk of a line above'
says 'bad.sim:11: "60" is no range, as 78..82, 78.. or ..82'
says 'bad.sim:12: "share" is none of busy, iops, bps, p50, p99'
says 'bad.sim:13: "8" is not a time (us, ms, s) from 0 to 3600s'
says 'bad.sim:14: "walk" is none of disk, group, client, at, expect, interval and run'
says 'bad.sim:15: "10" is not a time (us, ms, s) from 0 to 3600s'

# wrong LINE MESSAGE: of a scenario that would be right without LINE, which is its fifth
wrong() {
	{
		printf '%s\n' 'disk sda serial 5ms' 'disk capped capped 100 1ms' 'group g' 'client a on sda depth 1' "$1"
		[[ $1 = run* ]] || echo 'run 10s'
	} >one.sim
	status 2 one.sim
	says "one.sim:5: $2"
}

wrong 'disk' 'the name of the disk is missing after "disk"'
wrong 'disk a serial 1ms' '"a" is there already'
wrong 'disk d floppy' '"floppy" is no model of a disk: serial TIME, channels N TIME, exponential N TIME, seek TIME TIME, capped IOPS TIME or ram'
wrong 'disk d serial' 'the time of a request is missing after "serial"'
wrong 'disk d serial 0s' 'a request has to take some time'
wrong 'disk d channels' 'a number of channels is missing after "channels"'
wrong 'disk d exponential 2' 'the mean time is missing after "2"'
wrong 'disk d seek' 'the shortest time is missing after "seek"'
wrong 'disk d seek 1ms' 'the longest time is missing after "1ms"'
wrong 'disk d seek 5ms 5ms' 'the longest seek is not longer than the shortest'
wrong 'disk d capped' 'I/Os per second is missing after "capped"'
wrong 'disk d ram size' 'a size is missing after "size"'
wrong 'disk d ram transfer' 'bytes per second is missing after "transfer"'
wrong 'disk d ram writes' 'what writes take is missing after "writes"'
wrong 'disk d ram writes 0%' '"0%" is not a percentage from 1% to 10000%'
wrong 'disk d ram burst' 'requests that may be saved up is missing after "burst"'
wrong 'disk d ram flush' 'the time of a flush is missing after "flush"'
wrong 'disk d ram flush 1ms per-MiB' 'a time is missing after "per-MiB"'
wrong 'disk d ram discard' 'the time of a discard is missing after "discard"'
wrong 'disk d ram stall' 'when it begins is missing after "stall"'
wrong 'disk d ram stall 5s' 'when it ends is missing after "5s"'
wrong 'disk d ram stall 5s 4s' 'the stall ends before it begins'
wrong 'disk d ram stall 4s 5s every 1s' 'a stall is as long as the time between two'
wrong 'disk d ram change 5s' 'of the time it took before is missing after "5s"'
wrong 'disk d ram zzzzzz' '"zzzzzz" is none of nearest, size, transfer, writes, burst, flush, discard, stall, change, and no such key of ioband.ini'
wrong 'group' 'the name of the group is missing after "group"'
wrong 'group h parent' 'a group is missing after "parent"'
wrong 'group h weight 3 parent g' '"parent" comes right after the name of who is in a group'
wrong 'client' 'the name of the file is missing after "client"'
wrong 'client sda' '"sda" is a disk or group'
wrong 'client b on' 'a disk is missing after "on"'
wrong 'client b on sda depth' 'a number of requests is missing after "depth"'
wrong 'client b on sda writes' 'how many of them are writes is missing after "writes"'
wrong 'client b on sda fsync' 'a number of writes is missing after "fsync"'
wrong 'client b on sda pause 1s' '"pause" needs a busy TIME, too'
wrong 'client b on sda 2T' 'its requests are larger than the disk'
wrong 'client b on sda device sda' '"device" means nothing here: "on NAME" after the name of a client says on which disk it is'
wrong 'client b on sda zzzzzz' '"zzzzzz" is none of on, depth, SIZE, read, write, rw, randread, randwrite, randrw, writes, discard, fsync, think, turnaround, from, until, busy, pause, and no such key of ioband.ini'
wrong 'at 5s' 'the name of a client, group or disk is missing after "5s"'
wrong 'at 5s a' 'a key of ioband.ini is missing after "a"'
wrong 'at 5s a weight' 'its value is missing after "weight"'
wrong 'at 5s a parent g' '"parent" cannot change in a run'
wrong 'expect a' 'share, time, iops, bps, p50, p99 or, of a disk, busy is missing after "a"'
wrong 'expect a share' 'a range as 78..82, 78.. or ..82 is missing after "share"'
wrong 'expect a busy 5..' '"busy" is none of share, time, iops, bps, p50, p99'
wrong 'expect capped busy 5..' '"busy" says nothing about a capped disk, which has no servers'
wrong 'expect a share x..' '"x" is not a number'
wrong 'expect a share 5..4' '"5..4" ends before it begins'
wrong 'expect a share 5.. to 3s' '"to" is neither from nor until'
wrong 'expect a share 5.. from 9s until 20s' 'this part of the run does not exist'
wrong 'interval 1us' '"interval" has to be 1ms or more'
wrong 'interval 1s 2s' '"2s" is one word too many'
wrong 'run 0s' '"run" has to last some time'
wrong "walk$(printf ' %s' {1..70})" '"64" is word 65: there may be 64'
printf 'run 1s\nclient a\nrun 1s\n' >one.sim
status 2 one.sim
says 'one.sim:2: "a" there is no disk yet: put "disk sda serial 5ms" or the like before this line'
says 'one.sim:3: "run" stands in a line above already'
printf 'run 1s\0' >nul.sim
status 2 nul.sim
says 'nul.sim: contains a NUL byte'
status 2 -x db.sim
says 'unknown option or missing argument: -x'
status 2
says 'no scenario'
status 2 db.sim other.sim
says 'one scenario at a time: other.sim'
! "$SIM" db.sim 2>err >/dev/full || fail "a full disk is success"
says 'standard output: No space left on device'

# ---- chance ----

sed 's/serial 5ms/exponential 1 5ms/; s/78\.\.82/70..90/' db.sim >chance.sim
"$SIM" chance.sim >one || fail "chance.sim: status $?"
"$SIM" -s 1 - <chance.sim | sed 's/^standard input:/chance.sim:/' >same
"$SIM" -s 2 chance.sim >other
cmp one same || fail "the same scenario has another outcome the second time"
! cmp -s one other || fail "another seed has the same outcome"

# ---- configurations ----

"$SIM" -q -c "$TESTS/../ioband.ini" - >out 2>err <<'END' || fail "ioband.ini: $(cat out err)"
disk sda serial 5ms
client vm1.img depth 32
client vm2.img depth 32
expect vm1.img share 79..81 from 1s until 5s
at 5s vm2.img max_iops 10
expect vm2.img iops 9..11 from 6s
run 10s
END
cat >device.ini <<'END'
[group:g]
weight = 30
[a.img]
path = /no/such/file
device = fast
parent = g
[b.img]
path = /no/such/thing
device = fast
weight = 10
readonly = yes
[device:fast]
io_throttle = 1
policy = weight
END
cat >device.sim <<'END'
disk sda ram
disk fast serial 1ms
client a.img depth 8
client b.img depth 8
expect g share 74..76 from 1s
run 3s
END
status 0 -c device.ini device.sim
sed -i 's/b.img depth 8/b.img depth 8 randwrite/; s/disk fast/disk slow/; s/^client a/client x/' device.sim
status 2 -c device.ini device.sim
says 'device.sim:3: "x.img" is no file of the configuration'
says 'device.sim:4: "b.img" is readonly in the configuration'
grep -qF '"b.img" is on device fast, which no line above describes' err || fail "device: $(cat err)"
cat >device.sim <<'END'
disk sda ram
disk fast serial 1ms
group other
client a.img on sda parent g
client b.img depth 8
run 3s
END
status 2 -c device.ini device.sim
says 'device.sim:3: "other" groups are those of the configuration: set its keys with "at 0s NAME KEY VALUE"'
says 'device.sim:4: "sda" is not its device in the configuration, which is fast'
says 'device.sim:4: "a.img" its parent is that of the configuration'
printf '%s\n' '[c.img]' 'path = /no/such' 'discard = ignore' >discard.ini
printf '%s\n' 'disk sda ram' 'client c.img discard' 'run 3s' >discard.sim
status 2 -c discard.ini discard.sim
says 'discard.sim:2: "c.img" has discard = ignore: its discards would never reach the disk'
printf '[a.img]\nweight = 0\n' >bad.ini
status 2 -c bad.ini db.sim
says 'bad.ini:2: [a.img] weight: "0" is not a number from 1 to 10000'

note "manual, messages and outcome agree"
