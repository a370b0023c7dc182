#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The package where there is no service manager: in a chroot, see run.

# shellcheck source=tests/package/common.sh
. "$(dirname "$0")/common.sh"

apt update || fail "no packages: $(tail -n 3 "$WORK/apt.log")"
promise "apt installs it with what it needs" apt install $DEBS/first.deb
promise "nothing runs of itself" same '' "$(processes)"
promise "it has its manual pages" test -s /usr/share/man/man8/fuseband.8.gz
promise "and an example that it understands" grep -q 'EDIT' /usr/share/doc/fuseband/examples/ioband.ini
promise "the simulator runs" fuseband-sim --version
promise "a place for configurations" test -d /etc/fuseband
write_config
mkdir $VMS
promise "it serves a partition" fuseband -c /etc/fuseband/vms.ini $VMS
start_guests
upgrade_under_guests

# ---- mount(8), fstab ----

umount $VMS
wait_for 20 nothing_runs || miss "unmounted, it does not end"
cat >"$WORK/fstab" <<END
/etc/fuseband/vms.ini $VMS fuse.fuseband defaults,nofail,_netdev,x-systemd.requires=/srv,noatime 0 0
END
promise "mount -a with a line of fstab" mount -a -T "$WORK/fstab"
promise "serves" test -s $VMS/vm1.img
promise "mount -a again changes nothing" mount -a -T "$WORK/fstab"
promise "one mount" same 1 "$(mounts)"
promise "umount" umount $VMS
wait_for 20 nothing_runs || miss "unmounted, it does not end"
promise "mount -t fuse.fuseband" mount -t fuse.fuseband -o ro /etc/fuseband/vms.ini $VMS
promise "with its option" grep -q " $VMS ro" /proc/self/mountinfo

# ---- the end ----

mkdir "$WORK/of a user"
mknod -m 666 "$WORK/fuse" c 10 229 && mount --bind "$WORK/fuse" /dev/fuse || miss "no /dev/fuse for users"
ln -sf ../proc/self/mounts /etc/mtab # which fusermount3 reads
truncate -s 1M "$WORK/a.img"
chown -R 65534 "$WORK/of a user" "$WORK/a.img"
chmod 755 "$WORK"
section a.img "path = $WORK/a.img" >"$WORK/user.ini"
setpriv --reuid 65534 --regid 65534 --clear-groups fuseband -c "$WORK/user.ini" "$WORK/of a user" ||
	miss "a user's mount"
promise "a user's mount does not hinder a removal" apt remove fuseband
promise "is named" apt_said "of a user: is user 65534's: left alone"
promise "and left to him" same 1 "$(mounts)"
setpriv --reuid 65534 --regid 65534 --clear-groups fusermount3 -u "$WORK/of a user"
wait_for 20 nothing_runs
promise "purge" apt purge fuseband
nothing_left
exit $failed
