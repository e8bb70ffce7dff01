/* SPDX-License-Identifier: MIT */
/*
 * shcount_session.c - numbered batches, kept until they are on the server's disk, and sent again when a
 * connection was lost.
 *
 * Four numbers say where everything stands: stored <= acked <= sent <= given. Batches stored+1 to given are
 * kept, in a ring by number. A new connection asks the server for its last number, which becomes acked and
 * sent; so what is behind it is sent again, and nothing else. At most one barrier (WAITAOF) is under way,
 * behind batch `barrier_seq`; when it is answered, everything up to there is stored.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

enum {
	SLOTS = SHC_KEPT_BATCHES_MAX + 2, /* the one too many, and the open one */
	SPARE_BYTES = 1 << 20,		  /* what an empty slot may keep allocated */
};

struct session_batch {
	struct buf head; /* of its SHC.APPLY, up to the cursor's last byte but for CR LF */
	struct buf pairs;
	size_t cursor_len; /* at the end of head */
	uint32_t count;
};

enum binding { UNBOUND, ASKED, BOUND };

struct session {
	char id[NAME_LEN_MAX];
	size_t id_len;
	enum binding binding; /* of the present connection */
	bool is_opening;
	bool is_stuck; /* a flush must come next */
	bool wants_disk;
	bool has_barrier;
	int64_t barrier_seq;
	int64_t stored_seq, acked_seq, sent_seq, given_seq;
	int64_t ever_sent_seq;
	size_t kept_bytes;
	struct buf base_cursor; /* that of stored_seq */
	struct buf open_cursor; /* that of when it was opened */
	enum shc_status ended;	/* SHC_OK: goes on */
	char ended_text[256];
	uint64_t bound_count, resent;
	struct session_batch batches[SLOTS];
};

static struct session_batch *batch_of(struct session *s, int64_t seq)
{
	return &s->batches[(uint64_t)seq % SLOTS];
}

static size_t batch_bytes(const struct session_batch *b)
{
	return buf_len(&b->head) + 2 + buf_len(&b->pairs);
}

static size_t kept_count(const struct session *s)
{
	return (size_t)(s->given_seq - s->stored_seq);
}

/* ---- ends ---- */

static enum shc_status tell_end(struct shc *shc)
{
	const struct session *s = shc->session;
	return wire_say(&shc->wire, s->ended, "%s", s->ended_text);
}

/* What is still on its way over the connection is nobody's any more. */
static enum shc_status end(struct shc *shc, enum shc_status status, struct slice text)
{
	struct session *s = shc->session;
	s->ended = status;
	size_t len = text.len < sizeof(s->ended_text) ? text.len : sizeof(s->ended_text) - 1;
	memcpy(s->ended_text, text.data, len);
	s->ended_text[len] = '\0';
	wire_drop(&shc->wire);
	s->binding = UNBOUND;
	return tell_end(shc);
}

__attribute__((format(printf, 3, 4))) static enum shc_status endf(struct shc *shc, enum shc_status status,
								  const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return end(shc, status, slice_str(text));
}

/* ---- what is stored is forgotten ---- */

static void clear_batch(struct session_batch *b)
{
	buf_consume(&b->head, buf_len(&b->head));
	buf_consume(&b->pairs, buf_len(&b->pairs));
	buf_shrink(&b->pairs, SPARE_BYTES);
	b->count = 0;
}

static struct slice batch_cursor(const struct session_batch *b)
{
	return (struct slice){buf_head(&b->head) + buf_len(&b->head) - b->cursor_len, b->cursor_len};
}

static void set_stored(struct session *s, int64_t seq)
{
	if (seq <= s->stored_seq)
		return;
	struct slice cursor = batch_cursor(batch_of(s, seq));
	buf_consume(&s->base_cursor, buf_len(&s->base_cursor));
	buf_append(&s->base_cursor, cursor.data, cursor.len);
	for (; s->stored_seq < seq; s->stored_seq++) {
		struct session_batch *b = batch_of(s, s->stored_seq + 1);
		s->kept_bytes -= batch_bytes(b);
		clear_batch(b);
	}
}

/* ---- binding ---- */

static void unbind(struct shc *shc)
{
	wire_drop(&shc->wire);
	shc->session->binding = UNBOUND;
	shc->session->has_barrier = false;
}

struct standing {
	int64_t last, stored;
	struct slice cursor;
};

static bool read_standing(const struct resp_reply *r, struct standing *out)
{
	if (r->type != RESP_ARRAY || r->count != 3 || r->elements[0].type != RESP_INT ||
	    r->elements[1].type != RESP_BULK || r->elements[2].type != RESP_INT)
		return false;
	*out = (struct standing){r->elements[0].i64, r->elements[2].i64, r->elements[1].str};
	return out->last >= 0 && out->stored >= 0 && out->stored <= out->last &&
	       out->cursor.len <= SHC_CURSOR_MAX;
}

