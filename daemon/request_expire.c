/* SPDX-License-Identifier: MIT */
/* request_expire.c - commands that say when a counter expires, in the words of Redis 7.0. Pure computing on
 * staged keys; see request.h for who does the rest. */

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"

enum { MS_PER_S = 1000 };

/* ---- moments ---- */

bool request_is_moment(struct slice word, struct moment_unit *out)
{
	*out = (struct moment_unit){
		.is_seconds = slice_is_word(word, "ex") || slice_is_word(word, "exat"),
		.is_absolute = slice_is_word(word, "exat") || slice_is_word(word, "pxat"),
	};
	return out->is_seconds || out->is_absolute || slice_is_word(word, "px");
}

bool request_take_moment(const struct request *r, size_t *i, struct moment_option *m)
{
	struct moment_unit unit;

	if (*i + 1 >= r->argc || !request_is_moment(r->argv[*i], &unit))
		return false;
	if (m->number.data &&
	    (unit.is_seconds != m->unit.is_seconds || unit.is_absolute != m->unit.is_absolute))
		return false;
	*m = (struct moment_option){.unit = unit, .number = r->argv[++*i]};
	return true;
}

/* In milliseconds since 1970. False: that does not fit. */
static bool moment_of(struct request *r, int64_t number, struct moment_unit unit, int64_t *at_ms)
{
	if (unit.is_seconds && __builtin_mul_overflow(number, MS_PER_S, &number))
		return false;
	if (!unit.is_absolute && __builtin_add_overflow(number, txn_wall_ms(r->txn), &number))
		return false;
	*at_ms = number;
	return true;
}

static void put_invalid(struct request *r)
{
	resp_put_errorf(r->out, "ERR invalid expire time in '%s' command", r->command->name);
}

bool request_parse_moment(struct request *r, struct slice text, struct moment_unit unit, int64_t *at_ms)
{
	int64_t number;

	if (!num_parse_i64(text, &number)) {
		reply_not_integer(r);
		return false;
	}
	if (number > 0 && moment_of(r, number, unit, at_ms))
		return true;
	put_invalid(r);
	return false;
}

/* ---- EXPIRE and its kin ---- */

struct condition {
	bool is_nx, is_xx, is_gt, is_lt;
};

/* 0, or an error was put. */
static int parse_condition(struct request *r, struct condition *c)
{
	*c = (struct condition){0};
	for (size_t i = 3; i < r->argc; i++) {
		struct slice word = r->argv[i];

		c->is_nx |= slice_is_word(word, "nx");
		c->is_xx |= slice_is_word(word, "xx");
		c->is_gt |= slice_is_word(word, "gt");
		c->is_lt |= slice_is_word(word, "lt");
		if (!slice_is_word(word, "nx") && !slice_is_word(word, "xx") && !slice_is_word(word, "gt") &&
		    !slice_is_word(word, "lt")) {
			resp_put_errorf(r->out, "ERR Unsupported option %.*s",
					word.len < 64 ? (int)word.len : 64, word.data);
			return -1;
		}
	}
	if (c->is_nx && (c->is_xx || c->is_gt || c->is_lt)) {
		reply_error(r, "ERR NX and XX, GT or LT options at the same time are not compatible");
		return -1;
	}
	if (c->is_gt && c->is_lt) {
		reply_error(r, "ERR GT and LT options at the same time are not compatible");
		return -1;
	}
	return 0;
}

/* One that never expires does so later than any other. */
static bool is_met(const struct condition *c, const struct txn_key *k, int64_t at_ms)
{
	bool expires = k->expire_at_ms != 0;

	return !(c->is_nx && expires) && !(c->is_xx && !expires) &&
	       !(c->is_gt && (!expires || at_ms <= k->expire_at_ms)) &&
	       !(c->is_lt && expires && at_ms >= k->expire_at_ms);
}

static enum request_result expire(struct request *r, struct moment_unit unit)
{
	struct txn_key *k = request_key(r, 0);
	struct condition condition;
	int64_t number, at_ms;

