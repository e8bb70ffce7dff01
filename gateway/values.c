/* SPDX-License-Identifier: MIT */
/* values.c - see values.h. */
#include "values.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "../lib/redis.h"

#define PAGE_NAMES "1000"

enum { READ_MAX = 1000, GLOB_SIZE = 2 * JOB_NAME_MAX + 2, CURSOR_SIZE = 24 };

/* What is found. */
struct found {
	struct job_value *items; /* owned */
	size_t count, cap;
	int64_t until_ns;
	const char *prefix;
	bool is_unseen, has_failed;
};

/* Names are kept as they are: they may hold what a pattern is made of. */
static void make_glob(char out[GLOB_SIZE], const char *prefix)
{
	size_t at = 0;

	for (; *prefix && at < GLOB_SIZE - 3; prefix++) {
		if (strchr("*?[]\\^-", *prefix))
			out[at++] = '\\';
		out[at++] = *prefix;
	}
	out[at++] = '*';
	out[at] = '\0';
}

static bool is_over(const struct found *f)
{
	return f->has_failed || conn_now_ns() > f->until_ns;
}

static void add(struct found *f, struct slice name, int64_t value)
{
	struct job_value *more = f->items;

	if (f->has_failed || name.len > JOB_NAME_MAX)
		return;
	if (f->count == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 256;
		more = reallocarray(f->items, f->cap, sizeof(*more));
	}
	if (more)
		f->items = more;
	f->has_failed = !more;
	if (f->has_failed)
		return;
	f->items[f->count] = (struct job_value){
		.name = strndup(name.data, name.len), .len = (uint8_t)name.len, .value = value};
	f->has_failed = !f->items[f->count].name;
	f->count += !f->has_failed;
}

/* ---- a list of them ---- */

static int by_name(const void *a, const void *b)
{
	const struct job_value *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	return order ? order : (int)x->len - (int)y->len;
}

/* SCAN may tell a name twice. */
static void sort(struct found *f)
{
	size_t kept = 0;

	if (f->count)
		qsort(f->items, f->count, sizeof(*f->items), by_name);
	for (size_t i = 0; i < f->count; i++) {
		if (kept && by_name(&f->items[kept - 1], &f->items[i]) == 0)
			free(f->items[i].name);
		else
			f->items[kept++] = f->items[i];
	}
	f->count = kept;
}

/* Beyond the cap none is kept. How many there were. */
static size_t cut(struct job_value *items, size_t *count, size_t max)
{
	size_t more = *count > max ? *count - max : 0;

	for (size_t i = *count - more; i < *count; i++)
		free(items[i].name);
	*count -= more;
	return more;
}

/* ---- a daemon, or one Redis server ---- */

static bool take_page(struct found *f, const struct shc_reply *r, char cursor[CURSOR_SIZE])
{
	if (r->type != SHC_T_ARRAY || r->count != 2 || r->elements[0].type != SHC_T_STRING ||
	    r->elements[0].len >= CURSOR_SIZE || r->elements[1].type != SHC_T_ARRAY)
		return false;
	memcpy(cursor, r->elements[0].data, r->elements[0].len);
	cursor[r->elements[0].len] = '\0';
	for (size_t i = 0; i < r->elements[1].count; i++) {
		const struct shc_reply *e = &r->elements[1].elements[i];
		const struct slice name = {e->data, e->len};

		/* A Redis server has other things, too. */
		if (e->type == SHC_T_STRING && slice_is_name(name))
			add(f, name, 0);
	}
	return true;
}

static enum shc_status scan(struct shc *shc, struct found *f, const char *glob)
{
	char cursor[CURSOR_SIZE] = "0";
	const char *const argv[] = {"SCAN", cursor, "COUNT", PAGE_NAMES, "MATCH", glob};
	const struct shc_reply *reply;
	enum shc_status status;

	do {
		status = shc_command(shc, 6, argv, NULL, false, &reply);
		if (status)
			return status;
		if (!take_page(f, reply, cursor))
			return SHC_PROTOCOL;
	} while (strcmp(cursor, "0") != 0 && !is_over(f));
	f->is_unseen = strcmp(cursor, "0") != 0;
	return f->has_failed ? SHC_MEMORY : SHC_OK;
}

