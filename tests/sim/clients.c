/* SPDX-License-Identifier: MIT */
/* clients.c - see clients.h. On the test's own stack, or stepped out (sim_step_out). */
#include "clients.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "oracle.h"
#include "sim.h"

enum { LINKS_MAX = 48, WORDS_MAX = 16, REQUEST_MAX = 512 };

static struct actor actors[ACTORS_MAX];
static size_t actor_count;
static struct link *links[LINKS_MAX];
static bool is_commit_mode, is_quiet;
static uint64_t arrived;

/* ---- replies ---- */

bool reply_is(const struct resp_reply *reply, const char *text)
{
	return (reply->type == RESP_SIMPLE || reply->type == RESP_BULK) &&
	       slice_equal(reply->str, slice_str(text));
}

bool reply_has_error(const struct resp_reply *reply, const char *code)
{
	return reply->type == RESP_ERROR && reply->str.len >= strlen(code) &&
	       memcmp(reply->str.data, code, strlen(code)) == 0;
}

void op_fail(const struct op *op, const struct resp_reply *reply, const char *why)
{
	char text[128];

	if (reply->type == RESP_INT)
		(void)snprintf(text, sizeof(text), "%lld", (long long)reply->i64);
	else if (reply->type == RESP_ARRAY)
		(void)snprintf(text, sizeof(text), "%zu elements, %lld %lld", reply->count,
			       reply->count ? (long long)reply->elements[0].i64 : 0,
			       reply->count > 1 ? (long long)reply->elements[1].i64 : 0);
	else
		(void)snprintf(text, sizeof(text), "%.*s", (int)reply->str.len, reply->str.data);
	sim_fail("%s %u %lld answers \"%s\": %s", op->kind->name, op->what, (long long)op->number, text, why);
}

/* ---- links ---- */

/* SHC_SIM_LOG: what clients send and hear. */
static void show(const struct link *l, const char *what, const char *text, size_t len)
{
	if (getenv("SHC_SIM_LOG"))
		(void)fprintf(stderr, "%llu %p %s %.*s\n", (unsigned long long)sim_totals.points,
			      (const void *)l, what, (int)len, text);
}

static struct op *op_at(struct link *l, uint64_t n)
{
	return &l->ops[n % OPS_MAX];
}

bool link_has_room(const struct link *l, size_t count)
{
	return l->sent - l->arrived + count <= OPS_MAX && l->sent - l->left + count <= OPS_MAX;
}

/* The daemon lets go of bytes: every whole reply in them is judged. */
static void on_left(void *arg, const char *data, size_t len)
{
	struct link *l = arg;
	size_t size;
	int rc;

	buf_append(&l->left_bytes, data, len);
	while (buf_len(&l->left_bytes) && (rc = resp_read(&l->left_reader, buf_head(&l->left_bytes),
							  buf_len(&l->left_bytes), &size)) == RESP_DONE) {
		const struct op *op = op_at(l, l->left);

		sim_check(l->left < l->sent, "a reply that nobody asked for: %.*s", (int)size,
			  buf_head(&l->left_bytes));
		if (is_commit_mode && op->kind->leaves && l->left_reader.reply.type != RESP_ERROR)
			op->kind->leaves(op, &l->left_reader.reply);
		show(l, "left", buf_head(&l->left_bytes), size);
		l->left++;
		buf_consume(&l->left_bytes, size);
	}
}

static struct link *link_new(struct actor *a)
{
	size_t i = 0;
	struct link *l;

	while (i < LINKS_MAX && links[i])
		i++;
	if (i == LINKS_MAX)
		return NULL;
	l = calloc(1, sizeof(*l));
	sim_check(l, "out of memory");
	links[i] = l;
	l->actor = a;
	resp_reader_init(&l->left_reader);
	resp_reader_init(&l->reader);
	l->net = net_connect(l);
	return l;
}

/* No further reply comes. */
static void link_end(struct link *l)
{
	for (; l->arrived < l->sent; l->arrived++)
		if (op_at(l, l->arrived)->kind->is_lost)
			op_at(l, l->arrived)->kind->is_lost(op_at(l, l->arrived));
	if (l->actor)
		l->actor->link = NULL;
	net_forget(l->net);
	buf_fini(&l->out);
	buf_fini(&l->left_bytes);
	resp_reader_fini(&l->left_reader);
	resp_reader_fini(&l->reader);
	for (size_t i = 0; i < LINKS_MAX; i++)
		if (links[i] == l)
			links[i] = NULL;
	free(l);
}

/* The words of the request, parted by blanks. */
static void put_request(struct buf *out, char *text)
{
	struct slice words[WORDS_MAX];
	size_t count = 0;

	for (char *rest = text, *word; (word = strsep(&rest, " "));)
		words[count++] = slice_str(word);
	resp_put_request(out, count, words);
}

static void put_text(struct link *l, const char *fmt, va_list args)
{
	char text[REQUEST_MAX];

	(void)vsnprintf(text, sizeof(text), fmt, args);
	show(l, ">", text, strlen(text));
	put_request(&l->out, text);
}

