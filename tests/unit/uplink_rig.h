/* SPDX-License-Identifier: MIT */
/*
 * uplink_rig.h - for the tests of what the uplink knows by name: a model of it, commits by lot, and a cluster
 * on the table's terms.
 *
 * SHC_TEST_SEED=N makes a test by lot run that one seed; SHC_TEST_SCALE=F does F times the work.
 */
#ifndef SHC_UPLINK_RIG_H
#define SHC_UPLINK_RIG_H

#include "../../daemon/uplink_table.h"
#include "core_rig.h"

enum { NAMES = 400, SEEDS = 60, EPOCHS = 60, BUFFERS = 3 };
#define START UINT64_C(0xabc)

static inline struct slice name_of(char out[16], unsigned n)
{
	return (struct slice){out, (size_t)snprintf(out, 16, "name%u", n)};
}

/* ---- a model ---- */

struct object {
	uint64_t id;
	int64_t value, baseline;
	/* what the cluster has */
	bool has_field, is_known; /* known: the table has a name for it */
	struct uplink_field field;
};

struct uplink_rig {
	struct rng r;
	struct uplink_table t;
	struct object objects[NAMES];
	struct epoch_buffer buffers[BUFFERS], *list[BUFFERS];
	uint64_t next_id, epoch;
};

static inline void begin(struct uplink_rig *g, uint64_t seed)
{
	memset(g, 0, sizeof(*g));
	g->r.state = seed;
	g->next_id = 1;
	assert_int_equal(uplink_table_init(&g->t), 0);
	uplink_table_loaded(&g->t, 0);
	for (int i = 0; i < BUFFERS; i++) {
		epoch_buffer_init(&g->buffers[i]);
		g->list[i] = &g->buffers[i];
	}
}

static inline void end(struct uplink_rig *g)
{
	for (int i = 0; i < BUFFERS; i++)
		epoch_buffer_fini(&g->buffers[i]);
	uplink_table_fini(&g->t);
}

static inline struct epoch_buffer *any(struct uplink_rig *g)
{
	return &g->buffers[rng_below(&g->r, BUFFERS)];
}

static inline void add(struct uplink_rig *g, unsigned n)
{
	struct object *o = &g->objects[n];
	int64_t delta = (int64_t)rng_below(&g->r, 2000) - 1000;
	char text[16];

	if (!o->id) {
		o->id = g->next_id++;
		o->is_known = true;
		assert_int_equal(epoch_buffer_create(any(g), o->id, name_of(text, n)), 0);
	}
	assert_int_equal(epoch_buffer_add(any(g), o->id, (uint64_t)delta), 0);
	o->value += delta;
}

static inline void end_object(struct object *o)
{
	o->id = 0;
	o->value = o->baseline = 0;
}

static inline void delete (struct uplink_rig *g, unsigned n)
{
	if (!g->objects[n].id)
		return;
	assert_int_equal(epoch_buffer_delete(any(g), g->objects[n].id), 0);
	end_object(&g->objects[n]);
}

static inline void flush(struct uplink_rig *g)
{
	uint64_t floor = g->next_id++;

	epoch_buffer_flush(any(g), floor);
	for (unsigned n = 0; n < NAMES; n++)
		end_object(&g->objects[n]);
}

static inline void end_epoch(struct uplink_rig *g, bool has_content)
{
	assert_int_equal(uplink_table_reserve(&g->t, g->list, BUFFERS), 0);
	/* May be repeated. */
	assert_int_equal(uplink_table_reserve(&g->t, g->list, BUFFERS), 0);
	uplink_table_end_epoch(&g->t, g->list, BUFFERS, ++g->epoch, has_content, 1000);
	for (int i = 0; i < BUFFERS; i++)
		epoch_buffer_clear(&g->buffers[i]);
}

static inline void some_epoch(struct uplink_rig *g, unsigned names)
{
	unsigned count = rng_below(&g->r, 40);

	for (unsigned i = 0; i < count; i++)
		switch (rng_below(&g->r, 200)) {
		case 0: flush(g); break;
		case 1 ... 40: delete (g, rng_below(&g->r, names)); break;
		default: add(g, rng_below(&g->r, names));
		}
	end_epoch(g, true);
}

static inline void assert_as_model(struct uplink_rig *g)
{
	struct uplink_state s;
	char text[16];

	for (unsigned n = 0; n < NAMES; n++) {
		const struct object *o = &g->objects[n];
		bool is_found = uplink_table_state(&g->t, name_of(text, n), &s);

		if (!is_found) {
			assert_int_equal(o->id, 0);
			continue;
		}
		assert_int_equal(s.is_there, o->id != 0);
		assert_int_equal(s.committed, o->value);
		assert_int_equal(s.baseline, o->baseline);
	}
}

