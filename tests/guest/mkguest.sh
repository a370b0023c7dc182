#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Builds what a test guest boots: a kernel and an initramfs with busybox, fio and the init of this
# directory. Prints the directory they are in, with the files vmlinuz and initramfs.cpio. Nothing
# is installed. What was built before is used again, unless this script, init or fio have changed.
#
# The kernel and its modules are those of Debian's linux-image-cloud-amd64: the one of this
# machine if it is installed, else one unpacked in $GUEST_CACHE/root (by hand, or by this script
# after apt-get download).
#
# GUEST_CACHE: where to build (default /var/tmp/fuseband-guest).

set -u
umask 022
here=$(cd "$(dirname "$0")" && pwd)
cache=${GUEST_CACHE:-/var/tmp/fuseband-guest}
modules='virtio/virtio_ring virtio/virtio virtio/virtio_pci_modern_dev
virtio/virtio_pci_legacy_dev virtio/virtio_pci block/virtio_blk char/virtio_console'

die() {
	echo "mkguest: $*" >&2
	exit 1
}

# find_kernel ROOT: sets root, version and drivers if there is a cloud kernel with modules below ROOT.
find_kernel() {
	local image
	for image in "${1%/}"/boot/vmlinuz-*-cloud-amd64; do
		version=${image##*/vmlinuz-}
		root=${1%/}
		for drivers in "$root"/{lib,usr/lib}/modules/"$version/kernel/drivers"; do
			[ -r "$image" ] && [ -d "$drivers" ] && return 0
		done
	done
	return 1
}

package_name() {
	apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		awk '$1 == "Depends:" && /linux-image/ { print $2; exit }'
}

download_kernel() {
	local package
	package=$(package_name)
	if [ -z "$package" ]; then
		apt-get update >&2
		package=$(package_name)
	fi
	[ -n "$package" ] || die "apt knows no linux-image-cloud-amd64"
	rm -rf "$cache/deb" "$cache/root.new"
	mkdir "$cache/deb" "$cache/root.new"
	(cd "$cache/deb" && apt-get -q download "$package" >&2) || die "cannot download $package"
	dpkg-deb -x "$cache"/deb/*.deb "$cache/root.new" || die "cannot unpack $package"
	rm -rf "$cache/deb" "$cache/root"
	mv "$cache/root.new" "$cache/root"
}

# copy_program FILE: into the initramfs, with the libraries it needs.
copy_program() {
	local lib
	cp -L "$1" "$tree/bin/" || die "cannot copy $1"
	while read -r lib; do
		mkdir -p "$tree${lib%/*}"
		cp -L "$lib" "$tree$lib" || die "cannot copy $lib"
	done < <(ldd "$1" | grep -o '/[^ ]*')
}

mkdir -p "$cache" || die "cannot make $cache"
exec 9>"$cache/lock"
flock 9 # tests that run at the same time build it once

for program in busybox fio cpio; do
	command -v "$program" >/dev/null || die "no $program"
done
! ldd "$(command -v busybox)" >/dev/null 2>&1 || die "busybox is not static: install busybox-static"
find_kernel / || find_kernel "$cache/root" || { download_kernel && find_kernel "$cache/root"; } ||
	die "no cloud kernel"

fio=$(command -v fio)
stamp="$version $root $(stat -Lc '%s %Y' "$fio") $(cat "$0" "$here/init" | sha256sum)"
if [ "$(cat "$cache/stamp" 2>/dev/null)" != "$stamp" ]; then
	tree=$cache/tree
	rm -rf "$tree" "$cache/stamp"
	mkdir -p "$tree"/{bin,dev,proc,sys,tmp,modules}
	cp "$(command -v busybox)" "$tree/bin/busybox" || die "cannot copy busybox"
	cp "$here/init" "$tree/init" || die "cannot copy init"
	chmod 755 "$tree/init"
	copy_program "$fio"
	for m in $modules; do
		! grep -qsxF "kernel/drivers/$m.ko" "${drivers%/kernel/drivers}/modules.builtin" || continue
		m=$drivers/$m
		if [ -r "$m.ko" ]; then
			cp "$m.ko" "$tree/modules/"
		elif [ -r "$m.ko.xz" ]; then
			xz -dc "$m.ko.xz" >"$tree/modules/${m##*/}.ko"
		else
			false
		fi || die "no module $m"
		echo "${m##*/}" >>"$tree/modules/order"
	done
	cp "$root/boot/vmlinuz-$version" "$cache/vmlinuz" || die "cannot copy the kernel"
	(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$cache/initramfs.cpio" ||
		die "cannot make the initramfs"
	rm -rf "$tree"
	echo "$stamp" >"$cache/stamp"
fi
echo "$cache"
