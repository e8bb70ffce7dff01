/* SPDX-License-Identifier: MIT */
/* request_server.c - commands about the connection and the server as such: greeting, protocol, time. */
#include <limits.h>
#include <time.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
#include "request_client.h"
#include "request_sub.h"
#include "server.h"
#include "worker.h"

enum request_result request_ping(struct request *r)
{
	if (r->argc > 2)
		return reply_arity(r);
	if (r->argc == 2)
		resp_put_bulk(r->out, r->argv[1].data, r->argv[1].len);
	else
		resp_put_simple(r->out, "PONG");
	return REQUEST_DONE;
}

enum request_result request_echo(struct request *r)
{
	resp_put_bulk(r->out, r->argv[1].data, r->argv[1].len);
	return REQUEST_DONE;
}

enum request_result request_select(struct request *r)
{
	int64_t index;

	if (!num_parse_i64(r->argv[1], &index))
		return reply_not_integer(r);
	if (index < INT_MIN || index > INT_MAX)
		return reply_error(
			r, "ERR value is out of range, value must between -2147483648 and 2147483647");
	if (index != 0)
		return reply_error(r, "ERR DB index is out of range");
	return reply_ok(r);
}

enum request_result request_quit(struct request *r)
{
	reply_ok(r);
	return REQUEST_CLOSE;
}

enum request_result request_time(struct request *r)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	resp_put_array(r->out, 2);
	resp_put_bulk_i64(r->out, now.tv_sec);
	resp_put_bulk_i64(r->out, now.tv_nsec / 1000);
	return REQUEST_DONE;
}

/* ---- who and how ---- */

/* There is one user, without a password. */
static bool is_user(struct slice name)
{
	return slice_equal(name, slice_str("default"));
}

static enum request_result reply_wrong_pass(struct request *r)
{
	return reply_error(r, "WRONGPASS invalid username-password pair or user is disabled.");
}

enum request_result request_auth(struct request *r)
{
	if (r->argc > 3)
		return reply_syntax(r);
	if (r->argc == 2)
		return reply_error(
			r, "ERR AUTH <password> called without any password configured for the default "
			   "user. Are you sure your configuration is correct?");
	return is_user(r->argv[1]) ? reply_ok(r) : reply_wrong_pass(r);
}

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

/* As in Redis, what stands before a wrong option is done. True: all is well. */
static bool take_hello_options(struct request *r)
{
	for (size_t i = 2; i < r->argc; i++) {
		size_t behind = r->argc - 1 - i;

		if (slice_is_word(r->argv[i], "auth") && behind >= 2) {
			if (!is_user(r->argv[i + 1])) {
				reply_wrong_pass(r);
				return false;
			}
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
	int64_t proto = r->proto;

	if (r->argc > 1) {
		if (!num_parse_i64(r->argv[1], &proto))
			return reply_error(r, "ERR Protocol version is not an integer or out of range");
		if (proto != 2 && proto != 3)
			return reply_error(r, "NOPROTO unsupported protocol version");
		if (!take_hello_options(r))
			return REQUEST_DONE;
	}
	set_proto(r, (int)proto);
	put_hello(r);
	return REQUEST_DONE;
}

enum request_result request_reset(struct request *r)
{
	struct peer *p = r->peer;

	request_multi_reset(p);
	request_session_end(p);
	p->reply_mode = REPLY_ON;
	set_proto(r, 2);
	client_set_string(&r->worker->server->clients, p->client.name, (struct slice){0});
	resp_put_simple(r->out, "RESET");
	return REQUEST_DONE;
}

/* ---- FUNCTION ---- libraries of clients flush between tests, and there is nothing to flush. */

static enum request_result function_flush(struct request *r)
{
	if (r->argc > 3)
		return reply_error(r, "ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try "
				      "FUNCTION HELP.");
	if (r->argc == 3 && !slice_is_word(r->argv[2], "sync") && !slice_is_word(r->argv[2], "async"))
		return reply_error(r, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
	return reply_ok(r);
}

static enum request_result function_help(struct request *r)
{
	return subcommand_help(r, &subcommands_function);
}

static const struct subcommand function_rows[] = {
	{"function|flush", -2, function_flush, "7.0.0", "Does nothing: there are no functions.",
	 "[ASYNC|SYNC]"},
	{"function|help", 2, function_help, "7.0.0", "Prints this help.", ""},
};

const struct subcommands subcommands_function = {function_rows,
						 sizeof(function_rows) / sizeof(function_rows[0])};

enum request_result request_function(struct request *r)
{
	return subcommand_run(r, &subcommands_function);
}