/* Opening: what the server says is where it begins. */
static void begin_at(struct session *s, const struct standing *at)
{
	s->acked_seq = s->sent_seq = s->given_seq = s->ever_sent_seq = at->last;
	s->stored_seq = at->stored;
	buf_consume(&s->base_cursor, buf_len(&s->base_cursor));
	buf_append(&s->base_cursor, at->cursor.data, at->cursor.len);
	s->wants_disk = true;
}

/* The cursor that came, or comes, with batch `seq`, which is stored or kept. */
static struct slice own_cursor(struct session *s, int64_t seq)
{
	if (seq == s->stored_seq)
		return (struct slice){buf_head(&s->base_cursor), buf_len(&s->base_cursor)};
	return batch_cursor(batch_of(s, seq));
}

static enum shc_status go_on_at(struct shc *shc, const struct standing *at)
{
	struct session *s = shc->session;
	if (at->last < s->stored_seq)
		return endf(shc, SHC_REFUSED,
			    "the server's session stands at batch %" PRId64 ", but %" PRId64
			    " was on its disk before: has a backup been restored?",
			    at->last, s->stored_seq);
	if (at->last > s->ever_sent_seq)
		return endf(shc, SHC_LOST,
			    "the server's session stands at batch %" PRId64 ", but only %" PRId64
			    " were sent from here: another client uses it",
			    at->last, s->ever_sent_seq);
	if (!slice_equal(at->cursor, own_cursor(s, at->last)))
		return endf(shc, SHC_LOST,
			    "batch %" PRId64 " of the server's session (this client has given %" PRId64
			    ") is not the one from here: another client uses it",
			    at->last, s->given_seq);
	s->acked_seq = s->sent_seq = at->last;
	s->bound_count++;
	set_stored(s, at->stored);
	return SHC_OK;
}

static enum shc_status out_of_time(struct shc *shc, int rc)
{
	if (rc)
		wire_say_lost(&shc->wire, rc);
	return SHC_UNREACHABLE;
}

static enum shc_status take_standing(struct shc *shc, const struct resp_reply *reply)
{
	struct session *s = shc->session;
	struct standing at;
	if (shcount_is_passing(reply)) {
		wire_say(&shc->wire, SHC_OK, "%.*s", (int)reply->str.len, reply->str.data);
		unbind(shc);
		return wire_pause(&shc->wire) ? SHC_OK : out_of_time(shc, 0);
	}
	if (reply->type == RESP_ERROR)
		return end(shc, shcount_classify(reply->str), reply->str);
	if (!read_standing(reply, &at))
		return end(shc, SHC_PROTOCOL, slice_str("the answer to SHC.SESSION makes no sense"));
	s->binding = BOUND;
	s->has_barrier = false;
	if (!s->is_opening)
		return go_on_at(shc, &at);
	begin_at(s, &at);
	return SHC_OK;
}

/* ---- answers ---- */

/* The number or name at *pos of a request's words, which it moves on. */
static struct slice take_word(const struct buf *pairs, size_t *pos)
{
	const char *from = buf_head(pairs) + *pos;
	const char *digits = from + 1;
	size_t len = 0;
	for (; *digits != '\r'; digits++)
		len = len * 10 + (size_t)(*digits - '0');
	*pos += (size_t)(digits - from) + 2 + len + 2;
	return (struct slice){digits + 2, len};
}

static void tell_refused(struct shc *shc, const struct session_batch *b)
{
	for (size_t pos = 0; shc->refused_fn && pos < buf_len(&b->pairs);) {
		int64_t delta = 0;
		struct slice name = take_word(&b->pairs, &pos);
		(void)num_parse_i64(take_word(&b->pairs, &pos), &delta);
		shc->refused_fn(shc->refused_arg, name.data, name.len, delta);
	}
}

static enum shc_status take_refusal(struct shc *shc, struct slice error)
{
	static const char lost[] = "SESSIONLOST";
	struct session *s = shc->session;
	if (error.len >= sizeof(lost) - 1 && memcmp(error.data, lost, sizeof(lost) - 1) == 0)
		return end(shc, SHC_LOST, error);
	enum shc_status status = end(shc, shcount_classify(error), error);
	tell_refused(shc, batch_of(s, s->acked_seq + 1));
	return status;
}

