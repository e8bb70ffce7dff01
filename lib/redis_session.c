/* SPDX-License-Identifier: MIT */
/*
 * redis_session.c - a stream in Redis: batches that count once, whoever is killed.
 *
 * A batch takes four steps, and may be driven through them again from any: what Redis keeps (the owner and
 * the number at home, a number in each slot) makes repetitions harmless. docs/design.md 7a has the argument.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "redis_impl.h"

/* As shcounterd's session-ttl; a slot's number must not be forgotten before the home it belongs to. */
#define HOME_TTL_MS "604800000"
#define SLOT_TTL_MS "691200000"

enum { OWNER_SIZE = 33 };

enum step {
	STEP_NONE,	/* no batch is under way */
	STEP_PUT,	/* it goes to the home */
	STEP_PUT_WAIT,	/* until a replica has that */
	STEP_PARTS,	/* its parts go to their slots */
	STEP_PARTS_WAIT /* until replicas have those */
};

struct batch {
	struct buf adds;
	struct buf cursor;
	uint32_t count;
};

struct stream {
	char id[NAME_LEN_MAX];
	size_t id_len;
	char owner[OWNER_SIZE];
	char born[OWNER_SIZE]; /* the stream's first owner */
	char by[OWNER_SIZE];   /* the owner that has stored the batch that is moving */
	enum step step;
	int64_t seq;	     /* of the last batch that is through */
	struct batch open;   /* being filled; its cursor is not used */
	struct batch moving; /* number seq + 1, in `step` */
	struct buf cursor;   /* that of `seq`, when it was opened */
	bool is_swept;	     /* the home keeps no batch any more */
	uint64_t resent;
	enum shc_status ended;
	char ended_text[320];
};

static void batch_clear(struct batch *b)
{
	buf_consume(&b->adds, buf_len(&b->adds));
	buf_consume(&b->cursor, buf_len(&b->cursor));
	b->count = 0;
}

static struct slice slice_of(const struct buf *b)
{
	return (struct slice){buf_head(b), buf_len(b)};
}

static bool home_key(struct shc *shc, struct shard_key *out, unsigned *slot)
{
	const struct stream *s = shc->redis->stream;
	*slot = slot_of((struct slice){s->id, s->id_len});
	const char *tag = redis_tag(shc->redis, *slot);
	if (tag)
		shard_stream(out, tag, (struct slice){s->id, s->id_len});
	return tag;
}

static enum shc_status no_memory(struct shc *shc)
{
	return wire_say(&shc->wire, SHC_MEMORY, "out of memory");
}

/* ---- ends ---- */

static enum shc_status tell_end(struct shc *shc)
{
	const struct stream *s = shc->redis->stream;
	return wire_say(&shc->wire, s->ended, "%s", s->ended_text);
}

static enum shc_status end(struct shc *shc, enum shc_status status)
{
	struct stream *s = shc->redis->stream;
	s->ended = status;
	snprintf(s->ended_text, sizeof(s->ended_text), "%s", shc->wire.error);
	return status;
}

/* A slot is ahead of us. Either a newer run has gone on; or we are the newest, and our home has been lost
 * with what it knew, by a failover to a replica that was behind. */
static enum shc_status look_at_owner(struct shc *shc)
{
	const struct stream *s = shc->redis->stream;
	struct shard_key key;
	unsigned slot;
	const struct resp_reply *reply;
	if (!home_key(shc, &key, &slot))
		return no_memory(shc);
	const struct slice argv[] = {slice_str("HGET"), shard_slice(&key), slice_str("owner")};
	enum shc_status status = redis_ask(shc, OP_READ, slot, 3, argv, &reply);
	if (status)
		return status;
	if (reply->type != RESP_BULK || !slice_equal(reply->str, slice_str(s->owner)))
		return wire_say(&shc->wire, SHC_LOST, "another client uses the stream");
	return wire_say(
		&shc->wire, SHC_REFUSED,
		"a failover has lost batches of this stream, and where it stood: what was counted of the "
		"input since then is not known. Count what is missing by hand, or set the counters, and "
		"go on under another name");
}

