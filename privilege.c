/* SPDX-License-Identifier: MIT */
/* privilege.c - see privilege.h. */
#include "privilege.h"
#include "filter.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* The leak checker is a debugger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

void privilege_hide(bool debug)
{
	if (!debug && !SANITIZED && prctl(PR_SET_DUMPABLE, 0))
		log_warning("PR_SET_DUMPABLE: %s", strerror(errno));
}

void privilege_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = write(fd, score, strlen(score));
	(void)n; /* only root may lower it */
	close(fd);
}

static bool may_lock_memory(void)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur == RLIM_INFINITY;
}

int privilege_lock_memory(int flags)
{
	if (geteuid() && !may_lock_memory())
		return -EPERM;
	return mlockall(MCL_CURRENT | MCL_FUTURE | flags) ? -errno : 0;
}

/* Are rings only for who has SYS_ADMIN? */
static bool rings_are_restricted(void)
{
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
	char value = '0';

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = '0';
	close(fd);
	return value == '1';
}

static uint64_t kept_by(enum privilege_role role)
{
	/* else all that is mapped after mlockall() counts, and what is too much is not mapped */
	uint64_t memory = may_lock_memory() ? 0 : CAP(IPC_LOCK);

	switch (role) {
	case PRIVILEGE_PARENT:
		return CAP(DAC_OVERRIDE) | CAP(SYS_RESOURCE) | CAP(SETPCAP) | memory |
		       (rings_are_restricted() ? CAP(SYS_ADMIN) : 0);
	case PRIVILEGE_DATA_PATH:
		return CAP(DAC_OVERRIDE) | memory;
	case PRIVILEGE_WORKER:
		return memory;
	case PRIVILEGE_STEWARD:
		return CAP(SYS_ADMIN) | CAP(DAC_READ_SEARCH);
	case PRIVILEGE_ERRAND:
		break;
	}
	return 0;
}

/* Of this thread. Without SETPCAP the bounding set stays, and NO_NEW_PRIVS alone has to do. */
static int keep_only(uint64_t wanted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t have;

	if (syscall(SYS_capget, &header, data))
		return -errno;
	have = data[0].permitted | (uint64_t)data[1].permitted << 32;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(wanted >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			break;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	have &= wanted;
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted = data[i].effective = (uint32_t)(have >> (32 * i));
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

void privilege_drop(enum privilege_role role)
{
	/* an ordinary user's unmounting is done by a setuid program */
	bool executes_setuid = role == PRIVILEGE_STEWARD && geteuid();
	int r = keep_only(kept_by(role));

	if (r)
		log_warning("capabilities cannot be dropped: %s", strerror(-r));
	if (!executes_setuid && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_warning("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	if (role == PRIVILEGE_DATA_PATH)
		filter_install(FILTER_DATA_PATH);
	else if (role == PRIVILEGE_WORKER || role == PRIVILEGE_ERRAND)
		filter_install(FILTER_WORKER);
}
