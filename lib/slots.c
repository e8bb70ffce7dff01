/* SPDX-License-Identifier: MIT */
#include "slot.h"
#include "slots.h"

enum { RANGE_FIRST, RANGE_LAST, RANGE_MASTER }; /* elements of a range; behind the master its replicas */
enum { NODE_HOST, NODE_PORT, NODE_ELEMENTS_MIN };

static bool is_number(const struct resp_reply *r, int64_t least, int64_t most)
{
	return r->type == RESP_INT && r->i64 >= least && r->i64 <= most;
}

static bool is_node(const struct resp_reply *r)
{
	return r->type == RESP_ARRAY && r->count >= NODE_ELEMENTS_MIN &&
	       (r->elements[NODE_HOST].type == RESP_BULK || r->elements[NODE_HOST].type == RESP_NULL) &&
	       is_number(&r->elements[NODE_PORT], 0, UINT16_MAX);
}

static bool is_range(const struct resp_reply *r)
{
	if (r->type != RESP_ARRAY || r->count <= RANGE_MASTER ||
	    !is_number(&r->elements[RANGE_FIRST], 0, SLOT_COUNT - 1) ||
	    !is_number(&r->elements[RANGE_LAST], r->elements[RANGE_FIRST].i64, SLOT_COUNT - 1))
		return false;
	for (size_t i = RANGE_MASTER; i < r->count; i++) {
		if (!is_node(&r->elements[i]))
			return false;
	}
	return true;
}

/* "?" stands for a host name that the cluster does not know, port 0 for one that does not listen. */
static bool read_node(const struct resp_reply *r, struct slots_node *out)
{
	const struct resp_reply *host = &r->elements[NODE_HOST];
	out->host = host->type == RESP_NULL ? (struct slice){0} : host->str;
	out->port = (uint16_t)r->elements[NODE_PORT].i64;
	return out->port != 0 && !slice_equal(out->host, slice_str("?"));
}

static void tell_range(const struct resp_reply *r, slots_fn *fn, void *arg)
{
	for (size_t i = RANGE_MASTER; i < r->count; i++) {
		struct slots_node node = {.is_replica = i > RANGE_MASTER};
		if (read_node(&r->elements[i], &node))
			fn(arg, (unsigned)r->elements[RANGE_FIRST].i64, (unsigned)r->elements[RANGE_LAST].i64,
			   &node);
		else if (!node.is_replica)
			return; /* replicas of nobody */
	}
}

bool slots_read(const struct resp_reply *reply, slots_fn *fn, void *arg)
{
	if (reply->type != RESP_ARRAY)
		return false;
	for (size_t i = 0; i < reply->count; i++) {
		if (!is_range(&reply->elements[i]))
			return false;
	}
	for (size_t i = 0; i < reply->count; i++)
		tell_range(&reply->elements[i], fn, arg);
	return true;
}

/* ---- CLUSTER NODES ---- ID ADDRESS FLAGS MASTER-ID ..., a line a node */

enum { FIELD_ID, FIELD_FLAGS = 2, FIELD_MASTER };

static bool next_line(struct slice *text, struct slice *line)
{
	if (text->len == 0)
		return false;
	const char *end = memchr(text->data, '\n', text->len);
	size_t len = end ? (size_t)(end - text->data) : text->len;
	*line = (struct slice){text->data, len};
	len += end != NULL;
	*text = (struct slice){text->data + len, text->len - len};
	return true;
}

static struct slice field_of(struct slice line, unsigned index)
{
	const char *blank;
	for (; index > 0 && line.len > 0 && (blank = memchr(line.data, ' ', line.len)); index--) {
		size_t over = (size_t)(blank + 1 - line.data);
		line = (struct slice){line.data + over, line.len - over};
	}
	if (index > 0 || line.len == 0)
		return (struct slice){0};
	blank = memchr(line.data, ' ', line.len);
	return blank ? (struct slice){line.data, (size_t)(blank - line.data)} : line;
}

static bool has_flag(struct slice line, const char *flag)
{
	struct slice flags = field_of(line, FIELD_FLAGS);
	return flags.len > 0 && memmem(flags.data, flags.len, flag, strlen(flag));
}

bool slots_has_replica(struct slice nodes)
{
	struct slice rest = nodes, line, self = {0};
	while (next_line(&rest, &line)) {
		if (has_flag(line, "myself"))
			self = field_of(line, FIELD_ID);
	}
	while (self.len > 0 && next_line(&nodes, &line)) {
		if (has_flag(line, "slave") && slice_equal(field_of(line, FIELD_MASTER), self))
			return true;
	}
	return false;
}
