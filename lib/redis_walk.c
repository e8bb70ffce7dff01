/* SPDX-License-Identifier: MIT */
/*
 * redis_walk.c - all counters, all parts of one, all nodes.
 *
 * The walk asks all masters at once for a page of keys, then for their values, and tells them. Counters with
 * parts are known from the tables of all slots, which are read first: they are left out of the pages, and
 * told at the end with their sums.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glob.h"
#include "num.h"
#include "redis_impl.h"

enum { SOME_MAX = 256 /* counters with parts that are read at once */ };

/* ---- nodes ---- */

struct node_list {
	struct node **nodes; /* owned */
	size_t count, cap;
	bool has_failed;
};

static void list_node(void *arg, struct node *node)
{
	struct node_list *l = arg;
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct node **nodes = reallocarray(l->nodes, cap, sizeof(struct node *));
		if (!nodes) {
			l->has_failed = true;
			return;
		}
		l->nodes = nodes;
		l->cap = cap;
	}
	l->nodes[l->count++] = node;
}

/* Those of the map, which is there then. */
static enum shc_status list_nodes(struct shc *shc, bool has_replicas, struct node_list *out)
{
	struct cluster *c = shc->redis->cluster;
	*out = (struct node_list){0};
	enum shc_status status = cluster_connect(c);
	if (status)
		return wire_say(&shc->wire, status, "%s", cluster_error(c));
	cluster_each(c, has_replicas, list_node, out);
	if (!out->has_failed)
		return SHC_OK;
	free(out->nodes);
	return wire_say(&shc->wire, SHC_MEMORY, "out of memory");
}

struct each {
	struct shc *shc;
	redis_node_fn *fn;
	void *arg;
};

static void take_node(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct each *e = arg;
	e->fn(e->arg, op->node, status, reply, status ? cluster_error(e->shc->redis->cluster) : "");
}

enum shc_status redis_each(struct shc *shc, bool has_replicas, size_t argc, const struct slice *argv,
			   redis_node_fn *fn, void *arg)
{
	struct cluster *c = shc->redis->cluster;
	struct each e = {shc, fn, arg};
	struct node_list list;
	redis_begin(shc, false);
	enum shc_status status = list_nodes(shc, has_replicas, &list);
	for (size_t i = 0; status == SHC_OK && i < list.count; i++) {
		const struct cluster_way way = {
			.kind = OP_READ,
			.slot = OP_ANY_SLOT,
			.node = list.nodes[i],
			.is_once = true,
			.done = take_node,
			.arg = &e,
		};
		status = cluster_put(c, &way, argc, argv);
	}
	cluster_run(c, 0);
	free(list.nodes);
	return status;
}

/* ---- pages ---- */

struct walk_key {
	uint32_t at; /* in the names */
	uint8_t len;
	bool is_there;
	int64_t value;
};

struct cursor {
	struct node *node;
	char text[NUM_I64_CHARS_MAX]; /* SCAN's; as large as 64 bits without a sign */
	size_t len;
	bool is_done;
};

struct walking {
	struct round round;
	const char *glob;
	struct cursor *cursors; /* owned: by master */
	size_t cursors_count;
	struct walk_key *keys; /* owned: of this page of all */
	size_t keys_count, keys_cap;
	struct buf names;
	redis_walk_fn *fn;
	redis_page_fn *page;
	void *arg;
	int ended;
	char refused[480]; /* a sentence; "": none was */
};

static bool add_key(struct walking *w, struct slice name)
{
	if (w->keys_count == w->keys_cap) {
		size_t cap = w->keys_cap ? w->keys_cap * 2 : 4096;
		struct walk_key *keys = reallocarray(w->keys, cap, sizeof(*keys));
		if (!keys)
			return false;
		w->keys = keys;
		w->keys_cap = cap;
	}
	w->keys[w->keys_count++] =
		(struct walk_key){.at = (uint32_t)buf_len(&w->names), .len = (uint8_t)name.len};
	buf_append(&w->names, name.data, name.len);
	return !w->names.failed;
}

static struct slice key_name(const struct walking *w, size_t i)
{
	return (struct slice){buf_head(&w->names) + w->keys[i].at, w->keys[i].len};
}

static bool is_wanted(const struct walking *w, struct slice key)
{
	return slice_is_name(key) && !shard_is_own(key) && counts_find(w->round.shc->redis, key).most == 1;
}

/* [cursor, [key ...]] */
static bool is_page(const struct resp_reply *r)
{
	return r->type == RESP_ARRAY && r->count == 2 && r->elements[0].type == RESP_BULK &&
	       r->elements[0].str.len > 0 && r->elements[0].str.len <= NUM_I64_CHARS_MAX &&
	       r->elements[1].type == RESP_ARRAY;
}