struct op *link_send(struct link *l, const struct op_kind *kind, uint32_t what, int64_t number,
		     const char *fmt, ...)
{
	struct op *op = op_at(l, l->sent);
	va_list args;

	sim_check(link_has_room(l, 1), "a script sends too much");
	*op = (struct op){.kind = kind, .link = l, .what = what, .number = number};
	oracle_note_low(op->low);
	oracle_once_note(op->low_once);
	l->sent++;
	va_start(args, fmt);
	put_text(l, fmt, args);
	va_end(args);
	return op;
}

void link_send_silent(struct link *l, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_text(l, fmt, args);
	va_end(args);
}

static void reply_arrives(struct link *l, const struct resp_reply *reply)
{
	struct op *op = op_at(l, l->arrived);

	sim_check(l->arrived < l->left, "a reply arrives that never left");
	arrived++;
	l->arrived++;
	if (op->kind->is_refused && reply_has_error(reply, "MISCONF")) {
		op_check(op, reply, oracle_may_refuse(), "the disk was not full");
		op->kind->is_refused(op);
		return;
	}
	op->kind->arrives(op, reply);
}

static bool take_replies(struct link *l)
{
	const char *data;
	size_t len, size;
	bool has_some = false;

	while ((len = net_received(l->net, &data)) > 0 &&
	       resp_read(&l->reader, data, len, &size) == RESP_DONE) {
		show(l, op_at(l, l->arrived)->kind->name, data, size);
		reply_arrives(l, &l->reader.reply);
		net_take(l->net, size);
		has_some = true;
	}
	return has_some;
}

/* ---- clients ---- */

static void send_out(struct link *l)
{
	if (buf_len(&l->out))
		net_send(l->net, buf_head(&l->out), buf_len(&l->out));
	buf_consume(&l->out, buf_len(&l->out));
}

static void leave_alone(struct link *l)
{
	l->actor->link = NULL;
	l->actor = NULL;
}

/* By chance the connection ends in one of the ways there are. */
static void maybe_part(struct actor *a)
{
	struct link *l = a->link;

	if (a->script->may_take_over && sim_one_in(24)) {
		leave_alone(l);
	} else if (sim_one_in(400)) {
		net_shutdown(l->net); /* the replies that are owed still come */
		l->is_shut = true;
		leave_alone(l);
	} else if (sim_one_in(400)) {
		net_reset(l->net);
		link_end(l);
	}
}

static void actor_step(struct actor *a)
{
	if (is_quiet)
		return;
	if (!a->link) {
		if (!net_is_accepting())
			return;
		a->link = link_new(a);
		if (a->link && a->script->begin)
			a->script->begin(a, a->link);
	}
	if (!a->link)
		return;
	if (!a->link->is_mute)
		for (uint32_t n = 1 + sim_below(1U << sim_below(4)); n && link_has_room(a->link, 8); n--)
			a->script->send(a, a->link);
	send_out(a->link);
	maybe_part(a);
}

static void link_step(struct link *l)
{
	(void)take_replies(l);
	if (net_is_ended(l->net)) {
		sim_check(l->is_shut || !net_is_accepting(),
			  "the daemon closes a connection with %llu replies owed",
			  (unsigned long long)(l->sent - l->arrived));
		link_end(l);
	} else if (!l->actor && l->arrived == l->sent) {
		/* Left alone, and nothing is owed. */
		net_reset(l->net);
		link_end(l);
	}
}

void clients_step(void)
{
	struct link *l = links[sim_below(LINKS_MAX)];

	if (l && sim_one_in(2))
		link_step(l);
	else if (actor_count)
		actor_step(&actors[sim_below((uint32_t)actor_count)]);
}

void clients_set_quiet(bool quiet)
{
	is_quiet = quiet;
}

uint64_t clients_owed(void)
{
	uint64_t owed = 0;

	for (size_t i = 0; i < LINKS_MAX; i++)
		if (links[i])
			owed += links[i]->sent - links[i]->arrived;
	return owed;
}

uint64_t clients_coming(void)
{
	uint64_t coming = 0;

	for (size_t i = 0; i < LINKS_MAX; i++)
		if (links[i])
			coming += links[i]->left - links[i]->arrived;
	return coming;
}

uint64_t clients_arrived(void)
{
	return arrived;
}

bool clients_is_commit_mode(void)
{
	return is_commit_mode;
}

void clients_crash(void)
{
	for (size_t i = 0; i < LINKS_MAX; i++) {
		if (!links[i])
			continue;
		(void)take_replies(links[i]);
		link_end(links[i]);
	}
}

void clients_init(bool is_commit)
{
	net_init(on_left);
	is_commit_mode = is_commit;
	is_quiet = false;
	actor_count = 0;
}

void clients_fini(void)
{
	clients_crash();
	net_fini();
}

struct actor *clients_add(const struct script *script, uint32_t index)
{
	struct actor *a = &actors[actor_count++];

	sim_check(actor_count <= ACTORS_MAX, "too many actors");
	*a = (struct actor){.script = script, .index = index};
	return a;
}
