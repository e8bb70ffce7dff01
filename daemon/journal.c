/* SPDX-License-Identifier: MIT */
/*
 * journal.c - packs and unpacks journal bodies. Owns nothing but the bytes it is given; any thread.
 *
 * A body, numbers little-endian:
 *
 *	offset	size	content
 *	0	4	magic "SHCJ"
 *	4	1	version, 1
 *	5	3	zero
 *	8	4	length of the body in bytes, head and checksum included
 *	12	8	time of the commit, milliseconds since 1970, signed
 *	20	...	sections, one behind the other
 *	len-4	4	CRC-32C of all bytes before
 *
 * A section:
 *
 *	offset	size	content
 *	0	1	type: 1 names, 2 deltas, 3 deletes, 4 floor, 5 sessions, 6 tokens, 7 states, 8 hits
 *	1	4	number of records, at least 1
 *	5	4	bytes of the records
 *	9	...	records
 *
 * A record (v = unsigned LEB128 of at most 64 bits, z = the same of a zigzag-folded signed number):
 *
 *	name	z id - id before, v length (1-255), bytes
 *	delta	v id - id before (at least 1 but for the first), z delta
 *	delete	z id - id before
 *	floor	v id
 *	session	v length (1-255), id, v sequence, v length (at most 4096), cursor
 *	token	v length (1-255), name, v length (1-255), token, z delta
 *	state	v id - id before (at least 1 but for the first), v version (at most 2^63-1), z time of expiry,
 *		z arrival time
 *	hit	v id - id before, z second - second before, v count
 *
 * The id and second before the first of a section are 0. Sections carry their size so that a merge can find
 *them all without decoding, and then run through them side by side.
 */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "varint.h"

enum {
	VERSION = 1,
	SECTION_HEAD_BYTES = 9,
	RECORD_BYTES_MAX = 2 * VARINT_BYTES_MAX + NAME_LEN_MAX,
	DELTA_BYTES_MAX = 2 * VARINT_BYTES_MAX,
	SESSION_BYTES_MAX = 3 * VARINT_BYTES_MAX + NAME_LEN_MAX + JOURNAL_CURSOR_MAX,
	TOKEN_BYTES_MAX = 3 * VARINT_BYTES_MAX + 2 * NAME_LEN_MAX,
	STATE_BYTES_MAX = 4 * VARINT_BYTES_MAX,
	HIT_BYTES_MAX = 3 * VARINT_BYTES_MAX,
	BATCH_MAX = 1024, /* deltas for which room is made at once */
	OFFSET_LENGTH = 8,
	OFFSET_TIME = 12,
};

static const unsigned char magic[8] = {'S', 'H', 'C', 'J', VERSION, 0, 0, 0};

/* ---- checksum ----
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), reflected, eight bytes a step: M. Kounavis, F. Berry, "A
 * Systematic Approach to Building High Performance Software-based CRC Generators" (2005), known as
 * slicing-by-8. */

static uint32_t crc_table[8][256];
static once_flag crc_once = ONCE_FLAG_INIT;

static void crc_build(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ (0x82f63b78u & (0 - (c & 1)));
		crc_table[0][i] = c;
	}
	for (int t = 1; t < 8; t++) {
		for (int i = 0; i < 256; i++) {
			uint32_t c = crc_table[t - 1][i];

			crc_table[t][i] = (c >> 8) ^ crc_table[0][c & 0xff];
		}
	}
}

uint32_t journal_checksum(const void *data, size_t len)
{
	const unsigned char *at = data;
	uint32_t crc = ~0u;

	call_once(&crc_once, crc_build);
	for (; len >= 8; len -= 8, at += 8) {
		uint64_t v = varint_load_le(at, 8) ^ crc;

		crc = crc_table[7][v & 0xff] ^ crc_table[6][(v >> 8) & 0xff] ^
		      crc_table[5][(v >> 16) & 0xff] ^ crc_table[4][(v >> 24) & 0xff] ^
		      crc_table[3][(v >> 32) & 0xff] ^ crc_table[2][(v >> 40) & 0xff] ^
		      crc_table[1][(v >> 48) & 0xff] ^ crc_table[0][v >> 56];
	}
	for (; len > 0; len--)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ *at++) & 0xff];
	return ~crc;
}

