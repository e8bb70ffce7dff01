/* SPDX-License-Identifier: MIT */
/*
 * load.c - a load generator for one server on a Unix socket, redis-server or shcounterd: one thread, closed
 * loop.
 *
 * Usage: load -s SOCKET [-c CONNECTIONS] [-P PIPELINE] [-n REQUESTS | -t SECONDS] [-r KEYS [-S]] [-k PREFIX]
 *	       [-a NAMES] [-R RATE] [-x]
 *
 * Each connection sends PIPELINE requests at once, and the next ones when all are answered: `INCR
 * PREFIX:%08d`, or `SHC.ADD` of NAMES names (-a). Keys are random below KEYS, or in sequence (-S). RATE: at
 * most so many names a second, one connection. Defaults: 50 connections, 1, 100000 requests, 1 key,
 * "counter".
 *
 * A reply that is not the one expected ends it with status 1, and so does a sum over all keys that has not
 * grown by exactly what was sent: the prefix must be its own (-x: without the sums). Prints one line of
 * name=value; latencies are those of single requests, from the send of the pipeline they stood in, or, at a
 * RATE, from when it was due.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	DIGITS = 8,
	KEYS_MAX = 100000000, /* what the digits can say */
	CONNECTIONS_MAX = 1000,
	BATCH_BYTES_MAX = 100000, /* fits into a socket's buffer, so that sending never waits for reading */
	IN_BYTES = 1 << 16,
	KEYS_PER_MGET = 1000,
	SUB_BITS = 6, /* of the histogram: buckets are 1/64 wide */
	SUBS = 1 << SUB_BITS,
	BUCKETS = (64 - SUB_BITS + 1) * SUBS,
};

struct options {
	const char *socket, *prefix;
	unsigned connections, pipeline, keys;
	unsigned names; /* of one SHC.ADD; 0: INCR */
	uint64_t requests;
	double seconds; /* 0: `requests` decides */
	double rate;	/* names a second; 0: as fast as it goes */
	bool is_sequential, is_unsummed;
};

struct connection {
	int fd;
	unsigned waiting;  /* replies of the batch that have not come */
	uint64_t begun_ns; /* when the batch was sent, or should have been */
	int64_t last;	   /* the value of the last reply, where there is one key */
	char in[IN_BYTES];
	size_t in_len;
};

struct load {
	struct options opt;
	struct connection *connections;
	char *batch; /* the bytes of a pipeline; only the digits change */
	size_t batch_len;
	size_t *digits; /* where each name's digits begin in it */
	size_t digit_count;
	uint64_t random;
	unsigned next_key;
	uint64_t requests_sent, replies, begin_ns, end_ns;
	uint64_t buckets[BUCKETS], latency_max;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("load: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

static void *allocate(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		die("out of memory");
	return p;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* ---- latencies ---- exact below 64 ns, then 64 buckets for each power of two. */

static unsigned bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < SUBS)
		return (unsigned)ns;
	shift = 63u - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	return (shift + 1) * SUBS + (unsigned)(ns >> shift & (SUBS - 1));
}

static double bucket_middle_ns(unsigned bucket)
{
	unsigned shift;

	if (bucket < SUBS)
		return bucket;
	shift = bucket / SUBS - 1;
	return ((double)(SUBS + bucket % SUBS) + 0.5) * (double)(UINT64_C(1) << shift);
}

static void note_latency(struct load *l, uint64_t ns, unsigned count)
{
	l->buckets[bucket_of(ns)] += count;
	if (ns > l->latency_max)
		l->latency_max = ns;
}

static double percentile_us(const struct load *l, double share)
{
	double want = share * (double)l->replies;
	uint64_t seen = 0;

	for (unsigned b = 0; b < BUCKETS; b++) {
		seen += l->buckets[b];
		if (seen && (double)seen >= want)
			return bucket_middle_ns(b) / 1000;
	}
	return 0;
}

/* ---- what is sent ---- */

static void put_word(FILE *f, const char *word)
{
	(void)fprintf(f, "$%zu\r\n%s\r\n", strlen(word), word);
}

static void put_name(struct load *l, FILE *f)
{
	const char *prefix = l->opt.prefix;

	(void)fprintf(f, "$%zu\r\n%s:", strlen(prefix) + 1 + DIGITS, prefix);
	(void)fflush(f); /* for the position */
	l->digits[l->digit_count++] = l->batch_len;
	(void)fprintf(f, "%0*d\r\n", DIGITS, 0);
}

static void put_request(struct load *l, FILE *f)
{
	if (!l->opt.names) {
		(void)fputs("*2\r\n", f);
		put_word(f, "INCR");
		put_name(l, f);
		return;
	}
	(void)fprintf(f, "*%u\r\n", 1 + 2 * l->opt.names);
	put_word(f, "SHC.ADD");
	for (unsigned i = 0; i < l->opt.names; i++) {
		put_name(l, f);
		put_word(f, "1");
	}
}

static void make_batch(struct load *l)
{
	FILE *f = open_memstream(&l->batch, &l->batch_len);

	if (!f)
		die("out of memory");
	l->digits = allocate((size_t)l->opt.pipeline * (l->opt.names ? l->opt.names : 1), sizeof(*l->digits));
	for (unsigned i = 0; i < l->opt.pipeline; i++)
		put_request(l, f);
	if (fclose(f))
		die("out of memory");
	if (l->batch_len > BATCH_BYTES_MAX)
		die("a pipeline of %zu bytes is longer than %d", l->batch_len, BATCH_BYTES_MAX);
}

static unsigned next_key(struct load *l)
{
	if (l->opt.is_sequential)
		return l->next_key++ % l->opt.keys;
	/* The high half: a remainder would do as well, and cost a division. */
	return (unsigned)((next_random(&l->random) >> 32) * l->opt.keys >> 32);
}

static void choose_keys(struct load *l)
{
	if (l->opt.keys == 1)
		return;
	for (size_t i = 0; i < l->digit_count; i++) {
		unsigned key = next_key(l);

		for (size_t at = l->digits[i] + DIGITS; at-- > l->digits[i]; key /= 10)
			l->batch[at] = (char)('0' + key % 10);
	}
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("send: %s", strerror(errno));
		data += n;
		len -= (size_t)n;
	}
}