/* ---- the cluster, on the table's terms ---- */

static inline unsigned number_of(const struct uplink_entry *e)
{
	char text[16];

	memcpy(text, e->name, e->name_len);
	text[e->name_len] = '\0';
	return (unsigned)atoi(text + 4);
}

static inline struct uplink_answer other(const struct object *o)
{
	return (struct uplink_answer){
		.outcome = UPLINK_OTHER,
		.has_field = o->has_field,
		.field = o->has_field ? o->field : (struct uplink_field){.value = 0},
	};
}

static inline bool is_expected(const struct object *o, const struct uplink_push *p)
{
	char out[UPLINK_FIELD_CHARS_MAX];
	size_t len = o->has_field ? uplink_put_field(out, &o->field) : 0;

	return len == p->before_len && memcmp(out, p->before, len) == 0;
}

/* Compares and replaces; what is answered. */
static inline struct uplink_answer serve(struct object *o, const struct uplink_push *p)
{
	if (!is_expected(o, p))
		return other(o);
	if (!p->is_look) {
		assert_int_equal(uplink_field_sum(&p->after),
				 (o->has_field ? uplink_field_sum(&o->field) : 0) + (uint64_t)p->delta);
		o->field = p->after;
		o->has_field = true;
	}
	return (struct uplink_answer){.outcome = UPLINK_PUSHED};
}

static inline void answer(struct uplink_rig *g, const struct uplink_push *p, unsigned trouble)
{
	struct object *o = &g->objects[number_of(p->entry)];
	struct uplink_answer a = {.outcome = UPLINK_UNSENT};

	if (!trouble || rng_below(&g->r, trouble)) {
		a = serve(o, p);
	} else if (rng_below(&g->r, 2)) {
		if (rng_below(&g->r, 2))
			(void)serve(o, p);
		a.outcome = UPLINK_LOST;
	}
	uplink_table_answer(&g->t, p, &a);
}

/* One round, with commits in the middle. True: it is through. */
static inline bool some_round(struct uplink_rig *g, unsigned trouble, unsigned commits)
{
	struct uplink_push flights[8];
	size_t count = 0;

	uplink_table_begin_round(&g->t);
	for (;;) {
		while (count < 8 && uplink_table_take(&g->t, START, &flights[count]))
			count++;
		if (count == 0)
			break;
		if (commits && rng_below(&g->r, commits) == 0)
			some_epoch(g, NAMES);
		size_t i = rng_below(&g->r, (uint32_t)count);

		answer(g, &flights[i], trouble);
		flights[i] = flights[--count];
	}
	return uplink_table_end_round(&g->t);
}

static inline void assert_all_is_there(struct uplink_rig *g)
{
	for (unsigned n = 0; n < NAMES; n++) {
		const struct object *o = &g->objects[n];

		if (o->has_field)
			assert_int_equal(o->field.value, o->value - o->baseline);
		else
			assert_int_equal(o->value, o->baseline);
	}
}

/* All of a round is refused; how many there were. */
static inline size_t refuse_round(struct uplink_rig *g)
{
	struct uplink_push p;
	size_t count = 0;

	uplink_table_begin_round(&g->t);
	while (uplink_table_take(&g->t, START, &p)) {
		uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_REFUSED, .why = 3});
		count++;
	}
	assert_true(uplink_table_end_round(&g->t));
	return count;
}

/* ---- tests ---- */

/* One epoch with an addition to each of so many names. */
static inline void commit_names(struct uplink_rig *g, unsigned names)
{
	for (unsigned n = 0; n < names; n++)
		add(g, n);
	end_epoch(g, true);
}

/* One epoch with an addition to this name, which is not what any other adds to it. */
static inline void commit_more(struct uplink_rig *g, unsigned n)
{
	g->objects[n].value += 7000;
	assert_int_equal(epoch_buffer_add(&g->buffers[0], g->objects[n].id, 7000), 0);
	end_epoch(g, true);
}

/* For tests of one course of events. */
static inline int set_up(void **state)
{
	*state = malloc(sizeof(struct uplink_rig));
	assert_non_null(*state);
	begin(*state, 1);
	return 0;
}

static inline int tear_down(void **state)
{
	end(*state);
	free(*state);
	return 0;
}

#define COURSE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

typedef void seeded_fn(struct uplink_rig *g);

static inline void each_seed(seeded_fn *fn)
{
	uint64_t only = rig_seed();
	struct uplink_rig *g = malloc(sizeof(*g));

	assert_non_null(g);
	for (uint64_t seed = only ? only : 1; seed <= (only ? only : (uint64_t)rig_scaled(SEEDS)); seed++) {
		begin(g, seed);
		fn(g);
		end(g);
	}
	free(g);
}

#endif
