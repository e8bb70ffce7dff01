/* SPDX-License-Identifier: MIT */
/* top.c - see top.h. */
#include "top.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/log.h"

enum {
	NS_A_MS = 1000000,
	PERIOD_MS = 1000,
	/* A commit interval is counted in whole milliseconds from the first change, so that epochs of 1 s are
	 * some microseconds shorter or longer: not two of them a period. */
	PERIOD_SLACK_MS = 20,
	TALLY_MAX = 4 << 20,  /* ids: 128 MiB at most */
	GROUP_MAX = 64 << 10, /* ids of an epoch summed at a time, so that the sums stay in the cache */
	WALK_SHARE = 10,      /* looking through the registry takes a tenth of the time at most */
};

void top_init(struct top *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->tally_max = TALLY_MAX;
}

void top_fini(struct top *t)
{
	free(t->result);
	t->result = NULL;
	tally_fini(&t->tally);
	pthread_mutex_destroy(&t->lock);
}

/* ---- workers ---- */

bool top_ask(struct top *t, int64_t now_ms)
{
	/* seq_cst on both sides: either we see that the committer has stopped counting, or it sees the
	 * question when it looks for what is due (Dekker). */
	atomic_store(&t->asked_ms, now_ms);
	return atomic_load(&t->is_counting);
}

struct top_result *top_newest(struct top *t, int64_t now_ms)
{
	struct top_result *r;

	pthread_mutex_lock(&t->lock);
	r = t->result;
	if (r && now_ms - r->published_ms > TOP_ASKED_MS)
		r = NULL;
	if (r)
		r->refs++;
	pthread_mutex_unlock(&t->lock);
	return r;
}

void top_unref(struct top *t, struct top_result *r)
{
	bool is_last;

	pthread_mutex_lock(&t->lock);
	is_last = --r->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (is_last)
		free(r);
}

/* ---- what is due ---- */

static bool is_asked(const struct top *t, int64_t now_ms)
{
	int64_t asked_ms = atomic_load(&t->asked_ms);

	return asked_ms && now_ms - asked_ms < TOP_ASKED_MS;
}

int64_t top_due_ms(const struct top *t, int64_t now_ms)
{
	int64_t due;

	if (!atomic_load_explicit(&t->is_counting, memory_order_relaxed)) /* its own */
		return is_asked(t, now_ms) ? 0 : -1;
	due = t->begun_ns / NS_A_MS + PERIOD_MS - now_ms;
	return due > 0 ? due : 0;
}

/* ---- adding up ---- */

static void add(void *arg, struct journal_delta d)
{
	struct top *t = arg;

	t->is_spoilt |= tally_add(&t->tally, d.id, d.delta) != 0;
}

/* An object that has ended takes no more additions, so its sum stays nothing. */
static void take_out_deleted(struct top *t, const struct epoch_buffer *b)
{
	uint64_t id, *sum;

	for (size_t pos = 0; pos < buf_len(&b->deletes); pos += sizeof(id)) {
		memcpy(&id, buf_head(&b->deletes) + pos, sizeof(id));
		sum = tally_find(&t->tally, id);
		if (sum)
			*sum = 0;
	}
}

/* The parts from `first` on of all buffers. What was changed by one worker and ended by another in the same
 * epoch may stand in any order: first all changes. */
static void add_parts(struct top *t, struct epoch_buffer *const *buffers, size_t count, size_t first,
		      size_t end)
{
	for (size_t i = 0; i < count; i++)
		epoch_buffer_each_in(buffers[i], first, end, add, t);
	for (size_t i = 0; i < count; i++)
		take_out_deleted(t, buffers[i]);
}

static size_t part_count(struct epoch_buffer *const *buffers, size_t count, size_t part)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += buffers[i]->parts[part].count;
	return sum;
}

/* A period of one epoch: the same part of all buffers has the same ids, so part by part is enough, with
 * little memory however many there are. */
static void add_alone(struct top *t, struct epoch_buffer *const *buffers, size_t count)
{
	for (size_t first = 0, end; first < DELTA_PARTS; first = end) {
		size_t sum = part_count(buffers, count, first);

		for (end = first + 1; end < DELTA_PARTS; end++) {
			sum += part_count(buffers, count, end);
			if (sum > GROUP_MAX)
				break;
		}
		add_parts(t, buffers, count, first, end);
		busiest_offer_all(&t->busiest, &t->tally);
		tally_clear(&t->tally);
	}
}

/* ---- names ---- */

struct naming {
	struct top_result *result;
	struct tally places; /* id -> 1 + index of its entry */
	size_t missing;
};

static void name_entry(struct naming *n, uint64_t id, struct slice name)
{
	uint64_t *place = id ? tally_find(&n->places, id) : NULL;
	struct top_entry *e = place ? &n->result->entries[*place - 1] : NULL;

	if (!e || e->name_len)
		return;
	memcpy(e->name, name.data, name.len);
	e->name_len = (uint8_t)name.len;
	n->missing--;
}

/* A name is its id's for ever. */
static void name_as_before(struct naming *n, const struct top_result *before)
{
	for (size_t i = 0; before && i < before->count; i++) {
		const struct top_entry *e = &before->entries[i];

		name_entry(n, e->id, (struct slice){.data = e->name, .len = e->name_len});
	}
}

static void name_from_snapshot(struct naming *n, struct store *store)
{
	for (size_t i = 0; i < n->result->count && n->missing; i++) {
		struct top_entry *e = &n->result->entries[i];
		char name[NAME_LEN_MAX];
		size_t len = e->name_len ? 0 : store_name_of(store, e->id, name);

		if (len)
			name_entry(n, e->id, (struct slice){.data = name, .len = len});
	}
}

