/* SPDX-License-Identifier: MIT */
/* batch.c - see batch.h. */
#include "batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"

/* ---- one after the other ---- */

/* With a token each has its own, so that a half that was done is not done again. No Idempotency-Key is one of
 * these: they are UTF-8. */
static enum shc_status add_one(struct shc *shc, struct job *job, size_t i)
{
	struct job_add *a = &job->adds[i];
	char token[JOB_TOKEN_MAX + 1];
	int len = snprintf(token, sizeof(token), "%.*s\xff%zu", (int)job->token_len, job->token, i);

	if (!job->token_len)
		return shc_incr(shc, a->name, a->name_len, a->delta, &a->value);
	return shc_once(shc, token, (size_t)len, a->name, a->name_len, a->delta, false, &a->value, NULL);
}

static bool is_lost(enum shc_status status)
{
	return status == SHC_UNREACHABLE || status == SHC_IN_DOUBT || status == SHC_MEMORY;
}

/* One that is refused holds up no other; a backend that is gone does. */
static enum shc_status add_each(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	enum shc_status first = SHC_OK, status = SHC_OK;
	bool is_any = false;

	job->is_each = true;
	for (size_t i = 0; i < job->add_count; i++) {
		/* What is behind one that is in doubt was not even sent. */
		bool is_left = is_lost(status);

		if (!is_left)
			status = add_one(shc, job, i);
		job->adds[i].status = is_left ? SHC_UNREACHABLE : status;
		is_any |= status == SHC_OK;
		if (status && !first)
			(void)snprintf(why, JOB_ERROR_SIZE, "operation %zu: %s", i, shc_error(shc));
		first = first ? first : status;
	}
	job->is_partly = first && is_any;
	/* What says that nothing was done may not be said when something was. */
	return status == SHC_IN_DOUBT || (is_any && is_lost(status)) ? SHC_IN_DOUBT : first;
}

/* ---- all or none ---- */

static bool append(struct shc *shc, const char *word, const struct job_add *a, bool is_write)
{
	const char *const argv[] = {word, a ? a->name : NULL};
	const size_t lens[] = {strlen(word), a ? a->name_len : 0};

	return shc_append(shc, a ? 2 : 1, argv, lens, is_write) == SHC_OK;
}

/* The additions as words of a request. */
struct words {
	size_t argc;
	const char **argv;		   /* owned */
	size_t *lens;			   /* owned */
	char (*digits)[NUM_I64_CHARS_MAX]; /* owned */
};

static void words_fini(struct words *w)
{
	free(w->argv);
	free(w->lens);
	free(w->digits);
}

static void words_put(struct words *w, const char *word, size_t len)
{
	w->argv[w->argc] = word;
	w->lens[w->argc++] = len;
}

/* Behind these ones, of which the second may be null. */
static bool words_init(struct words *w, const struct job *job, const char *command, const char *token)
{
	size_t count = 2 + 2 * (job->add_count + 1);

	*w = (struct words){.argv = calloc(count, sizeof(*w->argv)),
			    .lens = calloc(count, sizeof(*w->lens)),
			    .digits = calloc(job->add_count, sizeof(*w->digits))};
	if (!w->argv || !w->lens || !w->digits)
		return false;
	words_put(w, command, strlen(command));
	if (token)
		words_put(w, token, job->token_len);
	for (size_t i = 0; i < job->add_count; i++) {
		words_put(w, job->adds[i].name, job->adds[i].name_len);
		words_put(w, w->digits[i], num_format_i64(w->digits[i], job->adds[i].delta));
	}
	return true;
}

static bool append_adds(struct shc *shc, const struct job *job)
{
	struct words w;
	bool is_done = words_init(&w, job, "SHC.ADD", NULL) &&
		       shc_append(shc, w.argc, w.argv, w.lens, true) == SHC_OK;

	words_fini(&w);
	return is_done;
}