static enum shc_status take_applied(struct shc *shc, const struct resp_reply *reply)
{
	struct session *s = shc->session;
	if (reply->type == RESP_ERROR)
		return take_refusal(shc, reply->str);
	bool is_answer = reply->type == RESP_INT && (reply->i64 == 0 || reply->i64 == 1);
	if (!is_answer || s->acked_seq >= s->sent_seq)
		return end(shc, SHC_PROTOCOL, slice_str("the answer to SHC.APPLY makes no sense"));
	if (reply->i64 == 0)
		return endf(shc, SHC_LOST,
			    "the server has applied another batch %" PRId64 " (this client has given %" PRId64
			    "): another client uses the session",
			    s->acked_seq + 1, s->given_seq);
	s->acked_seq++;
	return SHC_OK;
}

/* A barrier that is not answered with "on disk" will be asked again: the disk may be full. */
static enum shc_status take_barrier(struct shc *shc, const struct resp_reply *reply)
{
	struct session *s = shc->session;
	s->has_barrier = false;
	if (shcount_is_on_disk(reply)) {
		if (s->is_opening)
			s->stored_seq = s->barrier_seq;
		else
			set_stored(s, s->barrier_seq);
		return SHC_OK;
	}
	if (reply->type == RESP_ERROR)
		wire_say(&shc->wire, SHC_OK, "%.*s", (int)reply->str.len, reply->str.data);
	(void)wire_pause(&shc->wire);
	return SHC_OK;
}

static enum shc_status take_reply(struct shc *shc, const struct resp_reply *reply)
{
	struct session *s = shc->session;
	if (reply->type != RESP_ERROR) /* who is refused again and again waits longer each time */
		shc->wire.pause_ns = 0;
	if (s->binding == ASKED)
		return take_standing(shc, reply);
	if (s->has_barrier && s->acked_seq == s->barrier_seq)
		return take_barrier(shc, reply);
	return take_applied(shc, reply);
}

/* ---- one step ---- each returns SHC_OK, or an end, or SHC_UNREACHABLE when the deadline (or memory) has
 * come to its end. */

static enum shc_status survive(struct shc *shc, int rc)
{
	if (rc == -ETIMEDOUT)
		return out_of_time(shc, rc);
	wire_say_lost(&shc->wire, rc);
	unbind(shc);
	return wire_pause(&shc->wire) ? SHC_OK : out_of_time(shc, 0);
}

static enum shc_status send_out(struct shc *shc)
{
	if (shc->wire.out.failed) {
		shc->wire.out.failed = false;
		unbind(shc);
		return wire_say(&shc->wire, SHC_UNREACHABLE, "out of memory");
	}
	int rc = wire_try_send(&shc->wire);
	return rc ? survive(shc, rc) : SHC_OK;
}

/* Takes one reply; without `is_waiting`, as many as are there. */
static enum shc_status receive(struct shc *shc, bool is_waiting)
{
	const struct resp_reply *reply;
	int rc = wire_try_next(&shc->wire, is_waiting, &reply);
	if (rc == -EAGAIN)
		return SHC_OK;
	if (rc == RESP_BAD)
		return end(shc, SHC_PROTOCOL, slice_str("the answer is not RESP"));
	return rc ? survive(shc, rc) : take_reply(shc, reply);
}

static enum shc_status bind_session(struct shc *shc)
{
	struct session *s = shc->session;
	enum shc_status status = wire_connect_patiently(&shc->wire);
	if (status == SHC_UNREACHABLE)
		return status;
	if (status)
		return end(shc, status, slice_str(shc_error(shc)));
	const struct slice argv[] = {slice_str("SHC.SESSION"), {s->id, s->id_len}};
	resp_put_request(&shc->wire.out, 2, argv);
	s->binding = ASKED;
	return send_out(shc);
}

static enum shc_status send_batch(struct shc *shc)
{
	struct session *s = shc->session;
	struct session_batch *b = batch_of(s, s->sent_seq + 1);
	struct buf *out = &shc->wire.out;
	buf_append(out, buf_head(&b->head), buf_len(&b->head));
	buf_append(out, "\r\n", 2);
	buf_append(out, buf_head(&b->pairs), buf_len(&b->pairs));
	if (out->failed)
		return send_out(shc);
	s->sent_seq++;
	if (s->sent_seq <= s->ever_sent_seq)
		s->resent++;
	else
		s->ever_sent_seq = s->sent_seq;
	return send_out(shc);
}

static bool needs_barrier(const struct session *s)
{
	return !s->has_barrier && s->sent_seq > s->stored_seq &&
	       (s->wants_disk || kept_count(s) > SHC_KEPT_BATCHES_MAX / 2 ||
		s->kept_bytes > SHC_KEPT_BYTES_MAX / 2);
}

