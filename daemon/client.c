/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 2048 }; /* two addresses, three names, some numbers */

int64_t client_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void client_directory_init(struct client_directory *d)
{
	pthread_mutex_init(&d->mutex, NULL);
	TAILQ_INIT(&d->list);
	d->id_next = 1;
	atomic_init(&d->count, 0);
}

void client_directory_fini(struct client_directory *d)
{
	assert(TAILQ_EMPTY(&d->list));
	pthread_mutex_destroy(&d->mutex);
}

void client_add(struct client_directory *d, struct client *c)
{
	pthread_mutex_lock(&d->mutex);
	c->id = d->id_next++;
	TAILQ_INSERT_TAIL(&d->list, c, link);
	pthread_mutex_unlock(&d->mutex);
	atomic_fetch_add_explicit(&d->count, 1, memory_order_relaxed);
}

void client_remove(struct client_directory *d, struct client *c)
{
	pthread_mutex_lock(&d->mutex);
	TAILQ_REMOVE(&d->list, c, link);
	pthread_mutex_unlock(&d->mutex);
	atomic_fetch_sub_explicit(&d->count, 1, memory_order_relaxed);
}

void client_set_string(struct client_directory *d, char *string, struct slice value)
{
	assert(value.len <= CLIENT_NAME_MAX);
	pthread_mutex_lock(&d->mutex);
	if (value.len)
		memcpy(string, value.data, value.len);
	string[value.len] = '\0';
	pthread_mutex_unlock(&d->mutex);
}

static bool is_unix(const struct client *c)
{
	return c->address.uid != (uid_t)-1;
}

static const char *flags_of(const struct client *c, int multi_count)
{
	if (multi_count >= 0)
		return is_unix(c) ? "xU" : "x";
	return is_unix(c) ? "U" : "N";
}

/* In Redis's order; what has no meaning here is 0. Ours stand at the end, where parsers of 7.0 find what they
 * expect. */
void client_print(const struct client *c, int64_t now_ms, struct buf *out)
{
	int64_t active_ms = atomic_load_explicit(&c->active_ms, memory_order_relaxed);
	const char *command = atomic_load_explicit(&c->command, memory_order_relaxed);
	int multi_count = atomic_load_explicit(&c->multi_count, memory_order_relaxed);
	uint64_t input = atomic_load_explicit(&c->input_bytes, memory_order_relaxed);
	uint64_t output = atomic_load_explicit(&c->output_bytes, memory_order_relaxed);
	char *line = buf_reserve(out, LINE_MAX_BYTES);
	int n;

	if (!line)
		return;
	n = snprintf(
		line, LINE_MAX_BYTES,
		"id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=0 sub=0 psub=0 ssub=0 "
		"multi=%d qbuf=%llu qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%llu oll=0 omem=0 "
		"tot-mem=%llu events=r cmd=%s user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s worker=%u "
		"uid=%lld pid=%lld held-back=%d\n",
		(unsigned long long)c->id, c->address.peer, c->address.local, c->fd, c->name,
		(long long)(now_ms - c->since_ms) / 1000,
		active_ms < now_ms ? (long long)(now_ms - active_ms) / 1000 : 0LL, flags_of(c, multi_count),
		multi_count, (unsigned long long)input, (unsigned long long)output,
		(unsigned long long)(sizeof(*c) + input + output), command ? command : "NULL",
		c->user[0] ? c->user : "default", (int)atomic_load_explicit(&c->proto, memory_order_relaxed),
		c->lib_name, c->lib_version, c->worker, is_unix(c) ? (long long)c->address.uid : -1LL,
		is_unix(c) ? (long long)c->address.pid : -1LL,
		atomic_load_explicit(&c->is_held_back, memory_order_relaxed));
	assert(n > 0 && n < LINE_MAX_BYTES);
	buf_commit(out, (size_t)n);
}

static int id_compare(const void *key, const void *item)
{
	uint64_t x = *(const uint64_t *)key, y = *(const uint64_t *)item;

	return (x > y) - (x < y);
}

void client_print_all(struct client_directory *d, const uint64_t *ids, size_t id_count, struct buf *out)
{
	int64_t now_ms = client_now_ms();
	const struct client *c;

	pthread_mutex_lock(&d->mutex);
	TAILQ_FOREACH (c, &d->list, link)
		if (!ids || bsearch(&c->id, ids, id_count, sizeof(*ids), id_compare))
			client_print(c, now_ms, out);
	pthread_mutex_unlock(&d->mutex);
}