/* The reply to EXEC: that of SHC.ADD, then the values. */
static enum shc_status take_exec(struct job *job, const struct shc_reply *reply, char why[JOB_ERROR_SIZE])
{
	if (reply->type != SHC_T_ARRAY || reply->count != 1 + job->add_count)
		return SHC_IN_DOUBT;
	if (reply->elements[0].type == SHC_T_ERROR) {
		(void)snprintf(why, JOB_ERROR_SIZE, "%.*s", (int)reply->elements[0].len,
			       reply->elements[0].data);
		return SHC_REFUSED;
	}
	for (size_t i = 0; i < job->add_count; i++) {
		const struct shc_reply *e = &reply->elements[1 + i];

		if (e->type != SHC_T_STRING ||
		    !num_parse_i64((struct slice){e->data, e->len}, &job->adds[i].value))
			return SHC_IN_DOUBT;
	}
	return SHC_OK;
}

/* All or none, and their values behind it: one transaction of a daemon's. */
static enum shc_status add_all(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	const struct shc_reply *reply = NULL;
	enum shc_status status = SHC_OK;
	bool is_put = append(shc, "MULTI", NULL, false) && append_adds(shc, job);

	for (size_t i = 0; is_put && i < job->add_count; i++)
		is_put = append(shc, "GET", &job->adds[i], false);
	is_put = is_put && append(shc, "EXEC", NULL, true);
	if (!is_put)
		return SHC_MEMORY;
	while (shc_pending(shc)) {
		status = shc_next(shc, &reply);
		if (status == SHC_REFUSED && !why[0])
			(void)snprintf(why, JOB_ERROR_SIZE, "%.*s", (int)reply->len, reply->data);
		else if (status)
			return status;
	}
	return status ? status : take_exec(job, reply, why);
}

/* The values, and whether it was done now. */
static enum shc_status take_once(struct job *job, const struct shc_reply *reply)
{
	if (reply->type != SHC_T_ARRAY || reply->count <= job->add_count)
		return SHC_IN_DOUBT;
	for (size_t i = 0; i < job->add_count; i++) {
		if (reply->elements[i].type != SHC_T_INT)
			return SHC_IN_DOUBT;
		job->adds[i].value = reply->elements[i].integer;
	}
	return SHC_OK;
}

/* All or none, and once: one token of a daemon's for all of them. */
static enum shc_status add_all_once(struct shc *shc, struct job *job)
{
	const struct shc_reply *reply;
	enum shc_status status = SHC_MEMORY;
	struct words w;

	if (words_init(&w, job, "SHC.ONCE", job->token)) {
		/* With one counter the token would be that counter's, and not know other batches. */
		if (job->add_count == 1) {
			words_put(&w, job->adds[0].name, job->adds[0].name_len);
			words_put(&w, "0", 1);
		}
		status = shc_command(shc, w.argc, w.argv, w.lens, true, &reply);
	}
	words_fini(&w);
	return status ? status : take_once(job, reply);
}

/* A Redis server does not know the ways of a daemon, and has not begun then. */
enum shc_status batch_add(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	static const char unknown[] = "ERR unknown command";
	enum shc_status status;

	if (job->is_each)
		return add_each(shc, job, why);
	status = job->token_len ? add_all_once(shc, job) : add_all(shc, job, why);
	if (status == SHC_REFUSED && !why[0])
		(void)snprintf(why, JOB_ERROR_SIZE, "%s", shc_error(shc));
	if (status != SHC_REFUSED || strncmp(why, unknown, sizeof(unknown) - 1) != 0)
		return status;
	why[0] = '\0';
	return add_each(shc, job, why);
}

/* ---- several backends ---- */

static bool has_words(const struct job *job, const char ***names, size_t **lens, int64_t **values)
{
	*names = calloc(job->add_count, sizeof(**names));
	*lens = calloc(job->add_count, sizeof(**lens));
	*values = calloc(job->add_count, sizeof(**values));
	if (!*names || !*lens || !*values)
		return false;
	for (size_t i = 0; i < job->add_count; i++) {
		(*names)[i] = job->adds[i].name;
		(*lens)[i] = job->adds[i].name_len;
	}
	return true;
}

enum shc_status batch_sum(struct shc *shc, struct job *job)
{
	enum shc_status status = SHC_MEMORY;
	const char **names;
	size_t *lens;
	int64_t *values;

	if (has_words(job, &names, &lens, &values))
		status = shc_mget(shc, job->add_count, names, lens, values, NULL);
	for (size_t i = 0; status == SHC_OK && i < job->add_count; i++) {
		struct job_add *a = &job->adds[i];

		a->is_untold |= __builtin_add_overflow(a->value, values[i], &a->value);
	}
	free(names);
	free(lens);
	free(values);
	return status;
}
