/* SPDX-License-Identifier: MIT */
/*
 * io.c - chooses between io_uring and epoll, hands calls to the chosen one, and owns the slots that both use.
 *
 * Nothing here is shared between threads: an io and its slots belong to one worker.
 */
#include "io.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io_backend.h"

#define SLOTS_MIN 64u

static _Thread_local char why_text[320];

static long long read_number(const char *path)
{
	long long value = -1;
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	if (fscanf(file, "%lld", &value) != 1)
		value = -1;
	(void)fclose(file);
	return value;
}

static const char *why_limit(__rlimit_resource_t resource, const char *what)
{
	struct rlimit limit = {0};

	(void)getrlimit(resource, &limit);
	(void)snprintf(why_text, sizeof(why_text), "%s (now %llu)", what, (unsigned long long)limit.rlim_cur);
	return why_text;
}

static const char *why_refused(void)
{
	if (read_number("/proc/sys/kernel/io_uring_disabled") > 0)
		return "the sysctl kernel.io_uring_disabled forbids io_uring: set it to 0, or choose --io "
		       "epoll";
	return "a sandbox (seccomp filter of a container or of the service manager) refuses io_uring: "
	       "allow io_uring_setup, io_uring_enter and io_uring_register, or choose --io epoll";
}

const char *io_why(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES: return why_refused();
	case -ENOSYS:
		return "this kernel was built without io_uring, or a sandbox hides it: choose --io epoll";
	case -EINVAL: return "this kernel's io_uring is too old: Linux 6.1 is needed, or choose --io epoll";
	case -ENOMEM:
		return why_limit(
			RLIMIT_MEMLOCK,
			"not enough locked memory for the rings: raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the "
			"unit, ulimit -l) to 8 MiB, or choose --io epoll");
	case -EMFILE:
		return why_limit(RLIMIT_NOFILE,
				 "too many open files: raise RLIMIT_NOFILE (LimitNOFILE= in the unit, "
				 "ulimit -n)");
	case -ENFILE: return "the system's table of open files is full: raise the sysctl fs.file-max";
	default: (void)snprintf(why_text, sizeof(why_text), "%s", strerror(-error)); return why_text;
	}
}

/* A whole backend, made and thrown away: what works here works in the workers, limits apart. */
static int try_uring(void)
{
	struct io_options options = {.kind = IO_URING, .conns_hint = 1};
	struct io *io = NULL;
	int ret;

	options.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (options.wake_fd < 0)
		return -errno;
	ret = uring_new(&io, &options);
	io_free(io);
	(void)close(options.wake_fd);
	return ret;
}

static bool is_refusal(int error)
{
	return error == -ENOSYS || error == -EPERM || error == -EINVAL;
}

int io_probe(enum io_kind wanted, enum io_kind *chosen, const char **why)
{
	int ret;

	*why = NULL;
	if (wanted == IO_EPOLL) {
		*chosen = IO_EPOLL;
		return 0;
	}
	ret = try_uring();
	if (ret == 0) {
		*chosen = IO_URING;
		return 0;
	}
	*why = io_why(ret);
	/* Only a refusal is a property of the place; a shortage is a mistake that the operator can mend. */
	if (wanted != IO_AUTO || !is_refusal(ret))
		return ret;
	*chosen = IO_EPOLL;
	return 0;
}

const char *io_kind_name(enum io_kind kind)
{
	switch (kind) {
	case IO_URING: return "io_uring";
	case IO_EPOLL: return "epoll";
	case IO_AUTO: break;
	}
	return "auto";
}

int io_new(struct io **out, const struct io_options *options)
{
	switch (options->kind) {
	case IO_URING: return uring_new(out, options);
	case IO_EPOLL: return epoll_new(out, options);
	case IO_AUTO: break;
	}
	return -EINVAL;
}

struct io *io_free(struct io *io)
{
	return io ? io->ops->free(io) : NULL;
}

int io_conn_start(struct io *io, struct io_conn *conn, int fd)
{
	return io->ops->conn_start(io, conn, fd);
}

void io_recv_pause(struct io *io, struct io_conn *conn)
{
	io->ops->recv_pause(io, conn);
}

