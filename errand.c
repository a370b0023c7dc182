/* SPDX-License-Identifier: MIT */
/* errand.c - see errand.h. */
#include "errand.h"
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_MOST 4U /* threads that wait for orders; more of them end */
#define STACK_BYTES ((size_t)256 << 10)

struct channel {
	int fd;
	pthread_mutex_t lock;
	unsigned threads, idle;
};

/* ---- who runs them ---- */

static pthread_mutex_t served_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t served_less = PTHREAD_COND_INITIALIZER;
static unsigned n_served; /* channels */

static void count_served(int by)
{
	pthread_mutex_lock(&served_lock);
	n_served += (unsigned)by;
	if (by < 0)
		pthread_cond_broadcast(&served_less);
	pthread_mutex_unlock(&served_lock);
}

void errand_await_end(void)
{
	pthread_mutex_lock(&served_lock);
	while (n_served)
		pthread_cond_wait(&served_less, &served_lock);
	pthread_mutex_unlock(&served_lock);
}

/* 0, or -errno: -EPIPE, there will be no more. *ret_fd: -1 if it did not arrive. */
static int take_order(int channel, struct errand *ret_errand, int *ret_fd)
{
	unsigned n_fds;
	ssize_t n = rights_receive(channel, ret_errand, sizeof(*ret_errand), ret_fd, 1, &n_fds,
				   NULL, 0);

	if (n < 0)
		return (int)n;
	if (!n_fds)
		*ret_fd = -1;
	return n == sizeof(*ret_errand) ? 0 : -EPIPE;
}

static bool sender_is_dead(int channel)
{
	struct pollfd pfd = {.fd = channel};

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP);
}

static int64_t carry_out(const struct errand *errand, int fd)
{
	int64_t value = -EINVAL;

	switch ((enum errand_kind)errand->kind) {
	case ERRAND_FLUSH:
		value = fdatasync(fd);
		break;
	case ERRAND_FALLOCATE:
		value = fallocate(fd, errand->mode, (off_t)errand->pos_bytes,
				  (off_t)errand->len_bytes);
		break;
	case ERRAND_SEEK:
		value = lseek(fd, (off_t)errand->pos_bytes, errand->mode);
		break;
	}
	return value == -1 ? -errno : value;
}

static void report(int channel, uint64_t id, int64_t value)
{
	const struct errand_result result = {.id = id, .value = value};
	ssize_t n;

	do
		n = send(channel, &result, sizeof(result), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
}

static void *listen_to(void *arg);

/* With its lock held. */
static int add_thread(struct channel *channel)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = -pthread_create(&thread, &attr, listen_to, channel);
	pthread_attr_destroy(&attr);
	if (!r) {
		channel->threads++;
		channel->idle++;
	}
	return r;
}

/* No longer idle, and somebody else is. False: there is nobody else, so it must go on listening. */
static bool leave_listening(struct channel *channel)
{
	bool may;

	pthread_mutex_lock(&channel->lock);
	may = channel->idle > 1 || !add_thread(channel);
	channel->idle -= may;
	pthread_mutex_unlock(&channel->lock);
	return may;
}

/* False: there are enough. */
static bool return_to_listening(struct channel *channel)
{
	bool wanted;

	pthread_mutex_lock(&channel->lock);
	wanted = channel->idle < IDLE_MOST;
	channel->idle += wanted;
	pthread_mutex_unlock(&channel->lock);
	return wanted;
}

static void end_thread(struct channel *channel)
{
	unsigned left;

	pthread_mutex_lock(&channel->lock);
	left = --channel->threads;
	pthread_mutex_unlock(&channel->lock);
	if (left)
		return;
	close(channel->fd);
	pthread_mutex_destroy(&channel->lock);
	free(channel);
	count_served(-1);
}

static void *listen_to(void *arg)
{
	struct channel *channel = arg;
	struct errand errand;
	bool listening = true;
	int fd = -1;

	while (listening && !take_order(channel->fd, &errand, &fd)) {
		if (fd < 0 || sender_is_dead(channel->fd) || !leave_listening(channel)) {
			report(channel->fd, errand.id, ERRAND_LATER);
			if (fd >= 0)
				close(fd);
			continue;
		}
		report(channel->fd, errand.id, carry_out(&errand, fd));
		close(fd); /* which may wait, too */
		listening = return_to_listening(channel);
	}
	end_thread(channel);
	return NULL;
}

int errand_serve(int fd)
{
	struct channel *channel = malloc(sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	*channel = (struct channel){.fd = fd};
	pthread_mutex_init(&channel->lock, NULL);
	count_served(1);
	pthread_mutex_lock(&channel->lock);
	r = add_thread(channel);
	pthread_mutex_unlock(&channel->lock);
	if (r) {
		pthread_mutex_destroy(&channel->lock);
		free(channel);
		count_served(-1);
	}
	return r;
}

/* ---- who wants them run ---- */

int errand_channel(int ret_ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) ? -errno : 0;
}

int errand_send(int channel, const struct errand *errand, int fd)
{
	return rights_send(channel, errand, sizeof(*errand), &fd, 1, MSG_DONTWAIT);
}

int errand_receive(int channel, struct errand_result *ret_result)
{
	ssize_t n;

	do
		n = recv(channel, ret_result, sizeof(*ret_result), MSG_DONTWAIT);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n == sizeof(*ret_result))
		return 0;
	return n < 0 && errno == EAGAIN ? -EAGAIN : -EPIPE;
}