static void take_page(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct walking *w = arg;
	struct cursor *at = &w->cursors[op->tag];
	if (!round_took(&w->round, status))
		return;
	if (!is_page(reply)) {
		w->round.status =
			wire_say(&w->round.shc->wire, SHC_PROTOCOL, "the answer to SCAN makes no sense");
		return;
	}
	at->len = reply->elements[0].str.len;
	memcpy(at->text, reply->elements[0].str.data, at->len);
	at->is_done = at->len == 1 && at->text[0] == '0';
	const struct resp_reply *keys = &reply->elements[1];
	for (size_t i = 0; i < keys->count; i++) {
		if (is_wanted(w, keys->elements[i].str) && !add_key(w, keys->elements[i].str))
			(void)round_took(&w->round, SHC_MEMORY);
	}
}

static enum shc_status read_pages(struct walking *w)
{
	const char *const count = "1000"; /* of each master: a thousand names take a millisecond */
	w->keys_count = 0;
	buf_consume(&w->names, buf_len(&w->names));
	for (size_t i = 0; i < w->cursors_count; i++) {
		struct cursor *at = &w->cursors[i];
		struct slice argv[8] = {slice_str("SCAN"), {at->text, at->len}, slice_str("COUNT"),
					slice_str(count),  slice_str("TYPE"),	slice_str("string")};
		size_t argc = 6;
		if (w->glob) {
			argv[argc++] = slice_str("MATCH");
			argv[argc++] = slice_str(w->glob);
		}
		const struct cluster_way way = {.kind = OP_READ,
						.slot = OP_ANY_SLOT,
						.node = at->node,
						.done = take_page,
						.arg = w,
						.tag = i};
		if (!at->is_done)
			(void)round_took(&w->round,
					 cluster_put(w->round.shc->redis->cluster, &way, argc, argv));
	}
	return round_run(&w->round);
}

/* A key that is no number is no counter: the cluster may serve others too. */
static void take_value(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct walking *w = arg;
	struct walk_key *key = &w->keys[op->tag];
	if (status != SHC_REFUSED && round_took(&w->round, status))
		key->is_there = reply->type == RESP_BULK && num_parse_i64(reply->str, &key->value);
}

static enum shc_status read_values(struct walking *w)
{
	for (size_t i = 0; i < w->keys_count; i++) {
		const struct slice argv[] = {slice_str("GET"), key_name(w, i)};
		if (!round_put(&w->round, OP_READ, slot_of(argv[1]), take_value, w, i, 2, argv))
			break;
	}
	return round_run(&w->round);
}

static void tell_page(struct walking *w)
{
	for (size_t i = 0; i < w->keys_count && !w->ended; i++) {
		if (w->keys[i].is_there)
			w->ended = w->fn(w->arg, key_name(w, i), w->keys[i].value);
	}
	if (!w->ended && w->page)
		w->ended = w->page(w->arg);
}

static bool is_done(const struct walking *w)
{
	for (size_t i = 0; i < w->cursors_count; i++) {
		if (!w->cursors[i].is_done)
			return false;
	}
	return true;
}

/* ---- counters with parts ---- */

static enum shc_status want_all_counts(struct shc *shc)
{
	uint16_t *slots = reallocarray(NULL, SLOT_COUNT, sizeof(*slots));
	if (!slots)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory");
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
		slots[slot] = (uint16_t)slot;
	counts_fini(&shc->redis->counts); /* as it is now */
	enum shc_status status = counts_want(shc, slots, SLOT_COUNT);
	free(slots);
	return status;
}

/* One that has no value must not hide the others: the first of them is told at the end. */
static void note_refused(struct walking *w, struct slice name)
{
	char why[sizeof(w->round.shc->wire.error)];
	memcpy(why, w->round.shc->wire.error, sizeof(why));
	if (w->refused[0] == '\0')
		snprintf(w->refused, sizeof(w->refused), "%.*s: %.200s", (int)name.len, name.data, why);
}

struct some {
	const char *names[SOME_MAX];
	size_t lens[SOME_MAX], count;
	int64_t values[SOME_MAX];
	bool is_there[SOME_MAX];
};

static void tell_some(struct walking *w, const struct some *some)
{
	for (size_t i = 0; i < some->count && !w->ended; i++) {
		if (some->is_there[i])
			w->ended =
				w->fn(w->arg, (struct slice){some->names[i], some->lens[i]}, some->values[i]);
	}
}

