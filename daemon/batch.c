/* SPDX-License-Identifier: MIT */
/* batch.c - see batch.h. */
#include "batch.h"

/* ---- parsing ---- */

/* What the parser has read: it stays with the parser where it does not fit the item. */
static void item_take(struct batch_item *item, const struct resp_parser *parser)
{
	item->argc = parser->argc;
	item->size_bytes = parser->size_bytes;
	item->argv = parser->argv;
	if (item->argc > BATCH_ARGS)
		return;
	for (size_t i = 0; i < item->argc; i++)
		item->args[i] = parser->argv[i];
	item->argv = item->args;
}

/* Requests of a pipeline are alike: all but the bytes of the second word is the same as in the one before,
 * whose bytes end where these begin. Some comparisons instead of parsing and finding the command: a third of
 * the instructions of an INCR. The other words may as well be those of the one before. */
static inline bool take_alike(struct batch_item *item, const struct batch_item *before, const char *data,
			      size_t len)
{
	size_t size = before->size_bytes, head, tail;
	const char *data_before = data - size;

	if (before->argc < 2 || before->argv != before->args || len < size)
		return false;
	head = (size_t)(before->args[1].data - data_before);
	tail = head + before->args[1].len;
	if (!slice_equal((struct slice){data, head}, (struct slice){data_before, head}))
		return false;
	if (before->argc > 2 && !slice_equal((struct slice){data + tail, size - tail},
					     (struct slice){data_before + tail, size - tail}))
		return false;
	item->command = before->command;
	item->argv = item->args;
	item->argc = before->argc;
	item->size_bytes = size;
	item->has_name = before->has_name;
	item->args[0] = before->args[0];
	item->args[1] = (struct slice){data + head, before->args[1].len};
	for (size_t i = 2; i < before->argc; i++)
		item->args[i] = before->args[i];
	return true;
}

static void item_look(struct batch_item *item)
{
	const struct command *c = item->argc ? command_find(item->argv[0]) : NULL;

	item->command = c;
	item->has_name = c && c->key_first == 1 && item->argc > 1 && item->argv[1].len <= NAME_LEN_MAX;
}

/* True: there may be another one behind it. */
static bool parse_one(struct batch_item *item, struct resp_parser *parser, const char *data, size_t len,
		      int *outcome)
{
	bool is_inline;

	if (resp_parser_is_between(parser)) {
		item->size_bytes = resp_parse_short(data, len, item->args, &item->argc);
		if (item->size_bytes) {
			item->argv = item->args;
			return true;
		}
	}
	is_inline = data[0] != '*'; /* then its words are in the parser, too */
	*outcome = resp_parse(parser, data, len);
	if (*outcome != RESP_DONE)
		return false;
	item_take(item, parser);
	return !is_inline && item->argc <= BATCH_ARGS;
}

void batch_parse(struct batch *b, struct resp_parser *parser, const char *data, size_t len, int *outcome)
{
	bool has_more = true;
	size_t at = 0;

	*outcome = RESP_DONE;
	for (b->count = 0; b->count < BATCH_MAX && has_more; b->count++) {
		struct batch_item *item = &b->items[b->count];

		if (b->count && take_alike(item, item - 1, data + at, len - at)) {
			at += item->size_bytes;
			continue;
		}
		if (at == len)
			*outcome = RESP_MORE;
		else
			has_more = parse_one(item, parser, data + at, len - at, outcome);
		if (*outcome != RESP_DONE)
			return;
		at += item->size_bytes;
		item_look(item);
	}
}

/* ---- looking ahead ---- */

static inline bool is_repeated(const struct batch_item *item, const struct batch_item *before)
{
	return before->has_name && slice_equal(item->argv[1], before->argv[1]);
}

void batch_look_ahead(struct batch *b, const struct txn *t)
{
	const struct registry *r = t->registry;

	for (size_t i = 0; i < b->count; i++) {
		struct batch_item *item = &b->items[i];

		item->is_repeated = i && item->has_name && is_repeated(item, item - 1);
		if (item->is_repeated) {
			item->hash = item[-1].hash;
		} else if (item->has_name) {
			item->hash = registry_hash(r, item->argv[1]);
			item->segment = registry_prefetch(r, item->hash);
		}
	}
	for (size_t i = 0; i < b->count; i++) {
		struct batch_item *item = &b->items[i];

		item->guess = NULL;
		if (item->is_repeated) {
			item->guess = item[-1].guess;
		} else if (item->has_name) {
			item->guess = registry_guess_in(item->segment, item->hash);
			counter_prefetch(item->guess);
		}
	}
	for (size_t i = 0; i < b->count && b->count > 1; i++)
		if (b->items[i].guess && !b->items[i].is_repeated)
			txn_prefetch_entry(t, b->items[i].guess);
}

void batch_forget(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		b->items[i].guess = NULL;
}