/* `due_ns`: when it should have been sent; 0: now. */
static void send_batch(struct load *l, struct connection *c, uint64_t due_ns)
{
	choose_keys(l);
	c->waiting = l->opt.pipeline;
	l->requests_sent += l->opt.pipeline;
	c->begun_ns = due_ns ? due_ns : now_ns();
	send_all(c->fd, l->batch, l->batch_len);
}

static bool is_over(const struct load *l, uint64_t now)
{
	if (l->opt.seconds > 0)
		return (double)(now - l->begin_ns) >= l->opt.seconds * 1e9;
	return l->requests_sent >= l->opt.requests;
}

/* One connection: it may sleep. Returns when the next batch should have been sent, if that is past because
 * the server was slow: else a server that stops for a while would show as a single slow request. */
static uint64_t keep_rate(const struct load *l, uint64_t now)
{
	double names = (double)l->requests_sent * (l->opt.names ? l->opt.names : 1);
	uint64_t due = l->begin_ns + (uint64_t)(names / l->opt.rate * 1e9);

	if (due < now)
		return due;
	due -= now;
	nanosleep(&(struct timespec){(time_t)(due / 1000000000u), (long)(due % 1000000000u)}, NULL);
	return 0;
}

/* ---- what comes back ---- */

static void check_reply(const struct load *l, struct connection *c, const char *line)
{
	if (l->opt.names) {
		if (strcmp(line, "+OK") != 0)
			die("the answer to SHC.ADD is %s", line);
		return;
	}
	char *end;
	int64_t value = strtoll(line + 1, &end, 10);

	if (*line != ':' || *end || end == line + 1)
		die("the answer to INCR is %s", line);
	if (l->opt.keys == 1 && value <= c->last)
		die("INCR gave %" PRId64 " after %" PRId64, value, c->last);
	c->last = value;
}

/* How many whole replies are in the buffer; they are taken out. */
static unsigned take_replies(const struct load *l, struct connection *c)
{
	char *at = c->in, *end = c->in + c->in_len, *lf;
	unsigned count = 0;

	for (; (lf = memchr(at, '\n', (size_t)(end - at))); at = lf + 1) {
		if (lf == at || lf[-1] != '\r')
			die("a reply does not end with CR LF");
		lf[-1] = '\0';
		check_reply(l, c, at);
		count++;
	}
	c->in_len = (size_t)(end - at);
	if (c->in_len == IN_BYTES)
		die("a reply without end");
	memmove(c->in, at, c->in_len);
	return count;
}

static void receive(struct load *l, struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_BYTES - c->in_len, 0);
	uint64_t now = now_ns();
	unsigned count;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0)
		die("recv: %s", n < 0 ? strerror(errno) : "the server closed the connection");
	c->in_len += (size_t)n;
	count = take_replies(l, c);
	if (count > c->waiting)
		die("more replies than requests");
	note_latency(l, now - c->begun_ns, count);
	l->replies += count;
	l->end_ns = now;
	c->waiting -= count;
	if (c->waiting || is_over(l, now))
		return;
	send_batch(l, c, l->opt.rate > 0 ? keep_rate(l, now) : 0);
}

/* ---- the sum over all keys ---- */

static int dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void ask_values(const struct load *l, FILE *f, unsigned first, unsigned count)
{
	(void)fprintf(f, "*%u\r\n$4\r\nMGET\r\n", count + 1);
	for (unsigned k = first; k < first + count; k++)
		(void)fprintf(f, "$%zu\r\n%s:%0*u\r\n", strlen(l->opt.prefix) + 1 + DIGITS, l->opt.prefix,
			      DIGITS, k);
	if (fflush(f))
		die("send: %s", strerror(errno));
}

