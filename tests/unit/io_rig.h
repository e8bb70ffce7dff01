/* SPDX-License-Identifier: MIT */
/*
 * io_rig.h - an io with its connections for the tests of io.h: every event is checked against the life of its
 * connection, and noted. The peers are driven by the same thread, without blocking.
 *
 * A test is a function of `void **state`, which points to the kind; RIG_TEST() lists it for both backends.
 */
#ifndef SHC_TEST_IO_RIG_H
#define SHC_TEST_IO_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../daemon/io.h"

#define MS 1000000ll
#ifndef RIG_PATIENCE_NS
#define RIG_PATIENCE_NS (20000 * MS)
#endif
#define RIG_TEST(kind_, fn)                                                                                  \
	{                                                                                                    \
		.name = #kind_ ": " #fn, .test_func = (fn), .initial_state = &rig_kind_##kind_               \
	}

static enum io_kind rig_kind_uring = IO_URING;
static enum io_kind rig_kind_epoll = IO_EPOLL;

struct rig {
	struct io *io;
	int wake_fd;
	enum io_kind kind;
	unsigned waits;
	unsigned wakes;
	int fds_before;
};

struct rig_conn {
	struct io_conn conn; /* first: an event's conn is ours */
	int peer_fd;
	bool is_open;
	bool is_closing;
	bool is_echo;
	unsigned eofs;
	unsigned fails;
	unsigned sents;
	unsigned closeds;
	int error;
	char *in; /* all that came */
	size_t in_len;
	size_t in_size;
	char *out; /* an echo that is on its way */
	size_t echoed;
};

static inline int64_t rig_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline int rig_fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static inline void rig_open(struct rig *rig, void **state, uint32_t conns_hint)
{
	struct io_options options = {.conns_hint = conns_hint};
	enum io_kind chosen;
	const char *why;

	*rig = (struct rig){.kind = *(enum io_kind *)*state, .fds_before = rig_fd_count()};
	if (io_probe(rig->kind, &chosen, &why) < 0) {
		print_message("no %s here: %s\n", io_kind_name(rig->kind), why);
		skip();
	}
	rig->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(rig->wake_fd >= 0);
	options.kind = rig->kind;
	options.wake_fd = rig->wake_fd;
	assert_int_equal(io_new(&rig->io, &options), 0);
}

/* Every descriptor must be back. */
static inline void rig_close(struct rig *rig)
{
	assert_null(io_free(rig->io));
	(void)close(rig->wake_fd);
	assert_int_equal(rig_fd_count(), rig->fds_before);
}

static inline void rig_tcp_pair(int fds[2])
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&addr, len), 0);
	fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[0] >= 0);
	(void)close(listener);
}

static inline void rig_connect(struct rig *rig, struct rig_conn *rc, int family)
{
	int fds[2];

	*rc = (struct rig_conn){.is_open = true};
	if (family == AF_INET)
		rig_tcp_pair(fds);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	rc->peer_fd = fds[1];
	assert_int_equal(io_conn_start(rig->io, &rc->conn, fds[0]), 0);
}

static inline void rig_note_data(struct rig_conn *rc, const struct io_event *event)
{
	assert_true(event->len > 0);
	assert_int_equal(rc->eofs, 0);
	if (rc->in_len + event->len > rc->in_size) {
		rc->in_size = (rc->in_len + event->len) * 2;
		rc->in = realloc(rc->in, rc->in_size);
		assert_non_null(rc->in);
	}
	memcpy(rc->in + rc->in_len, event->data, event->len);
	rc->in_len += event->len;
}

static inline void rig_echo(struct rig *rig, struct rig_conn *rc)
{
	size_t len = rc->in_len - rc->echoed;

	if (!rc->is_echo || rc->is_closing || rc->fails > 0 || len == 0 || io_is_sending(&rc->conn))
		return;
	free(rc->out);
	rc->out = malloc(len); /* its own block, so that a sanitizer sees a use after IO_SENT */
	memcpy(rc->out, rc->in + rc->echoed, len);
	rc->echoed += len;
	io_send(rig->io, &rc->conn, rc->out, len);
}

