/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	LISTEN_FD_FIRST = 3,
	LISTEN_FDS_MAX = 64,
	TEXT_SIZE = 1024,
	NS_PER_US = 1000,
	US_PER_S = 1000000,
};

/* The length of the address, 0 when `name` is none. */
static socklen_t notify_address(const char *name, struct sockaddr_un *address)
{
	size_t len = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(address->sun_path))
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, name, len);
	/* An abstract address has exactly its bytes; a NUL behind them would be another name. */
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	else
		len++;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* Written before there are threads. */
static struct {
	struct sockaddr_un address;
	socklen_t len; /* 0: nobody is to be told */
} manager;

int notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	manager.len = 0;
	if (name == NULL || name[0] == '\0')
		return 1;
	manager.len = notify_address(name, &manager.address);
	return manager.len == 0 ? -EINVAL : 0;
}

int notify_send(const char *text)
{
	ssize_t sent;
	int fd, error;
	if (manager.len == 0)
		return 1;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return -errno;
	do
		sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&manager.address,
			      manager.len);
	while (sent < 0 && errno == EINTR);
	error = sent < 0 ? -errno : 0;
	close(fd);
	return error;
}

int notify_sendf(const char *fmt, ...)
{
	char text[TEXT_SIZE];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return notify_send(text);
}

int notify_reloading(void)
{
	struct timespec now;
	/* Type=notify-reload wants to know that this is about its signal, and no earlier one. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return notify_sendf("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration again",
			    (long long)now.tv_sec * US_PER_S + now.tv_nsec / NS_PER_US);
}

int64_t notify_watchdog_ns(void)
{
	const char *pid_text = getenv("WATCHDOG_PID"), *us_text = getenv("WATCHDOG_USEC"), *complaint = NULL;
	long long pid, us;
	if (us_text == NULL || manager.len == 0)
		return 0;
	if (pid_text != NULL) {
		pid = strtonum(pid_text, 1, INT_MAX, &complaint);
		if (complaint != NULL || pid != getpid())
			return 0;
	}
	us = strtonum(us_text, 1, INT64_MAX / NS_PER_US, &complaint);
	return complaint == NULL ? us * NS_PER_US : 0;
}

/* Children must not think that the sockets are for them. */
static void forget_variables(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static int take_fds(const char *count_text)
{
	const char *complaint = NULL;
	int count = (int)strtonum(count_text, 0, LISTEN_FDS_MAX, &complaint);
	if (complaint != NULL)
		return -EINVAL;
	for (int fd = LISTEN_FD_FIRST; fd < LISTEN_FD_FIRST + count; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
			return -EINVAL;
	}
	return count;
}

int notify_listen_fds(void)
{
	const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS"), *complaint = NULL;
	int count = 0;
	if (pid_text == NULL || count_text == NULL)
		return 0;
	long long pid = strtonum(pid_text, 1, INT_MAX, &complaint);
	if (complaint != NULL)
		count = -EINVAL;
	else if (pid == getpid())
		count = take_fds(count_text);
	forget_variables();
	return count;
}
