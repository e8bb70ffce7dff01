/* SPDX-License-Identifier: MIT */
/*
 * store_model.h - what a store must hold, as a plain array: random epochs are written to a journal_writer and
 * to the model alike, and a picture of what a load told is compared with it.
 */
#ifndef SHC_STORE_MODEL_H
#define SHC_STORE_MODEL_H

#include "store_fixture.h"

struct model_counter {
	char name[24];
	uint64_t value;
	bool is_live;
};

struct model {
	struct model_counter *counters; /* by id; 0 is none */
	uint64_t id_cap;
	uint64_t id_next;
	uint64_t epoch; /* the newest that may have been used */
	uint64_t name_next;
};

static inline void model_init(struct model *m, uint64_t id_cap)
{
	*m = (struct model){.id_cap = id_cap, .id_next = 1};
	m->counters = calloc(id_cap, sizeof(*m->counters));
	assert_non_null(m->counters);
}

static inline void model_fini(struct model *m)
{
	free(m->counters);
	*m = (struct model){0};
}

/* Both are initialized, with as many ids. */
static inline void model_copy(struct model *to, const struct model *from)
{
	struct model_counter *counters = to->counters;

	memcpy(counters, from->counters, from->id_next * sizeof(*counters));
	*to = *from;
	to->counters = counters;
}

/* ---- a random epoch ---- */

static inline uint64_t model_draw_delta(void)
{
	switch (draw() % 4) {
	case 0: return draw(); /* wraps often: sums are modulo 2^64 */
	case 1: return 0 - draw() % 1000;
	default: return draw() % 1000;
	}
}

/* A name may be one that a deleted counter had. */
static inline void model_draw_name(struct model *m, char *name, size_t size)
{
	bool is_taken = false;
	uint64_t number = draw() % 2 ? draw() % (m->name_next + 1) : m->name_next;

	snprintf(name, size, "n%llu", (unsigned long long)number);
	for (uint64_t id = 1; id < m->id_next && !is_taken; id++)
		is_taken = m->counters[id].is_live && strcmp(m->counters[id].name, name) == 0;
	if (is_taken || number == m->name_next)
		snprintf(name, size, "n%llu", (unsigned long long)m->name_next++);
}

static inline void model_create(struct model *m, struct journal_writer *w, uint64_t count)
{
	while (count-- > 0 && m->id_next < m->id_cap) {
		struct model_counter *counter = &m->counters[m->id_next];

		model_draw_name(m, counter->name, sizeof(counter->name));
		counter->is_live = true;
		counter->value = 0;
		journal_put_name(w, m->id_next++, slice_str(counter->name));
	}
}

/* Deltas of dead counters too: they must be nobody's. */
static inline void model_change(struct model *m, struct journal_writer *w, uint64_t step)
{
	struct journal_delta *deltas = calloc(m->id_cap, sizeof(*deltas));
	size_t count = 0;

	assert_non_null(deltas);
	for (uint64_t id = 1 + draw() % step; id < m->id_next; id += 1 + draw() % step) {
		deltas[count++] = (struct journal_delta){.id = id, .delta = model_draw_delta()};
		m->counters[id].value += deltas[count - 1].delta;
	}
	journal_put_deltas(w, deltas, count);
	free(deltas);
}

static inline void model_delete(struct model *m, struct journal_writer *w, uint64_t count)
{
	while (count-- > 0 && m->id_next > 1) {
		uint64_t id = 1 + draw() % (m->id_next - 1);

		m->counters[id].is_live = false;
		journal_put_delete(w, id);
	}
}

static inline void model_flush(struct model *m, struct journal_writer *w)
{
	for (uint64_t id = 1; id < m->id_next; id++)
		m->counters[id].is_live = false;
	journal_put_floor(w, m->id_next);
}

/* Finishes the writer, and moves the model's epoch. */
static inline void model_draw_epoch(struct model *m, struct journal_writer *w)
{
	journal_writer_init(w, (int64_t)m->epoch);
	if (draw() % 2)
		model_create(m, w, draw() % 60);
	model_change(m, w, 1 + draw() % 40);
	if (draw() % 3 == 0)
		model_delete(m, w, draw() % 30);
	if (draw() % 25 == 0)
		model_flush(m, w);
	if (draw() % 2)
		model_create(m, w, draw() % 10);
	if (draw() % 2)
		model_change(m, w, 1 + draw() % 10); /* another worker's run */
	assert_int_equal(journal_writer_finish(w), 0);
	m->epoch += 1 + draw() % 3;
}

/* ---- comparing ---- */

/* Null: the picture is the model's. Else what is wrong, until the next call. */
static inline const char *model_mismatch(const struct model *m, const struct picture *p)
{
	static char why[160];
	size_t at = 0;

	for (uint64_t id = 1; id < m->id_next; id++) {
		const struct model_counter *counter = &m->counters[id];
		const struct found *found = at < p->count ? &p->counters[at] : NULL;

		if (!counter->is_live)
			continue;
		if (!found || found->id != id || strcmp(found->name, counter->name) != 0 ||
		    found->value != (int64_t)counter->value) {
			snprintf(why, sizeof(why), "id %llu, %s = %lld, is missing or something else",
				 (unsigned long long)id, counter->name, (long long)counter->value);
			return why;
		}
		at++;
	}
	snprintf(why, sizeof(why),
		 "%zu counters too many, epoch_first %llu behind epoch %llu, id_next %llu for %llu",
		 p->count - at, (unsigned long long)p->state.epoch_first, (unsigned long long)m->epoch,
		 (unsigned long long)p->state.id_next, (unsigned long long)m->id_next);
	return at < p->count || p->state.id_next < m->id_next || p->state.epoch_first <= m->epoch ? why
												  : NULL;
}

#endif