static inline void rig_note(struct rig *rig, const struct io_event *event)
{
	struct rig_conn *rc = (struct rig_conn *)event->conn;

	if (event->type == IO_WAKE) {
		assert_null(event->conn);
		rig->wakes++;
		return;
	}
	assert_true(rc->is_open);
	assert_true(!rc->is_closing || event->type == IO_CLOSED);
	switch (event->type) {
	case IO_RECV: rig_note_data(rc, event); break;
	case IO_EOF: rc->eofs++; break;
	case IO_SENT:
		assert_false(io_is_sending(&rc->conn));
		rc->sents++;
		break;
	case IO_FAILED:
		rc->fails++;
		rc->error = event->error;
		break;
	case IO_CLOSED:
		assert_true(rc->is_closing);
		rc->closeds++;
		rc->is_open = false;
		return;
	case IO_WAKE: break;
	}
	assert_true(rc->eofs <= 1 && rc->fails <= 1);
	rig_echo(rig, rc);
}

/* One io_wait and all of its events; returns their number. */
static inline unsigned rig_round(struct rig *rig, int64_t timeout_ns)
{
	struct io_event event;
	unsigned count = 0;

	assert_int_equal(io_wait(rig->io, timeout_ns), 0);
	rig->waits++;
	for (; io_next(rig->io, &event); count++)
		rig_note(rig, &event);
	return count;
}

/* Rounds until the condition holds. Whatever it waits for must wake the io: sleeping until the end of
 * patience and finding it then is a failure. */
#define RIG_UNTIL(rig_, condition_)                                                                          \
	do {                                                                                                 \
		int64_t deadline_ns = rig_now_ns() + RIG_PATIENCE_NS;                                        \
		while (!(condition_)) {                                                                      \
			rig_round((rig_), RIG_PATIENCE_NS);                                                  \
			if (rig_now_ns() >= deadline_ns)                                                     \
				fail_msg("did not come: %s", #condition_);                                   \
		}                                                                                            \
	} while (0)

/* Rounds that do not sleep, until two in a row have nothing to tell. */
static inline void rig_settle(struct rig *rig)
{
	unsigned quiet = 0;

	while (quiet < 2)
		quiet = rig_round(rig, 0) == 0 ? quiet + 1 : 0;
}

static inline void rig_close_begin(struct rig *rig, struct rig_conn *rc)
{
	rc->is_closing = true;
	io_conn_close(rig->io, &rc->conn);
	assert_int_equal(rc->closeds, 0);
}

/* Closes both ends, waits for IO_CLOSED, frees what the rig noted. */
static inline void rig_disconnect(struct rig *rig, struct rig_conn *rc)
{
	if (rc->is_open && !rc->is_closing)
		rig_close_begin(rig, rc);
	RIG_UNTIL(rig, rc->closeds > 0);
	assert_int_equal(rc->closeds, 1);
	if (rc->peer_fd >= 0)
		(void)close(rc->peer_fd);
	free(rc->in);
	free(rc->out);
}

static inline void rig_peer_send(const struct rig_conn *rc, const char *data, size_t len)
{
	assert_int_equal(send(rc->peer_fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
}

/* A byte of a stream that tells its place in it: 64 bits of it repeat nowhere near. */
static inline char rig_byte(uint64_t stream, size_t position)
{
	uint64_t x = (stream * 0x9e3779b97f4a7c15u) ^ (position * 0xbf58476d1ce4e5b9u);

	x ^= x >> 29;
	x *= 0x94d049bb133111ebu;
	return (char)(x >> 56);
}

static inline void rig_fill(char *data, size_t len, uint64_t stream, size_t position)
{
	for (size_t i = 0; i < len; i++)
		data[i] = rig_byte(stream, position + i);
}

static inline void rig_check(const char *data, size_t len, uint64_t stream, size_t position)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != rig_byte(stream, position + i))
			fail_msg("stream %llu differs at %zu", (unsigned long long)stream, position + i);
	}
}

/* xorshift64*, for schedules that can be repeated. */
static inline uint64_t rig_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1du;
}

#endif
