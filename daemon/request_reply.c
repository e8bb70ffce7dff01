/* SPDX-License-Identifier: MIT */
/* request_reply.c - replies that many handlers give, in Redis's words. */
#include "../lib/resp.h"
#include "request.h"

enum { SHOWN_MAX = 128 }; /* of a wrong word, as in Redis */

enum request_result reply_ok(struct request *r)
{
	resp_put_simple(r->out, "OK");
	return REQUEST_DONE;
}

enum request_result reply_error(struct request *r, const char *text)
{
	resp_put_error(r->out, text);
	return REQUEST_DONE;
}

enum request_result reply_not_integer(struct request *r)
{
	return reply_error(r, "ERR value is not an integer or out of range");
}

enum request_result reply_syntax(struct request *r)
{
	return reply_error(r, "ERR syntax error");
}

enum request_result reply_overflow(struct request *r)
{
	return reply_error(r, "ERR increment or decrement would overflow");
}

enum request_result reply_stuck(struct request *r)
{
	return reply_error(r,
			   "MISCONF the state cannot be written to disk now, which is tried again; see the "
			   "daemon's log");
}

enum request_result reply_bad_name(struct request *r)
{
	return reply_error(r, "ERR invalid counter name: 1 to 255 bytes without control characters");
}

enum request_result reply_arity(struct request *r)
{
	resp_put_errorf(r->out, "ERR wrong number of arguments for '%s' command", r->command->name);
	return REQUEST_DONE;
}

enum request_result reply_int(struct request *r, int64_t v)
{
	resp_put_int(r->out, v);
	return REQUEST_DONE;
}

enum request_result reply_unknown_subcommand(struct request *r)
{
	const struct slice word = r->argv[1];
	int shown = word.len < SHOWN_MAX ? (int)word.len : SHOWN_MAX;
	char name[32];
	size_t n = 0;

	for (; r->command->name[n] && n + 1 < sizeof(name); n++) {
		char c = r->command->name[n];

		name[n] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	name[n] = '\0';
	resp_put_errorf(r->out, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown,
			word.len ? word.data : "", name);
	return REQUEST_DONE;
}