void journal_seal(void *body, size_t len)
{
	unsigned char *at = body;

	assert(len >= JOURNAL_HEAD_BYTES + JOURNAL_TAIL_BYTES && len <= UINT32_MAX);
	memcpy(at, magic, sizeof(magic));
	varint_store_le(at + OFFSET_LENGTH, len, 4);
	varint_store_le(at + len - JOURNAL_TAIL_BYTES, journal_checksum(at, len - JOURNAL_TAIL_BYTES), 4);
}

/* ---- writing ---- */

void journal_writer_init(struct journal_writer *w, int64_t time_ms)
{
	*w = (struct journal_writer){.time_ms = time_ms};
}

void journal_writer_fini(struct journal_writer *w)
{
	for (size_t i = 0; i < w->count; i++)
		buf_fini(&w->parts[i]);
	free(w->parts);
	buf_fini(&w->open);
	*w = (struct journal_writer){0};
}

/* The number of records and bytes is known only now. */
static void close_section(struct journal_writer *w)
{
	unsigned char *at;

	if (w->section_at == 0)
		return;
	at = (unsigned char *)buf_head(&w->open) + w->section_at;
	at[0] = (unsigned char)w->section_type;
	varint_store_le(at + 1, w->section_count, 4);
	varint_store_le(at + 5, buf_len(&w->open) - w->section_at - SECTION_HEAD_BYTES, 4);
	w->section_at = 0;
}

static bool grow_parts(struct journal_writer *w)
{
	size_t cap = w->cap ? 2 * w->cap : 4;
	struct buf *parts;

	if (w->count < w->cap)
		return true;
	parts = reallocarray(w->parts, cap, sizeof(*parts));
	if (!parts)
		return false;
	w->parts = parts;
	w->cap = cap;
	return true;
}

static void close_part(struct journal_writer *w)
{
	if (buf_len(&w->open) == 0)
		return;
	close_section(w);
	if (!grow_parts(w) || !buf_reserve(&w->open, JOURNAL_TAIL_BYTES)) {
		w->failed = true;
		return;
	}
	buf_commit(&w->open, JOURNAL_TAIL_BYTES);
	journal_seal(buf_head(&w->open), buf_len(&w->open));
	w->parts[w->count++] = w->open;
	w->open = (struct buf)BUF_INIT;
}

static bool open_part(struct journal_writer *w)
{
	unsigned char *at = (unsigned char *)buf_reserve(&w->open, JOURNAL_HEAD_BYTES);

	if (!at)
		return false;
	memset(at, 0, JOURNAL_HEAD_BYTES);
	varint_store_le(at + OFFSET_TIME, (uint64_t)w->time_ms, 8);
	buf_commit(&w->open, JOURNAL_HEAD_BYTES);
	return true;
}

static bool open_section(struct journal_writer *w, enum journal_type type)
{
	if (buf_len(&w->open) == 0 && !open_part(w))
		return false;
	if (!buf_reserve(&w->open, SECTION_HEAD_BYTES))
		return false;
	w->section_at = buf_len(&w->open);
	w->section_type = type;
	w->section_count = 0;
	w->last_id = 0;
	w->last_second = 0;
	buf_commit(&w->open, SECTION_HEAD_BYTES);
	return true;
}

/* How many records of at most `size` bytes still fit in the part. */
static size_t room_for(const struct journal_writer *w, size_t size)
{
	size_t used = buf_len(&w->open) + SECTION_HEAD_BYTES + JOURNAL_TAIL_BYTES;

	return used >= JOURNAL_PART_BYTES_MAX ? 0 : (JOURNAL_PART_BYTES_MAX - used) / size;
}

/* Where records of `type` go, `bytes` of them at most; null when memory is out. */
static unsigned char *begin_records(struct journal_writer *w, enum journal_type type, size_t bytes)
{
	unsigned char *at;

	if (w->failed)
		return NULL;
	if (room_for(w, bytes) == 0)
		close_part(w);
	if (w->section_at && w->section_type != type)
		close_section(w);
	if (w->failed || (w->section_at == 0 && !open_section(w, type)))
		goto fail;
	at = (unsigned char *)buf_reserve(&w->open, bytes);
	if (at)
		return at;
fail:
	w->failed = true;
	return NULL;
}

