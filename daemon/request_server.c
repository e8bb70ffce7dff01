/* SPDX-License-Identifier: MIT */
/* request_server.c - commands about the connection and the server as such: echoes, time, what is not there.
 */
#include <limits.h>
#include <time.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
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
	 "[ASYNC|SYNC]", AS_COMMAND},
	{"function|help", 2, function_help, "7.0.0", "Prints this help.", "", AS_COMMAND},
};

const struct subcommands subcommands_function = {function_rows,
						 sizeof(function_rows) / sizeof(function_rows[0])};

enum request_result request_function(struct request *r)
{
	return subcommand_run(r, &subcommands_function);
}
