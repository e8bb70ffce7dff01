/* SPDX-License-Identifier: MIT */
/*
 * bench_links.c - the connections of a load generator, and room for so many.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"
#include "bench_memcached.h"
#include "target.h"

enum { DESCRIPTORS_BESIDE = 32 /* what else is open, but for two of each thread */ };

static int open_link(const struct invocation *inv, const struct bench_plan *plan, struct bench_links *links)
{
	struct bench_link *link = &links->list[links->count];
	*link = (struct bench_link){.own = CONN_INIT};
	int rc = plan->memcached ? memcached_open(plan, &link->own) : target_connect(inv, &link->shc);
	links->count += rc == EX_OK;
	return rc;
}

int bench_links_init(const struct invocation *inv, const struct bench_plan *plan, struct bench_links *links)
{
	*links = (struct bench_links){.list = calloc(plan->connections + 1, sizeof(*links->list))};
	return links->list ? open_link(inv, plan, links) : command_fail(EX_IOERR, "out of memory");
}

void bench_links_fini(struct bench_links *links)
{
	while (links->count > 0) {
		struct bench_link *link = &links->list[--links->count];
		if (link->shc)
			shc_close(link->shc);
		else
			conn_close(&link->own);
	}
	free(links->list);
}

struct slice bench_link_info(struct bench_link *link, const char *key)
{
	const char *argv[] = {"INFO"};
	const struct shc_reply *reply;
	if (shc_command(link->shc, 1, argv, NULL, false, &reply) || reply->type != SHC_T_STRING)
		return (struct slice){0};
	const char *at = reply->data, *end = at + reply->len;
	size_t key_len = strlen(key);
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = lf ? lf : end;
		if ((size_t)(line_end - at) > key_len && memcmp(at, key, key_len) == 0 &&
		    at[key_len] == ':') {
			line_end -= lf && line_end[-1] == '\r';
			return (struct slice){at + key_len + 1, (size_t)(line_end - at) - key_len - 1};
		}
		at = lf ? lf + 1 : end;
	}
	return (struct slice){0};
}

/* Each connection is a descriptor, and by default a process has 1024: what it may raise by itself it does. */
static int make_room(const struct bench_plan *plan)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)plan->connections + 2 * plan->threads + DESCRIPTORS_BESIDE;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return EX_OK;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max >= wanted && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return EX_OK;
	return command_fail(
		EX_IOERR,
		"%u connections need %llu descriptors, and this process can have %llu: raise the hard "
		"limit (as root: ulimit -Hn %llu, or LimitNOFILE= of a unit), or ask for fewer",
		plan->connections, (unsigned long long)wanted, (unsigned long long)limit.rlim_max,
		(unsigned long long)wanted);
}

int bench_links_open(const struct invocation *inv, const struct bench_plan *plan, struct bench_links *links)
{
	unsigned wanted = plan->is_cluster ? 1 + plan->threads : plan->connections;
	int rc = make_room(plan);
	while (links->count < wanted && rc == EX_OK)
		rc = open_link(inv, plan, links);
	return rc;
}
