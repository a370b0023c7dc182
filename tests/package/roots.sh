#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Bare roots of other releases of Debian, for scripts that have sourced lib.sh.
#
# What is downloaded is kept in $ROOTS, as layers: RELEASE is what debootstrap makes (minbase),
# RELEASE.NAME what packages add to that. A test gets them as the lower layers of an overlay in its
# own directory, so each begins with the same, and what it does is gone with it.

ROOTS=${ROOTS:-/var/tmp/fuseband-roots}
MIRROR=${MIRROR:-}

# roots_need_packages [PROGRAM:PACKAGE...]: installs what is missing for all this.
roots_need_packages() {
	local pair missing=()
	for pair in debootstrap:debootstrap dpkg-deb:dpkg sfdisk:fdisk losetup:mount git:git "$@"; do
		command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} = 0 ] || {
		note "installing ${missing[*]}"
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends "${missing[@]}" >/dev/null || fail "apt-get install failed"
	}
	[ -n "$MIRROR" ] || MIRROR=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
	[ -n "$MIRROR" ] || fail "no package source: MIRROR=URL"
	mkdir -p "$ROOTS" || fail "$ROOTS"
}

# roots_base RELEASE
roots_base() {
	[ ! -d "$ROOTS/$1" ] || return 0
	note "debootstrap $1"
	rm -rf --one-file-system "$ROOTS/$1.new"
	debootstrap --variant=minbase "$1" "$ROOTS/$1.new" "$MIRROR" >"$WORK/debootstrap.log" 2>&1 || {
		tail -n 5 "$WORK/debootstrap.log"
		fail "debootstrap $1"
	}
	mv "$ROOTS/$1.new" "$ROOTS/$1"
}

# roots_layer RELEASE NAME PACKAGE...: made if it is not there
roots_layer() {
	local release=$1 layer=$1.$2 root=$WORK/$1.$2.new
	shift 2
	roots_base "$release"
	[ ! -d "$ROOTS/$layer" ] || return 0
	note "$layer: $*"
	rm -rf --one-file-system "$ROOTS/$layer.new" "$ROOTS/$layer.new.work"
	mkdir "$ROOTS/$layer.new"
	UPPER=$ROOTS/$layer.new roots_mount "$root" "$release"
	in_root "$root" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh "$@" \
		>"$WORK/layer.log" 2>&1 || {
		tail -n 5 "$WORK/layer.log"
		fail "$layer: apt-get"
	}
	roots_umount "$root"
	rm -rf --one-file-system "$ROOTS/$layer.new.work"
	mv "$ROOTS/$layer.new" "$ROOTS/$layer"
}

# roots_overlay ROOT LAYER...: the uppermost layer first, below what is written to ROOT (or $UPPER).
roots_overlay() {
	local root=$1 lower='' upper=${UPPER:-$1.upper} layer
	shift
	for layer; do
		lower+=:$ROOTS/$layer
	done
	mkdir -p "$root" "$upper" "$upper.work"
	mount -t overlay overlay -o "lowerdir=${lower#:},upperdir=$upper,workdir=$upper.work" "$root" ||
		fail "$root: no overlay"
}

# Likewise, with what a chroot needs.
roots_mount() {
	roots_overlay "$@"
	mount -t proc proc "$1/proc" && mount -t sysfs sys "$1/sys" && mount --rbind /dev "$1/dev" &&
		mount --make-rslave "$1/dev" || fail "$1: mounts"
}

in_root() { # ROOT COMMAND...
	local root=$1
	shift
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C TEST_WORK="$WORK" \
		chroot "$root" "$@"
}

roots_umount() { # ROOT
	local dir
	awk -v dir="$1" '$5 == dir || index($5, dir "/") == 1 { print $5 }' /proc/self/mountinfo | tac |
		while read -r dir; do
			umount "$dir" || umount -l "$dir"
		done
	rm -rf --one-file-system "$1" "$1.upper" "$1.upper.work"
}

# roots_source DIRECTORY: this tree without what was built in it
roots_source() {
	mkdir "$1" || fail "$1"
	(cd "$TESTS/.." && git ls-files -z -co --exclude-standard | tar -c --null -T - -f -) | tar -x -C "$1" ||
		fail "$1: the source cannot be copied"
}
