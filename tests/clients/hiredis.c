/* SPDX-License-Identifier: MIT */
/*
 * hiredis, which speaks RESP2. Called as the programs for Node's clients are, see tell.mjs:
 * hiredis MODULES PACKAGE CASE ADDRESS PROTOCOL; PACKAGE is sync or async, MODULES and PROTOCOL are not
 * looked at.
 *
 * With async the same commands are called one after the other through an event loop of poll(2).
 */
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIPELINE = 1000, NAMES = 300, WAIT_MS_MAX = 20000 };

static bool is_async;
static const char *address;
static redisContext *sync_context;
static redisAsyncContext *async_context;
static bool wants_read, wants_write;

static void die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(1);
}

/* ---- what is told: a line of JSON for each call ---- */

static void put_string(const char *s, size_t len)
{
	putchar('"');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			printf("\\%c", s[i]);
		else if ((unsigned char)s[i] < ' ')
			printf("\\u%04x", (unsigned)s[i]);
		else
			putchar(s[i]);
	}
	putchar('"');
}

static void put_reply(const redisReply *r)
{
	switch (r ? r->type : REDIS_REPLY_NIL) {
	case REDIS_REPLY_INTEGER: printf("%lld", r->integer); break;
	case REDIS_REPLY_NIL: printf("null"); break;
	case REDIS_REPLY_ARRAY:
		putchar('[');
		for (size_t i = 0; i < r->elements; i++) {
			if (i > 0)
				putchar(',');
			put_reply(r->element[i]);
		}
		putchar(']');
		break;
	case REDIS_REPLY_ERROR:
		printf("{\"error\":");
		put_string(r->str, (size_t)r->len);
		putchar('}');
		break;
	default: put_string(r->str, (size_t)r->len);
	}
}

static void tell_reply(const char *call, const redisReply *r)
{
	printf("[\"%s\",", call);
	put_reply(r);
	printf("]\n");
	fflush(stdout);
}

static void tell_bool(const char *call, bool is_so)
{
	printf("[\"%s\",%s]\n", call, is_so ? "true" : "false");
	fflush(stdout);
}

static void tell_string(const char *call, const char *s)
{
	printf("[\"%s\",\"%s\"]\n", call, s);
	fflush(stdout);
}

/* Has clients.py do something with the daemon, and goes on when it is done. */
static void ask(const char *request)
{
	char line[16];
	tell_string("ask", request);
	if (!fgets(line, sizeof(line), stdin) || strcmp(line, "done\n") != 0)
		die("clients.py is gone");
}

/* ---- an event loop ---- */

static void add_read(void *loop)
{
	(void)loop;
	wants_read = true;
}

static void del_read(void *loop)
{
	(void)loop;
	wants_read = false;
}

static void add_write(void *loop)
{
	(void)loop;
	wants_write = true;
}

static void del_write(void *loop)
{
	(void)loop;
	wants_write = false;
}

static void turn(void)
{
	struct pollfd p = {.fd = async_context->c.fd,
			   .events = (short)((wants_read ? POLLIN : 0) | (wants_write ? POLLOUT : 0))};
	if (poll(&p, 1, WAIT_MS_MAX) <= 0)
		die("no answer");
	if (p.revents & POLLOUT)
		redisAsyncHandleWrite(async_context);
	if (async_context && p.revents & ~POLLOUT)
		redisAsyncHandleRead(async_context);
}

/* ---- connections ---- */

static void on_disconnect(const redisAsyncContext *c, int status)
{
	(void)c, (void)status;
	async_context = NULL;
}

static void open_async(void)
{
	const char *colon = strrchr(address, ':');
	char host[64] = "";
	if (strncmp(address, "unix:", 5) == 0) {
		async_context = redisAsyncConnectUnix(address + 5);
	} else {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
		async_context = redisAsyncConnect(host, atoi(colon + 1));
	}
	if (!async_context || async_context->err)
		die(async_context ? async_context->errstr : "no memory");
	wants_read = wants_write = false;
	async_context->ev.addRead = add_read;
	async_context->ev.delRead = del_read;
	async_context->ev.addWrite = add_write;
	async_context->ev.delWrite = del_write;
	redisAsyncSetDisconnectCallback(async_context, on_disconnect);
}

static void open_sync(void)
{
	const char *colon = strrchr(address, ':');
	char host[64] = "";
	if (strncmp(address, "unix:", 5) == 0) {
		sync_context = redisConnectUnix(address + 5);
	} else {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
		sync_context = redisConnect(host, atoi(colon + 1));
	}
	if (!sync_context || sync_context->err)
		die(sync_context ? sync_context->errstr : "no memory");
	redisSetTimeout(sync_context, (struct timeval){.tv_sec = WAIT_MS_MAX / 1000});
}