static void end_records(struct journal_writer *w, const unsigned char *end, uint64_t last_id, size_t count)
{
	buf_commit(&w->open, (size_t)(end - ((unsigned char *)w->open.data + w->open.tail)));
	w->last_id = last_id;
	w->section_count += (uint32_t)count;
}

void journal_put_name(struct journal_writer *w, uint64_t id, struct slice name)
{
	unsigned char *at = begin_records(w, JOURNAL_NAME, RECORD_BYTES_MAX);

	assert(id <= JOURNAL_ID_MAX && name.len >= 1 && name.len <= NAME_LEN_MAX);
	if (!at)
		return;
	at = varint_store(at, varint_zigzag(id - w->last_id));
	at = varint_store(at, name.len);
	memcpy(at, name.data, name.len);
	end_records(w, at + name.len, id, 1);
}

static bool put_batch(struct journal_writer *w, const struct journal_delta *deltas, size_t count)
{
	unsigned char *at = begin_records(w, JOURNAL_DELTA, count * DELTA_BYTES_MAX);
	uint64_t last_id = w->last_id;

	if (!at)
		return false;
	for (size_t i = 0; i < count; i++) {
		assert(deltas[i].id <= JOURNAL_ID_MAX);
		at = varint_store(at, deltas[i].id - last_id);
		at = varint_store(at, varint_zigzag(deltas[i].delta));
		last_id = deltas[i].id;
	}
	end_records(w, at, last_id, count);
	return true;
}

void journal_put_deltas(struct journal_writer *w, const struct journal_delta *deltas, size_t count)
{
	/* Ids ascend within a section; another worker's run begins a new one. */
	if (count > 0 && w->section_at && w->section_type == JOURNAL_DELTA && deltas[0].id <= w->last_id)
		close_section(w);
	while (count > 0) {
		size_t batch = count < BATCH_MAX ? count : BATCH_MAX;

		if (!put_batch(w, deltas, batch))
			return;
		deltas += batch;
		count -= batch;
	}
}

void journal_put_delete(struct journal_writer *w, uint64_t id)
{
	unsigned char *at = begin_records(w, JOURNAL_DELETE, VARINT_BYTES_MAX);

	assert(id <= JOURNAL_ID_MAX);
	if (at)
		end_records(w, varint_store(at, varint_zigzag(id - w->last_id)), id, 1);
}

void journal_put_floor(struct journal_writer *w, uint64_t floor_id)
{
	unsigned char *at = begin_records(w, JOURNAL_FLOOR, VARINT_BYTES_MAX);

	assert(floor_id <= JOURNAL_ID_MAX);
	if (at)
		end_records(w, varint_store(at, floor_id), floor_id, 1);
}

static unsigned char *store_bytes(unsigned char *at, struct slice s)
{
	at = varint_store(at, s.len);
	if (s.len)
		memcpy(at, s.data, s.len);
	return at + s.len;
}

void journal_put_session(struct journal_writer *w, struct slice id, uint64_t seq, struct slice cursor)
{
	unsigned char *at = begin_records(w, JOURNAL_SESSION, SESSION_BYTES_MAX);

	assert(seq <= JOURNAL_ID_MAX && id.len >= 1 && id.len <= NAME_LEN_MAX);
	assert(cursor.len <= JOURNAL_CURSOR_MAX);
	if (!at)
		return;
	at = store_bytes(at, id);
	at = varint_store(at, seq);
	at = store_bytes(at, cursor);
	end_records(w, at, w->last_id, 1);
}

void journal_put_token(struct journal_writer *w, struct slice name, struct slice token, int64_t delta)
{
	unsigned char *at = begin_records(w, JOURNAL_TOKEN, TOKEN_BYTES_MAX);

	assert(name.len >= 1 && name.len <= NAME_LEN_MAX && token.len >= 1 && token.len <= NAME_LEN_MAX);
	if (!at)
		return;
	at = store_bytes(at, name);
	at = store_bytes(at, token);
	at = varint_store(at, varint_zigzag((uint64_t)delta));
	end_records(w, at, w->last_id, 1);
}

