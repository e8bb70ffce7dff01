/* SPDX-License-Identifier: MIT */
/*
 * shcount.c - the public calls for one command at a time and for pipelines; shcount_add.c has the batches.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "shcount_impl.h"

#ifndef SHC_VERSION
#define SHC_VERSION "unknown"
#endif

const char *shc_version(void)
{
	return SHC_VERSION;
}

/* ---- a handle ---- */

enum shc_status shc_open(struct shc **out, const char *url, int timeout_ms)
{
	struct shc *shc = calloc(1, sizeof(*shc));
	*out = shc;
	if (!shc)
		return SHC_MEMORY;
	struct url parsed = {0};
	char error[URL_ERROR_SIZE];
	int rc = url_parse(&parsed, url, error);
	wire_init(&shc->wire, &parsed, timeout_ms);
	shc->wire.is_unusable = rc == URL_BAD || timeout_ms <= 0;
	if (rc == URL_BAD)
		return wire_say(&shc->wire, SHC_USAGE, "%s", error);
	if (rc == 0 && timeout_ms <= 0)
		return wire_say(&shc->wire, SHC_USAGE, "the time limit must be at least 1 ms");
	if (rc == 0)
		return SHC_OK;
	shc_close(shc);
	*out = NULL;
	return SHC_MEMORY;
}

void shc_close(struct shc *shc)
{
	if (!shc)
		return;
	for (size_t i = 0; i < sizeof(shc->batches) / sizeof(shc->batches[0]); i++)
		buf_fini(&shc->batches[i].body);
	shc_session_close(shc);
	wire_fini(&shc->wire);
	free(shc->nodes);
	free(shc);
}

void shc_set_timeout(struct shc *shc, int timeout_ms)
{
	shc->wire.timeout_ns = (int64_t)(timeout_ms > 0 ? timeout_ms : 1) * 1000000;
}

const char *shc_error(const struct shc *shc)
{
	return shc ? shc->wire.error : "out of memory";
}

static enum shc_status refuse_beside_session(struct shc *shc)
{
	return wire_say(&shc->wire, SHC_USAGE,
			"a session is open on this handle: close it, or use another handle");
}

enum shc_status shc_connect(struct shc *shc)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (shc->session)
		return refuse_beside_session(shc);
	status = wire_connect(&shc->wire);
	if (status)
		shcount_batches_lost(shc);
	return status;
}

uint64_t shc_connections(const struct shc *shc)
{
	return shc->wire.connections;
}

/* ---- replies, from the protocol's form to the public one ---- */

static bool is_aggregate(enum resp_type type)
{
	return type == RESP_ARRAY || type == RESP_MAP || type == RESP_SET || type == RESP_PUSH;
}

static size_t count_nodes(const struct resp_reply *r)
{
	size_t n = 0;
	for (size_t i = 0; is_aggregate(r->type) && i < r->count; i++)
		n += 1 + count_nodes(&r->elements[i]);
	return n;
}

static enum shc_type public_type(enum resp_type type)
{
	switch (type) {
	case RESP_SIMPLE: return SHC_T_STATUS;
	case RESP_ERROR: return SHC_T_ERROR;
	case RESP_INT:
	case RESP_BOOL: return SHC_T_INT;
	case RESP_NULL: return SHC_T_NIL;
	case RESP_ARRAY:
	case RESP_MAP:
	case RESP_SET:
	case RESP_PUSH: return SHC_T_ARRAY;
	case RESP_BULK:
	case RESP_DOUBLE:
	case RESP_BIGNUM:
	case RESP_VERBATIM: break;
	}
	return SHC_T_STRING;
}

/* Elements of one aggregate lie side by side; `free_node` is where the next such run begins. */
static void convert(const struct resp_reply *from, struct shc_reply *to, struct shc_reply **free_node)
{
	*to = (struct shc_reply){
		.type = public_type(from->type),
		.integer = from->i64,
		.data = from->str.data,
		.len = from->str.len,
	};
	if (!is_aggregate(from->type) || from->count == 0)
		return;
	struct shc_reply *run = *free_node;
	*free_node += from->count;
	to->count = from->count;
	to->elements = run;
	for (size_t i = 0; i < from->count; i++)
		convert(&from->elements[i], &run[i], free_node);
}

