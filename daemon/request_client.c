/* SPDX-License-Identifier: MIT */
/* request_client.c - CLIENT: what is known about connections, and how this one wants to be treated. */
#include "request_client.h"

#include <stdlib.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request_sub.h"
#include "server.h"
#include "worker.h"

static struct client_directory *directory(struct request *r)
{
	return &r->worker->server->clients;
}

/* ---- names ---- */

/* They stand in the lines of CLIENT LIST, so nothing that ends a word or a line. */
static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '!' || s.data[i] > '~')
			return false;
	return true;
}

bool client_take_name(struct request *r, struct slice name)
{
	if (!is_plain(name)) {
		reply_error(r, "ERR Client names cannot contain spaces, newlines or special characters.");
		return false;
	}
	if (name.len > CLIENT_NAME_MAX) {
		reply_error(r, "ERR Client names can have at most 255 bytes.");
		return false;
	}
	client_set_string(directory(r), r->peer->client.name, name);
	return true;
}

static enum request_result client_setname(struct request *r)
{
	return client_take_name(r, r->argv[2]) ? reply_ok(r) : REQUEST_DONE;
}

static enum request_result client_getname(struct request *r)
{
	/* Only the owner writes it, so the owner may read it without the mutex. */
	const char *name = r->peer->client.name;

	if (name[0])
		resp_put_bulk_str(r->out, name);
	else
		resp_put_null(r->out, r->proto);
	return REQUEST_DONE;
}

static enum request_result client_setinfo(struct request *r)
{
	const struct slice option = r->argv[2], value = r->argv[3];
	int shown = option.len < 128 ? (int)option.len : 128;
	char *string;

	if (slice_is_word(option, "lib-name")) {
		string = r->peer->client.lib_name;
	} else if (slice_is_word(option, "lib-ver")) {
		string = r->peer->client.lib_version;
	} else {
		resp_put_errorf(r->out, "ERR Unrecognized option '%.*s'", shown,
				option.len ? option.data : "");
		return REQUEST_DONE;
	}
	if (!is_plain(value)) {
		resp_put_errorf(r->out, "ERR %.*s cannot contain spaces, newlines or special characters.",
				shown, option.data);
		return REQUEST_DONE;
	}
	if (value.len > CLIENT_NAME_MAX) {
		resp_put_errorf(r->out, "ERR %.*s can have at most 255 bytes.", shown, option.data);
		return REQUEST_DONE;
	}
	client_set_string(directory(r), string, value);
	return reply_ok(r);
}

/* ---- who is there ---- */

static enum request_result client_id(struct request *r)
{
	return reply_int(r, (int64_t)r->peer->client.id);
}

static enum request_result put_text(struct request *r, struct buf *text)
{
	if (text->failed)
		reply_error(r, "OOM out of memory");
	else
		resp_put_verbatim(r->out, r->proto, buf_head(text), buf_len(text));
	buf_fini(text);
	return REQUEST_DONE;
}

static enum request_result client_info(struct request *r)
{
	struct buf text = BUF_INIT;

	client_print(&r->peer->client, client_now_ms(), &text);
	return put_text(r, &text);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static enum request_result list_ids(struct request *r)
{
	size_t count = r->argc - 3;
	uint64_t *ids = reallocarray(NULL, count, sizeof(*ids));
	struct buf text = BUF_INIT;
	int64_t id;

	if (!ids)
		return reply_error(r, "OOM out of memory");
	for (size_t i = 0; i < count; i++) {
		if (!num_parse_i64(r->argv[3 + i], &id)) {
			free(ids);
			return reply_error(r, "ERR Invalid client ID");
		}
		ids[i] = id > 0 ? (uint64_t)id : 0; /* nobody has 0 */
	}
	qsort(ids, count, sizeof(*ids), by_number);
	client_print_all(directory(r), ids, count, &text);
	free(ids);
	return put_text(r, &text);
}

static enum request_result list_type(struct request *r, struct slice type)
{
	static const char *const others[] = {"master", "slave", "replica", "pubsub"};
	struct buf text = BUF_INIT;

	if (slice_is_word(type, "normal")) {
		client_print_all(directory(r), NULL, 0, &text);
		return put_text(r, &text);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (slice_is_word(type, others[i]))
			return put_text(r, &text);
	resp_put_errorf(r->out, "ERR Unknown client type '%.*s'", (int)(type.len < 128 ? type.len : 128),
			type.len ? type.data : "");
	return REQUEST_DONE;
}

static enum request_result client_list(struct request *r)
{
	if (r->argc == 2)
		return list_type(r, slice_str("normal"));
	if (r->argc == 4 && slice_is_word(r->argv[2], "type"))
		return list_type(r, r->argv[3]);
	if (r->argc > 3 && slice_is_word(r->argv[2], "id"))
		return list_ids(r);
	return reply_syntax(r);
}

/* ---- how this one is treated ---- */

/* Nothing is evicted here, nothing is touched: both are true already. */
static enum request_result client_on_off(struct request *r)
{
	if (!slice_is_word(r->argv[2], "on") && !slice_is_word(r->argv[2], "off"))
		return reply_syntax(r);
	return reply_ok(r);
}

/* request_execute drops the replies. */
static enum request_result client_reply(struct request *r)
{
	struct peer *p = r->peer;

	if (slice_is_word(r->argv[2], "on")) {
		p->reply_mode = REPLY_ON;
		return reply_ok(r);
	}
	if (slice_is_word(r->argv[2], "off"))
		p->reply_mode = REPLY_OFF;
	else if (!slice_is_word(r->argv[2], "skip"))
		return reply_syntax(r);
	else if (p->reply_mode != REPLY_OFF)
		p->reply_mode = REPLY_SKIP_NEXT;
	return REQUEST_DONE;
}

static enum request_result client_help(struct request *r)
{
	return subcommand_help(r, &subcommands_client);
}

static const struct subcommand rows[] = {
	{"client|getname", 2, client_getname, "2.6.9", "Return the name of the current connection.", "",
	 AS_COMMAND},
	{"client|help", 2, client_help, "5.0.0", "Prints this help.", "", AS_COMMAND},
	{"client|id", 2, client_id, "5.0.0", "Return the ID of the current connection.", "", AS_COMMAND},
	{"client|info", 2, client_info, "6.2.0", "Return information about the current client connection.",
	 "", AS_COMMAND},
	{"client|list",
	 -2,
	 client_list,
	 "2.4.0",
	 "Return information about client connections.",
	 "[TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID id [id ...]]",
	 {ROLE_ADMIN, true, 0}},
	{"client|no-evict", 3, client_on_off, "7.0.0", "Accepted: connections are not evicted.", "(ON|OFF)",
	 AS_COMMAND},
	{"client|no-touch", 3, client_on_off, "7.2.0", "Accepted: reading has no side effect.", "(ON|OFF)",
	 AS_COMMAND},
	{"client|reply", 3, client_reply, "3.2.0", "Control the replies sent to the current connection.",
	 "(ON|OFF|SKIP)", AS_COMMAND},
	{"client|setinfo", 4, client_setinfo, "7.2.0", "Name the client's library, or its version.",
	 "(LIB-NAME|LIB-VER) value", AS_COMMAND},
	{"client|setname", 3, client_setname, "2.6.9", "Give the current connection a name.", "name",
	 AS_COMMAND},
};

const struct subcommands subcommands_client = {rows, sizeof(rows) / sizeof(rows[0])};

enum request_result request_client(struct request *r)
{
	return subcommand_run(r, &subcommands_client);
}
