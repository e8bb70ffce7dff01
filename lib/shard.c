/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "num.h"
#include "shard.h"
#include "slot.h"

static const char prefix[] = "shc:";

bool shard_is_own(struct slice name)
{
	return name.len >= sizeof(prefix) - 1 && memcmp(name.data, prefix, sizeof(prefix) - 1) == 0;
}

static void put(struct shard_key *k, const void *data, size_t len)
{
	memcpy(k->data + k->len, data, len);
	k->len += len;
}

static void put_str(struct shard_key *k, const char *s)
{
	put(k, s, strlen(s));
}

static void put_number(struct shard_key *k, unsigned n)
{
	char digits[16];
	put(k, digits, (size_t)snprintf(digits, sizeof(digits), "%u", n));
}

/* ---- parts ---- */

void shard_part(struct shard_key *out, struct slice name, unsigned k)
{
	out->len = 0;
	if (k == 0) {
		put(out, name.data, name.len);
		return;
	}
	put_str(out, "shc:{");
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		if (c == '{')
			put_str(out, "%7B");
		else if (c == '}')
			put_str(out, "%7D");
		else if (c == '%')
			put_str(out, "%25");
		else
			put(out, &c, 1);
	}
	put_str(out, ":");
	put_number(out, k);
	put_str(out, "}");
}

/* Undoes the escapes; false for what shard_part does not write. */
static bool unescape(struct slice from, char room[NAME_LEN_MAX], struct slice *name)
{
	static const struct {
		const char *escape;
		char c;
	} escapes[] = {{"%7B", '{'}, {"%7D", '}'}, {"%25", '%'}};
	size_t len = 0;
	for (size_t i = 0; i < from.len && len < NAME_LEN_MAX; i++) {
		char c = from.data[i];
		for (size_t e = 0; c == '%' && e < 3; e++) {
			if (from.len - i >= 3 && memcmp(from.data + i, escapes[e].escape, 3) == 0) {
				room[len++] = escapes[e].c;
				i += 2;
				c = '\0';
			}
		}
		if (c == '%')
			return false;
		if (c != '\0')
			room[len++] = c;
	}
	*name = (struct slice){room, len};
	return slice_is_name(*name);
}

bool shard_of_part(struct slice key, char room[NAME_LEN_MAX], struct slice *name, unsigned *k)
{
	static const char open[] = "shc:{";
	size_t open_len = sizeof(open) - 1;
	if (key.len < open_len + 4 || memcmp(key.data, open, open_len) != 0 || key.data[key.len - 1] != '}')
		return false;
	struct slice inner = {key.data + open_len, key.len - open_len - 1};
	const char *colon = memrchr(inner.data, ':', inner.len);
	if (!colon)
		return false;
	struct slice digits = {colon + 1, inner.len - (size_t)(colon + 1 - inner.data)};
	int64_t number;
	if (!num_parse_i64(digits, &number) || number < 1 || number > SHARDS_MAX)
		return false;
	*k = (unsigned)number;
	struct shard_key again;
	if (!unescape((struct slice){inner.data, (size_t)(colon - inner.data)}, room, name))
		return false;
	shard_part(&again, *name, *k);
	return slice_equal(shard_slice(&again), key); /* and not "01", or a brace as it is */
}

/* ---- tags ---- */

/* Tells all strings of one length in order until `fn` has enough: true. */
typedef bool tag_fn(void *arg, const char *tag, unsigned slot);

static bool each_tag(char *tag, size_t at, size_t len, uint16_t crc, tag_fn *fn, void *arg)
{
	static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	for (const char *c = alphabet; *c; c++) {
		uint16_t next = slot_crc16_more(crc, (unsigned char)*c);
		tag[at] = *c;
		if (at + 1 < len ? each_tag(tag, at + 1, len, next, fn, arg)
				 : fn(arg, tag, next % SLOT_COUNT))
			return true;
	}
	return false;
}

static void each_length(tag_fn *fn, void *arg)
{
	char tag[SHARD_TAG_SIZE];
	for (size_t len = 1; len < SHARD_TAG_SIZE; len++) {
		tag[len] = '\0';
		if (each_tag(tag, 0, len, 0, fn, arg))
			return;
	}
}

struct one_tag {
	unsigned slot;
	char *out;
};

static bool take_one(void *arg, const char *tag, unsigned slot)
{
	struct one_tag *wanted = arg;
	if (slot != wanted->slot)
		return false;
	memcpy(wanted->out, tag, strlen(tag) + 1);
	return true;
}

