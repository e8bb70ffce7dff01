/* SPDX-License-Identifier: MIT */
/*
 * floor.c - the least that a server can do for INCR: reads what has come, counts the lines of it, writes as
 * many answers. Nothing is parsed, looked up, checked or kept: what it takes is what the kernel takes for the
 * bytes.
 *
 * Usage: floor SOCKET
 *
 * Answers 1, 2, 3 and so on to each request of two words (five lines), and with an error to one of a single
 * word, which must come alone: a client that asks who this is. Runs until it is ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { IN_BYTES = 1 << 16, LINES_PER_REQUEST = 5, ANSWER_BYTES = 24, EVENTS = 64, FDS_MAX = 1 << 16 };

static struct {
	int poll_fd, listen_fd;
	uint64_t answered;
	unsigned lines[FDS_MAX]; /* of a request that has not come whole, by descriptor */
	char in[IN_BYTES], out[IN_BYTES * ANSWER_BYTES / 10];
} server;

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, SOMAXCONN))
		return -1;
	return fd;
}

static void watch(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	if (fd >= FDS_MAX || epoll_ctl(server.poll_fd, EPOLL_CTL_ADD, fd, &event))
		close(fd);
	else
		server.lines[fd] = 0;
}

static unsigned count_lines(const char *at, const char *end)
{
	unsigned count = 0;
	for (; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		count++;
	return count;
}

static size_t put_answer(char *out)
{
	char digits[ANSWER_BYTES];
	size_t at = sizeof(digits), len;
	for (uint64_t value = ++server.answered; value; value /= 10)
		digits[--at] = (char)('0' + value % 10);
	len = sizeof(digits) - at;
	out[0] = ':';
	memcpy(out + 1, digits + at, len);
	memcpy(out + 1 + len, "\r\n", 2);
	return len + 3;
}

static void serve(int fd)
{
	static const char refusal[] = "-ERR counts only\r\n";
	ssize_t got = recv(fd, server.in, sizeof(server.in), 0);
	size_t size = 0;
	if (got <= 0) {
		close(fd);
		return;
	}
	unsigned lines = server.lines[fd] + count_lines(server.in, server.in + got);
	if (server.lines[fd] == 0 && got > 1 && server.in[1] == '1') {
		size = sizeof(refusal) - 1;
		memcpy(server.out, refusal, size);
		lines = 0;
	}
	for (; lines >= LINES_PER_REQUEST; lines -= LINES_PER_REQUEST)
		size += put_answer(server.out + size);
	server.lines[fd] = lines;
	if (size && send(fd, server.out, size, MSG_NOSIGNAL) != (ssize_t)size)
		close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	server.poll_fd = epoll_create1(EPOLL_CLOEXEC);
	server.listen_fd = argc == 2 ? listen_at(argv[1]) : -1;
	if (server.poll_fd < 0 || server.listen_fd < 0) {
		fprintf(stderr, "usage: floor SOCKET, where it can listen\n");
		return 64;
	}
	watch(server.listen_fd);
	for (;;) {
		int n = epoll_wait(server.poll_fd, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			return 74;
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == server.listen_fd)
				watch(accept4(server.listen_fd, NULL, NULL, SOCK_CLOEXEC));
			else
				serve(events[i].data.fd);
		}
	}
}