static bool publish_reply(struct shc *shc, const struct resp_reply *reply)
{
	size_t need = count_nodes(reply);
	if (need > shc->nodes_cap) {
		free(shc->nodes);
		shc->nodes = reallocarray(NULL, need, sizeof(*shc->nodes));
		shc->nodes_cap = shc->nodes ? need : 0;
		if (!shc->nodes)
			return false;
	}
	struct shc_reply *free_node = shc->nodes;
	convert(reply, &shc->reply, &free_node);
	return true;
}

enum shc_status shcount_classify(struct slice error)
{
	static const char *const denials[] = {"NOAUTH", "WRONGPASS", "NOPERM"};
	for (size_t i = 0; i < sizeof(denials) / sizeof(denials[0]); i++) {
		size_t len = strlen(denials[i]);
		if (error.len >= len && memcmp(error.data, denials[i], len) == 0 &&
		    (error.len == len || error.data[len] == ' '))
			return SHC_DENIED;
	}
	return SHC_REFUSED;
}

/* ---- pipelining ---- */

size_t shc_pending(const struct shc *shc)
{
	return shc->wire.pending_count - shc->batches_unanswered;
}

/* The next reply that is not a batch's. */
static enum shc_status next_reply(struct shc *shc, const struct shc_reply **reply)
{
	const struct resp_reply *raw;
	struct wire_pending answered;
	enum shc_status status = wire_send(&shc->wire);
	while (status == SHC_OK) {
		status = wire_next(&shc->wire, &raw, &answered);
		if (status || answered.adds == 0)
			break;
		status = shcount_batch_answered(shc, raw);
	}
	if (status == SHC_OK && !publish_reply(shc, raw))
		status = wire_give_up(&shc->wire, SHC_UNREACHABLE, answered.is_write,
				      "no memory for the answer");
	if (status) {
		shcount_batches_lost(shc);
		return status;
	}
	*reply = &shc->reply;
	if (raw->type != RESP_ERROR) {
		if (answered.is_write)
			shcount_wrote(shc);
		return SHC_OK;
	}
	return wire_say(&shc->wire, shcount_classify(raw->str), "%.*s", (int)raw->str.len, raw->str.data);
}

static enum shc_status check_args(struct shc *shc, size_t argc)
{
	if (argc == 0 || argc > RESP_ARGS_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "a command has 1 to %d words", RESP_ARGS_MAX);
	return SHC_OK;
}

static enum shc_status append_args(struct shc *shc, size_t argc, const char *const *argv,
				   const size_t *argv_len, bool is_write)
{
	if (check_args(shc, argc))
		return SHC_USAGE;
	struct slice few[8];
	struct slice *slices = argc <= 8 ? few : reallocarray(NULL, argc, sizeof(*slices));
	if (!slices)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	for (size_t i = 0; i < argc; i++)
		slices[i] = argv_len ? (struct slice){argv[i], argv_len[i]} : slice_str(argv[i]);
	enum shc_status status = wire_append(&shc->wire, argc, slices, is_write);
	if (slices != few)
		free(slices);
	return status;
}

enum shc_status shc_append(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			   bool is_write)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (shc->session)
		return refuse_beside_session(shc);
	return append_args(shc, argc, argv, argv_len, is_write);
}

enum shc_status shc_next(struct shc *shc, const struct shc_reply **reply)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (shc_pending(shc) == 0)
		return wire_say(&shc->wire, SHC_USAGE, "no reply is pending");
	return next_reply(shc, reply);
}

/* ---- one command ---- */

enum shc_status shcount_begin(struct shc *shc)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (shc->session)
		return refuse_beside_session(shc);
	if (shc_pending(shc) > 0)
		return wire_say(&shc->wire, SHC_USAGE, "take the pending replies first (shc_next)");
	return SHC_OK;
}

enum shc_status shc_command(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			    bool is_write, const struct shc_reply **reply)
{
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = append_args(shc, argc, argv, argv_len, is_write);
	return status ? status : next_reply(shc, reply);
}