/* A failure that only time can mend leaves everything as it is; others are the end. */
static enum shc_status take_failure(struct shc *shc, enum shc_status status)
{
	static const char lost[] = "SESSIONLOST", ahead[] = "STREAMAHEAD";
	if (status == SHC_REFUSED && strncmp(shc->wire.error, ahead, sizeof(ahead) - 1) == 0)
		return end(shc, look_at_owner(shc));
	if (status == SHC_UNREACHABLE || status == SHC_IN_DOUBT || status == SHC_MEMORY)
		return status;
	bool is_lost = status == SHC_REFUSED && strncmp(shc->wire.error, lost, sizeof(lost) - 1) == 0;
	return end(shc, is_lost ? SHC_LOST : status);
}

/* ---- the home ---- */

static enum shc_status put_home(struct shc *shc)
{
	struct stream *s = shc->redis->stream;
	struct shard_key key;
	unsigned slot;
	char digits[NUM_I64_CHARS_MAX];
	if (!home_key(shc, &key, &slot))
		return no_memory(shc);
	const struct slice argv[] = {
		slice_str("1"),
		shard_slice(&key),
		slice_str(s->owner),
		{digits, num_format_i64(digits, s->seq + 1)},
		slice_of(&s->moving.cursor),
		slice_of(&s->moving.adds),
		slice_str(HOME_TTL_MS),
	};
	const struct resp_reply *reply;
	return redis_ask_script(shc, OP_REPEATABLE, slot, &script_stream_put, 7, argv, &reply);
}

/* The batch is through, and need not be kept at home. */
static enum shc_status sweep_home(struct shc *shc)
{
	struct stream *s = shc->redis->stream;
	struct shard_key key;
	unsigned slot;
	char digits[NUM_I64_CHARS_MAX];
	if (s->is_swept || !home_key(shc, &key, &slot))
		return SHC_OK;
	const struct slice argv[] = {slice_str("1"),
				     shard_slice(&key),
				     slice_str(s->owner),
				     {digits, num_format_i64(digits, s->seq)}};
	const struct resp_reply *reply;
	enum shc_status status =
		redis_ask_script(shc, OP_REPEATABLE, slot, &script_stream_through, 4, argv, &reply);
	s->is_swept = status == SHC_OK;
	return status;
}

/* ---- the parts ---- */

struct part {
	uint16_t slot;
	bool is_refused;
	int64_t delta;
	struct slice name; /* in the batch */
};

struct parting {
	struct round round;
	struct part *parts; /* by slot */
	size_t count;
};

static int by_slot(const void *a, const void *b)
{
	return ((const struct part *)a)->slot - ((const struct part *)b)->slot;
}

static size_t end_of_slot(const struct parting *p, size_t first)
{
	size_t i = first;
	while (i < p->count && p->parts[i].slot == p->parts[first].slot)
		i++;
	return i;
}

static void take_part(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct parting *p = arg;
	(void)reply;
	if (round_took(&p->round, status))
		return;
	size_t last = end_of_slot(p, op->tag);
	for (size_t i = op->tag; status == SHC_REFUSED && i < last; i++)
		p->parts[i].is_refused = true;
}