static void close_all(void)
{
	if (is_async) {
		if (async_context) /* QUIT may have ended it */
			redisAsyncDisconnect(async_context);
		while (async_context)
			turn();
	} else {
		redisFree(sync_context);
	}
}

/* ---- calls ---- */

/* One that is under way. Its reply is told by whoever gets it, since hiredis frees it then. */
struct call {
	const char *name; /* null: nothing is told */
	bool is_done, is_lost;
	long long integer;
	size_t elements;
};

static void take(struct call *call, const redisReply *r)
{
	call->is_done = true;
	call->is_lost = !r;
	call->integer = r ? r->integer : 0;
	call->elements = r ? r->elements : 0;
	if (call->name && r)
		tell_reply(call->name, r);
}

static void on_reply(redisAsyncContext *c, void *reply, void *arg)
{
	(void)c;
	take(arg, reply);
}

static struct call v_do_call(const char *name, const char *format, va_list ap)
{
	struct call call = {.name = name};
	if (!is_async) {
		redisReply *r = redisvCommand(sync_context, format, ap);
		take(&call, r);
		if (r)
			freeReplyObject(r);
		return call;
	}
	if (redisvAsyncCommand(async_context, on_reply, &call, format, ap) != REDIS_OK)
		die("the connection is closing");
	while (!call.is_done)
		turn();
	return call;
}

/* The result of redisCommand(), or of its asynchronous sister. */
static struct call tell(const char *name, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	struct call call = v_do_call(name, format, ap);
	va_end(ap);
	if (call.is_lost)
		die("the connection is lost");
	return call;
}

static struct call quietly(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	struct call call = v_do_call(NULL, format, ap);
	va_end(ap);
	return call;
}

/* ---- the parts of what a Redis does, too ---- */

static void counters(void)
{
	tell("ping", "PING");
	tell("get missing", "GET missing");
	tell("set a 5", "SET a %d", 5);
	tell("incr a", "INCR a");
	tell("incrby a 10", "INCRBY %s %lld", "a", 10LL);
	tell("decr a", "DECR a");
	tell("decrby a 20", "DECRBY %b %d", "a", (size_t)1, 20);
	tell("get a", "GET a");
	tell("set a 1 nx", "SET a 1 NX");
	tell("set a 2 xx get", "SET a 2 XX GET");
	tell("getset a 3", "GETSET a 3");
	tell("getdel a", "GETDEL a");
	tell("setnx a 4", "SETNX a 4");
	tell("mset", "MSET m1 1 m2 -2");
	tell("mget", "MGET m1 missing m2");
	tell("exists", "EXISTS m1 missing m2");
	tell("type", "TYPE m1");
	tell("dbsize", "DBSIZE");
	tell("del", "DEL m1 missing m2");
	tell("unlink", "UNLINK a");
}

static void errors(void)
{
	tell("set max", "SET max 9223372036854775807");
	tell("overflow", "INCR max");
	tell("get max", "GET max");
	tell("not an integer", "INCRBY a 1.5");
	tell("arity", "INCR");
	tell("unknown", "NOSUCH x");
	tell("set beyond 2^53", "SET big 9007199254740993");
	tell("get beyond 2^53", "GET big");
	tell("incr beyond 2^53", "INCR big");
	tell("del", "DEL max big");
}

static void pipelines_sync(void)
{
	bool is_in_order = true;
	redisReply *r = NULL;
	for (int i = 0; i < PIPELINE; i++)
		redisAppendCommand(sync_context, "INCR p");
	for (int i = 0; i < PIPELINE; i++) {
		if (redisGetReply(sync_context, (void **)&r) != REDIS_OK)
			die(sync_context->errstr);
		is_in_order = is_in_order && r->integer == i + 1;
		freeReplyObject(r);
	}
	tell_bool("1000 at once", is_in_order);
}

static void pipelines_async(void)
{
	static struct call calls[PIPELINE];
	bool is_in_order = true;
	for (int i = 0; i < PIPELINE; i++)
		redisAsyncCommand(async_context, on_reply, &calls[i], "INCR p");
	while (!calls[PIPELINE - 1].is_done)
		turn();
	for (int i = 0; i < PIPELINE; i++)
		is_in_order = is_in_order && calls[i].integer == i + 1;
	tell_bool("1000 at once", is_in_order);
}