	if (parse_condition(r, &condition))
		return REQUEST_DONE;
	if (!num_parse_i64(r->argv[2], &number))
		return reply_not_integer(r);
	if (!moment_of(r, number, unit, &at_ms)) {
		put_invalid(r);
		return REQUEST_DONE;
	}
	if (!k->is_live || !is_met(&condition, k, at_ms))
		return reply_int(r, 0);
	/* 0 is a moment here, long past. */
	txn_expire(r->txn, k, at_ms ? at_ms : -1);
	return reply_int(r, 1);
}

enum request_result request_expire(struct request *r)
{
	return expire(r, (struct moment_unit){.is_seconds = true});
}

enum request_result request_pexpire(struct request *r)
{
	return expire(r, (struct moment_unit){0});
}

enum request_result request_expireat(struct request *r)
{
	return expire(r, (struct moment_unit){.is_seconds = true, .is_absolute = true});
}

enum request_result request_pexpireat(struct request *r)
{
	return expire(r, (struct moment_unit){.is_absolute = true});
}

enum request_result request_persist(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	bool expires = k->expire_at_ms != 0;

	if (k->is_live)
		txn_expire(r->txn, k, 0);
	return reply_int(r, expires);
}

/* ---- TTL and its kin ---- */

enum { REPLY_NO_COUNTER = -2, REPLY_NEVER = -1 };

/* Seconds are rounded to the nearest, as in Redis. */
static enum request_result reply_moment(struct request *r, struct moment_unit unit)
{
	const struct txn_key *k = request_key(r, 0);
	int64_t ms = k->expire_at_ms;

	if (!k->is_live)
		return reply_int(r, REPLY_NO_COUNTER);
	if (ms == 0)
		return reply_int(r, REPLY_NEVER);
	if (!unit.is_absolute)
		ms -= txn_wall_ms(r->txn);
	if (ms < 0)
		ms = 0;
	return reply_int(r, unit.is_seconds ? ms / MS_PER_S + (ms % MS_PER_S >= MS_PER_S / 2) : ms);
}

enum request_result request_ttl(struct request *r)
{
	return reply_moment(r, (struct moment_unit){.is_seconds = true});
}

enum request_result request_pttl(struct request *r)
{
	return reply_moment(r, (struct moment_unit){0});
}

enum request_result request_expiretime(struct request *r)
{
	return reply_moment(r, (struct moment_unit){.is_seconds = true, .is_absolute = true});
}

enum request_result request_pexpiretime(struct request *r)
{
	return reply_moment(r, (struct moment_unit){.is_absolute = true});
}

/* ---- with a value ---- */

/* False: that is not the syntax. */
static bool parse_getex(const struct request *r, struct moment_option *m, bool *is_persist)
{
	*m = (struct moment_option){0};
	*is_persist = false;
	for (size_t i = 2; i < r->argc; i++) {
		if (!m->number.data && slice_is_word(r->argv[i], "persist"))
			*is_persist = true;
		else if (*is_persist || !request_take_moment(r, &i, m))
			return false;
	}
	return true;
}

enum request_result request_getex(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	struct moment_option moment;
	bool is_persist;
	int64_t at_ms = 0;

	if (!parse_getex(r, &moment, &is_persist))
		return reply_syntax(r);
	if (!k->is_live) {
		resp_put_null(r->out, r->proto);
		return REQUEST_DONE;
	}
	if (moment.number.data && !request_parse_moment(r, moment.number, moment.unit, &at_ms))
		return REQUEST_DONE;
	resp_put_bulk_i64(r->out, k->value);
	if (moment.number.data || is_persist)
		txn_expire(r->txn, k, at_ms);
	return REQUEST_DONE;
}

static enum request_result set_expiring(struct request *r, struct moment_unit unit)
{
	struct txn_key *k = request_key(r, 0);
	int64_t at_ms, value;

	if (!request_parse_moment(r, r->argv[2], unit, &at_ms))
		return REQUEST_DONE;
	if (!num_parse_i64(r->argv[3], &value))
		return reply_not_integer(r);
	txn_set(k, value);
	txn_expire(r->txn, k, at_ms);
	return reply_ok(r);
}

enum request_result request_setex(struct request *r)
{
	return set_expiring(r, (struct moment_unit){.is_seconds = true});
}

enum request_result request_psetex(struct request *r)
{
	return set_expiring(r, (struct moment_unit){0});
}
