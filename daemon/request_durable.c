/* SPDX-License-Identifier: MIT */
/* request_durable.c - barriers and the snapshot: WAITAOF, WAIT, SAVE, BGSAVE, LASTSAVE, SHUTDOWN. */
#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "server.h"
#include "worker.h"

/* Milliseconds; 0: for ever, as in Redis. 0, or an error was put. */
static int parse_timeout(struct request *r, struct slice word, int64_t *timeout_ms)
{
	if (!num_parse_i64(word, timeout_ms)) {
		reply_error(r, "ERR timeout is not an integer or out of range");
		return -1;
	}
	if (*timeout_ms < 0) {
		reply_error(r, "ERR timeout is negative");
		return -1;
	}
	return 0;
}

static int64_t or_for_ever(int64_t timeout_ms)
{
	return timeout_ms ? timeout_ms : -1;
}

enum request_result request_wait(struct request *r)
{
	int64_t replicas, timeout_ms;

	if (!num_parse_i64(r->argv[1], &replicas))
		return reply_not_integer(r);
	if (parse_timeout(r, r->argv[2], &timeout_ms))
		return REQUEST_DONE;
	if (replicas > 0 && !r->is_in_exec && !r->peer->wait.is_resumed)
		return peer_park(r->peer, WAIT_TIME, 0, or_for_ever(timeout_ms));
	return reply_int(r, 0);
}

/* ---- WAITAOF ---- */

static enum request_result put_local(struct request *r, uint64_t target)
{
	resp_put_array(r->out, 2);
	resp_put_int(r->out, epoch_durable(r->txn->epoch->clock) >= target);
	resp_put_int(r->out, 0);
	return REQUEST_DONE;
}

/* 0, or an error was put. */
static int parse_waitaof(struct request *r, int64_t *local, int64_t *replicas, int64_t *timeout_ms)
{
	if (!num_parse_i64(r->argv[1], local) || *local < 0 || *local > 1) {
		reply_error(r, "ERR value is out of range, value must between 0 and 1");
		return -1;
	}
	if (!num_parse_i64(r->argv[2], replicas) || *replicas < 0) {
		reply_error(r, "ERR value is out of range, must be positive");
		return -1;
	}
	return parse_timeout(r, r->argv[3], timeout_ms);
}

/* Everything that anybody was told before this request is in the open epoch or an older one, so the open one
 * is what must be on disk. */
enum request_result request_waitaof(struct request *r)
{
	struct epoch_clock *clock = r->txn->epoch->clock;
	struct peer_wait *wait = &r->peer->wait;
	int64_t local, replicas, timeout_ms;
	uint64_t target = wait->is_resumed && !r->is_in_exec ? wait->target : epoch_open(clock);

	if (parse_waitaof(r, &local, &replicas, &timeout_ms))
		return REQUEST_DONE;
	if (r->is_in_exec)
		return put_local(r, target);
	epoch_want(clock, target);
	if (wait->is_timed_out && wait->is_resumed)
		return put_local(r, target);
	/* There are no replicas to wait for: time passes. */
	if (replicas > 0)
		return peer_park(r->peer, WAIT_TIME, target, wait->is_resumed ? -2 : or_for_ever(timeout_ms));
	if (local > 0 && epoch_durable(clock) < target)
		return peer_park(r->peer, WAIT_DURABLE, target,
				 wait->is_resumed ? -2 : or_for_ever(timeout_ms));
	return put_local(r, target);
}

/* ---- snapshot ---- */

enum request_result request_save(struct request *r)
{
	struct commit *c = &r->worker->server->commit;
	const struct peer_wait *wait = &r->peer->wait;

	if (!wait->is_resumed)
		return peer_park(r->peer, WAIT_FOLDED, commit_want_fold(c), -1);
	if (atomic_load(&c->fold_done) >= wait->target)
		return reply_ok(r);
	return reply_stuck(r);
}

enum request_result request_bgsave(struct request *r)
{
	if (r->argc > 2 || (r->argc == 2 && !slice_is_word(r->argv[1], "schedule")))
		return reply_syntax(r);
	(void)commit_want_fold(&r->worker->server->commit);
	resp_put_simple(r->out, "Background saving started");
	return REQUEST_DONE;
}

enum request_result request_lastsave(struct request *r)
{
	return reply_int(r, atomic_load(&r->worker->server->commit.last_save_s));
}

/* NOSAVE still commits (nothing acknowledged is lost by it), it only leaves the journal unfolded. */
enum request_result request_shutdown(struct request *r)
{
	bool is_folding = true;

	for (size_t i = 1; i < r->argc; i++) {
		if (slice_is_word(r->argv[i], "nosave"))
			is_folding = false;
		else if (slice_is_word(r->argv[i], "abort"))
			return reply_error(r, "ERR No shutdown in progress.");
		else if (!slice_is_word(r->argv[i], "save") && !slice_is_word(r->argv[i], "now") &&
			 !slice_is_word(r->argv[i], "force"))
			return reply_syntax(r);
	}
	server_stop(r->worker->server, is_folding, "SHUTDOWN");
	return REQUEST_CLOSE;
}
