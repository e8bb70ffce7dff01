/* SPDX-License-Identifier: MIT */
/*
 * shcount.c - a handle, its replies, pipelines, and the server's disk; shcount_counter.c has the calls on
 * counters.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

#ifndef SHC_VERSION
#define SHC_VERSION "unknown"
#endif

const char *shc_version(void)
{
	return SHC_VERSION;
}

/* ---- a handle ---- */

/* Counters are in Redis from now on: see redis.h. False: no memory. */
static bool use_redis(struct shc *shc)
{
	shc->redis = redis_open(&shc->wire.url);
	return shc->redis;
}

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
	if (rc == 0 && (parsed.kind != URL_CLUSTER || use_redis(shc)))
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
	redis_close(shc->redis);
	wire_fini(&shc->wire);
	free(shc->nodes);
	free(shc);
}

void shc_set_timeout(struct shc *shc, int timeout_ms)
{
	shc->wire.timeout_ns = (int64_t)(timeout_ms > 0 ? timeout_ms : 1) * 1000000;
}

enum shc_status shc_set_auth(struct shc *shc, const char *user, const char *password)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (shc->wire.url.auth || shc_connections(shc) > 0)
		return wire_say(&shc->wire, SHC_USAGE,
				"who to log in as is said once, before the first connection");
	if (url_set_auth(&shc->wire.url, user, password))
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	return SHC_OK;
}

/* Begins a call that a cluster alone can serve. */
static enum shc_status begin_on_cluster(struct shc *shc, const char *what)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status || shcount_on_cluster(shc))
		return status;
	return wire_say(&shc->wire, SHC_USAGE, "only a Redis Cluster has %s, and this server is none", what);
}

enum shc_status shc_set_shards(struct shc *shc, unsigned shards)
{
	enum shc_status status = begin_on_cluster(shc, "sub-counters");
	if (status)
		return status;
	if (shards < 1 || shards > SHC_SHARDS_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "a counter is spread over 1 to %d sub-counters",
				SHC_SHARDS_MAX);
	redis_set_shards(shc, shards);
	return SHC_OK;
}

enum shc_status shc_set_read_replica(struct shc *shc, bool reads_replica)
{
	enum shc_status status = begin_on_cluster(shc, "replicas to read from");
	if (status == SHC_OK)
		redis_set_read_replica(shc, reads_replica);
	return status;
}

const char *shc_error(const struct shc *shc)
{
	return shc ? shc->wire.error : "out of memory";
}

static bool has_session(const struct shc *shc)
{
	return shc->session || (shc->redis && redis_has_session(shc));
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
	if (has_session(shc))
		return refuse_beside_session(shc);
	if (shcount_on_cluster(shc))
		return redis_connect(shc);
	status = wire_connect(&shc->wire);
	if (status)
		shcount_batches_lost(shc);
	return status;
}

uint64_t shc_connections(const struct shc *shc)
{
	return shc->wire.connections + (shc->redis ? redis_connections(shc) : 0);
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

/* What to do about MOVED and the like, which one server alone does not say. */
#define NAME_THE_CLUSTER                                                                                     \
	"this server is a node of a Redis Cluster: name it with -c HOST:PORT, or as redis+cluster://HOST:PORT"

static bool is_redirect(struct slice error)
{
	static const char *const codes[] = {"MOVED ", "ASK ", "CROSSSLOT ", "CLUSTERDOWN "};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		size_t len = strlen(codes[i]);
		if (error.len >= len && memcmp(error.data, codes[i], len) == 0)
			return true;
	}
	return false;
}

/* ---- pipelining ---- */

size_t shc_pending(const struct shc *shc)
{
	return shc->wire.pending_count - shc->batches_unanswered;
}

enum shc_status shcount_next_reply(struct shc *shc, const struct shc_reply **reply)
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
	return wire_say(&shc->wire, shcount_classify(raw->str), "%.*s%s", (int)raw->str.len, raw->str.data,
			is_redirect(raw->str) ? "; " NAME_THE_CLUSTER : "");
}

static enum shc_status check_args(struct shc *shc, size_t argc)
{
	if (argc == 0 || argc > RESP_ARGS_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "a command has 1 to %d words", RESP_ARGS_MAX);
	return SHC_OK;
}

/* The words as slices: `few` when there is room, else the caller's to free. Null after a complaint. */
enum { WORDS_FEW = 8 };
static struct slice *slices_of(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			       struct slice few[WORDS_FEW])
{
	if (check_args(shc, argc))
		return NULL;
	struct slice *slices = argc <= WORDS_FEW ? few : reallocarray(NULL, argc, sizeof(*slices));
	if (!slices)
		wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	for (size_t i = 0; slices && i < argc; i++)
		slices[i] = argv_len ? (struct slice){argv[i], argv_len[i]} : slice_str(argv[i]);
	return slices;
}

static enum shc_status append_args(struct shc *shc, size_t argc, const char *const *argv,
				   const size_t *argv_len, bool is_write)
{
	struct slice few[WORDS_FEW];
	struct slice *slices = slices_of(shc, argc, argv, argv_len, few);
	if (!slices)
		return argc == 0 || argc > RESP_ARGS_MAX ? SHC_USAGE : SHC_MEMORY;
	enum shc_status status = wire_append(&shc->wire, argc, slices, is_write);
	if (slices != few)
		free(slices);
	return status;
}

