#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The examples of the manuals and of README do what is said of them: each configuration is one for
# --check and for the simulator, with images in the place of its disks; each command is run on a mount.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/manual.sh
. "$TESTS/manual.sh"
need jq python3
need_root
[ -x "$FUSEBAND" ] || skip "no daemon at $FUSEBAND"
top=$TESTS/..
bin=$(cd "${FUSEBAND%/*}" && pwd)
cd "$WORK" || exit 1

# with_images FILE: each path in it becomes an image, large enough for any range in them
with_images() {
	local path n=0
	while read -r path; do
		n=$((n + 1))
		truncate -s 24G "$WORK/image$n"
		sed -i -E "s|^(path *= *)$path( .*)?\$|\\1$WORK/image$n|" "$1"
	done < <(sed -nE 's/^path *= *([^ ]+).*/\1/p' "$1" | sort -u)
	sed -i 's/^\(uid *= *\)libvirt-qemu$/\1nobody/' "$1"
}

# shellcheck disable=SC2317 # it is called
# plays FILE: every file of it as a client, for a second
plays() {
	{
		{
			echo sda
			sed -nE 's/^device *= *//p' "$1"
		} | sort -u | sed 's/.*/disk & channels 8 1ms/'
		sed -nE 's/^\[([^]:]+)\].*/client \1 depth 4 4K randread/p' "$1"
		echo 'run 1s'
	} >play.sim
	"$bin/fuseband-sim" -q -c "$1" play.sim >out 2>&1 && return
	head -n 5 out
	return 1
}

checks() { # FILE: the plan is left in `plan`
	"$FUSEBAND" --check -c "$1" >plan 2>err && [ ! -s err ] && return
	cat err
	return 1
}

# config FILE WORDS: it is one; both are named by the words
config() {
	with_images "$1"
	promise "$2: a configuration" checks "$1"
	promise "$2: which can be played" plays "$1"
}

of_disk() { # NAME PERCENT
	grep -qE "^ +$1 +[0-9]+ +[0-9.]+ % +$2 %" plan
}

# ---- ioband.ini(5) ----

examples "$top/man/ioband.ini.5" EXAMPLES
promise "ioband.ini(5) has five" same 5 "$(ls example.* | wc -l)"
config example.1 "a tenant with two machines"
promise "as much as a single one" of_disk acme 50.0
promise "of which the database gets three quarters" of_disk db.img 37.5
config example.2 "two halves of an image"
promise "are half of it, and the rest" grep -qE '^right .* 14G .*from 10G' plan
config example.3 "a database next to a backup"
promise "what it is promised is a part of the disk" grep -q 'promised: 2000 IO/s, at least 10.0 % of the disk in reads' plan
sed 's/^min_iops = 2000/min_iops = 30000/' example.3 >much.ini
promise "promising too much is noticed" not checks much.ini >out
promise "... and told" grep -q 'min_iops' out
config example.4 "caps of a tenant"
promise "are shown" grep -qE '^ +acme .*max_iops=1000 max_write_bps=50M burst=30s' plan
config example.5 "a telephone exchange"
promise "which goes first" grep -qE '^ +pbx.img .*class=realtime max_iops=300' plan
# the last line before the examples
sed -n 's/^\.Dl generate | //p' "$top/man/ioband.ini.5" >shown.sh
promise "a pipe is said to do" grep -qx 'fuseband --check -c /dev/stdin' shown.sh
PATH=$bin:$PATH promise "and does" sh shown.sh <example.1 >out

# ---- README, libvirt ----

awk '$0 == "MORE THAN WEIGHTS" { on = 1; next } on && /^[A-Z][A-Z ,]+$/ { exit } on && sub(/^    /, "")' "$top/README" >more.ini
config more.ini "README's groups and caps"
promise "its backup takes what is left" grep -qE '^ +backup.img .*class=idle' plan
sed -n '/^<!--$/,/^  type=/p; /^<domain/q' "$top/packaging/domain.xml" | sed -n 's/^      //p' | sed '/^ /d' >domain.ini
config domain.ini "that of libvirt's domain"

# ---- fuseband(8) ----

printf '[vm1.img]\npath = %s/vm1\nweight = 80\n[vm2.img]\npath = %s/vm2\nweight = 20\n' "$WORK" "$WORK" >vms.ini
truncate -s 8M vm1 vm2
qemu-system-x86_64() { # reads a block of the drive that it is given
	local arguments="$*"
	arguments=${arguments#*file=}
	dd if="${arguments%%,*}" of=/dev/null bs=4k count=1 iflag=direct status=none
}
export -f qemu-system-x86_64

# as_shown FILE: its commands, on this mount
as_shown() {
	sed -i "s|/etc/ioband.ini|$WORK/vms.ini|; s|/mnt/[a-z]*|$MNT|" "$1"
	PATH=$bin:$PATH bash -eu "$1" >out 2>err && [ ! -s err ] && return
	cat err
	return 1
}

examples "$top/man/fuseband.8" EXAMPLES
promise "fuseband(8): its example serves, is used and reloaded" as_shown example.1
promise "... once" same 2 "$(value .config.generation)"
promise "... and the line of fstab names the same" same "$WORK/vms.ini $MNT" \
	"$(sed "s|/etc/ioband.ini|$WORK/vms.ini|; s|/mnt/[a-z]*|$MNT|" example.2 | awk '{ print $1, $2 }')"
examples "$top/man/fuseband.8" "Status and metrics"
promise "jq shows a line for each file" as_shown example.1
promise "... with three columns" same "vm1.img vm2.img 3" \
	"$(cut -f 1 out | sort | xargs) $(awk -F '\t' '{ print NF }' out | sort -u)"
promise "sed gives each series a label" as_shown example.2
promise "... and breaks none" python3 "$TESTS/prom.py" <vms.prom
promise "... of all of them" same "$(grep -vc '^#' "$MNT/.fuseband/metrics") 0" \
	"$(grep -c '^fuseband.*{mount="vms"[,}].* ' vms.prom) $(grep -v '^#' vms.prom | grep -vc 'mount="vms"')"
examples "$top/man/fuseband.8" "Crashes and upgrades"
if [ -n "$(spares)" ]; then
	promise "the upgrade in place" as_shown example.1
	promise "... took place" same 1 "$(value .upgrades)"
else
	note "no upgrade in place on this kernel: not tried"
fi
umount "$MNT"
nothing_runs() {
	[ -z "$(our_processes 'fuseband.*')" ]
}
promise "the end of the mount is that of its processes" wait_for 20 nothing_runs
exit $failed
