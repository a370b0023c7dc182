# SPDX-License-Identifier: MIT
#
# The Debian package: packaging/build makes it. There is one, with everything in it.
set(FUSEBAND_CONTACT "the fuseband authors <root@localhost>" CACHE STRING
  "Who made this package: name <address>")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fuseband)
set(CPACK_PACKAGE_CONTACT "${FUSEBAND_CONTACT}")
set(CPACK_PACKAGE_VENDOR "the fuseband authors")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
  GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# mount -t fuse.fuseband, and ordinary users' mounts
set(CPACK_DEBIAN_PACKAGE_DEPENDS fuse3)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libvirt-daemon-system, qemu-system, jq")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "weights between virtual machines' disks that hold")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"A FUSE file system for hosts that run virtual machines. It shows disk
partitions and image files as files, and shares the physical disks below
them by weight: a machine of weight 80 gets four times the service of one
of weight 20, whatever their queue depths, for as long as both want the
disk, and either gets all of it when the other is idle.

There are reservations, caps and groups, too. From Linux 6.9 on, crashes and
upgrades of the daemon are a pause of milliseconds to guests. No kernel
module, no cgroups.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm
  ${CMAKE_CURRENT_LIST_DIR}/postrm
  ${CMAKE_CURRENT_BINARY_DIR}/conffiles)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/conffiles "/etc/needrestart/conf.d/fuseband.conf\n")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/staged.cmake)
include(CPack)
