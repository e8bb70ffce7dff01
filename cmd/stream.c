/* SPDX-License-Identifier: MIT */
/*
 * stream.c - batches and clean points; stream_resume.c has how a run finds its place again.
 */
#include <string.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "../lib/redis.h"
#include "command.h"
#include "stream.h"

enum { GETS_AT_ONCE = 512 };

/* ---- failures ---- */

static void tell_overflow(struct ingest *in, struct slice name, int64_t value, int64_t delta)
{
	int64_t sum;
	if (num_add_i64(value, delta, &sum))
		return;
	in->sums_refused++;
	if (in->sums_refused <= 10)
		command_fail(0, "%.*s: %lld and %lld more would leave 64 bits", (int)name.len, name.data,
			     (long long)value, (long long)delta);
}

/* In Redis something else than a number may be stored under a name. */
static void tell_no_counter(struct ingest *in, struct slice name)
{
	in->sums_refused++;
	if (in->sums_refused <= 10)
		command_fail(0, "%.*s: %s", (int)name.len, name.data, shc_error(in->shc));
}

struct refusals {
	const char *names[GETS_AT_ONCE];
	size_t name_lens[GETS_AT_ONCE];
	int64_t deltas[GETS_AT_ONCE], values[GETS_AT_ONCE];
	size_t count;
};

static bool tell_each(struct ingest *in, const struct refusals *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct slice name = {r->names[i], r->name_lens[i]};
		int64_t value = 0;
		enum shc_status status = shc_get(in->shc, name.data, name.len, &value);
		if (status == SHC_REFUSED)
			tell_no_counter(in, name);
		else if (status == SHC_OK || status == SHC_MISSING)
			tell_overflow(in, name, value, r->deltas[i]);
		else
			return false;
	}
	return true;
}

/* Whether to go on. */
static bool tell_some(struct ingest *in, struct refusals *r)
{
	enum shc_status status = shc_mget(in->shc, r->count, r->names, r->name_lens, r->values, NULL);
	if (status == SHC_REFUSED)
		return tell_each(in, r);
	for (size_t i = 0; status == SHC_OK && i < r->count; i++)
		tell_overflow(in, (struct slice){r->names[i], r->name_lens[i]}, r->values[i], r->deltas[i]);
	return status == SHC_OK;
}

/* The server refuses a batch whole; it is for us to find out which names are to blame. */
static void tell_overflows(struct ingest *in)
{
	struct refusals r;
	struct slice name;
	size_t pos = 0;
	bool is_on = true;
	shc_session_close(in->shc);
	while (is_on) {
		for (r.count = 0; r.count < GETS_AT_ONCE; r.count++) {
			if (!ingest_next_refused(in, &pos, &name, &r.deltas[r.count]))
				break;
			r.names[r.count] = name.data;
			r.name_lens[r.count] = name.len;
		}
		is_on = r.count > 0 && tell_some(in, &r);
	}
}

int stream_lost(struct ingest *in, enum shc_status status)
{
	const struct stream *s = in->stream;
	progress_wipe(&in->progress);
	in->lost = status == SHC_LOST ? EXIT_NO : command_status(in->shc, status);
	if (in->lost == EX_UNAVAILABLE && s->batches > 0)
		in->lost = EX_TEMPFAIL;
	if (status == SHC_LOST)
		return command_fail(in->lost,
				    "stream %s: another run has taken it over; this one ends, that one "
				    "goes on",
				    s->id);
	if (status == SHC_REFUSED && buf_len(&in->refused) > 0)
		tell_overflows(in);
	if (in->sums_refused > 0)
		return command_fail(
			in->lost,
			redis_is(in->shc)
				? "stream %s: stops in that batch; what of it could be added is, and will "
				  "not be again: set these counters lower, or delete them, and run it again "
				  "with the same input"
				: "stream %s: stops before that batch, of which nothing is added: set these "
				  "counters lower, or delete them, and run it again with the same input",
			s->id);
	return command_fail(
		in->lost,
		"stream %s: nothing counts twice: %srun it again with the same input and it goes on "
		"behind what is in",
		s->id, status == SHC_REFUSED ? "when that is mended, " : "");
}

/* ---- batches ---- */

static int put_cursor(struct ingest *in, struct buf *text)
{
	struct stream *s = in->stream;
	if (s->has_mark)
		s->cursor.files[s->file_index].mark = mark_hash(&s->mark);
	cursor_put(text, &s->cursor);
	if (!text->failed)
		return EX_OK;
	in->lost = command_fail(EX_IOERR, "out of memory");
	return in->lost;
}

static int send_batch(struct ingest *in, struct buf *text)
{
	struct stream *s = in->stream;
	int rc = ingest_add_table(in);
	if (rc)
		return rc;
	enum shc_status status = shc_session_apply(in->shc, buf_head(text), buf_len(text));
	if (status)
		return stream_lost(in, status);
	ingest_table_sent(in);
	s->adds_open = 0;
	s->is_fresh = true;
	s->batches++;
	buf_fini(&s->applied);
	s->applied = *text;
	*text = (struct buf)BUF_INIT;
	return EX_OK;
}

