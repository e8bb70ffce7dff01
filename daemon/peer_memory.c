/* SPDX-License-Identifier: MIT */
/* peer_memory.c - see peer_memory.h. Entered by workers. */
#include "peer_memory.h"

#include <inttypes.h>

#include "../lib/log.h"
#include "peer.h"
#include "server.h"
#include "worker.h"

enum { SAID_MS = 1000 };

static int64_t limit(const struct server *s)
{
	return atomic_load_explicit(&s->config->max_client_memory_bytes, memory_order_relaxed);
}

static bool is_over(const struct server *s)
{
	int64_t max = limit(s);

	return max > 0 && atomic_load_explicit(&s->peer_memory.bytes, memory_order_relaxed) > max;
}

static int64_t buffers(const struct peer *p)
{
	return (int64_t)(p->in.cap + p->out.cap + p->sending.cap + p->keys_body.cap + p->multi.bytes.cap);
}

static int64_t lists(const struct peer *p)
{
	return (int64_t)(p->parser.argv_cap * sizeof(*p->parser.argv) + p->parser.inline_cap +
			 p->multi.cap * sizeof(*p->multi.queue) + p->multi.arg_cap * sizeof(*p->multi.args));
}

static void set(struct peer *p, int64_t bytes)
{
	struct peer_memory *m = &p->worker->server->peer_memory;
	int holders = (bytes > 0) - (p->memory_bytes > 0);

	atomic_fetch_add_explicit(&m->bytes, bytes - p->memory_bytes, memory_order_relaxed);
	if (holders)
		atomic_fetch_add_explicit(&m->holders, holders, memory_order_relaxed);
	p->memory_bytes = bytes;
}

/* Who holds most may be with one that sleeps. */
static void wake_all(struct server *s)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		waker_wake(&s->workers[i].waker);
}

void peer_memory_look(struct peer *p)
{
	struct server *s = p->worker->server;
	int64_t before = p->memory_bytes, bytes = buffers(p);

	if (p->is_closed)
		return;
	/* The lists of a short transaction are short; what is counted is counted whole. */
	bytes = bytes > PEER_MEMORY_FREE ? bytes + lists(p) : 0;
	if (bytes == before)
		return;
	set(p, bytes);
	if (bytes > before && is_over(s))
		wake_all(s);
}

void peer_memory_forget(struct peer *p)
{
	if (p->memory_bytes)
		set(p, 0);
}

/* ---- too much ---- */

static struct peer *find_largest(const struct worker *w)
{
	struct peer *p, *largest = NULL;

	TAILQ_FOREACH (p, &w->peers, all)
		if (p->memory_bytes > (largest ? largest->memory_bytes : 0))
			largest = p;
	return largest;
}

static bool is_mean_or_more(const struct peer_memory *m, const struct peer *p)
{
	int64_t bytes = atomic_load_explicit(&m->bytes, memory_order_relaxed);
	int64_t holders = atomic_load_explicit(&m->holders, memory_order_relaxed);

	return holders <= 1 || p->memory_bytes >= bytes / holders;
}

/* One in SAID_MS: who does it on purpose does it often. */
static void say(const struct worker *w, const struct peer *p)
{
	struct peer_memory *m = &w->server->peer_memory;
	int64_t said_ms = atomic_load_explicit(&m->said_ms, memory_order_relaxed);

	if ((said_ms && w->now_ms - said_ms < SAID_MS) ||
	    !atomic_compare_exchange_strong_explicit(&m->said_ms, &said_ms, w->now_ms, memory_order_relaxed,
						     memory_order_relaxed))
		return;
	log_warning("client %" PRIu64 ": all connections together hold more than max-client-memory (%" PRId64
		    " bytes), this one %" PRId64 ": connection closed (%" PRIu64 " before)",
		    p->client.id, limit(w->server), p->memory_bytes,
		    atomic_load_explicit(&m->evicted, memory_order_relaxed));
}

void peer_memory_evict(struct worker *w)
{
	struct server *s = w->server;

	while (is_over(s)) {
		struct peer *p = find_largest(w);

		if (!p || !is_mean_or_more(&s->peer_memory, p))
			return;
		say(w, p);
		atomic_fetch_add_explicit(&s->peer_memory.evicted, 1, memory_order_relaxed);
		peer_close(p, false);
	}
}