/* One that has no value makes all of them read for themselves. */
static enum shc_status read_some(struct walking *w, struct some *some)
{
	struct shc *shc = w->round.shc;
	enum shc_status status =
		redis_mget(shc, some->count, some->names, some->lens, some->values, some->is_there);
	for (size_t i = 0; status == SHC_REFUSED && i < some->count; i++) {
		some->is_there[i] = false;
		enum shc_status one = redis_mget(shc, 1, &some->names[i], &some->lens[i], &some->values[i],
						 &some->is_there[i]);
		if (one == SHC_REFUSED)
			note_refused(w, (struct slice){some->names[i], some->lens[i]});
		else if (one)
			return one;
	}
	return status == SHC_REFUSED ? SHC_OK : status;
}

static bool has_parts(const struct walking *w, const struct count_entry *e)
{
	return e->count.most > 1 &&
	       (!w->glob || glob_match(slice_str(w->glob), (struct slice){e->name, e->len}));
}

static enum shc_status tell_with_parts(struct walking *w)
{
	const struct counts *c = &w->round.shc->redis->counts;
	struct some some;
	for (size_t i = 0; i < c->entries_count && !w->ended;) {
		for (some.count = 0; some.count < SOME_MAX && i < c->entries_count; i++) {
			if (!has_parts(w, &c->entries[i]))
				continue;
			some.names[some.count] = c->entries[i].name;
			some.lens[some.count++] = c->entries[i].len;
		}
		enum shc_status status = some.count > 0 ? read_some(w, &some) : SHC_OK;
		if (status)
			return status;
		tell_some(w, &some);
	}
	if (!w->ended && w->page)
		w->ended = w->page(w->arg);
	return SHC_OK;
}

/* ---- the walk ---- */

static enum shc_status begin(struct walking *w)
{
	struct node_list list;
	redis_begin(w->round.shc, false);
	enum shc_status status = want_all_counts(w->round.shc);
	if (status == SHC_OK)
		status = list_nodes(w->round.shc, false, &list);
	if (status)
		return status;
	w->cursors_count = list.count;
	w->cursors = calloc(list.count + 1, sizeof(*w->cursors));
	for (size_t i = 0; w->cursors && i < list.count; i++)
		w->cursors[i] = (struct cursor){.node = list.nodes[i], .text = "0", .len = 1};
	free(list.nodes);
	return w->cursors ? SHC_OK : wire_say(&w->round.shc->wire, SHC_MEMORY, "out of memory");
}

static enum shc_status run(struct walking *w)
{
	enum shc_status status = begin(w);
	while (status == SHC_OK && !is_done(w) && !w->ended) {
		cluster_extend(w->round.shc->redis->cluster);
		status = read_pages(w);
		if (status == SHC_OK)
			status = read_values(w);
		if (status == SHC_OK)
			tell_page(w);
	}
	if (status == SHC_OK && !w->ended)
		status = tell_with_parts(w);
	if (status || w->refused[0] == '\0')
		return status;
	return wire_say(&w->round.shc->wire, SHC_REFUSED, "%s", w->refused);
}

enum shc_status redis_walk(struct shc *shc, const char *glob, redis_walk_fn *fn, redis_page_fn *page,
			   void *arg, int *ended)
{
	struct walking w = {.round = {.shc = shc}, .glob = glob, .fn = fn, .page = page, .arg = arg};
	enum shc_status status = run(&w);
	free(w.cursors);
	free(w.keys);
	buf_fini(&w.names);
	*ended = w.ended;
	return status;
}

/* ---- parts ---- */

struct parts {
	struct round round;
	struct redis_part *parts;
};

static void take_part(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct parts *p = arg;
	struct redis_part *part = &p->parts[op->tag];
	if (!round_took(&p->round, status))
		return;
	part->node = cluster_name(op->node);
	if (reply->type != RESP_NULL &&
	    (reply->type != RESP_BULK || !num_parse_i64(reply->str, &part->value)))
		p->round.status = wire_say(&p->round.shc->wire, SHC_REFUSED,
					   "what is stored in a part of this counter is not a number");
}

enum shc_status redis_parts(struct shc *shc, struct slice name, struct redis_part **out, size_t *count)
{
	struct shard_count parts_count;
	struct parts p = {.round = {.shc = shc}};
	char room[NAME_LEN_MAX];
	enum shc_status status = redis_begin_counter(shc, &name, room, false, &parts_count);
	if (status)
		return status;
	*count = parts_count.most > 1 ? 1 + parts_count.most : 1;
	p.parts = calloc(*count, sizeof(*p.parts));
	if (!p.parts)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory");
	for (size_t k = 0; k < *count; k++) {
		struct redis_part *part = &p.parts[k];
		shard_part(&part->key, name, (unsigned)k);
		const struct slice argv[] = {slice_str("GET"), shard_slice(&part->key)};
		part->slot = slot_of(argv[1]);
		if (!round_put(&p.round, OP_READ, part->slot, take_part, &p, k, 2, argv))
			break;
	}
	status = round_run(&p.round);
	if (status)
		free(p.parts);
	else
		*out = p.parts;
	return status;
}
