#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The package and its unit where systemd runs: in a container, see run.
#
#   booted.sh                      the tests
#   booted.sh poweroff PARTITION   shut down under a user of the mount

# shellcheck source=tests/package/common.sh
. "$(dirname "$0")/common.sh"
UNIT=fuseband@vms

show() { # PROPERTY
	systemctl show -P "$1" $UNIT
}

state_is() { # ActiveState
	[ "$(show ActiveState)" = "$1" ]
}

main_pid_is_parent() {
	[ "$(show MainPID)" = "$(cat /run/fuseband/vms.pid)" ] && [ "$(show MainPID)" = "$(pid_of fuseband)" ]
}

starts() { # however often it has started in this minute
	systemctl reset-failed $UNIT && systemctl start $UNIT && [ -n "$(processes)" ]
}

enable_now() { # what it says is in $WORK/err
	systemctl enable --now $UNIT >"$WORK/err" 2>&1
}

if [ "${1:-}" = poweroff ]; then
	PARTITION=$2
	apt install $DEBS/first.deb || fail "it cannot be installed"
	write_config
	systemctl start $UNIT || fail "it does not start"
	trap - EXIT # what was started is to be there
	setsid sleep 1000 <$VMS/vm1.img >/dev/null 2>&1 &
	systemctl poweroff
	exit 0
fi

# ---- start, reload ----

apt update || fail "no packages: $(tail -n 3 "$WORK/apt.log")"
promise "apt installs it with what it needs" apt install $DEBS/first.deb
promise "nothing runs of itself" same '' "$(processes)"
promise "systemd finds nothing wrong with the unit" same '' \
	"$(systemd-analyze verify --man=no $UNIT.service 2>&1 | grep fuseband)"
promise "a name without a configuration is an error" not enable_now
promise "which is told" grep -qi 'assert' "$WORK/err"
promise "and nothing runs" same 'inactive ' "$(show ActiveState) $(processes)"
systemctl disable -q $UNIT
promise "one process that memory runs out for is no end of the others" same 'continue omit' \
	"$(show OOMPolicy) $(show ManagedOOMPreference)"
section bad.img "path = /nowhere" >/etc/fuseband/vms.ini
promise "a bad one is a failed start" not systemctl start $UNIT 2>/dev/null
promise "with its message in the journal" wait_for 10 sh -c "journalctl -u $UNIT | grep -q '/nowhere'"
systemctl stop $UNIT
write_config
promise "enable --now" systemctl enable -q --now $UNIT
promise "it serves as soon as that returns" test -s $VMS/vm1.img
promise "the host sees the mount: pid 1 has it" grep -q " $VMS " /proc/1/mountinfo
promise "systemctl status tells what is served" same "serving 2 files at $VMS, generation 1" "$(show StatusText)"
promise "the main process is the parent" main_pid_is_parent
promise "it is ordered before guests" grep -qw libvirtd.service <<<"$(show Before)"
sed -i 's/weight = 20/weight = 30/' /etc/fuseband/vms.ini
promise "reload" systemctl reload $UNIT
promise "is in force when it returns" same "serving 2 files at $VMS, generation 2" "$(show StatusText)"
cp /etc/fuseband/vms.ini "$WORK/good.ini"
echo 'wieght = 1' >>/etc/fuseband/vms.ini
promise "a reload that is refused is one that failed" not systemctl reload $UNIT 2>/dev/null
promise "the unit goes on" state_is active
promise "and its status says why" grep -q '^reload refused: .*wieght' <<<"$(show StatusText)"
cp "$WORK/good.ini" /etc/fuseband/vms.ini

# ---- another mount point ----

systemctl stop $UNIT
mkdir -p /etc/systemd/system/$UNIT.service.d
cat >/etc/systemd/system/$UNIT.service.d/override.conf <<END
[Unit]
RequiresMountsFor=/srv/tenant/vms
[Service]
Environment=MOUNTPOINT=/srv/tenant/vms
END
systemctl daemon-reload
promise "another mount point" starts
promise "serves" test -s /srv/tenant/vms/vm1.img
promise "its directory is made so that users get there" same 755 "$(stat -c %a /srv/tenant)"
promise "reload finds it" systemctl reload $UNIT
systemctl stop $UNIT
promise "and so is the one below the mount" same 755 "$(stat -c %a /srv/tenant/vms)"
rm -r /etc/systemd/system/$UNIT.service.d /srv/tenant
systemctl daemon-reload
promise "it starts again where it was" starts

# ---- crashes, upgrades ----

start_guests
invocation=$(show InvocationID)
for process in fuseband fuseband-io fuseband; do
	old=$(pid_of $process)
	kill -KILL "$old"
	wait_for 20 sh -c "! [ -d /proc/$old ]"
	promise "$process is killed: the unit knows its main process" wait_for 20 main_pid_is_parent
	promise "and is still the same" same "active $invocation" "$(show ActiveState) $(show InvocationID)"
done
promise "it can be reloaded" systemctl reload $UNIT
upgrade_under_guests
promise "through all that the unit was not restarted" same "active $invocation 0" \
	"$(show ActiveState) $(show InvocationID) $(show NRestarts)"
promise "and knows its main process" main_pid_is_parent

# ---- the end ----

pids=$(processes | cut -d ' ' -f 1)
# shellcheck disable=SC2086 # they are several
kill -KILL $pids
promise "all are killed at once: systemd starts it again" wait_for 20 sh -c "[ -s $VMS/vm1.img ]"
wait_for 20 state_is active
promise "it counts" same 1 "$(show NRestarts)"
promise "umount by hand ends the unit" umount $VMS
promise "which is inactive, not failed" wait_for 20 state_is inactive
promise "nothing is left of it" wait_for 5 nothing_runs
promise "it starts again" starts
promise "systemctl stop" systemctl stop $UNIT
promise "ends it as it should" same 'inactive success' "$(show ActiveState) $(show Result)"
promise "nothing is left of it" wait_for 5 nothing_runs
promise "and once more" starts
promise "a removal stops what nobody uses" apt remove fuseband
promise "no process, no mount" wait_for 5 nothing_runs
promise "no unit" same '' "$(systemctl list-units --all --no-legend 'fuseband@*' | grep -v not-found)"
promise "purge" apt purge fuseband
nothing_left
exit $failed