static enum shc_status send_barrier(struct shc *shc)
{
	struct session *s = shc->session;
	shcount_put_barrier(&shc->wire.out);
	s->has_barrier = true;
	s->barrier_seq = s->sent_seq;
	return send_out(shc);
}

static enum shc_status step(struct shc *shc)
{
	struct session *s = shc->session;
	if (!conn_is_open(&shc->wire.conn))
		unbind(shc);
	if (s->binding == UNBOUND)
		return bind_session(shc);
	if (buf_len(&shc->wire.out) > 0)
		return send_out(shc);
	if (s->binding == BOUND && s->sent_seq < s->given_seq)
		return send_batch(shc);
	if (s->binding == BOUND && needs_barrier(s))
		return send_barrier(shc);
	return receive(shc, true);
}

/* ---- the calls ---- */

/* Everything has left, the barrier that it needs too, and not too much is kept. */
static bool is_under_way(const struct shc *shc)
{
	const struct session *s = shc->session;
	return s->binding == BOUND && s->sent_seq == s->given_seq && buf_len(&shc->wire.out) == 0 &&
	       !needs_barrier(s) && kept_count(s) <= SHC_KEPT_BATCHES_MAX &&
	       s->kept_bytes <= SHC_KEPT_BYTES_MAX;
}

static bool is_stored(const struct shc *shc)
{
	const struct session *s = shc->session;
	return s->binding == BOUND && s->stored_seq == s->given_seq;
}

static enum shc_status verdict(struct shc *shc)
{
	struct session *s = shc->session;
	char why[sizeof(shc->wire.error)];
	memcpy(why, shc->wire.error, sizeof(why));
	s->is_stuck = true;
	if (s->ever_sent_seq <= s->stored_seq)
		return wire_say(&shc->wire, SHC_UNREACHABLE, "%.200s; nothing of what is kept has left", why);
	return wire_say(&shc->wire, SHC_IN_DOUBT, "%.180s; batches not known to be on disk: %zu", why,
			kept_count(s));
}

static enum shc_status drive(struct shc *shc, bool (*is_reached)(const struct shc *))
{
	struct session *s = shc->session;
	while (!is_reached(shc)) {
		enum shc_status status = step(shc);
		if (s->ended)
			return tell_end(shc);
		if (status == SHC_UNREACHABLE)
			return s->is_opening ? status : verdict(shc);
		if (status)
			return status;
	}
	shc->wire.error[0] = '\0';
	return SHC_OK;
}

/* SHC_OK when there is a session that goes on. */
static enum shc_status begin(struct shc *shc)
{
	enum shc_status status = wire_begin(&shc->wire);
	if (status)
		return status;
	if (!shc->session)
		return wire_say(&shc->wire, SHC_USAGE, "no session is open on this handle");
	return shc->session->ended ? tell_end(shc) : SHC_OK;
}

enum shc_status shc_session_open(struct shc *shc, const char *id, size_t id_len, struct shc_session *out)
{
	shc_session_close(shc);
	enum shc_status status = shcount_begin(shc);
	if (status)
		return status;
	if (shc->batches_unanswered > 0 || shc->batches[shc->batch_open].count > 0)
		return wire_say(&shc->wire, SHC_USAGE, "flush the additions first (shc_flush)");
	if (!slice_is_name((struct slice){id, id_len}))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad session: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	char room[NAME_LEN_MAX]; /* it may lie in a reply, which the answer overwrites */
	id = memcpy(room, id, id_len);
	status = shcount_identify(shc, true);
	if (status)
		return status;
	if (shc->redis)
		return redis_session_open(shc, (struct slice){id, id_len}, out);
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	memcpy(s->id, id, id_len);
	s->id_len = id_len;
	s->is_opening = true;
	shc->session = s;
	(void)buf_reserve(&s->base_cursor, SHC_CURSOR_MAX); /* later there is nobody to tell */
	status = drive(shc, is_stored);
	buf_append(&s->open_cursor, buf_head(&s->base_cursor), buf_len(&s->base_cursor));
	if (status == SHC_OK && (s->open_cursor.failed || s->base_cursor.failed))
		status = wire_say(&shc->wire, SHC_MEMORY, "out of memory");
	if (status) {
		shc_session_close(shc);
		return status;
	}
	s->is_opening = s->wants_disk = false;
	*out = (struct shc_session){s->given_seq, buf_head(&s->open_cursor), buf_len(&s->open_cursor)};
	return SHC_OK;
}

