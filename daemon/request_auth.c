/* SPDX-License-Identifier: MIT */
/*
 * request_auth.c - AUTH, HELLO and RESET: who is at the other end, and in which protocol he speaks.
 *
 * Without rules (access.h) there is one user, `default`, without a password. A wrong password is answered
 * late, and later each time: the connection is parked, the worker is not.
 */
#include <errno.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "peer_access.h"
#include "request.h"
#include "request_client.h"
#include "server.h"
#include "worker.h"

static enum request_result reply_wrong_pass(struct request *r)
{
	return reply_error(r, "WRONGPASS invalid username-password pair or user is disabled.");
}

/* ---- AUTH ---- */

/* The second time it is asked, its time is over: no need to look again. */
static enum request_result refuse_login(struct request *r, struct slice name)
{
	struct peer *p = r->peer;

	if (p->wait.is_resumed)
		return reply_wrong_pass(r);
	stat_add(&r->worker->stats.denied_auth, 1);
	peer_log_refusal(p, "WRONGPASS", "to log in", name);
	return peer_park(p, WAIT_TIME, 0, peer_count_failure(p));
}

/* In Redis's words, and whose limit it is. */
static enum request_result refuse_full(struct request *r, struct slice name)
{
	peer_log_refusal(r->peer, "max number of clients reached", "to log in", name);
	resp_put_errorf(r->out, "ERR max number of clients reached by login %.*s", (int)name.len, name.data);
	return REQUEST_DONE;
}

/* True: he is in. False: *result is what the handler returns. */
static bool log_in(struct request *r, struct slice name, struct slice password, enum request_result *result)
{
	int rc;

	*result = REQUEST_DONE;
	if (!r->worker->access) {
		if (slice_equal(name, slice_str("default")))
			return true;
		reply_wrong_pass(r);
		return false;
	}
	if (r->is_in_exec) {
		/* A handler in there cannot wait. */
		reply_error(r, "ERR AUTH is not allowed inside a transaction");
		return false;
	}
	rc = r->peer->wait.is_resumed ? PEER_LOGIN_WRONG : peer_login(r->peer, name, password);
	switch (rc) {
	case 0: return true;
	case PEER_LOGIN_WRONG: *result = refuse_login(r, name); break;
	case PEER_LOGIN_FULL: *result = refuse_full(r, name); break;
	default: *result = reply_error(r, "OOM out of memory"); break;
	}
	return false;
}

enum request_result request_auth(struct request *r)
{
	const struct slice by_default = slice_str("default");
	enum request_result result;

	if (r->argc > 3)
		return reply_syntax(r);
	if (r->argc == 2 && !access_has_login(r->worker->access, by_default))
		return reply_error(
			r, "ERR AUTH <password> called without any password configured for the default "
			   "user. Are you sure your configuration is correct?");
	return log_in(r, r->argc == 2 ? by_default : r->argv[1], r->argv[r->argc - 1], &result) ? reply_ok(r)
												: result;
}

/* ---- HELLO ---- */

static void put_hello(struct request *r)
{
	struct buf *out = r->out;

	resp_put_map(out, r->proto, 7);
	resp_put_bulk_str(out, "server");
	resp_put_bulk_str(out, "shcounterd");
	resp_put_bulk_str(out, "version");
	resp_put_bulk_str(out, REDIS_VERSION);
	resp_put_bulk_str(out, "proto");
	resp_put_int(out, r->proto);
	resp_put_bulk_str(out, "id");
	resp_put_int(out, (int64_t)r->peer->client.id);
	resp_put_bulk_str(out, "mode");
	resp_put_bulk_str(out, "standalone");
	resp_put_bulk_str(out, "role");
	resp_put_bulk_str(out, "master");
	resp_put_bulk_str(out, "modules");
	resp_put_array(out, 0);
}

static enum request_result reply_hello_syntax(struct request *r, struct slice option)
{
	resp_put_errorf(r->out, "ERR Syntax error in HELLO option '%.*s'",
			(int)(option.len < 128 ? option.len : 128), option.len ? option.data : "");
	return REQUEST_DONE;
}

/* As in Redis, what stands before a wrong option is done. True: all is well. False: *result is what the
 * handler returns. */
static bool take_hello_options(struct request *r, enum request_result *result)
{
	*result = REQUEST_DONE;
	for (size_t i = 2; i < r->argc; i++) {
		size_t behind = r->argc - 1 - i;

		if (slice_is_word(r->argv[i], "auth") && behind >= 2) {
			if (!log_in(r, r->argv[i + 1], r->argv[i + 2], result))
				return false;
			i += 2;
		} else if (slice_is_word(r->argv[i], "setname") && behind >= 1) {
			if (!client_take_name(r, r->argv[i + 1]))
				return false;
			i++;
		} else {
			reply_hello_syntax(r, r->argv[i]);
			return false;
		}
	}
	return true;
}

static void set_proto(struct request *r, int proto)
{
	r->proto = proto;
	r->peer->proto = proto;
	atomic_store_explicit(&r->peer->client.proto, proto, memory_order_relaxed);
}

enum request_result request_hello(struct request *r)
{
	enum request_result result;
	int64_t proto = r->proto;

	if (r->argc > 1) {
		if (!num_parse_i64(r->argv[1], &proto))
			return reply_error(r, "ERR Protocol version is not an integer or out of range");
		if (proto != 2 && proto != 3)
			return reply_error(r, "NOPROTO unsupported protocol version");
		if (!take_hello_options(r, &result))
			return result;
	}
	if (peer_is_nobody(r->peer))
		return reply_error(
			r, "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
			   "HELLO AUTH <user> <pass> option can be used to authenticate the client and "
			   "select the RESP protocol version at the same time");
	set_proto(r, (int)proto);
	put_hello(r);
	return REQUEST_DONE;
}

/* ---- RESET ---- */

/* He may have come in only as a login, and many others have come from where he has, since. */
static enum request_result refuse_return(struct request *r, int rc)
{
	char who[SOURCE_TEXT_SIZE];
	struct source_key key;

	if (rc != -EUSERS)
		return reply_error(r, "OOM out of memory");
	source_key_of_address(&r->peer->client.address, &key);
	source_key_print(&key, who);
	resp_put_errorf(r->out, "ERR max number of clients reached by %s", who);
	return REQUEST_CLOSE;
}

enum request_result request_reset(struct request *r)
{
	struct peer *p = r->peer;
	int rc;

	request_multi_reset(p);
	request_session_end(p);
	rc = peer_logout(p);
	if (rc)
		return refuse_return(r, rc);
	p->reply_mode = REPLY_ON;
	set_proto(r, 2);
	client_set_string(&r->worker->server->clients, p->client.name, (struct slice){0});
	resp_put_simple(r->out, "RESET");
	return REQUEST_DONE;
}
