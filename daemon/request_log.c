/* SPDX-License-Identifier: MIT */
/*
 * request_log.c - SHC.LOG: entries of the audit log. In three turns: everything acknowledged so far is to be
 * on disk; then another thread looks them up (audit_reader.h); then they are told.
 */
#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "server.h"
#include "worker.h"

enum { COUNT_DEFAULT = 10 };

struct range {
	int64_t count;
	int64_t after; /* -1: the last ones */
};

static enum request_result reply_bad_count(struct request *r)
{
	return reply_error(r, "ERR a count from 1 to 10000 is expected");
}

/* 0, or an error was put. */
static int parse(struct request *r, struct range *range)
{
	size_t at = 2;

	*range = (struct range){.count = COUNT_DEFAULT, .after = -1};
	if (at < r->argc && !slice_is_word(r->argv[at], "after")) {
		if (!num_parse_i64(r->argv[at++], &range->count) || range->count < 1 ||
		    range->count > AUDIT_COUNT_MAX) {
			reply_bad_count(r);
			return -1;
		}
	}
	if (at == r->argc)
		return 0;
	if (at + 2 != r->argc || !slice_is_word(r->argv[at], "after")) {
		reply_syntax(r);
		return -1;
	}
	if (num_parse_i64(r->argv[at + 1], &range->after) && range->after >= 0)
		return 0;
	reply_error(r, "ERR a log_id from 0 on is expected behind AFTER");
	return -1;
}

/* An empty answer is one about a name that is audited. Who asks for what is new has been told so before. */
static bool is_about_nothing(const struct request *r, const struct range *range,
			     const struct audit_answer *answer)
{
	return answer->own == 0 && range->after <= 0 && !audit_matches(&r->worker->server->audit, r->argv[1]);
}

static enum request_result put_answer(struct request *r, const struct range *range,
				      const struct audit_answer *answer)
{
	if (answer->rc) {
		resp_put_errorf(r->out, "ERR the audit log cannot be read: %s", answer->why);
	} else if (is_about_nothing(r, range, answer)) {
		return reply_error(r, "ERR not audited: set audit = PATTERN, one that fits this name, in the "
				      "daemon's configuration, and reload it (SIGHUP)");
	} else {
		resp_put_array(r->out, answer->count);
		buf_append(r->out, buf_head(&answer->rows), buf_len(&answer->rows));
	}
	return REQUEST_DONE;
}

static enum request_result ask(struct request *r, const struct range *range)
{
	struct server *s = r->worker->server;

	if (epoch_durable(&s->clock) < r->peer->wait.target)
		return reply_stuck(r);
	r->peer->question =
		audit_reader_ask(&s->audit_reader, r->argv[1], range->after, range->count, &r->worker->waker);
	if (!r->peer->question)
		return reply_error(r, "OOM out of memory");
	return peer_park(r->peer, WAIT_LOG, 0, -1);
}

enum request_result request_shc_log(struct request *r)
{
	struct server *s = r->worker->server;
	struct range range;
	enum request_result result;
	uint64_t target;

	if (!slice_is_name(r->argv[1]))
		return reply_bad_name(r);
	if (parse(r, &range))
		return REQUEST_DONE;
	if (r->peer->question) {
		result = put_answer(r, &range, audit_reader_answer(r->peer->question));
		r->peer->question = audit_reader_drop(&s->audit_reader, r->peer->question);
		return result;
	}
	if (r->peer->wait.is_resumed)
		return ask(r, &range);
	target = epoch_open(&s->clock);
	epoch_want(&s->clock, target);
	return peer_park(r->peer, WAIT_COMMITTED, target, -1);
}