static int64_t read_values(FILE *f, unsigned count)
{
	char line[64];
	int64_t sum = 0;

	if (!fgets(line, sizeof(line), f) || *line != '*' || strtoul(line + 1, NULL, 10) != count)
		die("no answer to MGET, or a wrong one");
	while (count-- > 0) {
		if (!fgets(line, sizeof(line), f) || *line != '$')
			die("no answer to MGET, or a wrong one");
		if (line[1] == '-')
			continue; /* nil */
		if (!fgets(line, sizeof(line), f))
			die("no answer to MGET");
		sum += strtoll(line, NULL, 10);
	}
	return sum;
}

static int64_t sum_keys(const struct load *l)
{
	int fd = dial(l->opt.socket);
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	int64_t sum = 0;

	if (!in || !out)
		die("out of memory");
	for (unsigned k = 0; k < l->opt.keys; k += KEYS_PER_MGET) {
		unsigned count = l->opt.keys - k < KEYS_PER_MGET ? l->opt.keys - k : KEYS_PER_MGET;

		ask_values(l, out, k, count);
		sum += read_values(in, count);
	}
	(void)fclose(in);
	(void)fclose(out);
	return sum;
}

/* ---- a run ---- */

static int open_connections(struct load *l)
{
	int poll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (poll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
	l->connections = allocate(l->opt.connections, sizeof(*l->connections));
	for (unsigned i = 0; i < l->opt.connections; i++) {
		struct connection *c = &l->connections[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

		c->fd = dial(l->opt.socket);
		if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event))
			die("epoll_ctl: %s", strerror(errno));
	}
	return poll_fd;
}

static void run(struct load *l)
{
	int poll_fd = open_connections(l);
	struct epoll_event events[64];

	l->begin_ns = now_ns();
	for (unsigned i = 0; i < l->opt.connections; i++)
		send_batch(l, &l->connections[i], 0);
	while (l->replies < l->requests_sent) {
		int n = epoll_wait(poll_fd, events, sizeof(events) / sizeof(*events), -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < n; i++)
			receive(l, events[i].data.ptr);
	}
	for (unsigned i = 0; i < l->opt.connections; i++)
		close(l->connections[i].fd);
	close(poll_fd);
}

static void report(const struct load *l)
{
	double seconds = (double)(l->end_ns - l->begin_ns) / 1e9;

	printf("requests=%" PRIu64
	       " seconds=%.3f per_second=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f\n",
	       l->replies, seconds, (double)l->replies / seconds, percentile_us(l, 0.5),
	       percentile_us(l, 0.99), percentile_us(l, 0.999), (double)l->latency_max / 1000);
}

static double number(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (*end || end == text || !(value >= least && value <= most))
		die("%s is not a number from %.0f to %.0f", text, least, most);
	return value;
}

static void take_option(struct options *o, int option, const char *arg)
{
	switch (option) {
	case 's': o->socket = arg; break;
	case 'k': o->prefix = arg; break;
	case 'c': o->connections = (unsigned)number(arg, 1, CONNECTIONS_MAX); break;
	case 'P': o->pipeline = (unsigned)number(arg, 1, BATCH_BYTES_MAX); break;
	case 'n': o->requests = (uint64_t)number(arg, 1, 1e12); break;
	case 't': o->seconds = number(arg, 0.001, 86400); break;
	case 'r': o->keys = (unsigned)number(arg, 1, KEYS_MAX); break;
	case 'a': o->names = (unsigned)number(arg, 1, BATCH_BYTES_MAX); break;
	case 'R': o->rate = number(arg, 1, 1e12); break;
	case 'S': o->is_sequential = true; break;
	case 'x': o->is_unsummed = true; break;
	default: die("usage: see the head of bench/load.c");
	}
}

int main(int argc, char **argv)
{
	static struct load load = {
		.opt = {.prefix = "counter", .connections = 50, .pipeline = 1, .keys = 1, .requests = 100000},
		.random = 1,
	};
	int64_t before, grown;
	int option;

	while ((option = getopt(argc, argv, "s:k:c:P:n:t:r:a:R:Sx")) != -1)
		take_option(&load.opt, option, optarg);
	if (!load.opt.socket || optind != argc || (load.opt.rate > 0 && load.opt.connections != 1))
		die("usage: see the head of bench/load.c");
	prctl(PR_SET_TIMERSLACK, 1UL); /* for RATE */
	make_batch(&load);
	before = load.opt.is_unsummed ? 0 : sum_keys(&load);
	run(&load);
	grown = load.opt.is_unsummed ? 0 : sum_keys(&load) - before;
	if (!load.opt.is_unsummed && grown != (int64_t)(load.replies * (load.opt.names ? load.opt.names : 1)))
		die("the counters have grown by %" PRId64 " after %" PRIu64 " acknowledged requests", grown,
		    load.replies);
	report(&load);
	return 0;
}
