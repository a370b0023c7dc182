#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What plain.sh and booted.sh share; both run in a root of another release, see run. $PARTITION is a
# partition that may be overwritten, $NEXT the version of next.deb.

# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
DEBS=/root/debs
VMS=/mnt/vms
export DEBIAN_FRONTEND=noninteractive
FUSEBAND=/usr/sbin/fuseband

# apt ARGUMENT...: its output is in $WORK/apt.log
apt() {
	apt-get -q -y --no-install-recommends --allow-downgrades "$@" >"$WORK/apt.log" 2>&1
}

apt_said() {
	grep -qE -- "$1" "$WORK/apt.log" && return
	tail -n 15 "$WORK/apt.log" | sed 's/^/# /'
	return 1
}

# Those of the package, whoever started them: pid and name.
processes() {
	local exe pid
	for exe in /proc/[0-9]*/exe; do
		pid=${exe#/proc/}
		pid=${pid%/exe}
		case $(readlink "$exe") in
		/usr/sbin/fuseband | "/usr/sbin/fuseband (deleted)" | /usr/libexec/fuseband/real*)
			echo "$pid $(cat "/proc/$pid/comm")"
			;;
		esac
	done
}

pid_of() { # NAME
	processes | awk -v name="$1" '$2 == name { print $1 }'
}

nothing_runs() {
	[ -z "$(processes)" ] && [ "$(mounts)" = 0 ]
}

mounts() {
	grep -c ' fuse\.fuseband ' /proc/self/mountinfo
}

version_that_serves() {
	sed -n '1s/^{"version":"\([^"]*\)".*/\1/p' "$VMS/.fuseband/status.json"
}

runs_installed() { # PID
	same "$(stat -c %d:%i /usr/sbin/fuseband)" "$(stat -L -c %d:%i "/proc/$1/exe")"
}

write_config() {
	section vm1.img "path = $PARTITION" "size = 64M" "weight = 80" >/etc/fuseband/vms.ini
	section vm2.img "path = $PARTITION" "offset = 64M" "size = 64M" "weight = 20" >>/etc/fuseband/vms.ini
}

start_guests() {
	local vm
	for vm in vm1 vm2; do
		start_load $vm --filename="$VMS/$vm.img" --bs=4k --iodepth=16 --rw=randrw --size=64M \
			--verify=crc32c --verify_backlog=128 --verify_fatal=1 --rate_iops=500
	done
	for vm in vm1 vm2; do
		wait_for 20 reads_something $vm || fail "the load on $vm does not begin"
	done
}

reads_something() { # VM
	grep -q "\"read_ios\":[1-9]" <<<"$(grep "\"$1.img\"" "$VMS/.fuseband/status.json")"
}

# Under load: the next version takes the place of this one. A version that cannot is installed, and
# the running one stays. A removal is refused.
upgrade_under_guests() {
	local parent
	parent=$(pid_of fuseband)
	promise "an upgrade under load" apt install $DEBS/next.deb
	promise "says that it took place" apt_said "$VMS: upgraded, its users have not noticed"
	promise "the next version serves" same "$NEXT" "$(version_that_serves)"
	promise "its program is the parent's" runs_installed "$(pid_of fuseband)"
	promise "and the data path's" runs_installed "$(pid_of fuseband-io)"
	promise "it is the same process" same "$parent" "$(pid_of fuseband)"
	promise "a version that keeps its state otherwise is installed all the same" apt install $DEBS/unfit.deb
	promise "with the reason why it does not serve yet" apt_said 'upgrade refused.*state as version 999'
	promise "and what that means" apt_said "$VMS: goes on with the old program \(process $parent\)"
	promise "the one before serves on" same "$NEXT" "$(version_that_serves)"
	promise "a removal under guests is refused" not apt remove fuseband
	promise "with their names" apt_said "$VMS: is in use by .*fio \([0-9]+\)"
	promise "and leaves it installed" test -x /usr/sbin/fuseband
	promise "back to the version that fits" apt install $DEBS/next.deb
	promise "which serves" same "$NEXT" "$(version_that_serves)"
	promise "all that time no request of the guests failed, all data verify" stop_loads
}

# Nothing of the package but what the operator wrote.
nothing_left() {
	promise "no process and no mount is left" wait_for 5 nothing_runs
	promise "no file" same '' "$(find /usr /lib /etc /run /var/lib -xdev -name '*fuseband*' \
		! -path '/etc/fuseband' ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' 2>/dev/null)"
	promise "but what the operator wrote" test -s /etc/fuseband/vms.ini
}
