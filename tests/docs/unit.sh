#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The systemd unit: systemd finds nothing wrong with it, and nothing in it hides the mount.

. "$(dirname "$0")/../lib.sh"
need systemd-analyze

unit=$TESTS/../systemd/fuseband@.service
# the program may not be installed: any that is there will do
sed "s|/usr/sbin/fuseband|$(realpath "$FUSEBAND")|" "$unit" >"$WORK/fuseband@.service"
# man pages may not be installed, units of libvirt and others not either
if ! SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$WORK/fuseband@vms.service" \
	>"$WORK/out" 2>&1 || grep -q "fuseband@" "$WORK/out"; then
	cat "$WORK/out" >&2
	miss "systemd-analyze verify"
fi
promise "no directive gives it a mount namespace" not grep -E \
	'^(Private(Tmp|Devices|Mounts|Users|IPC)|Protect[A-Za-z]+|ProcSubset|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|Bind|BindReadOnly)Paths|Root(Directory|Image)|TemporaryFileSystem|DynamicUser|MountFlags|MountAPIVFS)=' \
	"$unit"
exit $failed