/* Also without additions, where the cursor has moved. */
static int apply(struct ingest *in)
{
	const struct stream *s = in->stream;
	struct buf text = BUF_INIT;
	int rc = put_cursor(in, &text);
	bool is_moved = !slice_equal((struct slice){buf_head(&text), buf_len(&text)},
				     (struct slice){buf_head(&s->applied), buf_len(&s->applied)});
	if (rc == EX_OK && (is_moved || ingest_has_gathered(in)))
		rc = send_batch(in, &text);
	buf_fini(&text);
	return rc;
}

static int flush(struct ingest *in)
{
	enum shc_status status = in->stream->is_fresh ? shc_session_flush(in->shc) : SHC_OK;
	in->stream->is_fresh = false;
	in->batch_begin_ns = 0;
	return status ? stream_lost(in, status) : EX_OK;
}

static bool is_due(const struct ingest *in)
{
	const struct stream *s = in->stream;
	size_t names = in->table.count + s->adds_open;
	size_t bytes = in->table.arena_len + names * (in->prefix.len + 32);
	return names >= STREAM_NAMES_MAX || bytes >= STREAM_BYTES_MAX ||
	       (in->batch_begin_ns > 0 && conn_now_ns() - in->batch_begin_ns >= INGEST_BATCH_NS_MAX);
}

/* ---- clean points ---- */

/* With its first bytes the cursor goes over to the next file of a log; see chain.c. */
static void move_on(struct stream *s, size_t len)
{
	struct cursor_file *at = &s->cursor.files[s->file_index];
	if (s->is_next)
		*at = (struct cursor_file){0};
	at->offset += len;
	at->id = s->file_id;
	s->is_next = false;
}

void stream_took(struct stream *s, const char *data, size_t len)
{
	if (len == 0)
		return;
	if (s->is_next)
		s->mark = (struct mark){0};
	mark_feed(&s->mark, data, len);
	move_on(s, len);
}

void stream_took_long(struct stream *s, const char *data, size_t len, bool is_end)
{
	if (!s->is_in_long_line) {
		s->long_mark = s->is_next ? (struct mark){0} : s->mark;
		s->long_bytes = 0;
	}
	if (len > 0)
		mark_feed(&s->long_mark, data, len);
	s->long_bytes += len;
	s->is_in_long_line = !is_end;
	if (!is_end)
		return;
	s->mark = s->long_mark;
	move_on(s, s->long_bytes);
}

/* Everything told so far; but for the last record, when it is not `is_whole`. */
static void count_here(struct ingest *in, bool is_whole)
{
	uint64_t less = is_whole ? 0 : in->record_lines;
	struct stream *s = in->stream;
	if (!s->is_next)
		s->cursor.files[s->file_index].lines = in->file_lines - less;
	s->cursor.lines = s->begun_lines + in->seen.lines - less;
	s->cursor.lines_bad = s->begun_bad + in->seen.lines_bad - !is_whole;
	s->cursor.lines_skipped = s->begun_skipped + in->lines_skipped;
}

int stream_clean(struct ingest *in)
{
	struct stream *s = in->stream;
	if (s->is_in_long_line)
		return EX_OK;
	count_here(in, true);
	return ingest_has_gathered(in) && is_due(in) ? apply(in) : EX_OK;
}

void stream_stop_at_line(struct ingest *in)
{
	count_here(in, false);
}

/* What has come is sent; and what has been sent does not stay here, where only the next input would notice
 * that the server was killed. */
int stream_send_meanwhile(struct ingest *in)
{
	return ingest_has_gathered(in) ? apply(in) : flush(in);
}

/* ---- the end ---- */

int stream_finish(struct ingest *in, bool is_finished)
{
	struct stream *s = in->stream;
	bool is_untouched = s->cursor.lines == s->begun_lines && !ingest_has_gathered(in);
	s->cursor.is_finished = is_finished;
	if (!is_finished && is_untouched)
		return flush(in); /* the server's stays as the runs before have left it */
	int rc = apply(in);
	return rc ? rc : flush(in);
}

void stream_tell(const struct ingest *in, bool is_stopped)
{
	const struct stream *s = in->stream;
	unsigned long long lines = s->cursor.lines,
			   here = s->is_next ? 0 : s->cursor.files[s->file_index].lines;
	if (is_stopped)
		command_fail(
			0, "stream %s: stopped by a signal behind %s:%llu; run it again and it goes on there",
			s->id, in->file, here);
	else if (s->is_refused)
		return; /* which was said; running it again would not go on */
	else if (in->is_unreadable)
		command_fail(0,
			     "stream %s: %s %s:%llu is in; run it again with that file repaired or replaced, "
			     "and it goes on there if that begins with the same lines",
			     s->id, here > 0 ? "all up to" : "nothing behind", in->file, here);
	else if (!s->cursor.is_finished)
		command_fail(0, "stream %s: run it again and it goes on behind %s:%llu", s->id, in->file,
			     here);
	else
		command_fail(0, "stream %s: %s; %llu %s in all", s->id,
			     s->batches == 0 ? "was finished before, nothing was added" : "finished", lines,
			     command_noun(lines, "line", "lines"));
}

void stream_fini(struct stream *s)
{
	chain_close(&s->chain);
	buf_fini(&s->applied);
}
