#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The systemd unit: systemd finds nothing wrong with it, and nothing in it hides the mount.

. "$(dirname "$0")/../lib.sh"
need systemd-analyze

unit=$TESTS/../systemd/fuseband@.service
# the program may not be installed: any that is there will do
sed "s|/usr/sbin/fuseband|$(realpath "$FUSEBAND")|" "$unit" >"$WORK/fuseband@.service"
# man pages may not be installed, units of libvirt and others not either; and this machine, a chroot for
# example, may have no cgroups of today
if ! SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$WORK/fuseband@vms.service" \
	>"$WORK/out" 2>&1 || grep "fuseband@" "$WORK/out" | grep -qv "running with legacy cgroups v1"; then
	cat "$WORK/out" >&2
	miss "systemd-analyze verify"
fi
# What its head shows for a drop-in: each block that begins with a section, in one.
sed -n '/^\[Unit\]$/q; s/^#   \(\[.*\]\)$/\1/p; s/^#   \([A-Z][A-Za-z]*=.*\)/\1/p' "$unit" >"$WORK/shown"
promise "its head shows what to override, and how to wait for a disk" same \
	"RequiresMountsFor= Environment= Environment= Wants= After=" "$(grep -oE '^[A-Za-z]+=' "$WORK/shown" | xargs)"
dropin=$WORK/fuseband@vms.service.d/override.conf
mkdir "${dropin%/*}"
verify() {
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$WORK/fuseband@vms.service" 2>&1 | grep -F "${dropin%/*}"
}
cp "$WORK/shown" "$dropin"
promise "systemd takes that as a drop-in" same '' "$(verify)"
sed 's/^Wants=/Wnats=/' "$WORK/shown" >"$dropin"
promise "and finds what is wrong in one" grep -q Wnats <<<"$(verify)"
rm -r "${dropin%/*}"
promise "no directive gives it a mount namespace" not grep -E \
	'^(Private(Tmp|Devices|Mounts|Users|IPC)|Protect[A-Za-z]+|ProcSubset|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|Bind|BindReadOnly)Paths|Root(Directory|Image)|TemporaryFileSystem|DynamicUser|MountFlags|MountAPIVFS)=' \
	"$unit"

# Whatever systemd counts as exposed has its reason in a comment.
explained() {
	local name words word missing=
	systemd-analyze security --offline=true --json=short "$WORK/fuseband@.service" >"$WORK/exposed" 2>"$WORK/err" || {
		cat "$WORK/err" >&2
		return 1
	}
	while read -r name; do
		case $name in # of one set or of several
		CapabilityBoundingSet=*DAC_*) words="CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH" ;;
		CapabilityBoundingSet=*PCAP*) words=CAP_SETPCAP ;;
		CapabilityBoundingSet=*RESOURCE*) words=CAP_SYS_RESOURCE ;;
		RestrictAddressFamilies=*INET*) words="AF_INET AF_INET6" ;;
		*=~*) words=${name#*=~} ;;
		*) words=$(tr -d = <<<"${name//\// }") ;;
		esac
		for word in $words; do
			grep -q "^#.*$word\\>" "$unit" || missing+=" $word"
		done
	done < <(jq -r '.[] | select(.set == false and .exposure != null) | .name' "$WORK/exposed")
	same "" "$missing"
}
need jq
promise "each restriction that is left out is explained" explained
promise "and there are some" grep -q '"set":false' "$WORK/exposed"
exit $failed
