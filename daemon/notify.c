/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_FD_FIRST = 3, LISTEN_FDS_MAX = 64 };

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

int notify_send(const char *text)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t address_len;
	ssize_t sent;
	int fd, error;
	if (name == NULL || name[0] == '\0')
		return 1;
	if ((address_len = notify_address(name, &address)) == 0)
		return -EINVAL;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return -errno;
	do
		sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
			      address_len);
	while (sent < 0 && errno == EINTR);
	error = sent < 0 ? -errno : 0;
	close(fd);
	return error;
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