static void look_at_counter(void *arg, struct counter *c)
{
	name_entry(arg, counter_id(counter_object(c)), counter_name(c));
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 * NS_A_MS + ts.tv_nsec;
}

/* Those that the snapshot does not have yet. Ten million counters are a quarter of a second, so
 * not all the time. */
static void name_from_registry(struct top *t, struct naming *n, struct registry *registry)
{
	int64_t begun_ns = now_ns();

	if (!n->missing || begun_ns < t->walk_after_ns)
		return;
	registry_each(registry, look_at_counter, n);
	t->walk_after_ns = now_ns() + (WALK_SHARE - 1) * (now_ns() - begun_ns);
}

/* Entries without a name are of counters that have been deleted. */
static void find_names(struct top *t, struct top_result *r, const struct top_names *names)
{
	struct naming n = {.result = r, .missing = r->count};
	size_t kept = 0;

	for (size_t i = 0; i < r->count; i++)
		t->is_spoilt |= tally_add(&n.places, r->entries[i].id, i + 1) != 0;
	/* Nobody else replaces it, so it needs no lock to be read. */
	name_as_before(&n, t->result);
	name_from_snapshot(&n, names->store);
	name_from_registry(t, &n, names->registry);
	tally_fini(&n.places);
	for (size_t i = 0; i < r->count; i++)
		if (r->entries[i].name_len)
			r->entries[kept++] = r->entries[i];
	r->count = kept;
}

/* ---- the end of a period ---- */

static int by_rank(const void *a, const void *b)
{
	const struct top_entry *x = a, *y = b;
	uint64_t p = tally_size((uint64_t)x->change), q = tally_size((uint64_t)y->change);
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
	int order;

	if (p != q)
		return p < q ? 1 : -1;
	order = memcmp(x->name, y->name, len);
	return order ? order : x->name_len - y->name_len;
}

/* What lies below the floor was deleted by FLUSHALL. */
static struct top_result *make_result(struct top *t, const struct top_names *names)
{
	struct top_result *r = malloc(sizeof(*r) + t->busiest.count * sizeof(r->entries[0]));
	uint64_t floor = registry_floor(names->registry);

	if (!r)
		return NULL;
	*r = (struct top_result){.refs = 1, .duration_ns = t->ended_ns - t->begun_ns};
	for (size_t i = 0; i < t->busiest.count; i++) {
		struct top_entry *e = &r->entries[r->count];

		if (t->busiest.items[i].id < floor)
			continue;
		e->id = t->busiest.items[i].id;
		e->change = (int64_t)t->busiest.items[i].delta;
		e->name_len = 0;
		r->count++;
	}
	find_names(t, r, names);
	qsort(r->entries, r->count, sizeof(r->entries[0]), by_rank);
	return r;
}

static void replace_result(struct top *t, struct top_result *r)
{
	struct top_result *before;

	pthread_mutex_lock(&t->lock);
	before = t->result;
	t->result = r;
	pthread_mutex_unlock(&t->lock);
	if (before)
		top_unref(t, before);
}

static void publish(struct top *t, struct top_result *r)
{
	r->published_ms = now_ns() / NS_A_MS;
	replace_result(t, r);
	atomic_fetch_add(&t->periods, 1);
}

static void begin(struct top *t, int64_t at_ns)
{
	t->begun_ns = t->ended_ns = at_ns;
	t->is_spoilt = false;
	t->busiest.count = 0;
	tally_clear(&t->tally);
}

/* True: there is a new result. */
static bool end_period(struct top *t, const struct top_names *names)
{
	struct top_result *r;

	busiest_offer_all(&t->busiest, &t->tally);
	r = t->is_spoilt ? NULL : make_result(t, names);
	if (r && t->is_spoilt) {
		free(r);
		r = NULL;
	}
	if (r)
		publish(t, r);
	else
		log_debug("SHC.TOP: a period was not counted: out of memory");
	begin(t, t->ended_ns);
	return r != NULL;
}

/* Adds the epoch up. True: it is the period's last. */
static bool add_epoch(struct top *t, struct epoch_buffer *const *buffers, size_t count, size_t deltas)
{
	bool is_last = t->ended_ns - t->begun_ns >= (int64_t)(PERIOD_MS - PERIOD_SLACK_MS) * NS_A_MS;

	atomic_fetch_add_explicit(&t->changes, deltas, memory_order_relaxed);
	if (t->tally.count == 0 && (is_last || deltas > t->tally_max)) {
		add_alone(t, buffers, count);
		return true;
	}
	add_parts(t, buffers, count, 0, DELTA_PARTS);
	return is_last;
}

bool top_end_epoch(struct top *t, struct epoch_buffer *const *buffers, size_t count, int64_t ended_ns,
		   const struct top_names *names)
{
	bool is_new = false;
	size_t deltas = 0;

	if (!atomic_load_explicit(&t->is_counting, memory_order_relaxed)) {
		if (!is_asked(t, ended_ns / NS_A_MS))
			return false;
		begin(t, ended_ns);
		replace_result(t, NULL); /* of some time ago */
		atomic_store(&t->is_counting, true);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		deltas += buffers[i]->delta_count;
	if (t->tally.count && t->tally.count + deltas > t->tally_max)
		is_new = end_period(t, names);
	t->ended_ns = ended_ns;
	if (!add_epoch(t, buffers, count, deltas))
		return is_new;
	is_new |= end_period(t, names);
	if (is_asked(t, ended_ns / NS_A_MS))
		return is_new;
	/* seq_cst: see top_ask. */
	atomic_store(&t->is_counting, false);
	tally_fini(&t->tally);
	return is_new;
}