/* As begin_records, where ids ascend within a section: one that is below id_min begins a new one. */
static unsigned char *begin_sorted(struct journal_writer *w, enum journal_type type, size_t bytes,
				   uint64_t id, uint64_t id_min)
{
	assert(id <= JOURNAL_ID_MAX);
	if (w->section_at && w->section_type == type && id < id_min)
		close_section(w);
	return begin_records(w, type, bytes);
}

void journal_put_state(struct journal_writer *w, const struct journal_state *state)
{
	unsigned char *at = begin_sorted(w, JOURNAL_STATE, STATE_BYTES_MAX, state->id, w->last_id + 1);

	assert(state->version <= JOURNAL_ID_MAX);
	if (!at)
		return;
	at = varint_store(at, state->id - w->last_id);
	at = varint_store(at, state->version);
	at = varint_store(at, varint_zigzag((uint64_t)state->expire_at_ms));
	at = varint_store(at, varint_zigzag((uint64_t)state->tat_ns));
	end_records(w, at, state->id, 1);
}

void journal_put_hit(struct journal_writer *w, const struct journal_hit *hit)
{
	unsigned char *at = begin_sorted(w, JOURNAL_HIT, HIT_BYTES_MAX, hit->id, w->last_id);

	if (!at)
		return;
	at = varint_store(at, hit->id - w->last_id);
	at = varint_store(at, varint_zigzag((uint64_t)hit->second - (uint64_t)w->last_second));
	at = varint_store(at, hit->count);
	w->last_second = hit->second;
	end_records(w, at, hit->id, 1);
}

int journal_writer_finish(struct journal_writer *w)
{
	if (!w->failed)
		close_part(w);
	return w->failed ? -ENOMEM : 0;
}

/* ---- reading ---- */

static bool load_varint(struct journal_reader *r, uint64_t *out)
{
	return varint_load(&r->data, r->section_end, out);
}

int journal_reader_init(struct journal_reader *r, const void *body, size_t len)
{
	const unsigned char *at = body;
	size_t checked = len - JOURNAL_TAIL_BYTES;

	*r = (struct journal_reader){0};
	if (len < JOURNAL_HEAD_BYTES + JOURNAL_TAIL_BYTES || memcmp(at, magic, sizeof(magic)) != 0 ||
	    varint_load_le(at + OFFSET_LENGTH, 4) != len ||
	    varint_load_le(at + checked, 4) != journal_checksum(at, checked)) {
		r->left = 1; /* journal_next says damaged too */
		return JOURNAL_DAMAGED;
	}
	r->time_ms = (int64_t)varint_load_le(at + OFFSET_TIME, 8);
	r->data = r->section_end = at + JOURNAL_HEAD_BYTES;
	r->end = at + checked;
	return JOURNAL_OK;
}

/* A section that cannot be read any further: nothing behind it is believed either. */
static int damaged(struct journal_reader *r)
{
	r->data = r->section_end = r->end;
	r->left = 1;
	return JOURNAL_DAMAGED;
}

static int enter_section(struct journal_reader *r)
{
	uint64_t size;

	if (r->data != r->section_end)
		return damaged(r); /* more bytes than records */
	if (r->data == r->end)
		return JOURNAL_END;
	if (r->end - r->data < SECTION_HEAD_BYTES)
		return damaged(r);
	r->section_type = (enum journal_type)r->data[0];
	r->left = (uint32_t)varint_load_le(r->data + 1, 4);
	size = varint_load_le(r->data + 5, 4);
	r->data += SECTION_HEAD_BYTES;
	if (r->section_type < JOURNAL_NAME || r->section_type > JOURNAL_HIT || r->left == 0 ||
	    size > (uint64_t)(r->end - r->data))
		return damaged(r);
	r->section_end = r->data + size;
	r->last_id = 0;
	r->last_second = 0;
	return JOURNAL_OK;
}

