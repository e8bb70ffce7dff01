/* SPDX-License-Identifier: MIT */
/*
 * floor.c - the least that a server can do for INCR: reads what has come, counts the bytes of it, writes as
 * many answers. Nothing is parsed, looked up, checked or kept: what it takes is what the kernel takes for the
 * bytes, with epoll (io_uring may take less).
 *
 * Usage: floor SOCKET
 *
 * All requests are as long as the first one, of two words. Answers 1, 2, 3 and so on to each, and with an
 * error to one of a single word, which must come alone: a client that asks who this is. Runs until it is
 * ended.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { IN_BYTES = 1 << 16, LINES_PER_REQUEST = 5, ANSWER_BYTES = 24, EVENTS = 64, FDS_MAX = 1 << 16 };

static struct {
	int poll_fd, listen_fd;
	size_t request_bytes;	   /* of each; 0: none has come yet */
	size_t pending[FDS_MAX];   /* of a request that has not come whole, by descriptor */
	char answer[ANSWER_BYTES]; /* the last one; at its end */
	size_t answer_len;
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
		server.pending[fd] = 0;
}

/* Where the first request ends; 0: not in here. */
static size_t measure(const char *at, const char *end)
{
	const char *begin = at;
	for (int line = 0; line < LINES_PER_REQUEST; line++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return 0;
		at++;
	}
	return (size_t)(at - begin);
}

/* The decimal number in server.answer grows by one. */
static void count_one(void)
{
	char *digit = server.answer + ANSWER_BYTES - 3;
	while (*digit == '9')
		*digit-- = '0';
	if (*digit == ':') {
		*digit = '1';
		digit[-1] = ':';
		server.answer_len++;
	} else {
		++*digit;
	}
}

static size_t put_answers(size_t count)
{
	char *out = server.out;
	while (count-- > 0) {
		count_one();
		memcpy(out, server.answer + ANSWER_BYTES - server.answer_len, server.answer_len);
		out += server.answer_len;
	}
	return (size_t)(out - server.out);
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
	if (server.pending[fd] == 0 && got > 1 && server.in[1] == '1') {
		size = sizeof(refusal) - 1;
		memcpy(server.out, refusal, size);
	} else {
		if (!server.request_bytes)
			server.request_bytes = measure(server.in, server.in + got);
		size_t bytes = server.pending[fd] + (size_t)got;
		size = server.request_bytes ? put_answers(bytes / server.request_bytes) : 0;
		server.pending[fd] = server.request_bytes ? bytes % server.request_bytes : bytes;
	}
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
	memcpy(server.answer + ANSWER_BYTES - 4, ":0\r\n", 4);
	server.answer_len = 4;
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
