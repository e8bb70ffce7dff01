/* SPDX-License-Identifier: MIT */
/*
 * import_send.c - pairs on their way to the server: a batch is one MSET or SHC.ADD, a few are unanswered at a
 * time, and their answers come in the order in which they were sent.
 */
#include <string.h>

#include "../lib/num.h"
#include "command.h"
#include "import.h"
#include "inputs.h"

enum { SLOTS = IMPORT_UNANSWERED + 1, REFUSALS_TOLD_MAX = 10, SINGLES_UNANSWERED = 64 };

/* In a batch's body, the name behind it. */
struct pair {
	const char *file;
	uint64_t line;
	int64_t value;
	size_t name_len;
};

/* The pair at *pos, which is moved on; false at the end. */
static bool next_pair(const struct buf *body, size_t *pos, struct pair *p, struct slice *name)
{
	if (*pos >= buf_len(body))
		return false;
	const char *from = buf_head(body) + *pos;
	memcpy(p, from, sizeof(*p));
	*name = (struct slice){from + sizeof(*p), p->name_len};
	*pos += sizeof(*p) + p->name_len;
	return true;
}

static void clear(struct buf *b)
{
	buf_consume(b, buf_len(b));
}

/* ---- it has come to an end ---- */

struct import_place import_here(const struct import *in)
{
	uint64_t line = in->file_lines > in->lines_over ? in->file_lines : in->lines_over;
	return (struct import_place){in->file, line, in->files_left};
}

void import_tell_how_on(const struct import *in, struct import_place place)
{
	const char *what = in->is_unreadable ? "with that file repaired or replaced, go on" : "go on";
	if (in->is_add)
		inputs_tell_how_on("import --add", what, place.file, place.files_left, place.line + 1);
	else
		command_fail(0, "to go on, run it again%s: a counter that is set twice is as set once",
			     in->is_unreadable ? " with that file repaired or replaced" : "");
}

static void tell_place(const struct import *in)
{
	const struct import_place *sent = &in->sent;
	bool is_in_doubt = sent->file && (sent->file != in->safe.file || sent->line != in->safe.line);
	if (in->safe.file)
		command_fail(0, "all up to %s:%llu is in", in->safe.file, (unsigned long long)in->safe.line);
	else
		command_fail(0, is_in_doubt ? "the server has acknowledged nothing" : "nothing was sent");
	if (is_in_doubt)
		command_fail(0, "what comes %s, up to %s:%llu, may be in; the rest is not",
			     in->safe.file ? "behind that" : "first", sent->file,
			     (unsigned long long)sent->line);
	import_tell_how_on(in, in->safe.file ? in->safe : in->start);
	if (is_in_doubt && in->is_add) {
		command_fail(0, "that may add twice what may be in; to leave it out:");
		import_tell_how_on(in, *sent);
	}
}

/* The connection failed, or the server will not go on. */
static int lost(struct import *in, enum shc_status status)
{
	progress_wipe(&in->progress);
	in->lost = command_status(in->shc, status);
	if (in->lost == EX_UNAVAILABLE && in->pairs_in > 0)
		in->lost = EX_TEMPFAIL;
	tell_place(in);
	return in->lost;
}

static int no_memory(struct import *in)
{
	progress_wipe(&in->progress);
	in->lost = command_fail(EX_IOERR, "out of memory at %s:%llu", in->file,
				(unsigned long long)in->file_lines);
	tell_place(in);
	return in->lost;
}

/* ---- additions the server refused ---- */

static void tell_refused(struct import *in, const struct pair *p, struct slice name)
{
	in->pairs_refused++;
	progress_wipe(&in->progress);
	if (in->pairs_refused <= REFUSALS_TOLD_MAX)
		command_fail(0, "%s:%llu: %.*s: not added: %lld (%s)", p->file, (unsigned long long)p->line,
			     (int)name.len, name.data, (long long)p->value, shc_error(in->shc));
	if (in->pairs_refused == REFUSALS_TOLD_MAX + 1)
		command_fail(0, "more were refused; they are not shown");
}

static enum shc_status append_single(struct shc *shc, int64_t value, struct slice name)
{
	char digits[NUM_I64_CHARS_MAX];
	const char *argv[] = {"SHC.ADD", name.data, digits};
	size_t argv_len[] = {7, name.len, num_format_i64(digits, value)};
	return shc_append(shc, 3, argv, argv_len, true);
}

/* The answers to all single additions under way, the first of which is the one at *pos. */
static enum shc_status take_singles(struct import *in, size_t *pos)
{
	struct pair p;
	struct slice name;
	while (shc_pending(in->shc) > 0 && next_pair(&in->refused, pos, &p, &name)) {
		const struct shc_reply *reply;
		enum shc_status status = shc_next(in->shc, &reply);
		if (status == SHC_OK)
			in->pairs_in++;
		else if (status == SHC_REFUSED || status == SHC_DENIED)
			tell_refused(in, &p, name);
		else
			return status;
	}
	return SHC_OK;
}

