/* SPDX-License-Identifier: MIT */
/*
 * test_store_loaders.c - a start on several threads tells what a start on one tells, and refuses what that
 * refuses, whoever of them meets it.
 */
#include "store_fixture.h"

#include "../../daemon/recover.h"

enum {
	NAME_BYTES = 100,
	FOLDED = 40000, /* some 1300 pages: five loaders */
	FRESH = 2000,	/* in the journal only */
	LOADERS = 5,
	PAGE_BYTES = 4096,
};

/* ---- the state ---- */

static struct slice name_of(char name[NAME_BYTES + 1], uint64_t id)
{
	snprintf(name, NAME_BYTES + 1, "%0*llu", NAME_BYTES, (unsigned long long)(id * 7919 % 1000003));
	return (struct slice){.data = name, .len = NAME_BYTES};
}

static void put_names(struct journal_writer *w, uint64_t first, uint64_t count)
{
	char name[NAME_BYTES + 1];

	for (uint64_t id = first; id < first + count; id++)
		journal_put_name(w, id, name_of(name, id));
}

static void put_deltas(struct journal_writer *w, uint64_t last, uint64_t step)
{
	struct journal_delta *deltas = calloc(last, sizeof(*deltas));
	size_t count = 0;

	assert_non_null(deltas);
	for (uint64_t id = 1; id <= last; id += step)
		deltas[count++] = (struct journal_delta){.id = id, .delta = id * step};
	journal_put_deltas(w, deltas, count);
	free(deltas);
}

/* Rows, and a journal that creates, changes, deletes and flushes. */
static void make_state(const char *path)
{
	struct journal_writer w;
	struct picture p;
	struct store *s = open_and_load(path, &p);
	uint64_t epoch = p.state.epoch_first;

	journal_writer_init(&w, 1700000000000);
	put_names(&w, 1, FOLDED);
	put_deltas(&w, FOLDED, 1);
	must_commit(s, epoch, &w, FOLDED + 1);
	assert_int_equal(fold_everything(s, 10000), STORE_OK);
	for (uint64_t step = 7; step < 10; step++) {
		journal_writer_init(&w, 1700000000000);
		if (step == 7)
			put_names(&w, FOLDED + 1, FRESH);
		put_deltas(&w, FOLDED + FRESH, step);
		for (uint64_t id = step; step == 9 && id <= FOLDED + FRESH; id += 11)
			journal_put_delete(&w, id);
		if (step == 8)
			journal_put_floor(&w, 500);
		must_commit(s, ++epoch, &w, FOLDED + FRESH + 1);
	}
	store_close(s);
	picture_free(&p);
}

/* ---- loading ---- */

struct heard {
	struct picture of[LOADERS]; /* each loader's own */
	int refusal;		    /* what the sink returns, */
	unsigned refuser;	    /* ... to this one */
};

static int hear(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	struct heard *h = arg;

	assert_true(loader < LOADERS);
	for (size_t i = 0; i < count; i++)
		picture_add_one(&h->of[loader], counters[i].id, counters[i].name, counters[i].value);
	return loader == h->refuser ? h->refusal : 0;
}

static int compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* All that was told, by id; and frees what was heard. */
static struct picture gather(struct heard *h, const struct store_state *state)
{
	struct picture all = {.state = *state};

	for (size_t i = 0; i < LOADERS; i++) {
		const struct picture *p = &h->of[i];

		for (size_t k = 0; k < p->count; k++)
			picture_add_one(&all, p->counters[k].id, slice_str(p->counters[k].name),
					p->counters[k].value);
		picture_free(&h->of[i]);
	}
	if (all.count)
		qsort(all.counters, all.count, sizeof(*all.counters), compare_found);
	return all;
}

/* A copy of the state is loaded: a load changes the file. */
static int load_on(const struct fixture *f, unsigned loaders, struct heard *h, struct picture *p)
{
	const struct store_sink sink = {.counters = hear, .arg = h, .loaders = loaders};
	struct store_state state = {0};
	struct store *s;
	int r = store_open(&s, f->image, 0);

	if (r == 0)
		r = store_load(s, &sink, &state);
	if (r != 0)
		assert_non_null(strstr(store_error(s), f->image));
	*p = gather(h, &state);
	store_close(s);
	return r;
}

static void assert_same(const struct picture *a, const struct picture *b)
{
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->counters, b->counters, a->count * sizeof(*a->counters));
	assert_int_equal(a->state.counters, a->count);
	assert_int_equal(a->state.counters, b->state.counters);
	assert_int_equal(a->state.id_next, b->state.id_next);
	assert_int_equal(a->state.floor_id, b->state.floor_id);
	assert_int_equal(a->state.journal_bytes, b->state.journal_bytes);
}

/* ---- the tests ---- */

static void test_any_number_of_loaders_tells_the_same(void **state)
{
	struct fixture *f = *state;
	struct picture one, many;

	make_state(f->path);
	copy_database(f->path, f->image);
	assert_int_equal(load_on(f, 1, &(struct heard){0}, &one), 0);
	assert_true(one.count > FOLDED / 2);
	for (unsigned loaders = 2; loaders <= LOADERS; loaders++) {
		copy_database(f->path, f->image);
		assert_int_equal(load_on(f, loaders, &(struct heard){0}, &many), 0);
		assert_same(&many, &one);
		picture_free(&many);
	}
	picture_free(&one);
}

