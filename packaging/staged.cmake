# SPDX-License-Identifier: MIT
#
# The tree of files before it becomes a package: what Debian wants to be different in it.
set(doc ${CPACK_TEMPORARY_DIRECTORY}/usr/share/doc/fuseband)

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # or SOURCE_DATE_EPOCH
file(WRITE ${doc}/changelog "fuseband (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * What has changed for users is in NEWS.gz.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
file(READ ${doc}/LICENSE licence)
file(REMOVE ${doc}/LICENSE)
file(WRITE ${doc}/copyright "fuseband is under this licence:\n\n${licence}")

file(GLOB pages ${CPACK_TEMPORARY_DIRECTORY}/usr/share/man/man*/*.[1-9])
execute_process(COMMAND gzip -9n ${pages} ${doc}/changelog ${doc}/NEWS COMMAND_ERROR_IS_FATAL ANY)