/* One addition that cannot be made has refused its whole batch. Nothing else is under way. */
static int send_refused(struct import *in)
{
	size_t sent_pos = 0, taken_pos = 0;
	enum shc_status status = SHC_OK;
	struct pair p;
	struct slice name;
	while (status == SHC_OK && next_pair(&in->refused, &sent_pos, &p, &name)) {
		status = append_single(in->shc, p.value, name);
		if (status == SHC_OK && shc_pending(in->shc) >= SINGLES_UNANSWERED)
			status = take_singles(in, &taken_pos);
	}
	if (status == SHC_OK)
		status = take_singles(in, &taken_pos);
	if (status)
		return lost(in, status);
	clear(&in->refused);
	in->safe = in->sent;
	return EX_OK;
}

/* ---- answers ---- */

/* Order matters where values are set, so nothing is sent behind what was refused. */
static void stop_at(struct import *in, enum shc_status status)
{
	progress_wipe(&in->progress);
	if (!in->lost)
		in->lost = command_status(in->shc, status);
}

static int take_answer(struct import *in)
{
	struct import_batch *b = &in->batches[(in->open + SLOTS - in->unanswered) % SLOTS];
	const struct shc_reply *reply;
	enum shc_status status = shc_next(in->shc, &reply);
	bool is_refused = status == SHC_REFUSED || status == SHC_DENIED;
	if (status && !is_refused)
		return lost(in, status);
	in->unanswered--;
	if (!is_refused)
		in->pairs_in += b->count;
	else if (in->is_add)
		buf_append(&in->refused, buf_head(&b->body), buf_len(&b->body));
	else
		stop_at(in, status);
	if (!in->lost && buf_len(&in->refused) == 0)
		in->safe = b->end;
	b->count = 0;
	clear(&b->body);
	return in->refused.failed ? no_memory(in) : EX_OK;
}

/* Waits until at most so many batches are unanswered; none, when one was refused. */
static int take_answers(struct import *in, size_t unanswered_max)
{
	int rc = EX_OK;
	while (rc == EX_OK && in->unanswered > unanswered_max) {
		rc = take_answer(in);
		if (in->lost || buf_len(&in->refused) > 0)
			unanswered_max = 0;
	}
	if (rc == EX_OK && in->lost) {
		tell_place(in);
		rc = in->lost;
	}
	return rc || buf_len(&in->refused) == 0 ? rc : send_refused(in);
}

/* ---- sending ---- */

static enum shc_status append_batch(const struct import *in, const struct import_batch *b)
{
	const char *argv[1 + 2 * IMPORT_PAIRS_MAX] = {in->is_add ? "SHC.ADD" : "MSET"};
	size_t argv_len[1 + 2 * IMPORT_PAIRS_MAX] = {strlen(argv[0])};
	char digits[IMPORT_PAIRS_MAX][NUM_I64_CHARS_MAX];
	size_t argc = 1, index = 0;
	struct pair p;
	struct slice name;
	for (size_t pos = 0; next_pair(&b->body, &pos, &p, &name); index++) {
		argv[argc] = name.data;
		argv_len[argc++] = name.len;
		argv[argc] = digits[index];
		argv_len[argc++] = num_format_i64(digits[index], p.value);
	}
	return shc_append(in->shc, argc, argv, argv_len, true);
}

int import_send(struct import *in)
{
	struct import_batch *b = &in->batches[in->open];
	struct import_place here = import_here(in);
	if (b->count == 0) {
		/* Lines without counters need no answer. */
		if (in->unanswered == 0)
			in->safe = in->sent = here;
		return EX_OK;
	}
	int rc = take_answers(in, IMPORT_UNANSWERED - 1);
	if (rc)
		return rc;
	enum shc_status status = append_batch(in, b);
	if (status)
		return lost(in, status);
	in->sent = b->end = here;
	in->open = (in->open + 1) % SLOTS;
	in->unanswered++;
	return EX_OK;
}

int import_settle(struct import *in)
{
	int rc = import_send(in);
	return rc ? rc : take_answers(in, 0);
}

int import_put(struct import *in, struct slice name, int64_t value, uint64_t line)
{
	struct import_batch *b = &in->batches[in->open];
	int rc = b->count == IMPORT_PAIRS_MAX ? import_send(in) : EX_OK;
	if (rc)
		return rc;
	b = &in->batches[in->open];
	struct pair p = {in->file, line, value, name.len};
	buf_append(&b->body, &p, sizeof(p));
	buf_append(&b->body, name.data, name.len);
	b->count++;
	return b->body.failed ? no_memory(in) : EX_OK;
}
