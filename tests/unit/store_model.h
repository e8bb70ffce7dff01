/* SPDX-License-Identifier: MIT */
/*
 * store_model.h - what a store must hold, as a plain array: random epochs are written to a journal_writer and
 * to the model alike, and a picture of what a load told is compared with it.
 */
#ifndef SHC_STORE_MODEL_H
#define SHC_STORE_MODEL_H

#include "store_fixture.h"
#include "../../daemon/window.h"

/* Seconds of hits, so far apart that every level of a window is used, and some are too old for any. */
enum { MODEL_SECONDS = 8 };
static const int64_t model_seconds[MODEL_SECONDS] = {1690000000, 1695999940, 1696000000, 1699995000,
						     1699999700, 1699999701, 1699999999, 1700000000};

struct model_counter {
	char name[24];
	uint64_t value;
	bool is_live;
	struct journal_state state; /* the newest; id 0: none */
	uint64_t hits[MODEL_SECONDS];
};

enum { MODEL_SESSIONS = 6, MODEL_TOKENS = 48, MODEL_TOKENS_PER_NAME = 8 };

struct model_session {
	uint64_t seq;
	size_t cursor_len; /* all of one byte */
	char cursor_byte;
	int64_t used_ms;
};

struct model_token {
	int64_t delta, used_ms;
};

struct model {
	struct model_counter *counters; /* by id; 0 is none */
	uint64_t id_cap;
	uint64_t id_next;
	uint64_t epoch; /* the newest that may have been used */
	uint64_t name_next;
	uint64_t version;	   /* the newest of a state */
	struct journal_state late; /* one that will come in a later epoch than newer ones; id 0: none */
	/* Sessions and tokens, by number; used_ms 0: never used. Those used before may have been forgotten.
	 */
	bool has_marks;
	struct model_session sessions[MODEL_SESSIONS];
	struct model_token tokens[MODEL_TOKENS];
	int64_t forgotten_before_ms;
};

