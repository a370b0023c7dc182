# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# install_packages PACKAGE...: those of them that Debian has not installed here yet. As root.
install_packages() {
	local package missing=()
	for package; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "installing ${missing[*]}"
	apt-get update -qq &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			"${missing[@]}" >/dev/null || {
		echo "apt-get cannot install ${missing[*]}: see above, and /etc/apt/sources.list" >&2
		return 1
	}
}