/* The parts of one slot, [first, last), as one script. */
static bool put_part(struct parting *p, size_t first, size_t last)
{
	struct shc *shc = p->round.shc;
	struct stream *s = shc->redis->stream;
	unsigned slot = p->parts[first].slot;
	size_t names = last - first, argc = 2 + names + 4 + names;
	struct slice *argv = reallocarray(NULL, argc, sizeof(*argv));
	char(*digits)[NUM_I64_CHARS_MAX] = reallocarray(NULL, names + 2, sizeof(*digits));
	const char *tag = redis_tag(shc->redis, slot);
	bool is_put = argv && digits && tag;
	if (is_put) {
		struct shard_key key;
		shard_position(&key, tag, (struct slice){s->id, s->id_len});
		size_t at = 0;
		argv[at++] = (struct slice){digits[0], num_format_i64(digits[0], (int64_t)names + 1)};
		argv[at++] = shard_slice(&key);
		for (size_t i = first; i < last; i++)
			argv[at++] = p->parts[i].name;
		argv[at++] = slice_str(s->born);
		argv[at++] = (struct slice){digits[1], num_format_i64(digits[1], s->seq + 1)};
		argv[at++] = slice_str(s->by);
		argv[at++] = slice_str(SLOT_TTL_MS);
		for (size_t i = first; i < last; i++) {
			char *d = digits[2 + i - first];
			argv[at++] = (struct slice){d, num_format_i64(d, p->parts[i].delta)};
		}
		is_put = round_put_script(&p->round, OP_REPEATABLE, slot, &script_apply, take_part, p, first,
					  argc, argv);
	} else {
		p->round.status = no_memory(shc);
	}
	free(argv);
	free(digits);
	return is_put;
}

static void tell_refused(const struct parting *p)
{
	struct shc *shc = p->round.shc;
	for (size_t i = 0; shc->refused_fn && i < p->count; i++) {
		const struct part *part = &p->parts[i];
		if (part->is_refused)
			shc->refused_fn(shc->refused_arg, part->name.data, part->name.len, part->delta);
	}
}

static enum shc_status send_parts(struct shc *shc)
{
	struct batch *b = &shc->redis->stream->moving;
	struct parting p = {.round = {.shc = shc}, .count = b->count};
	if (b->count == 0)
		return SHC_OK;
	p.parts = calloc(b->count, sizeof(*p.parts));
	if (!p.parts)
		return no_memory(shc);
	size_t pos = 0;
	for (size_t i = 0; i < p.count; i++) {
		p.parts[i].name = adds_next(&b->adds, &pos, &p.parts[i].delta);
		p.parts[i].slot = (uint16_t)slot_of(p.parts[i].name);
	}
	qsort(p.parts, p.count, sizeof(*p.parts), by_slot);
	for (size_t i = 0; i < p.count;) {
		size_t last = end_of_slot(&p, i);
		if (!put_part(&p, i, last))
			break;
		i = last;
	}
	enum shc_status status = round_run(&p.round);
	if (status == SHC_REFUSED)
		tell_refused(&p);
	free(p.parts);
	return status;
}

/* ---- from step to step ---- */

static void batch_is_through(struct stream *s)
{
	batch_clear(&s->moving);
	s->seq++;
	s->step = STEP_NONE;
	s->is_swept = false;
}

static enum shc_status take_step(struct shc *shc)
{
	struct stream *s = shc->redis->stream;
	bool is_lost = false;
	enum shc_status status = SHC_OK;
	switch (s->step) {
	case STEP_NONE: break;
	case STEP_PUT:
		memcpy(s->by, s->owner, sizeof(s->by));
		status = put_home(shc);
		s->step = status ? s->step : STEP_PUT_WAIT;
		break;
	case STEP_PUT_WAIT:
		status = redis_wait(shc, &is_lost);
		s->step = is_lost ? STEP_PUT : status ? s->step : STEP_PARTS;
		break;
	case STEP_PARTS:
		status = send_parts(shc);
		s->step = status ? s->step : STEP_PARTS_WAIT;
		break;
	case STEP_PARTS_WAIT:
		status = redis_wait(shc, &is_lost);
		if (is_lost)
			s->step = STEP_PARTS;
		else if (status == SHC_OK)
			batch_is_through(s);
		break;
	}
	s->resent += is_lost;
	return is_lost && !cluster_is_over(shc->redis->cluster) ? SHC_OK : status;
}

