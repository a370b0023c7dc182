#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The example for libvirt is a domain by libvirt's own schema, and README shows a disk of it.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need virt-xml-validate xmllint
top=$TESTS/..

promise "libvirt's schema takes the example" virt-xml-validate "$top/packaging/domain.xml" domain
# Whoever copies both gets what fits together.
promise "the configuration in it has a section for each of its disks" diff \
	<(sed -n 's/^ *\[\(.*\)\]$/\1/p' "$top/packaging/domain.xml" | sort) \
	<(sed -n "s|^ *<source file='/mnt/vms/\(.*\)'/>|\1|p" "$top/packaging/domain.xml" | sort)
promise "... which are three" same 3 "$(grep -c '<source file=' "$top/packaging/domain.xml")"
promise "... each for QEMU's user" same 3 "$(grep -c '^ *uid *= libvirt-qemu$' "$top/packaging/domain.xml")"
sed -n '/^    <disk/,/^    <\/disk>/p' "$top/README" >"$WORK/readme.xml"
{
	echo "<domain type='kvm'><name>x</name><memory>1</memory><os><type>hvm</type></os><devices>"
	cat "$WORK/readme.xml"
	echo "</devices></domain>"
} >"$WORK/domain.xml"
promise "README shows a disk" grep -q "cache='none'" "$WORK/readme.xml"
promise "and the schema takes that" virt-xml-validate "$WORK/domain.xml" domain
sed "s/cache='none'/cache='some'/" "$WORK/domain.xml" >"$WORK/wrong.xml"
promise "the schema is one that can fail" not virt-xml-validate "$WORK/wrong.xml" domain 2>/dev/null
exit $failed