/* A length from len_min to len_max, and as many bytes. */
static bool read_bytes(struct journal_reader *r, uint64_t len_min, uint64_t len_max, struct slice *out)
{
	uint64_t len;

	if (!load_varint(r, &len) || len < len_min || len > len_max ||
	    len > (uint64_t)(r->section_end - r->data))
		return false;
	*out = (struct slice){.data = (const char *)r->data, .len = (size_t)len};
	r->data += len;
	return true;
}

static bool read_delta(struct journal_reader *r, uint64_t *delta)
{
	if (!load_varint(r, delta))
		return false;
	*delta = varint_unzigzag(*delta);
	return true;
}

static bool read_state(struct journal_reader *r, struct journal_state *out)
{
	uint64_t expire_at, tat;

	if (!load_varint(r, &out->version) || out->version > JOURNAL_ID_MAX || !read_delta(r, &expire_at) ||
	    !read_delta(r, &tat))
		return false;
	out->expire_at_ms = (int64_t)expire_at;
	out->tat_ns = (int64_t)tat;
	return true;
}

static bool read_hit(struct journal_reader *r, struct journal_hit *out)
{
	uint64_t step;

	if (!read_delta(r, &step) || !load_varint(r, &out->count))
		return false;
	out->second = r->last_second = (int64_t)((uint64_t)r->last_second + step);
	return true;
}

/* The id of a record that begins with its difference to the one before. */
static bool read_ascending(struct journal_reader *r, uint64_t v, bool may_repeat, uint64_t *id)
{
	/* None around 2^64: a merge relies on ids that ascend. */
	if ((v == 0 && r->last_id != 0 && !may_repeat) || v > JOURNAL_ID_MAX - r->last_id)
		return false;
	*id = r->last_id + v;
	return true;
}

/* What begins with an id. */
static bool read_id_record(struct journal_reader *r, struct journal_record *out)
{
	uint64_t v;
	bool is_good = true;

	if (!load_varint(r, &v))
		return false;
	switch (r->section_type) {
	case JOURNAL_DELTA:
		is_good = read_ascending(r, v, false, &out->id) && read_delta(r, &out->delta);
		break;
	case JOURNAL_NAME:
		out->id = r->last_id + varint_unzigzag(v);
		is_good = read_bytes(r, 1, NAME_LEN_MAX, &out->name);
		break;
	case JOURNAL_STATE:
		is_good = read_ascending(r, v, false, &out->id) && read_state(r, &out->state);
		out->state.id = out->id;
		break;
	case JOURNAL_HIT:
		is_good = read_ascending(r, v, true, &out->id) && read_hit(r, &out->hit);
		out->hit.id = out->id;
		break;
	case JOURNAL_DELETE: out->id = r->last_id + varint_unzigzag(v); break;
	default: out->id = v; break;
	}
	r->last_id = out->id;
	return is_good && out->id <= JOURNAL_ID_MAX;
}

static bool read_record(struct journal_reader *r, struct journal_record *out)
{
	*out = (struct journal_record){.type = r->section_type};
	switch (r->section_type) {
	case JOURNAL_SESSION:
		return read_bytes(r, 1, NAME_LEN_MAX, &out->name) && load_varint(r, &out->id) &&
		       out->id <= JOURNAL_ID_MAX && read_bytes(r, 0, JOURNAL_CURSOR_MAX, &out->detail);
	case JOURNAL_TOKEN:
		return read_bytes(r, 1, NAME_LEN_MAX, &out->name) &&
		       read_bytes(r, 1, NAME_LEN_MAX, &out->detail) && read_delta(r, &out->delta);
	default: return read_id_record(r, out);
	}
}

int journal_next(struct journal_reader *r, struct journal_record *out)
{
	if (r->left == 0) {
		int result = enter_section(r);

		if (result != JOURNAL_OK)
			return result;
	}
	if (!read_record(r, out))
		return damaged(r);
	r->left--;
	return JOURNAL_OK;
}

int journal_next_section(struct journal_reader *r, struct journal_reader *section)
{
	int result = r->left ? damaged(r) : enter_section(r);

	if (result != JOURNAL_OK)
		return result;
	*section = *r;
	section->end = section->section_end;
	r->data = r->section_end;
	r->left = 0;
	return JOURNAL_OK;
}