static void transactions(void)
{
	tell("multi", "MULTI");
	tell("queued", "SET t 1");
	tell("queued", "INCRBY t x");
	tell("queued", "INCRBY t 4");
	tell("exec, one fails", "EXEC");
	tell("multi", "MULTI");
	tell("refused", "INCR");
	tell("exec, one refused", "EXEC");
	tell("multi", "MULTI");
	tell("queued", "INCR t");
	tell("discard", "DISCARD");
	tell("get t", "GET t");
	tell("del t", "DEL t p");
}

static void expiries(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	time_t end = now.tv_sec + WAIT_MS_MAX / 1000;

	tell("set ex", "SET e 1 EX 1000");
	tell("persist", "PERSIST e");
	tell("ttl of none", "TTL e");
	tell("ttl of missing", "TTL missing");
	tell("expireat", "EXPIREAT e 4000000000");
	tell("expiretime", "EXPIRETIME e");
	tell("psetex", "PSETEX e 1 3");
	while (quietly("EXISTS e").integer) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end)
			die("it never expires");
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* between two looks */
	}
	tell("get expired", "GET e");
}

static void walks_sync(void)
{
	char cursor[24] = "0";
	bool is_found[NAMES] = {false};
	int found = 0, number;
	for (int i = 0; i < NAMES; i++)
		quietly("SET walk:%d 1", i);
	do {
		redisReply *r = redisCommand(sync_context, "SCAN %s MATCH walk:* COUNT 20", cursor);
		if (!r)
			die(sync_context->errstr);
		snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
		for (size_t i = 0; i < r->element[1]->elements; i++) {
			if (sscanf(r->element[1]->element[i]->str, "walk:%d", &number) == 1 &&
			    number < NAMES) {
				found += !is_found[number];
				is_found[number] = true;
			}
		}
		freeReplyObject(r);
	} while (strcmp(cursor, "0") != 0);
	tell_bool("scan", found == NAMES);
}

static void shared(void)
{
	counters();
	errors();
	if (is_async)
		pipelines_async();
	else
		pipelines_sync();
	transactions();
	expiries();
	if (!is_async)
		walks_sync();
	tell("flushall", "FLUSHALL");
	if (is_async)
		tell("quit", "QUIT");
}

/* ---- what only a shcounterd does, and what it does not ---- */

static void own(void)
{
	tell("flushall", "FLUSHALL");
	tell("add", "SHC.ADD o 5 o2 -5");
	tell("hit", "SHC.HIT o");
	tell("shards", "SHC.SHARDS o");
	tell("once", "SHC.ONCE %s o 1", address);
	tell("once more", "SHC.ONCE %s o 1", address);
	tell("waitaof", "WAITAOF 1 0 0");
	tell("text", "SET o text");
	tell("list", "LPUSH o 1");
	tell("watch", "WATCH o");
	tell("select", "SELECT 1");
	tell("eval", "EVAL %s 0", "return 1");
	if (!is_async) /* there hiredis takes an error for the end of the connection, whichever server it is
			  from */
		tell("subscribe", "SUBSCRIBE news");
	tell("after all that", "INCR o");
}

/* ---- a daemon that goes and comes ---- */

static void again(void)
{
	if (!is_async) {
		if (redisReconnect(sync_context) != REDIS_OK)
			die(sync_context->errstr);
		return;
	}
	while (async_context)
		turn();
	open_async();
}

static void reconnect(void)
{
	tell("flushall", "FLUSHALL");
	tell("incr", "INCR r");
	tell("waitaof", "WAITAOF 1 0 0");
	ask("kill");
	tell_bool("while it is down", !quietly("INCR r").is_lost);
	ask("start");
	again();
	tell("again up", "INCR r");
	tell("get", "GET r");
}

static void run(const char *what)
{
	if (is_async)
		open_async();
	else
		open_sync();
	if (strcmp(what, "shared") == 0)
		shared();
	else if (strcmp(what, "own") == 0)
		own();
	else
		reconnect();
	close_all();
}

int main(int argc, char **argv)
{
	if (argc < 6)
		die("usage: hiredis MODULES sync|async shared|own|reconnect ADDRESS PROTOCOL...");
	is_async = strcmp(argv[2], "async") == 0;
	signal(SIGPIPE, SIG_IGN); /* hiredis leaves that to its user */
	for (int i = 4; i + 1 < argc; i += 2) {
		address = argv[i];
		printf("[\"run\",\"%s %s\"]\n", address, argv[i + 1]);
		run(argv[3]);
	}
	return 0;
}
