/* SPDX-License-Identifier: MIT */
/*
 * Goal: no body, query or key makes the gateway read or write where it must not, and each request comes to a
 * refusal or to a job that a backend may be given: a legal name, a delta that was said, a batch of such.
 *
 * Method: api.c and input.c as they are, with twins of what they ask libmicrohttpd. The first byte chooses
 * the request, and whether who asks may write; the rest is cut at the first NUL into its Idempotency-Key and,
 * with JSON, the body, or the value of each argument.
 */
#include <stdlib.h>

#include "../../gateway/api.c"
#include "../../gateway/input.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	const char *key; /* null: no such header */
	const char *value;
	size_t value_len;
} given;

static void expect(bool is_so)
{
	if (!is_so)
		abort();
}

/* ---- twins ---- */

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					const char *key)
{
	(void)connection, (void)kind;
	return strcmp(key, "Idempotency-Key") == 0 ? given.key : NULL;
}

enum MHD_Result MHD_lookup_connection_value_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					      const char *key, size_t key_size, const char **value_ptr,
					      size_t *value_size_ptr)
{
	(void)connection, (void)kind, (void)key_size;
	if (!given.value || strcmp(key, "counterId") == 0)
		return MHD_NO;
	*value_ptr = given.value;
	*value_size_ptr = given.value_len;
	return MHD_YES;
}

int MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
			      MHD_KeyValueIterator iterator, void *cls)
{
	if (given.value)
		iterator(cls, kind, "counter_id", given.value);
	(void)connection;
	return given.value != NULL;
}

void exchange_reply(struct exchange *x, unsigned status, json_t *json)
{
	json_decref(json);
	x->status = status;
}

void exchange_fail(struct exchange *x, unsigned status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	expect(vsnprintf(text, sizeof(text), fmt, ap) > 0);
	va_end(ap);
	expect(status >= 400 && status < 500);
	x->status = status;
}

bool exchange_may(struct exchange *x, enum role needs)
{
	if (x->role < needs)
		x->status = MHD_HTTP_FORBIDDEN;
	return x->role >= needs;
}

json_t *exchange_text(const char *text)
{
	return json_string(text);
}

void exchange_put_name(struct exchange *x)
{
	buf_append(&x->text, x->job.name, x->job.name_len);
}

/* ---- what comes out ---- */

static bool is_name(const char *name, size_t len)
{
	if (len == 0 || len > JOB_NAME_MAX || name[len] != '\0')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return false;
	return input_is_utf8(name, len);
}

static void check(const struct exchange *x)
{
	const struct job *job = &x->job;

	expect((x->status != 0) != (job->kind != JOB_NONE));
	expect(!job->wants_part || job->kind != JOB_ADD || x->role == ROLE_WRITE);
	if (x->status)
		return;
	expect(job->kind == JOB_BATCH || is_name(job->name, job->name_len));
	expect(job->token_len <= JOB_TOKEN_MAX - 8 && job->token[job->token_len] == '\0');
	expect(job->kind != JOB_HIT || job->delta > 0);
	expect(job->kind != JOB_LOG || (job->limit >= 1 && job->limit <= JOB_LOG_MAX));
	expect(job->kind != JOB_HITS || (job->window_ms >= 1 && job->window_ms <= SHC_WINDOW_MS_MAX));
	expect(job->kind != JOB_BATCH || (job->add_count >= 1 && job->add_count <= JOB_ADDS_MAX));
	for (size_t i = 0; i < job->add_count; i++)
		expect(is_name(job->adds[i].name, job->adds[i].name_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const with_body[])(struct exchange *) = {ask_increment, ask_decrement, ask_create,
							       ask_sharded,   ask_batch,     ask_hit};
	static void (*const with_query[])(struct exchange *) = {ask_value, ask_logs, ask_hits};
	enum {
		BODIES = sizeof(with_body) / sizeof(with_body[0]),
		QUERIES = sizeof(with_query) / sizeof(with_query[0])
	};
	struct exchange x = {.role = ROLE_WRITE};
	char *text;
	const char *rest;
	size_t key_len, which;

	if (size == 0)
		return 0;
	which = *data++;
	if (which >= 128)
		x.role = ROLE_READ;
	which %= BODIES + QUERIES;
	size--;
	text = malloc(size + 1);
	expect(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	key_len = strlen(text);
	given.key = key_len > 0 && key_len < size ? text : NULL;
	rest = key_len < size ? text + key_len + 1 : text;
	size -= (size_t)(rest - text);
	given.value = which < BODIES ? NULL : rest;
	given.value_len = size;
	if (which < BODIES)
		buf_append(&x.body, rest, size);
	(which < BODIES ? with_body[which] : with_query[which - BODIES])(&x);
	check(&x);
	job_fini(&x.job);
	buf_fini(&x.body);
	free(text);
	return 0;
}