void io_recv_resume(struct io *io, struct io_conn *conn)
{
	io->ops->recv_resume(io, conn);
}

static void send_start(struct io *io, struct io_conn *conn, const char *data, size_t len, bool is_quiet)
{
	assert(len > 0 && !io_is_sending(conn));
	conn->send_data = data;
	conn->send_len = len;
	conn->send_done = 0;
	io->ops->send(io, conn, is_quiet);
}

void io_send(struct io *io, struct io_conn *conn, const char *data, size_t len)
{
	send_start(io, conn, data, len, false);
}

void io_send_quiet(struct io *io, struct io_conn *conn, const char *data, size_t len)
{
	send_start(io, conn, data, len, true);
}

bool io_conn_is_hung_up(const struct io_conn *conn)
{
	static const struct timespec none;
	struct pollfd pfd = {.fd = conn->fd}; /* POLLHUP comes unasked */

	return ppoll(&pfd, 1, &none, NULL) > 0 && (pfd.revents & POLLHUP);
}

void io_conn_close(struct io *io, struct io_conn *conn)
{
	io->ops->conn_close(io, conn);
}

int io_wait(struct io *io, int64_t timeout_ns)
{
	return io->ops->wait(io, timeout_ns);
}

bool io_next(struct io *io, struct io_event *out)
{
	return io->ops->next(io, out);
}

void io_slots_init(struct io_slots *slots)
{
	*slots = (struct io_slots){.free_first = IO_SLOT_NONE};
}

void io_slots_fini(struct io_slots *slots)
{
	free(slots->table);
	io_slots_init(slots);
}

static int slots_grow(struct io_slots *slots)
{
	uint32_t size = slots->size ? slots->size * 2 : SLOTS_MIN;
	struct io_slot *table;

	if (size > IO_SLOT_NONE / 2)
		return -ENOMEM;
	table = reallocarray(slots->table, size, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (uint32_t i = size; i-- > slots->size;) {
		table[i] = (struct io_slot){.generation = 0};
		table[i].next[IO_LINK_READY] = slots->free_first;
		slots->free_first = i;
	}
	slots->table = table;
	slots->size = size;
	return 0;
}

int io_slots_take(struct io_slots *slots, struct io_conn *conn)
{
	struct io_slot *slot;
	int ret;

	if (slots->free_first == IO_SLOT_NONE) {
		ret = slots_grow(slots);
		if (ret < 0)
			return ret;
	}
	conn->slot = slots->free_first;
	slot = &slots->table[conn->slot];
	slots->free_first = slot->next[IO_LINK_READY];
	slot->conn = conn;
	conn->generation = slot->generation;
	return 0;
}

void io_slots_put(struct io_slots *slots, const struct io_conn *conn)
{
	struct io_slot *slot = &slots->table[conn->slot];

	assert(slot->conn == conn);
	slot->conn = NULL;
	slot->generation = (slot->generation + 1) & IO_GENERATION_MASK;
	slot->next[IO_LINK_READY] = slots->free_first;
	slots->free_first = conn->slot;
}

struct io_conn *io_slots_find(const struct io_slots *slots, uint32_t slot, uint32_t generation)
{
	if (slot >= slots->size || slots->table[slot].generation != generation)
		return NULL;
	return slots->table[slot].conn;
}

void io_list_init(struct io_list *list, enum io_link link)
{
	*list = (struct io_list){.link = link, .first = IO_SLOT_NONE, .last = IO_SLOT_NONE};
}

void io_list_push(struct io_list *list, struct io_slots *slots, const struct io_conn *conn)
{
	slots->table[conn->slot].next[list->link] = IO_SLOT_NONE;
	if (list->first == IO_SLOT_NONE)
		list->first = conn->slot;
	else
		slots->table[list->last].next[list->link] = conn->slot;
	list->last = conn->slot;
}

struct io_conn *io_list_pop(struct io_list *list, struct io_slots *slots)
{
	struct io_slot *slot;

	if (list->first == IO_SLOT_NONE)
		return NULL;
	slot = &slots->table[list->first];
	list->first = slot->next[list->link];
	return slot->conn;
}