/* Until no batch is under way. */
static enum shc_status drive(struct shc *shc)
{
	enum shc_status status = SHC_OK;
	while (status == SHC_OK && shc->redis->stream->step != STEP_NONE)
		status = take_step(shc);
	if (status == SHC_UNREACHABLE && shc->redis->stream->step != STEP_PUT)
		status = wire_say(&shc->wire, SHC_IN_DOUBT, "%s", cluster_error(shc->redis->cluster));
	if (status == SHC_MEMORY)
		status = SHC_IN_DOUBT; /* the batch is kept, like after any failure that passes */
	return status ? take_failure(shc, status) : SHC_OK;
}

/* ---- open ---- */

static enum shc_status take_standing(struct shc *shc, const struct resp_reply *reply)
{
	struct stream *s = shc->redis->stream;
	bool is_sane = reply->type == RESP_ARRAY && reply->count == 6;
	for (size_t i = 0; is_sane && i < 5; i++)
		is_sane = reply->elements[i].type == RESP_BULK;
	if (!is_sane || !num_parse_i64(reply->elements[0].str, &s->seq))
		return redis_senseless(shc, false);
	struct slice cursor = reply->elements[1].str, batch = reply->elements[2].str;
	struct slice born = reply->elements[3].str, by = reply->elements[4].str;
	snprintf(s->born, sizeof(s->born), "%.*s", (int)born.len, born.data);
	snprintf(s->by, sizeof(s->by), "%.*s", (int)by.len, by.data);
	batch_clear(&s->moving);
	s->step = STEP_NONE;
	buf_consume(&s->cursor, buf_len(&s->cursor));
	buf_append(&s->cursor, cursor.data, cursor.len);
	if (reply->elements[5].i64 != 1)
		return s->cursor.failed ? no_memory(shc) : SHC_OK;
	buf_append(&s->moving.cursor, cursor.data, cursor.len);
	buf_append(&s->moving.adds, batch.data, batch.len);
	if (s->cursor.failed || s->moving.cursor.failed || s->moving.adds.failed)
		return no_memory(shc);
	if (!adds_read_count(slice_of(&s->moving.adds), &s->moving.count))
		return wire_say(&shc->wire, SHC_PROTOCOL,
				"the batch that is stored for this stream makes no sense");
	s->seq--; /* the one before it is through */
	s->resent++;
	s->step = STEP_PARTS;
	return SHC_OK;
}

static enum shc_status ask_home(struct shc *shc)
{
	struct shard_key key;
	unsigned slot;
	if (!home_key(shc, &key, &slot))
		return no_memory(shc);
	const struct slice argv[] = {slice_str("1"), shard_slice(&key), slice_str(shc->redis->stream->owner),
				     slice_str(HOME_TTL_MS)};
	const struct resp_reply *reply;
	enum shc_status status =
		redis_ask_script(shc, OP_REPEATABLE, slot, &script_stream_open, 4, argv, &reply);
	return status ? status : take_standing(shc, reply);
}

/* A master that is lost with what it was just told would leave the stream with the owner before. */
static enum shc_status take_home(struct shc *shc)
{
	bool is_lost;
	enum shc_status status;
	do {
		is_lost = false;
		status = ask_home(shc);
		if (status == SHC_OK)
			status = redis_wait(shc, &is_lost);
	} while (is_lost && !cluster_is_over(shc->redis->cluster));
	return status;
}

static void draw_owner(char out[OWNER_SIZE])
{
	uint32_t words[4];
	arc4random_buf(words, sizeof(words));
	snprintf(out, OWNER_SIZE, "%08" PRIx32 "%08" PRIx32 "%08" PRIx32 "%08" PRIx32, words[0], words[1],
		 words[2], words[3]);
}

