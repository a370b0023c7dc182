/* SPDX-License-Identifier: MIT */
/*
 * notify.h - what a service manager is told: systemd's protocol, sd_notify(3).
 *
 * It is one datagram of lines to the socket that NOTIFY_SOCKET names; without that variable nothing
 * happens. The processes of a mount inherit it, and each tells what it knows first:
 *
 *     parent      READY=1 and MAINPID= when the mount serves; MAINPID= when it took another
 *                 parent's place (an upgrade, or that one's death)
 *     data path   RELOADING=1, then READY=1 with how it went; STOPPING=1; STATUS= of what is served
 *
 * so NotifyAccess=all is needed. A manager that does not listen is waited for a second, not for
 * ever: guests' requests are more important.
 */
#ifndef FUSEBAND_NOTIFY_H
#define FUSEBAND_NOTIFY_H

/* Lines without the last newline; errno stays. From any thread. */
void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with the time that Type=notify-reload wants to know. */
void notify_reloading(void);

#endif
