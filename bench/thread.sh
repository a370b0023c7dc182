# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the thread of 2008 did and saw: "I/O bandwidth control on KVM", Ryo Tsuruta, kvm-devel,
# March 2008. Two sides with a partition of one disk each, 128 processes on each side, random 4 KiB
# direct I/O for 60 s, counted. For bench/2008, which does it again, and bench/demo.
#
# What it saw is in thread.tsv, in the columns of what bench/2008 measures; where the thread has
# percentages only, these are given as counts of 100 in all.

# fio's arguments for one side, but for the file, the name and the time; threads, as nothing of it
# depends on whether they share their memory, and a small guest has room for them.
THREAD_LOAD=(--ioengine=psync --direct=1 --rw=randrw --bs=4k --numjobs=128 --thread
	--group_reporting --norandommap --time_based)

# The table to compare with
# shellcheck disable=SC2034
THREAD_TSV=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/thread.tsv
