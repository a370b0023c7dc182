# SPDX-License-Identifier: MIT
#
# Is what was answered stable? For the log of the test disk under the load of fuse/syncers.c, LENGTH
# bytes and ROUNDS rounds in each of THREADS threads.
#
#     awk -v threads=THREADS -v rounds=ROUNDS -v length_=LENGTH [-v crashes=1] -f flushlog.awk LOG
#
# Each round is written as a whole, and then a flush received after the last of its slices was done
# is done, before the same thread's next round arrives at the disk. Slices with the dsync flag need
# none; one that is not all of its round does not make the others stable. With crashes=1 a round may
# have been written more than once, and the last time counts.
#
# Prints what was there, or the line that breaks the promise; status 1 then.

function bad(text) {
	print "line " NR ": " text
	failed = 1
	exit 1
}
# is round r of thread t stable now?
function check(t, r) {
	if (written[t, r] != length_ && !(crashes && written[t, r] > length_))
		bad("thread " t " goes on after " written[t, r] + 0 " bytes of round " r)
	if (!whole_dsync[t, r] && !(flushed > last_done[t, r]))
		bad("round " r " of thread " t ", complete in line " last_done[t, r] \
		", is not flushed")
}
$10 != "disk" { next }
{ at = NR }
$3 == "F" && $4 == "recv" { flush_recv[$1] = at }
# all that was done before this flush was received is stable from now on
$3 == "F" && $4 == "done" && $8 == 0 && flush_recv[$1] > flushed {
	flushed = flush_recv[$1]
}
$3 == "W" && substr($9, 1, 2) == "77" {
	t = int($5 / length_)
	r = substr($9, 5, 4)
	if ($4 == "recv" && (t in now) && now[t] != r)
		check(t, now[t])
	now[t] = r
	if ($4 == "done") {
		written[t, r] += $8
		last_done[t, r] = at
		if ($7 == "dsync" && $6 == length_)
			whole_dsync[t, r] = 1
		n_dsync += $7 == "dsync"
	}
}
$3 == "F" && $4 == "done" { flushes++ }
END {
	if (failed)
		exit 1
	for (t = 0; t < threads; t++) {
		if (now[t] != sprintf("%04x", rounds))
			bad("thread " t " ends with round " now[t])
		check(t, now[t])
	}
	printf "%d flushes, %d dsync writes\n", flushes, n_dsync
}