enum shc_status redis_session_open(struct shc *shc, struct slice id, struct shc_session *out)
{
	struct redis *r = shc->redis;
	if (cluster_left(r->cluster) > 0 || r->adds_count > 0)
		return wire_say(&shc->wire, SHC_USAGE, "flush the additions first (shc_flush)");
	struct stream *s = calloc(1, sizeof(*s));
	if (!s)
		return no_memory(shc);
	memcpy(s->id, id.data, id.len);
	s->id_len = id.len;
	draw_owner(s->owner);
	r->stream = s;
	redis_begin(shc, true);
	enum shc_status status = take_home(shc);
	if (status == SHC_OK)
		status = drive(shc);
	if (status == SHC_OK && s->resent > 0)
		(void)sweep_home(shc); /* else the next run finds it once more, which does no harm */
	if (status) {
		char why[sizeof(shc->wire.error)];
		memcpy(why, shc->wire.error, sizeof(why));
		redis_session_close(shc);
		return wire_say(&shc->wire, status, "%s", why);
	}
	out->last_seq = s->seq;
	out->cursor = buf_head(&s->cursor);
	out->cursor_len = buf_len(&s->cursor);
	return SHC_OK;
}

/* ---- the calls ---- */

static enum shc_status begin(struct shc *shc)
{
	if (!shc->redis->stream)
		return wire_say(&shc->wire, SHC_USAGE, "no session is open on this handle");
	return shc->redis->stream->ended ? tell_end(shc) : SHC_OK;
}

enum shc_status redis_session_add(struct shc *shc, struct slice name, int64_t delta)
{
	enum shc_status status = begin(shc);
	struct stream *s = shc->redis->stream;
	if (status == SHC_OK)
		status = redis_check_name(shc, name);
	if (status)
		return status;
	if (s->open.count >= SHC_BATCH_ADDS_MAX || buf_len(&s->open.adds) >= SHC_BATCH_BYTES_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "the batch is full");
	if (!adds_put(&s->open.adds, name, delta))
		return no_memory(shc);
	s->open.count++;
	return SHC_OK;
}

enum shc_status redis_session_apply(struct shc *shc, struct slice cursor)
{
	enum shc_status status = begin(shc);
	struct stream *s = shc->redis->stream;
	if (status)
		return status;
	if (cursor.len > SHC_CURSOR_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "a cursor has at most %d bytes", SHC_CURSOR_MAX);
	if (s->step != STEP_NONE)
		return wire_say(&shc->wire, SHC_USAGE, "flush the session first (shc_session_flush)");
	buf_append(&s->moving.cursor, cursor.data, cursor.len);
	if (s->moving.cursor.failed) {
		s->moving.cursor.failed = false;
		return no_memory(shc);
	}
	struct buf empty = s->moving.adds;
	s->moving.adds = s->open.adds;
	s->moving.count = s->open.count;
	s->open.adds = empty;
	s->open.count = 0;
	s->step = STEP_PUT;
	redis_begin(shc, true);
	return drive(shc);
}

enum shc_status redis_session_flush(struct shc *shc)
{
	enum shc_status status = begin(shc);
	if (status)
		return status;
	redis_begin(shc, true);
	status = drive(shc);
	return status ? status : take_failure(shc, sweep_home(shc));
}

void redis_session_close(struct shc *shc)
{
	struct stream *s = shc->redis->stream;
	if (!s)
		return;
	buf_fini(&s->open.adds);
	buf_fini(&s->moving.adds);
	buf_fini(&s->moving.cursor);
	buf_fini(&s->cursor);
	free(s);
	shc->redis->stream = NULL;
}

bool redis_has_session(const struct shc *shc)
{
	return shc->redis->stream != NULL;
}

void redis_session_stats(const struct shc *shc, struct shc_session_stats *out)
{
	const struct stream *s = shc->redis->stream;
	*out = (struct shc_session_stats){0};
	if (!s)
		return;
	bool is_kept = s->step != STEP_NONE;
	out->stored_seq = s->seq;
	out->applied_seq = s->seq;
	out->given_seq = s->seq + is_kept;
	out->kept_batches = is_kept;
	out->kept_bytes = buf_len(&s->moving.adds);
	out->connections = cluster_losses(shc->redis->cluster);
	out->resent = s->resent;
}