enum shc_status shc_session_add(struct shc *shc, const char *name, size_t name_len, int64_t delta)
{
	struct slice word = {name, name_len};
	enum shc_status status = SHC_OK;
	if (shc->redis)
		return redis_session_add(shc, word, delta);
	if (!shc->session || shc->session->ended)
		status = begin(shc);
	if (status)
		return status;
	struct session *s = shc->session;
	struct session_batch *b = batch_of(s, s->given_seq + 1);
	if (s->is_stuck)
		return wire_say(&shc->wire, SHC_USAGE, "flush first (shc_session_flush)");
	if (!slice_is_name(word))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad name: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	if (b->count >= SHC_BATCH_ADDS_MAX || buf_len(&b->pairs) + name_len > SHC_BATCH_BYTES_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "the batch is full: apply it (shc_session_apply)");
	size_t len = buf_len(&b->pairs);
	resp_put_bulk(&b->pairs, name, name_len);
	resp_put_bulk_i64(&b->pairs, delta);
	if (b->pairs.failed) {
		b->pairs.failed = false;
		b->pairs.tail = b->pairs.head + len;
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; this addition was not taken");
	}
	b->count++;
	return SHC_OK;
}

static bool put_head(struct session_batch *b, int64_t seq, const char *cursor, size_t cursor_len)
{
	resp_put_array(&b->head, 3 + 2 * (size_t)b->count);
	resp_put_bulk_str(&b->head, "SHC.APPLY");
	resp_put_bulk_i64(&b->head, seq);
	resp_put_bulk(&b->head, cursor, cursor_len);
	bool is_whole = !b->head.failed;
	b->head.failed = false;
	if (is_whole)
		b->head.tail -= 2; /* so that it ends with the cursor */
	else
		buf_consume(&b->head, buf_len(&b->head));
	b->cursor_len = cursor_len;
	return is_whole;
}

enum shc_status shc_session_apply(struct shc *shc, const char *cursor, size_t cursor_len)
{
	if (shc->redis)
		return redis_session_apply(shc, (struct slice){cursor, cursor_len});
	enum shc_status status = begin(shc);
	if (status)
		return status;
	struct session *s = shc->session;
	if (s->is_stuck)
		return wire_say(&shc->wire, SHC_USAGE, "flush first (shc_session_flush)");
	if (cursor_len > SHC_CURSOR_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "a cursor has at most %d bytes", SHC_CURSOR_MAX);
	struct session_batch *b = batch_of(s, s->given_seq + 1);
	if (!put_head(b, s->given_seq + 1, cursor, cursor_len))
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; the batch is still open");
	s->given_seq++;
	s->kept_bytes += batch_bytes(b);
	status = drive(shc, is_under_way);
	for (int64_t seq = -1; status == SHC_OK && s->binding == BOUND && seq != s->acked_seq;) {
		seq = s->acked_seq;
		status = receive(shc, false);
	}
	/* A connection that was found lost just now is the next call's to mend. */
	return s->ended ? tell_end(shc) : status == SHC_UNREACHABLE && !s->is_stuck ? SHC_OK : status;
}

enum shc_status shc_session_flush(struct shc *shc)
{
	if (shc->redis)
		return redis_session_flush(shc);
	enum shc_status status = begin(shc);
	if (status)
		return status;
	struct session *s = shc->session;
	s->wants_disk = true;
	status = drive(shc, is_stored);
	s->wants_disk = false;
	if (status == SHC_OK)
		s->is_stuck = false;
	return status;
}

void shc_session_close(struct shc *shc)
{
	if (shc->redis) {
		redis_session_close(shc);
		return;
	}
	struct session *s = shc->session;
	if (!s)
		return;
	bool is_quiet = s->binding == BOUND && !s->has_barrier && s->acked_seq == s->sent_seq &&
			buf_len(&shc->wire.out) == 0;
	if (!is_quiet)
		wire_drop(&shc->wire);
	for (size_t i = 0; i < SLOTS; i++) {
		buf_fini(&s->batches[i].head);
		buf_fini(&s->batches[i].pairs);
	}
	buf_fini(&s->base_cursor);
	buf_fini(&s->open_cursor);
	free(s);
	shc->session = NULL;
}

void shc_session_stats(const struct shc *shc, struct shc_session_stats *out)
{
	if (shc->redis) {
		redis_session_stats(shc, out);
		return;
	}
	const struct session *s = shc->session;
	*out = (struct shc_session_stats){0};
	if (!s)
		return;
	out->given_seq = s->given_seq;
	out->applied_seq = s->acked_seq;
	out->stored_seq = s->stored_seq;
	out->kept_batches = kept_count(s);
	out->kept_bytes = s->kept_bytes;
	out->connections = s->bound_count;
	out->resent = s->resent;
}