static void test_what_one_loader_meets_refuses_the_start(void **state)
{
	static const int errors[] = {-EDQUOT, -ENOMEM};
	struct fixture *f = *state;
	struct picture p;

	make_state(f->path);
	for (unsigned i = 0; i < 2 * LOADERS; i++) {
		struct heard h = {.refusal = errors[i % 2], .refuser = i / 2};
		int r;

		copy_database(f->path, f->image);
		r = load_on(f, LOADERS, &h, &p);
		/* A thread that came too late for a range had nothing to refuse. */
		assert_true(r == errors[i % 2] || (r == 0 && h.refuser > 0));
		picture_free(&p);
	}
}

static void test_a_name_in_two_ranges_is_found(void **state)
{
	struct fixture *f = *state;
	struct registry registry;
	struct recover recover = {.registry = &registry, .workers = 1, .threads = LOADERS};
	struct store_state loaded;
	struct store *s;

	make_state(f->path);
	run_sql(f->path, "UPDATE name SET name = (SELECT name FROM name WHERE id = 39001) WHERE id = 601");
	assert_int_equal(registry_init(&registry, NULL), 0);
	assert_int_equal(store_open(&s, f->path, 0), 0);
	assert_int_equal(recover_load(&recover, s, &loaded), -EUCLEAN);
	assert_non_null(strstr(store_error(s), "two counters have one name"));
	store_close(s);
	registry_fini(&registry);
}

static void test_the_registry_gets_all_of_them(void **state)
{
	struct fixture *f = *state;
	struct registry registry;
	struct recover recover = {.registry = &registry, .workers = 1, .threads = LOADERS};
	struct store_state loaded;
	struct picture one;
	struct store *s;

	make_state(f->path);
	copy_database(f->path, f->image);
	assert_int_equal(load_on(f, 1, &(struct heard){0}, &one), 0);
	assert_int_equal(registry_init(&registry, NULL), 0);
	assert_int_equal(store_open(&s, f->path, 0), 0);
	assert_int_equal(recover_load(&recover, s, &loaded), 0);
	assert_int_equal(loaded.counters, one.count);
	for (size_t i = 0; i < one.count; i++) {
		struct slice name = slice_str(one.counters[i].name);
		struct counter *c = registry_find(&registry, name, registry_hash(&registry, name));

		assert_non_null(c);
		assert_int_equal(counter_id(counter_object(c)), one.counters[i].id);
		assert_int_equal(counter_base(c), one.counters[i].value);
	}
	store_close(s);
	registry_fini(&registry);
	picture_free(&one);
}

/* Zeros in the place of a page. True: the load said so; else it told all, for the page was of no use. */
static bool is_refused_without(const struct fixture *f, size_t page, const struct picture *whole)
{
	struct picture p;
	size_t len;
	char *data;
	int r;

	copy_database(f->path, f->image);
	data = read_file(f->image, &len);
	memset(data + page * PAGE_BYTES, 0, PAGE_BYTES);
	write_file(f->image, data, len);
	free(data);
	r = load_on(f, LOADERS, &(struct heard){0}, &p);
	if (r == 0)
		assert_same(&p, whole);
	else
		assert_int_equal(r, -EUCLEAN);
	picture_free(&p);
	return r != 0;
}

static void test_a_damaged_page_is_refused_wherever_it_lies(void **state)
{
	enum { STEP = 97 };
	struct fixture *f = *state;
	struct picture whole;
	size_t len, refused = 0, tried = 0;

	make_state(f->path);
	copy_database(f->path, f->image);
	assert_int_equal(load_on(f, 1, &(struct heard){0}, &whole), 0);
	free(read_file(f->path, &len));
	assert_true(len / PAGE_BYTES > 1280);
	for (size_t page = 5; page < len / PAGE_BYTES; page += STEP, tried++)
		refused += is_refused_without(f, page, &whole);
	assert_true(refused > tried / 2);
	picture_free(&whole);
}

static void fold(const char *path)
{
	struct picture p;
	struct store *s = open_and_load(path, &p);

	assert_int_equal(fold_everything(s, 10000), STORE_OK);
	store_close(s);
	picture_free(&p);
}

/* Less and less for SQLite, of all connections together. Without a journal: of its pages that could not be
 * had SQLite's check does not say why. */
static void test_memory_that_is_out_in_any_loader_is_said(void **state)
{
	struct fixture *f = *state;
	struct picture p;
	unsigned refused = 0;
	int r;

	make_state(f->path);
	fold(f->path);
	copy_database(f->path, f->image);
	for (sqlite3_int64 limit = 16 << 20; limit > 128 << 10; limit -= limit / 4) {
		sqlite3_hard_heap_limit64(limit);
		r = load_on(f, LOADERS, &(struct heard){0}, &p);
		sqlite3_hard_heap_limit64(0);
		if (r != 0)
			assert_int_equal(r, -ENOMEM);
		refused += r != 0;
		picture_free(&p);
	}
	assert_true(refused > 0);
	assert_int_equal(load_on(f, LOADERS, &(struct heard){0}, &p), 0);
	picture_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_any_number_of_loaders_tells_the_same),
		fixture_test(test_what_one_loader_meets_refuses_the_start),
		fixture_test(test_a_name_in_two_ranges_is_found),
		fixture_test(test_the_registry_gets_all_of_them),
		fixture_test(test_a_damaged_page_is_refused_wherever_it_lies),
		fixture_test(test_memory_that_is_out_in_any_loader_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
