/* SPDX-License-Identifier: MIT */
#include "num.h"
#include "redirect.h"
#include "slot.h"

static bool begins_with(struct slice s, const char *word)
{
	size_t len = strlen(word);
	return s.len >= len && memcmp(s.data, word, len) == 0;
}

/* The digits up to `end`. */
static bool take_number(const char *data, const char *end, int64_t most, int64_t *out)
{
	return num_parse_i64((struct slice){data, (size_t)(end - data)}, out) && *out >= 0 && *out <= most;
}

/* " SLOT HOST:PORT" behind the code. An IPv6 address has no brackets here: the last colon counts. */
static bool read_address(struct slice rest, struct redirect *out)
{
	const char *slot = rest.data + 1, *end = rest.data + rest.len;
	if (rest.len < 2 || rest.data[0] != ' ')
		return false;
	const char *host = memchr(slot, ' ', (size_t)(end - slot));
	if (!host)
		return false;
	const char *colon = memrchr(host, ':', (size_t)(end - host));
	int64_t slot_number, port;
	if (!colon || !take_number(slot, host, SLOT_COUNT - 1, &slot_number) ||
	    !take_number(colon + 1, end, UINT16_MAX, &port) || port == 0)
		return false;
	out->slot = (unsigned)slot_number;
	out->port = (uint16_t)port;
	out->host = (struct slice){host + 1, (size_t)(colon - host - 1)};
	return true;
}

struct redirect redirect_of(const struct resp_reply *reply)
{
	static const struct {
		const char *code;
		enum redirect_step step;
	} codes[] = {
		{"MOVED", REDIRECT_MOVED},
		{"ASK", REDIRECT_ASK},
		{"TRYAGAIN", REDIRECT_PAUSE},
		{"LOADING", REDIRECT_REFRESH},
		{"BUSY", REDIRECT_PAUSE},
		{"CLUSTERDOWN", REDIRECT_REFRESH},
		{"MASTERDOWN", REDIRECT_REFRESH},
		{"READONLY", REDIRECT_REFRESH},
		{"NOREPLICAS", REDIRECT_REFRESH},
		{"NOSCRIPT", REDIRECT_TEXT},
		{"ERR max number of clients", REDIRECT_PAUSE},
	};
	struct redirect out = {.step = REDIRECT_DONE};
	for (size_t i = 0; reply->type == RESP_ERROR && i < sizeof(codes) / sizeof(codes[0]); i++) {
		size_t len = strlen(codes[i].code);
		if (!begins_with(reply->str, codes[i].code) ||
		    (reply->str.len > len && reply->str.data[len] != ' '))
			continue;
		out.step = codes[i].step;
		bool has_address = out.step == REDIRECT_MOVED || out.step == REDIRECT_ASK;
		struct slice rest = {reply->str.data + len, reply->str.len - len};
		if (has_address && !read_address(rest, &out))
			out.step = REDIRECT_DONE;
		break;
	}
	return out;
}

enum redirect_loss redirect_of_loss(enum op_kind kind, bool has_left)
{
	if (!has_left || kind == OP_READ)
		return LOSS_AGAIN;
	return kind == OP_WRITE ? LOSS_DOUBT : LOSS_AGAIN_DOUBT;
}