/* One that is no number must not hide the others. */
static enum shc_status read_each(struct shc *shc, struct job_value *v, size_t count)
{
	enum shc_status status = SHC_OK;

	for (size_t i = 0; i < count && (status == SHC_OK || status == SHC_MISSING); i++) {
		status = shc_get(shc, v[i].name, v[i].len, &v[i].value);
		v[i].is_there = status == SHC_OK;
		if (status == SHC_REFUSED)
			status = SHC_OK;
	}
	return status == SHC_MISSING ? SHC_OK : status;
}

static enum shc_status read_some(struct shc *shc, struct job_value *v, size_t count)
{
	const char *names[READ_MAX];
	size_t lens[READ_MAX];
	int64_t values[READ_MAX];
	bool is_there[READ_MAX];
	enum shc_status status;

	for (size_t i = 0; i < count; i++) {
		names[i] = v[i].name;
		lens[i] = v[i].len;
	}
	status = shc_mget(shc, count, names, lens, values, is_there);
	if (status == SHC_REFUSED)
		return read_each(shc, v, count);
	for (size_t i = 0; status == SHC_OK && i < count; i++) {
		v[i].value = values[i];
		v[i].is_there = is_there[i];
	}
	return status;
}

static enum shc_status read_values(struct shc *shc, struct found *f)
{
	enum shc_status status = SHC_OK;

	for (size_t i = 0; i < f->count && status == SHC_OK; i += READ_MAX)
		status = read_some(shc, &f->items[i], f->count - i < READ_MAX ? f->count - i : READ_MAX);
	return status;
}

/* ---- a cluster ---- */

static int take_counter(void *arg, struct slice name, int64_t value)
{
	struct found *f = arg;

	add(f, name, value);
	if (!f->has_failed)
		f->items[f->count - 1].is_there = true;
	return is_over(f);
}

static enum shc_status walk(struct shc *shc, struct found *f, const char *glob)
{
	int ended = 0;
	enum shc_status status = redis_walk(shc, glob, take_counter, NULL, f, &ended);

	f->is_unseen = ended != 0;
	if (f->has_failed)
		return SHC_MEMORY;
	return status == SHC_REFUSED ? SHC_OK : status;
}

/* ---- */

/* Both are in order; `f` gives up what it has. */
static bool merge(struct job *job, struct found *f)
{
	size_t a = 0, b = 0, count = 0;
	struct job_value *all = calloc(job->value_count + f->count + 1, sizeof(*all));

	if (!all)
		return false;
	while (a < job->value_count || b < f->count) {
		int order = a == job->value_count ? 1
			    : b == f->count	  ? -1
						  : by_name(&job->values[a], &f->items[b]);

		if (order == 0) {
			all[count] = job->values[a++];
			if (f->items[b].is_there)
				all[count].is_beyond |= __builtin_add_overflow(
					all[count].value, f->items[b].value, &all[count].value);
			all[count++].is_there |= f->items[b].is_there;
			free(f->items[b++].name);
		} else {
			all[count++] = order < 0 ? job->values[a++] : f->items[b++];
		}
	}
	free(job->values);
	job->values = all;
	job->value_count = count;
	f->count = 0;
	return true;
}

enum shc_status values_read(struct shc *shc, struct job *job)
{
	struct found f = {.until_ns = conn_now_ns() + VALUES_WALK_MS * INT64_C(1000000)};
	char glob[GLOB_SIZE];
	enum shc_status status;
	size_t more = 0;

	make_glob(glob, job->prefix);
	status = redis_is_cluster(shc) ? walk(shc, &f, glob) : scan(shc, &f, glob);
	if (status == SHC_OK) {
		sort(&f);
		more = cut(f.items, &f.count, job->value_max);
		if (!redis_is_cluster(shc))
			status = read_values(shc, &f);
	}
	if (status == SHC_OK && !merge(job, &f))
		status = SHC_MEMORY;
	if (status == SHC_OK) {
		job->values_cut += more + cut(job->values, &job->value_count, job->value_max);
		job->is_unseen |= f.is_unseen;
	}
	cut(f.items, &f.count, 0);
	free(f.items);
	return status;
}
