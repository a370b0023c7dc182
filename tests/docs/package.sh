#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is seen of the installation without a package: that none is built which would lack something,
# and that what is installed has all its parts. (The package itself: tests/package/run.)

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need cmake pkg-config perl
top=$TESTS/..

# ---- what must be there for a package ----

mkdir "$WORK/bin"
cat >"$WORK/bin/pkg-config" <<'END'
#!/bin/sh
case " $LACKING " in
*" $2 "*) exit 1 ;;
esac
END
chmod +x "$WORK/bin/pkg-config"

# lacks PACKAGES LIBRARIES
lacks() {
	! LACKING=$2 PATH=$WORK/bin:$PATH sh "$top/packaging/build" "$WORK/pkg" >"$WORK/out" 2>"$WORK/err" &&
		same "packaging/build: the package would lack something: apt-get install pkg-config $1" "$(cat "$WORK/err")" &&
		not test -e "$WORK/pkg"
}

promise "no package without a filter of system calls" lacks libseccomp-dev libseccomp
promise "nor without [disk:] sections and fuseband-top" \
	lacks "libblkid-dev libjansson-dev libncurses-dev" "blkid jansson ncursesw"
# each library that CMake looks for, of the tests' own but one
sed -n 's/^ *pkg_check_modules([A-Z0-9]* \(REQUIRED \)\?IMPORTED_TARGET \([a-z0-9]*\).*/\2/p' "$top/CMakeLists.txt" |
	sort >"$WORK/libraries"
promise "it asks for each library that CMake looks for" diff "$WORK/libraries" \
	<(grep -oE '[a-z0-9]+:lib[a-z0-9]+-dev' "$top/packaging/build" | cut -d : -f 1 | sort)
promise "... which are seven" same 7 "$(wc -l <"$WORK/libraries")"

# ---- what is installed ----

DESTDIR=$WORK/root cmake --install "${FUSEBAND%/*}" --prefix /opt/fuseband >"$WORK/out" 2>&1 || {
	tail -n 5 "$WORK/out"
	fail "cmake --install"
}
installed=$WORK/root/opt/fuseband
for file in lib/systemd/system/fuseband@.service libexec/fuseband/instances sbin/fuseband \
	share/doc/fuseband/examples/ioband.ini share/doc/fuseband/examples/domain.xml \
	share/doc/fuseband/examples/needrestart.conf; do
	promise "$file" test -s "$installed/$file"
done
promise "needrestart.conf is Perl that needrestart understands" same 0 "$(perl -e '
	our %nrconf; do $ARGV[0]; my %o = %{$nrconf{override_rc}};
	for (keys %o) { print $o{$_} if "fuseband\@vms.service" =~ $_ }' "$installed/share/doc/fuseband/examples/needrestart.conf")"
exit $failed
