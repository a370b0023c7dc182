#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The example for libvirt is a domain by libvirt's own schema, and README shows a disk of it.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need virt-xml-validate xmllint
top=$TESTS/..

promise "libvirt's schema takes the example" virt-xml-validate "$top/packaging/domain.xml" domain
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