/* A command on a counter. `argv[1]` is its name. */
static enum shc_status name_command(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
				    const struct shc_reply **reply)
{
	enum shc_status status = shcount_begin(shc);
	if (status)
		return status;
	if (!slice_is_name(argv[1]))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad name: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	status = wire_append(&shc->wire, argc, argv, is_write);
	return status ? status : next_reply(shc, reply);
}

static enum shc_status unexpected(struct shc *shc, bool is_write)
{
	enum shc_status status = wire_give_up(&shc->wire, SHC_PROTOCOL, is_write,
					      "the answer is of a kind that this command does not have");
	shcount_batches_lost(shc);
	return status;
}

enum shc_status shc_incr(struct shc *shc, const char *name, size_t name_len, int64_t delta, int64_t *value)
{
	char digits[NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("INCRBY"),
		{name, name_len},
		{digits, num_format_i64(digits, delta)},
	};
	const struct shc_reply *reply;
	enum shc_status status = name_command(shc, 3, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_INT)
		return unexpected(shc, true);
	if (value)
		*value = reply->integer;
	return SHC_OK;
}

/* Of a reply to GET, or an element of one to MGET: SHC_OK, SHC_MISSING with *value 0, SHC_REFUSED when it is
 * no counter, or SHC_PROTOCOL; without a sentence. */
static enum shc_status read_value(const struct shc_reply *reply, int64_t *value)
{
	if (reply->type == SHC_T_NIL) {
		*value = 0;
		return SHC_MISSING;
	}
	if (reply->type != SHC_T_STRING)
		return SHC_PROTOCOL;
	return num_parse_i64((struct slice){reply->data, reply->len}, value) ? SHC_OK : SHC_REFUSED;
}

enum shc_status shc_get(struct shc *shc, const char *name, size_t name_len, int64_t *value)
{
	struct slice argv[] = {slice_str("GET"), {name, name_len}};
	const struct shc_reply *reply;
	enum shc_status status = name_command(shc, 2, argv, false, &reply);
	if (status)
		return status;
	int64_t read;
	status = read_value(reply, &read);
	if (status == SHC_PROTOCOL)
		return unexpected(shc, false);
	if (status == SHC_REFUSED)
		return wire_say(&shc->wire, status, "what is stored under this name is not a counter");
	if (value)
		*value = read;
	return status;
}

static struct slice name_at(const char *const *names, const size_t *name_lens, size_t i)
{
	return name_lens ? (struct slice){names[i], name_lens[i]} : slice_str(names[i]);
}

static enum shc_status append_mget(struct shc *shc, size_t count, const char *const *names,
				   const size_t *name_lens)
{
	struct buf *out = &shc->wire.out;
	size_t out_len = buf_len(out);
	resp_put_array(out, 1 + count);
	resp_put_bulk_str(out, "MGET");
	for (size_t i = 0; i < count; i++) {
		struct slice name = name_at(names, name_lens, i);
		resp_put_bulk(out, name.data, name.len);
	}
	return wire_appended(&shc->wire, out_len, 0, false);
}

/* Looks at all before it writes any, so that the outputs are untouched on failure. */
static enum shc_status take_values(struct shc *shc, const struct shc_reply *reply, size_t count,
				   int64_t *values, bool *is_there)
{
	if (reply->type != SHC_T_ARRAY || reply->count != count)
		return unexpected(shc, false);
	for (size_t i = 0; i < count; i++) {
		int64_t value;
		enum shc_status status = read_value(&reply->elements[i], &value);
		if (status == SHC_PROTOCOL)
			return unexpected(shc, false);
		if (status == SHC_REFUSED)
			return wire_say(&shc->wire, status,
					"what is stored under name %zu of %zu is not a counter", i + 1,
					count);
	}
	for (size_t i = 0; i < count; i++) {
		enum shc_status status = read_value(&reply->elements[i], &values[i]);
		if (is_there)
			is_there[i] = status == SHC_OK;
	}
	return SHC_OK;
}

