/* SPDX-License-Identifier: MIT */
/*
 * request_uplink.c - SHC.GLOBAL, SHC.UPLINK: questions to the uplink's thread (uplink_ask.h), whose answer is
 * the reply.
 */
#include <string.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request_sub.h"
#include "server.h"
#include "uplink.h"
#include "worker.h"

enum { EXPLAIN_MS = 1500 /* so long an explanation waits for what the cluster says of it */ };

/* True: there is none, and that was replied. */
static bool has_no_uplink(struct request *r)
{
	if (r->worker->server->uplink)
		return false;
	reply_error(r, "ERR no uplink: set uplink = redis+cluster://HOST:PORT in the daemon's configuration");
	return true;
}

/* Asked, until it is answered or, with timeout_ms not -1, that time is over. */
static enum request_result ask(struct request *r, const struct uplink_question *wanted, int64_t timeout_ms)
{
	struct uplink *u = r->worker->server->uplink;

	r->peer->uplink_question = uplink_ask(&u->asks, wanted, &u->waker, &r->worker->waker);
	if (!r->peer->uplink_question)
		return reply_error(r, "UPLINKDOWN the daemon is stopping, or out of memory");
	return peer_park(r->peer, WAIT_UPLINK, 0, timeout_ms);
}

static void drop(struct request *r)
{
	r->peer->uplink_question = uplink_drop(&r->worker->server->uplink->asks, r->peer->uplink_question);
}

/* It has been answered. */
static enum request_result put_answer(struct request *r)
{
	const struct buf *reply = &r->peer->uplink_question->reply;

	buf_append(r->out, buf_head(reply), buf_len(reply));
	r->out->failed |= reply->failed;
	drop(r);
	return REQUEST_DONE;
}

static struct uplink_question question(const struct request *r, enum uplink_ask_kind kind)
{
	return (struct uplink_question){.kind = kind, .is_resp3 = r->proto == 3};
}

static void put_name(struct uplink_question *q, struct slice name)
{
	q->name_len = (uint8_t)name.len;
	memcpy(q->name, name.data, name.len);
}

/* What needs no more than to be asked. */
static enum request_result ask_simply(struct request *r, const struct uplink_question *wanted)
{
	return r->peer->uplink_question ? put_answer(r) : ask(r, wanted, -1);
}

bool request_ask_uplink(struct request *r, struct slice name, struct buf *pairs, enum request_result *result)
{
	struct uplink_question wanted = question(r, UPLINK_ASK_EXPLAIN);

	*result = REQUEST_DONE;
	if (!r->worker->server->uplink)
		return false;
	if (!r->peer->uplink_question) {
		put_name(&wanted, name);
		*result = ask(r, &wanted, EXPLAIN_MS);
		return true;
	}
	if (!r->peer->wait.is_timed_out)
		buf_append(pairs, buf_head(&r->peer->uplink_question->reply),
			   buf_len(&r->peer->uplink_question->reply));
	drop(r);
	return false;
}

static enum request_result ask_about(struct request *r, enum uplink_ask_kind kind, struct slice name)
{
	struct uplink_question wanted = question(r, kind);

	if (!slice_is_name(name))
		return reply_bad_name(r);
	put_name(&wanted, name);
	return ask_simply(r, &wanted);
}

enum request_result request_shc_global(struct request *r)
{
	return has_no_uplink(r) ? REQUEST_DONE : ask_about(r, UPLINK_ASK_GLOBAL, r->argv[1]);
}

/* ---- SHC.UPLINK ---- */

static enum request_result uplink_status(struct request *r)
{
	const struct uplink_question wanted = question(r, UPLINK_ASK_STATUS);

	return ask_simply(r, &wanted);
}

/* In two turns: everything acknowledged so far is to be on disk; then in the cluster. */
static enum request_result uplink_sync(struct request *r)
{
	struct epoch_clock *clock = &r->worker->server->clock;
	struct uplink_question wanted = question(r, UPLINK_ASK_SYNC);
	const struct peer_wait *wait = &r->peer->wait;
	int64_t replicas, timeout_ms;
	uint64_t target;

