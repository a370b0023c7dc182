/* SPDX-License-Identifier: MIT */
/*
 * fence.h - nothing is written before the last write of a dead process has landed.
 *
 * The kernel carries out what a process has given to its io_uring, whether that process lives or
 * not: a disk may write it seconds after waitpid() has returned. A write that was answered to the
 * guest by a successor meanwhile would be overwritten by an older one.
 *
 *     dead process    write A to the disk ...................................A lands
 *     successor              A again, B answered        guest reads A: wrong
 *     with the fence         waits for the lock ......................| A, B
 *
 * The fence is a lock (backing.h) on the exposed range, held through the very descriptor that the
 * I/O went through. The kernel lets it go with the last reference to that, which every operation in
 * flight has. Who gets the lock next knows that there are none.
 *
 * The same holds for a start after all processes were killed, and for a file that a reload adds.
 *
 * Files whose fence is not to be had at once hold back writes and discards: each has a range lock
 * over all of it (range.h) until a thread, one for each disk, has waited for the fence. Reads need
 * none: all they could miss is what nobody has been told is written. A disk that hangs holds
 * back its own files, no others.
 *
 * To ask is no waiting where the kernel keeps the locks itself. A network file system asks a server,
 * which may be away: there (may_block of backing.h) the thread asks, too, and the files are held
 * back until it has.
 *
 *	fence_take(), parked	ask ---> granted	    or, if asking may block:
 *				 |			    hold back
 *				in the way: hold back		|
 *	fence_start()			|			|
 *	a thread for a disk	       wait <--- in the way --- ask ---> granted
 *
 * Likewise what mount_apply() has taken out gives back its fence before others get theirs, or if
 * that may block, when it is closed (closing.h): who needs the bytes waits for it as for the dead.
 *
 * What another program has locked, all of a file as a rule, is not waited for, as nobody knows for
 * how long: that is said, and the file served.
 */
#ifndef FUSEBAND_FENCE_H
#define FUSEBAND_FENCE_H

#include "crew.h"
#include "log.h"

/*
 * Take the fences of all files that are new to this process: at a start, at a take-over, after
 * mount_apply() and mount_find(). What mount_apply() has taken out gives back its own before.
 * Workers are parked; then fence_start(). Returns how many files are known to wait for what a
 * process that died has left.
 */
size_t fence_take(struct crew *crew);
/*
 * Threads for what fence_take() has not got. After mount_finish(), with the workers working again.
 * crew->fences_late: there were none for some of it, and this is to be called again. level: how
 * loud it is said that files have to wait for what a process that died has left.
 */
void fence_start(struct crew *crew, enum log_level level);

#endif