enum shc_status shc_mget(struct shc *shc, size_t count, const char *const *names, const size_t *name_lens,
			 int64_t *values, bool *is_there)
{
	enum shc_status status = shcount_begin(shc);
	if (status || count == 0)
		return status;
	if (count > RESP_ARGS_MAX - 1)
		return wire_say(&shc->wire, SHC_USAGE, "at most %d counters at a time", RESP_ARGS_MAX - 1);
	for (size_t i = 0; i < count; i++) {
		if (!slice_is_name(name_at(names, name_lens, i)))
			return wire_say(&shc->wire, SHC_USAGE,
					"bad name %zu of %zu: 1 to %d bytes without control characters are "
					"expected",
					i + 1, count, NAME_LEN_MAX);
	}
	status = append_mget(shc, count, names, name_lens);
	const struct shc_reply *reply;
	if (status == SHC_OK)
		status = next_reply(shc, &reply);
	return status ? status : take_values(shc, reply, count, values, is_there);
}

enum shc_status shc_set(struct shc *shc, const char *name, size_t name_len, int64_t value)
{
	char digits[NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("SET"),
		{name, name_len},
		{digits, num_format_i64(digits, value)},
	};
	const struct shc_reply *reply;
	enum shc_status status = name_command(shc, 3, argv, true, &reply);
	if (status)
		return status;
	bool is_ok = reply->type == SHC_T_STATUS &&
		     slice_equal((struct slice){reply->data, reply->len}, slice_str("OK"));
	return is_ok ? SHC_OK : unexpected(shc, true);
}

enum shc_status shc_del(struct shc *shc, const char *name, size_t name_len)
{
	struct slice argv[] = {slice_str("DEL"), {name, name_len}};
	const struct shc_reply *reply;
	enum shc_status status = name_command(shc, 2, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_INT)
		return unexpected(shc, true);
	return reply->integer > 0 ? SHC_OK : SHC_MISSING;
}

/* ---- the disk ---- */

void shcount_put_barrier(struct buf *out)
{
	const struct slice argv[] = {slice_str("WAITAOF"), slice_str("1"), slice_str("0"), slice_str("0")};
	resp_put_request(out, 4, argv);
}

bool shcount_is_on_disk(const struct resp_reply *reply)
{
	return reply->type == RESP_ARRAY && reply->count >= 1 && reply->elements[0].type == RESP_INT &&
	       reply->elements[0].i64 >= 1;
}

bool shcount_is_passing(const struct resp_reply *reply)
{
	static const char *const texts[] = {"LOADING", "ERR max number of clients"};
	for (size_t i = 0; reply->type == RESP_ERROR && i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t len = strlen(texts[i]);
		if (reply->str.len >= len && memcmp(reply->str.data, texts[i], len) == 0)
			return true;
	}
	return false;
}

/* What a server that was killed meanwhile had acknowledged before is not its to speak about any more. */
static enum shc_status vouch(struct shc *shc, uint64_t written_on)
{
	shc->unsynced_on = 0;
	if (written_on == 0 || written_on == shc->wire.connections)
		return SHC_OK;
	return wire_say(&shc->wire, SHC_IN_DOUBT,
			"the connection was lost since something was written: what was acknowledged before "
			"that may or may not be on disk");
}

/* The server's patience ends a little before ours, so that its "not yet" still arrives and the connection
 * lives. */
enum shc_status shc_sync(struct shc *shc)
{
	int64_t timeout_ms = shc->wire.timeout_ns / 1000000;
	int64_t waiting_ms = timeout_ms - timeout_ms / 10; /* the rest is for the answer's way */
	char digits[NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("WAITAOF"),
		slice_str("1"),
		slice_str("0"),
		{digits, num_format_i64(digits, waiting_ms > 0 ? waiting_ms : 1)},
	};
	enum shc_status status = shcount_begin(shc);
	uint64_t written_on = shc->unsynced_on;
	if (status == SHC_OK)
		status = wire_append(&shc->wire, 4, argv, true);
	const struct shc_reply *reply;
	if (status == SHC_OK)
		status = next_reply(shc, &reply);
	if (status)
		return status;
	shc->unsynced_on = written_on; /* WAITAOF itself is none */
	if (reply->type != SHC_T_ARRAY || reply->count < 1 || reply->elements[0].type != SHC_T_INT)
		return unexpected(shc, true);
	if (reply->elements[0].integer < 1)
		return wire_say(&shc->wire, SHC_IN_DOUBT,
				"not on disk within %lld ms; it may still get there: the server's INFO has "
				"store_status",
				(long long)timeout_ms);
	return vouch(shc, written_on);
}