	if (!num_parse_i64(r->argv[2], &replicas) || replicas < 0 || replicas > UINT16_MAX)
		return reply_error(r, "ERR a number of replicas from 0 to 65535 is expected");
	if (!num_parse_i64(r->argv[3], &timeout_ms) || timeout_ms < 0)
		return reply_error(r, "ERR timeout is not an integer or out of range");
	if (r->argc > 5)
		return reply_syntax(r);
	if (r->argc == 5 && !slice_is_name(r->argv[4]))
		return reply_bad_name(r);
	if (r->peer->uplink_question && !wait->is_timed_out)
		return put_answer(r);
	if (wait->is_resumed && wait->is_timed_out) {
		drop(r);
		return reply_int(r, 0);
	}
	if (!wait->is_resumed) {
		target = epoch_open(clock);
		epoch_want(clock, target);
		return peer_park(r->peer, WAIT_COMMITTED, target, timeout_ms ? timeout_ms : -1);
	}
	if (epoch_durable(clock) < wait->target)
		return reply_stuck(r);
	wanted.number = wait->target;
	wanted.replicas = (uint32_t)replicas;
	if (r->argc == 5)
		put_name(&wanted, r->argv[4]);
	return ask(r, &wanted, -2);
}

/* Up to 2^64 - 1. */
static bool parse_cursor(struct slice text, uint64_t *cursor)
{
	uint64_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text.data[i] - '0'), &n))
			return false;
	*cursor = n;
	return text.len > 0;
}

static enum request_result uplink_verify_page(struct request *r)
{
	struct uplink_question wanted = question(r, UPLINK_ASK_VERIFY);

	if (r->argc > 4 || (r->argc == 4 && !slice_is_word(r->argv[3], "repair")))
		return reply_syntax(r);
	if (!parse_cursor(r->argv[2], &wanted.number))
		return reply_error(r, "ERR invalid cursor");
	wanted.is_repair = r->argc == 4;
	return ask_simply(r, &wanted);
}

static enum request_result uplink_reset(struct request *r)
{
	return ask_about(r, UPLINK_ASK_RESET, r->argv[2]);
}

static enum request_result uplink_retire(struct request *r)
{
	struct uplink_question wanted = question(r, UPLINK_ASK_RETIRE);

	if (!uplink_parse_id(r->argv[2], &wanted.number))
		return reply_error(r, "ERR an incarnation is 16 hexadecimal digits");
	return ask_simply(r, &wanted);
}

static enum request_result uplink_accept(struct request *r)
{
	const struct uplink_question wanted = question(r, UPLINK_ASK_ACCEPT);

	return ask_simply(r, &wanted);
}

static enum request_result uplink_help(struct request *r)
{
	return subcommand_help(r, &subcommands_uplink);
}

static const struct subcommand rows[] = {
	{"shc.uplink|accept", 2, uplink_accept, "0.2.0",
	 "Lets sessions and tokens of a state that was restored count again.", "", AS_COMMAND},
	{"shc.uplink|help", 2, uplink_help, "0.2.0", "Prints this help.", "", {ROLE_READ, false, 0}},
	{"shc.uplink|reset",
	 3,
	 uplink_reset,
	 "0.2.0",
	 "Makes the total of a name 0, returns what it was.",
	 "name",
	 {ROLE_ADMIN, false, 2}},
	{"shc.uplink|retire", 3, uplink_retire, "0.2.0",
	 "Gives an incarnation up: what it has brought stays; returns how many ledgers had something of it.",
	 "incarnation", AS_COMMAND},
	{"shc.uplink|status",
	 2,
	 uplink_status,
	 "0.2.0",
	 "Returns what is known of the uplink.",
	 "",
	 {ROLE_READ, true, 0}}, /* what was refused last names its counter */
	{"shc.uplink|sync",
	 -4,
	 uplink_sync,
	 "0.2.0",
	 "Returns 1 when everything acknowledged so far, or that of one name, is in the cluster, 0 after the "
	 "timeout.",
	 "numreplicas timeout [name]",
	 {ROLE_WRITE, false, 4}},
	{"shc.uplink|verify", -3, uplink_verify_page, "0.2.0",
	 "Compares a page of names with what the cluster has.", "cursor [REPAIR]", AS_COMMAND},
};

const struct subcommands subcommands_uplink = {rows, sizeof(rows) / sizeof(rows[0])};

enum request_result request_shc_uplink(struct request *r)
{
	if (!slice_is_word(r->argv[1], "help") && has_no_uplink(r))
		return REQUEST_DONE;
	return subcommand_run(r, &subcommands_uplink);
}