static enum shc_status command_on_cluster(struct shc *shc, size_t argc, const char *const *argv,
					  const size_t *argv_len, bool is_write,
					  const struct shc_reply **reply)
{
	struct slice few[WORDS_FEW];
	struct slice *slices = slices_of(shc, argc, argv, argv_len, few);
	if (!slices)
		return argc == 0 || argc > RESP_ARGS_MAX ? SHC_USAGE : SHC_MEMORY;
	const struct resp_reply *raw = NULL;
	enum shc_status status = redis_command(shc, argc, slices, is_write, &raw);
	if (slices != few)
		free(slices);
	bool is_answered = status == SHC_OK || status == SHC_REFUSED || status == SHC_DENIED;
	if (is_answered && raw && !publish_reply(shc, raw))
		return wire_say(&shc->wire, is_write ? SHC_IN_DOUBT : SHC_UNREACHABLE,
				"no memory for the answer");
	if (is_answered && raw)
		*reply = &shc->reply;
	return status;
}

enum shc_status shc_append(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			   bool is_write)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (shcount_on_cluster(shc))
		return wire_say(&shc->wire, SHC_USAGE,
				"pipelines are for one server; on a cluster, shc_mget and shc_add have them");
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
	return shcount_next_reply(shc, reply);
}

/* ---- one command ---- */

enum shc_status shcount_begin(struct shc *shc)
{
	enum shc_status status = shcount_begin_untimed(shc);
	if (status == SHC_OK)
		wire_begin_clock(&shc->wire);
	return status;
}

enum shc_status shcount_begin_untimed(struct shc *shc)
{
	enum shc_status status = wire_begin_untimed(&shc->wire);
	if (status)
		return status;
	if (has_session(shc))
		return refuse_beside_session(shc);
	if (shc_pending(shc) > 0)
		return wire_say(&shc->wire, SHC_USAGE, "take the pending replies first (shc_next)");
	return SHC_OK;
}

/* On TCP there may be a shcounterd or a Redis. */
static enum shc_status ask_who(struct shc *shc)
{
	static const struct slice hello = {"HELLO", 5};
	const struct resp_reply *reply;
	struct wire_pending answered;
	enum shc_status status = wire_append(&shc->wire, 1, &hello, false);
	if (status == SHC_OK)
		status = wire_send(&shc->wire);
	if (status == SHC_OK)
		status = wire_next(&shc->wire, &reply, &answered);
	if (status)
		return status;
	if (greeting_is_cluster(reply))
		return wire_say(&shc->wire, SHC_REFUSED, NAME_THE_CLUSTER);
	shc->is_identified = true;
	if (greeting_is_redis(reply) && !use_redis(shc))
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	return SHC_OK;
}

enum shc_status shcount_identify(struct shc *shc, bool is_patient)
{
	struct wire *w = &shc->wire;
	if (shc->is_identified || w->url.kind != URL_TCP)
		return SHC_OK;
	enum shc_status status = is_patient ? wire_connect_patiently(w) : wire_connect(w);
	return status ? status : ask_who(shc);
}

enum shc_status shcount_unexpected(struct shc *shc, bool is_write)
{
	enum shc_status status = wire_give_up(&shc->wire, SHC_PROTOCOL, is_write,
					      "the answer is of a kind that this command does not have");
	shcount_batches_lost(shc);
	return status;
}

enum shc_status shc_command(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			    bool is_write, const struct shc_reply **reply)
{
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK && shcount_on_cluster(shc))
		return command_on_cluster(shc, argc, argv, argv_len, is_write, reply);
	if (status == SHC_OK)
		status = append_args(shc, argc, argv, argv_len, is_write);
	return status ? status : shcount_next_reply(shc, reply);
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
static enum shc_status vouch(struct shc *shc, uint64_t written_on, const char *where)
{
	shc->unsynced_on = 0;
	if (written_on == 0 || written_on == shc->wire.connections)
		return SHC_OK;
	return wire_say(&shc->wire, SHC_IN_DOUBT,
			"the connection was lost since something was written: what was acknowledged before "
			"that may or may not be %s",
			where);
}

int64_t shcount_waiting_ms(const struct shc *shc)
{
	int64_t timeout_ms = shc->wire.timeout_ns / 1000000;
	int64_t waiting_ms = timeout_ms - timeout_ms / 10; /* the rest is for the answer's way */
	return waiting_ms > 0 ? waiting_ms : 1;
}

enum shc_status shcount_wait_for(struct shc *shc, const struct barrier *b)
{
	uint64_t written_on = shc->unsynced_on;
	const struct shc_reply *reply;
	enum shc_status status = shcount_ask(shc, b->argc, b->argv, true, &reply);
	if (status)
		return status;
	shc->unsynced_on = written_on; /* the barrier itself is none */
	int reached = b->is_reached(reply);
	if (reached < 0)
		return shcount_unexpected(shc, true);
	if (!reached)
		return wire_say(&shc->wire, SHC_IN_DOUBT, "not %s within %lld ms; it may still get there: %s",
				b->where, (long long)(shc->wire.timeout_ns / 1000000), b->who_knows);
	return vouch(shc, written_on, b->where);
}

static int is_synced(const struct shc_reply *reply)
{
	if (reply->type != SHC_T_ARRAY || reply->count < 1 || reply->elements[0].type != SHC_T_INT)
		return -1;
	return reply->elements[0].integer >= 1;
}

enum shc_status shc_sync(struct shc *shc)
{
	char digits[NUM_I64_CHARS_MAX];
	const struct slice argv[] = {
		slice_str("WAITAOF"),
		slice_str("1"),
		slice_str("0"),
		{digits, num_format_i64(digits, shcount_waiting_ms(shc))},
	};
	const struct barrier disk = {4, argv, is_synced, "on disk", "the server's INFO has store_status"};
	enum shc_status status = shcount_begin(shc);
	if (status)
		return status;
	return shcount_on_cluster(shc) ? redis_sync(shc) : shcount_wait_for(shc, &disk);
}