static inline void model_init(struct model *m, uint64_t id_cap)
{
	*m = (struct model){.id_cap = id_cap, .id_next = 1, .has_marks = true};
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

		/* What stands there may be of an epoch that never came to be. */
		*counter = (struct model_counter){.value = 0};
		model_draw_name(m, counter->name, sizeof(counter->name));
		counter->is_live = true;
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

/* A client comes further; now and then one that had expired begins again. */
static inline void model_apply(struct model *m, struct journal_writer *w)
{
	unsigned number = (unsigned)(draw() % MODEL_SESSIONS);
	struct model_session *session = &m->sessions[number];
	char id[8], cursor[JOURNAL_CURSOR_MAX];

	session->seq = draw() % 20 == 0 && session->used_ms < (int64_t)m->epoch ? 1 : session->seq + 1;
	session->cursor_len = draw() % 12 == 0 ? draw() % (JOURNAL_CURSOR_MAX + 1) : draw() % 20;
	session->cursor_byte = (char)draw();
	session->used_ms = (int64_t)m->epoch;
	memset(cursor, session->cursor_byte, session->cursor_len);
	snprintf(id, sizeof(id), "s%u", number);
	journal_put_session(w, slice_str(id), session->seq,
			    (struct slice){.data = cursor, .len = session->cursor_len});
}

/* A token, once an epoch at most; again only when it had expired. */
static inline void model_use_token(struct model *m, struct journal_writer *w)
{
	unsigned number = (unsigned)(draw() % MODEL_TOKENS);
	struct model_token *token = &m->tokens[number];
	char name[8], text[8];

	if (token->used_ms == (int64_t)m->epoch)
		return;
	*token = (struct model_token){.delta = (int64_t)model_draw_delta(), .used_ms = (int64_t)m->epoch};
	snprintf(name, sizeof(name), "n%u", number / MODEL_TOKENS_PER_NAME);
	snprintf(text, sizeof(text), "t%u", number % MODEL_TOKENS_PER_NAME);
	journal_put_token(w, slice_str(name), slice_str(text), token->delta);
}

static inline void model_mark(struct model *m, struct journal_writer *w)
{
	if (!m->has_marks)
		return;
	for (uint64_t n = draw() % 4; n > 0; n--)
		model_apply(m, w);
	for (uint64_t n = draw() % 2 ? draw() % 8 : 0; n > 0; n--)
		model_use_token(m, w);
}

static inline void model_put_state(struct model *m, struct journal_writer *w, struct journal_state state)
{
	struct journal_state *newest = &m->counters[state.id].state;

	journal_put_state(w, &state);
	if (!newest->id || state.version > newest->version)
		*newest = state;
}

/* Half of them of the newest few: these have many. */
static inline uint64_t model_draw_id(const struct model *m)
{
	uint64_t count = m->id_next - 1, few = draw() % 2 && count > 6 ? 6 : count;

	return m->id_next - 1 - draw() % few;
}

static inline struct journal_state model_draw_state(struct model *m)
{
	return (struct journal_state){.id = model_draw_id(m),
				      .version = ++m->version,
				      .expire_at_ms = draw() % 2 ? (int64_t)(draw() >> 20) : 0,
				      .tat_ns = (int64_t)draw()};
}

/* States and hits, of dead counters too, in any order of ids. */
static inline void model_extend(struct model *m, struct journal_writer *w)
{
	if (!m->has_marks || m->id_next == 1)
		return;
	if (m->late.id && draw() % 3 == 0) {
		model_put_state(m, w, m->late);
		m->late.id = 0;
	} else if (!m->late.id) {
		struct journal_state newer = m->late = model_draw_state(m);

		newer.version = ++m->version;
		newer.tat_ns++;
		model_put_state(m, w, newer);
	}
	for (uint64_t n = draw() % 10; n > 0; n--) {
		struct journal_state state = model_draw_state(m), older = state;

		state.version = ++m->version; /* of another worker */
		older.expire_at_ms++;
		model_put_state(m, w, state);
		if (draw() % 4 == 0)
			model_put_state(m, w, older);
	}
	for (uint64_t n = draw() % 40; n > 0; n--) {
		unsigned second = (unsigned)(draw() % MODEL_SECONDS);
		struct journal_hit hit = {model_draw_id(m), model_seconds[second], 1 + draw() % 1000};

		m->counters[hit.id].hits[second] += hit.count;
		journal_put_hit(w, &hit);
	}
}

/* Sometimes what follows goes to another part. */
static inline void model_draw_part(struct journal_writer *w)
{
	if (draw() % 4 == 0)
		assert_int_equal(journal_writer_finish(w), 0);
}

/* Finishes the writer, and moves the model's epoch. */
static inline void model_draw_epoch(struct model *m, struct journal_writer *w)
{
	m->epoch += 1 + draw() % 3;
	journal_writer_init(w, (int64_t)m->epoch);
	if (draw() % 2)
		model_create(m, w, draw() % 60);
	model_draw_part(w);
	model_change(m, w, 1 + draw() % 40);
	if (draw() % 3 == 0)
		model_delete(m, w, draw() % 30);
	model_extend(m, w);
	model_mark(m, w);
	model_draw_part(w);
	if (draw() % 25 == 0)
		model_flush(m, w);
	if (draw() % 2)
		model_create(m, w, draw() % 10);
	if (draw() % 2)
		model_change(m, w, 1 + draw() % 10); /* another worker's run */
	model_extend(m, w);
	model_mark(m, w);
	assert_int_equal(journal_writer_finish(w), 0);
}

/* ---- what a load tells ---- */

struct observed {
	struct picture counters;
	struct model_session sessions[MODEL_SESSIONS];
	struct model_token tokens[MODEL_TOKENS];
	/* by id */
	struct journal_state *states; /* id 0: none */
	struct window **windows;
	uint64_t id_cap;
	uint64_t odd; /* what is none of the model's, or came twice */
};

static inline int observe_counters(void *arg, unsigned loader, const struct store_counter *counters,
				   size_t count)
{
	struct observed *o = arg;

	return picture_add(&o->counters, loader, counters, count);
}

static inline int observe_session(void *arg, struct slice id, uint64_t seq, struct slice cursor,
				  int64_t used_ms)
{
	struct observed *o = arg;
	unsigned number = id.len == 2 ? (unsigned char)id.data[1] - '0' : MODEL_SESSIONS;
	bool is_odd = number >= MODEL_SESSIONS || o->sessions[number].used_ms;

	for (size_t i = 1; i < cursor.len; i++)
		is_odd |= cursor.data[i] != cursor.data[0];
	o->odd += is_odd;
	if (number < MODEL_SESSIONS)
		o->sessions[number] = (struct model_session){.seq = seq,
							     .cursor_len = cursor.len,
							     .cursor_byte = cursor.len ? *cursor.data : 0,
							     .used_ms = used_ms};
	return 0;
}

static inline int observe_token(void *arg, struct slice name, struct slice token, int64_t delta,
				int64_t used_ms)
{
	struct observed *o = arg;
	unsigned number = MODEL_TOKENS;

	if (name.len == 2 && token.len == 2)
		number = (unsigned)(name.data[1] - '0') * MODEL_TOKENS_PER_NAME +
			 (unsigned)(token.data[1] - '0');
	if (number >= MODEL_TOKENS || o->tokens[number].used_ms) {
		o->odd++;
		return 0;
	}
	o->tokens[number] = (struct model_token){.delta = delta, .used_ms = used_ms};
	return 0;
}

static inline void observe_id(struct observed *o, uint64_t id)
{
	uint64_t cap = o->id_cap ? o->id_cap : 64;

	assert_in_range(id, 1, 1 << 20);
	while (cap <= id)
		cap *= 2;
	if (cap == o->id_cap)
		return;
	o->states = reallocarray(o->states, cap, sizeof(*o->states));
	o->windows = reallocarray(o->windows, cap, sizeof(*o->windows));
	assert_true(o->states && o->windows);
	memset(o->states + o->id_cap, 0, (cap - o->id_cap) * sizeof(*o->states));
	memset(o->windows + o->id_cap, 0, (cap - o->id_cap) * sizeof(*o->windows));
	o->id_cap = cap;
}

static inline int observe_state(void *arg, const struct journal_state *state)
{
	struct observed *o = arg;

	observe_id(o, state->id);
	o->odd += o->states[state->id].id != 0 || o->counters.count > 0; /* before all counters */
	o->states[state->id] = *state;
	return 0;
}

static inline int observe_window(void *arg, uint64_t id, struct window *window)
{
	struct observed *o = arg;

	observe_id(o, id);
	o->odd += o->windows[id] != NULL || o->counters.count > 0;
	window_free(o->windows[id]);
	o->windows[id] = window;
	return 0;
}

static inline int observe_load(struct store *s, struct observed *o)
{
	const struct store_sink sink = {.counters = observe_counters,
					.session = observe_session,
					.token = observe_token,
					.state = observe_state,
					.window = observe_window,
					.arg = o,
					.loaders = 1};

	return store_load(s, &sink, &o->counters.state);
}

/* Opens and loads; both must succeed. */
static inline struct store *observe(const char *path, struct observed *o)
{
	struct store *s;
	int r = store_open(&s, path, STORE_CREATE);

	*o = (struct observed){0};
	if (r == 0)
		r = observe_load(s, o);
	if (r != 0)
		fail_msg("%d: %s", r, store_error(s));
	return s;
}

static inline void observed_free(struct observed *o)
{
	picture_free(&o->counters);
	for (uint64_t id = 0; id < o->id_cap; id++)
		window_free(o->windows[id]);
	free(o->windows);
	free(o->states);
	o->states = NULL;
	o->windows = NULL;
	o->id_cap = 0;
}

/* ---- comparing ---- */

/* A merged body has the time of its newest one. */
static inline bool model_is_time(const struct model *m, int64_t used_ms, int64_t found_ms)
{
	return found_ms >= used_ms && found_ms <= (int64_t)m->epoch && used_ms;
}

/* What was told is what was committed, or nothing when it may have been forgotten. */
static inline bool model_is_session(const struct model *m, const struct model_session *s,
				    const struct model_session *found)
{
	if (!found->used_ms)
		return s->used_ms < m->forgotten_before_ms || !s->used_ms;
	return found->seq == s->seq && model_is_time(m, s->used_ms, found->used_ms) &&
	       found->cursor_len == s->cursor_len && (!s->cursor_len || found->cursor_byte == s->cursor_byte);
}

static inline bool model_is_token(const struct model *m, const struct model_token *t,
				  const struct model_token *found)
{
	if (!found->used_ms)
		return t->used_ms < m->forgotten_before_ms || !t->used_ms;
	return found->delta == t->delta && model_is_time(m, t->used_ms, found->used_ms);
}

static inline bool model_is_window(const struct model_counter *counter, const struct window *found)
{
	struct window *w = window_new();
	struct buf want = BUF_INIT, got = BUF_INIT;
	bool is_same;

	assert_non_null(w);
	for (unsigned i = 0; i < MODEL_SECONDS; i++) {
		assert_int_equal(window_prepare(w, model_seconds[i]), 0);
		if (counter->hits[i])
			window_add(w, model_seconds[i], counter->hits[i]);
	}
	if (!found) {
		is_same = window_newest(w) == INT64_MIN;
	} else {
		window_pack(w, &want);
		window_pack(found, &got);
		is_same = buf_len(&want) == buf_len(&got) &&
			  memcmp(buf_head(&want), buf_head(&got), buf_len(&got)) == 0;
	}
	buf_fini(&want);
	buf_fini(&got);
	window_free(w);
	return is_same;
}

/* Of live counters; what is told of others is nobody's. */
static inline const char *model_extras_mismatch(const struct model *m, const struct observed *o)
{
	static const struct journal_state none;
	static char why[160];

	for (uint64_t id = 1; id < m->id_next; id++) {
		const struct model_counter *counter = &m->counters[id];
		const struct journal_state *found = id < o->id_cap ? &o->states[id] : &none;

		if (!counter->is_live)
			continue;
		if (memcmp(found, &counter->state, sizeof(none)) != 0) {
			snprintf(why, sizeof(why), "the state of id %llu is of version %llu, should be %llu",
				 (unsigned long long)id, (unsigned long long)found->version,
				 (unsigned long long)counter->state.version);
			return why;
		}
		if (!model_is_window(counter, id < o->id_cap ? o->windows[id] : NULL)) {
			snprintf(why, sizeof(why), "the window of id %llu has other hits",
				 (unsigned long long)id);
			return why;
		}
	}
	return NULL;
}

static inline const char *model_marks_mismatch(const struct model *m, const struct observed *o)
{
	static char why[160];

	for (unsigned i = 0; i < MODEL_SESSIONS; i++) {
		if (model_is_session(m, &m->sessions[i], &o->sessions[i]))
			continue;
		snprintf(why, sizeof(why), "session s%u is at %llu of %lld, should be at %llu of %lld", i,
			 (unsigned long long)o->sessions[i].seq, (long long)o->sessions[i].used_ms,
			 (unsigned long long)m->sessions[i].seq, (long long)m->sessions[i].used_ms);
		return why;
	}
	for (unsigned i = 0; i < MODEL_TOKENS; i++) {
		if (model_is_token(m, &m->tokens[i], &o->tokens[i]))
			continue;
		snprintf(why, sizeof(why), "token %u is of %lld, should be of %lld", i,
			 (long long)o->tokens[i].used_ms, (long long)m->tokens[i].used_ms);
		return why;
	}
	return o->odd ? "what was never committed, or stands there twice" : model_extras_mismatch(m, o);
}

/* Null: what was loaded is the model's. Else what is wrong, until the next call. */
static inline const char *model_mismatch(const struct model *m, const struct observed *o)
{
	const struct picture *p = &o->counters;
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
	if (at < p->count || p->state.id_next < m->id_next || p->state.epoch_first <= m->epoch)
		return why;
	return model_marks_mismatch(m, o);
}

#endif