void shard_tag(unsigned slot, char out[SHARD_TAG_SIZE])
{
	struct one_tag wanted = {slot, out};
	each_length(take_one, &wanted);
}

struct all_tags {
	unsigned count;
	char (*out)[SHARD_TAG_SIZE];
};

static bool take_all(void *arg, const char *tag, unsigned slot)
{
	struct all_tags *all = arg;
	if (all->out[slot][0] == '\0') {
		memcpy(all->out[slot], tag, strlen(tag) + 1);
		all->count++;
	}
	return all->count == SLOT_COUNT;
}

void shard_tags(char out[SLOT_COUNT][SHARD_TAG_SIZE])
{
	struct all_tags all = {0, out};
	memset(out, 0, (size_t)SLOT_COUNT * SHARD_TAG_SIZE);
	each_length(take_all, &all);
}

static void put_tag(struct shard_key *k, const char *tag)
{
	k->len = 0;
	put_str(k, "shc:{");
	put_str(k, tag);
	put_str(k, "}:");
}

void shard_table(struct shard_key *out, const char *tag)
{
	put_tag(out, tag);
	put_str(out, "shards");
}

void shard_token(struct shard_key *out, const char *tag, struct slice token, struct slice name)
{
	put_tag(out, tag);
	put_str(out, "once:");
	put_number(out, (unsigned)token.len);
	put_str(out, ":");
	put(out, token.data, token.len);
	put_str(out, ":");
	put(out, name.data, name.len);
}

void shard_extra(struct shard_key *out, const char *tag, enum shard_extra extra, struct slice name)
{
	static const char *const words[] = {"seconds:", "minutes:", "hours:", "limit:"};
	put_tag(out, tag);
	put_str(out, words[extra]);
	put(out, name.data, name.len);
}

void shard_stream(struct shard_key *out, const char *tag, struct slice id)
{
	put_tag(out, tag);
	put_str(out, "stream:");
	put(out, id.data, id.len);
}

void shard_position(struct shard_key *out, const char *tag, struct slice id)
{
	put_tag(out, tag);
	put_str(out, "at:");
	put(out, id.data, id.len);
}

/* ---- the uplink's ---- */

void shard_ledger(struct shard_key *out, const char *tag, struct slice name)
{
	put_tag(out, tag);
	put_str(out, "ledger:");
	put(out, name.data, name.len);
}

void shard_record(struct shard_key *out, struct slice incarnation)
{
	out->len = 0;
	put_str(out, "shc:uplink:");
	put(out, incarnation.data, incarnation.len);
}

static bool is_tag(struct slice tag)
{
	for (size_t i = 0; i < tag.len; i++) {
		if ((tag.data[i] < '0' || tag.data[i] > '9') && (tag.data[i] < 'a' || tag.data[i] > 'z'))
			return false;
	}
	return tag.len >= 1 && tag.len < SHARD_TAG_SIZE;
}

bool shard_of_ledger(struct slice key, struct slice *name)
{
	static const char open[] = "shc:{", word[] = "}:ledger:";
	size_t open_len = sizeof(open) - 1, word_len = sizeof(word) - 1;
	if (key.len < open_len || memcmp(key.data, open, open_len) != 0)
		return false;
	const char *data = key.data + open_len, *end = key.data + key.len;
	const char *close = memchr(data, '}', (size_t)(end - data));
	if (!close || (size_t)(end - close) < word_len || memcmp(close, word, word_len) != 0)
		return false;
	struct slice tag = {data, (size_t)(close - data)};
	struct slice of = {close + word_len, (size_t)(end - close) - word_len};
	if (!is_tag(tag) || !slice_is_name(of) || shard_is_own(of) || slot_of(tag) != slot_of(of))
		return false;
	*name = of;
	return true;
}

/* ---- counts ---- */

bool shard_read_count(struct slice text, struct shard_count *out)
{
	const char *blank = text.len ? memchr(text.data, ' ', text.len) : NULL;
	int64_t now, most;
	if (!blank)
		return false;
	size_t len = (size_t)(blank - text.data);
	if (!num_parse_i64((struct slice){text.data, len}, &now) ||
	    !num_parse_i64((struct slice){blank + 1, text.len - len - 1}, &most) || now < 1 || most < now ||
	    most > SHARDS_MAX)
		return false;
	*out = (struct shard_count){(unsigned)now, (unsigned)most};
	return true;
}
