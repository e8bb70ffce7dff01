/* SPDX-License-Identifier: MIT */
/*
 * shcount_once.c - one addition under a token: asked for again until there is an answer.
 */
#include <string.h>

#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

struct once {
	struct slice token, name; /* in `bytes`: they may have come in a reply, which attempts overwrite */
	char bytes[2 * NAME_LEN_MAX];
	int64_t delta;
	bool is_durable;
	/* found out so far */
	bool has_left; /* a byte of a request may have */
	bool is_in;    /* a reply said so */
	bool is_applied;
	int64_t value;
};

enum { AGAIN = -1 }; /* beside enum shc_status */

static void put_request(struct buf *out, const struct once *o)
{
	char digits[NUM_I64_CHARS_MAX];
	const struct slice argv[] = {
		slice_str("SHC.ONCE"),
		o->token,
		o->name,
		{digits, num_format_i64(digits, o->delta)},
	};
	resp_put_request(out, 4, argv);
	if (o->is_durable)
		shcount_put_barrier(out);
}

/* The value, and 1 when this request added, 0 when one before it had. */
static bool is_answer(const struct resp_reply *reply)
{
	if (reply->type != RESP_ARRAY || reply->count != 2)
		return false;
	const struct resp_reply *value = &reply->elements[0], *is_applied = &reply->elements[1];
	return value->type == RESP_INT && is_applied->type == RESP_INT &&
	       (is_applied->i64 == 0 || is_applied->i64 == 1);
}

static int take_answer(struct shc *shc, struct once *o, const struct resp_reply *reply)
{
	if (shcount_is_passing(reply)) {
		wire_say(&shc->wire, SHC_OK, "%.*s", (int)reply->str.len, reply->str.data);
		return AGAIN;
	}
	if (reply->type == RESP_ERROR)
		return (int)wire_say(&shc->wire, shcount_classify(reply->str), "%.*s", (int)reply->str.len,
				     reply->str.data);
	if (!is_answer(reply))
		return (int)wire_say(&shc->wire, SHC_PROTOCOL, "the answer to SHC.ONCE makes no sense");
	o->is_in = true;
	o->value = reply->elements[0].i64;
	o->is_applied |= reply->elements[1].i64 == 1;
	return SHC_OK;
}

static int lost(struct shc *shc, int rc)
{
	if (rc == RESP_BAD)
		return (int)wire_say(&shc->wire, SHC_PROTOCOL, "the answer is not RESP");
	wire_say_lost(&shc->wire, rc);
	return AGAIN;
}

/* One attempt on an open connection: a status, or AGAIN. */
static int attempt(struct shc *shc, struct once *o)
{
	const struct resp_reply *reply;
	put_request(&shc->wire.out, o);
	if (shc->wire.out.failed) {
		shc->wire.out.failed = false;
		return (int)wire_say(&shc->wire, SHC_MEMORY, "out of memory");
	}
	o->has_left = true;
	int rc = wire_try_send(&shc->wire);
	if (rc == 0)
		rc = wire_try_next(&shc->wire, true, &reply);
	if (rc)
		return lost(shc, rc);
	int status = take_answer(shc, o, reply);
	if (status || !o->is_durable)
		return status;
	rc = wire_try_next(&shc->wire, true, &reply);
	if (rc)
		return lost(shc, rc);
	if (shcount_is_on_disk(reply))
		return SHC_OK;
	wire_say(&shc->wire, SHC_OK, "the server does not say that it is on disk");
	return AGAIN;
}

/* The deadline has come; the sentence so far is the last trouble. */
static enum shc_status give_up(struct shc *shc, const struct once *o)
{
	char why[sizeof(shc->wire.error)];
	memcpy(why, shc->wire.error, sizeof(why));
	if (!o->has_left)
		return SHC_UNREACHABLE;
	return wire_say(&shc->wire, SHC_IN_DOUBT, "%.200s; %s; asking again with the same token is safe", why,
			o->is_in ? "counted, but not known to be on disk"
				 : "it may or may not have been counted");
}

/* Whether a failure says nothing about a request that has left: one of an earlier attempt, or this one when
 * what came back is no answer. A refusal does: had it been counted, the server would know the token. */
static bool is_doubt(int rc, bool has_left_before)
{
	return rc == SHC_PROTOCOL || (has_left_before && rc != SHC_OK && rc != SHC_REFUSED);
}

static enum shc_status ask(struct shc *shc, struct once *o)
{
	for (;;) {
		bool has_left_before = o->has_left;
		enum shc_status status = wire_connect_patiently(&shc->wire);
		if (status == SHC_UNREACHABLE || (status && has_left_before))
			return give_up(shc, o);
		if (status)
			return status;
		int rc = attempt(shc, o);
		bool is_clean = rc == SHC_OK || ((rc == SHC_REFUSED || rc == SHC_DENIED) && !o->is_durable);
		if (!is_clean)
			wire_drop(&shc->wire);
		if (rc != AGAIN)
			return is_doubt(rc, has_left_before) ? give_up(shc, o) : (enum shc_status)rc;
		if (!wire_pause(&shc->wire))
			return give_up(shc, o);
	}
}

enum shc_status shc_once(struct shc *shc, const char *token, size_t token_len, const char *name,
			 size_t name_len, int64_t delta, bool is_durable, int64_t *value, bool *is_applied)
{
	struct once o = {{token, token_len}, {name, name_len}, .delta = delta, .is_durable = is_durable};
	enum shc_status status = shcount_begin(shc);
	if (status)
		return status;
	if (shc->batches_unanswered > 0 || shc->batches[shc->batch_open].count > 0)
		return wire_say(&shc->wire, SHC_USAGE, "flush the additions first (shc_flush)");
	if (!slice_is_name(o.token) || !slice_is_name(o.name))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad %s: 1 to %d bytes without control characters are expected",
				slice_is_name(o.name) ? "token" : "name", NAME_LEN_MAX);
	o.token.data = memcpy(o.bytes, token, token_len);
	o.name.data = memcpy(o.bytes + NAME_LEN_MAX, name, name_len);
	status = shcount_identify(shc, true);
	if (status)
		return status;
	if (shc->redis)
		return redis_once(shc, o.token, o.name, delta, is_durable, value, is_applied);
	status = ask(shc, &o);
	if (status)
		return status;
	shcount_wrote(shc);
	shc->wire.error[0] = '\0';
	if (value)
		*value = o.value;
	if (is_applied)
		*is_applied = o.is_applied;
	return SHC_OK;
}
