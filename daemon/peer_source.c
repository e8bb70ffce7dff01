/* SPDX-License-Identifier: MIT */
/* peer_source.c - see peer_source.h. */
#include "peer_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "client.h"

enum { IDLE_LOOKS = 2 }; /* at entries that may be forgotten, each time one is made: more than are made */

/* ---- keys ---- */

void source_key_of_address(const struct client_address *address, struct source_key *out)
{
	uint32_t uid = address->uid;

	memset(out, 0, sizeof(*out));
	if (address->uid != (uid_t)-1) {
		out->kind = SOURCE_USER;
		out->len = sizeof(uid);
		memcpy(out->bytes, &uid, sizeof(uid));
		return;
	}
	out->kind = SOURCE_ADDRESS;
	out->len = address->net_len;
	memcpy(out->bytes, address->net, address->net_len);
}

void source_key_of_login(struct slice login, struct source_key *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = SOURCE_LOGIN;
	out->len = (uint8_t)login.len;
	memcpy(out->bytes, login.data, login.len);
}

bool source_key_equal(const struct source_key *a, const struct source_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void print_address(const struct source_key *key, char out[SOURCE_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN] = "?";
	struct in6_addr net = {0};
	struct in_addr v4;

	if (key->len == CLIENT_NET_V4) {
		memcpy(&v4, key->bytes, sizeof(v4));
		(void)inet_ntop(AF_INET, &v4, host, sizeof(host));
	} else if (key->len == CLIENT_NET_V6) {
		memcpy(&net, key->bytes, CLIENT_NET_V6);
		(void)inet_ntop(AF_INET6, &net, host, sizeof(host));
	}
	(void)snprintf(out, SOURCE_TEXT_SIZE, "%s%s", host, key->len == CLIENT_NET_V6 ? "/64" : "");
}

void source_key_print(const struct source_key *key, char out[SOURCE_TEXT_SIZE])
{
	uint32_t uid;

	switch ((enum source_kind)key->kind) {
	case SOURCE_USER:
		memcpy(&uid, key->bytes, sizeof(uid));
		(void)snprintf(out, SOURCE_TEXT_SIZE, "uid %u", (unsigned)uid);
		break;
	case SOURCE_ADDRESS: print_address(key, out); break;
	case SOURCE_LOGIN: (void)snprintf(out, SOURCE_TEXT_SIZE, "login %.*s", key->len, key->bytes); break;
	}
}

/* ---- the table ---- */

int sources_init(struct sources *t, uint32_t worker_count)
{
	memset(t, 0, sizeof(*t));
	t->buckets = calloc(SOURCE_BUCKETS, sizeof(*t->buckets));
	if (!t->buckets)
		return -ENOMEM;
	pthread_mutex_init(&t->mutex, NULL);
	hash_key_init(&t->hash_key);
	t->worker_count = worker_count;
	TAILQ_INIT(&t->idle);
	return 0;
}

static struct source_bucket *bucket_of(const struct sources *t, const struct source_key *key)
{
	return &t->buckets[hash_bytes(&t->hash_key, key, sizeof(*key)) % SOURCE_BUCKETS];
}

static struct source *find(const struct sources *t, const struct source_key *key)
{
	struct source *s;

	LIST_FOREACH (s, bucket_of(t, key), same)
		if (source_key_equal(&s->key, key))
			return s;
	return NULL;
}

static struct source *add(struct sources *t, const struct source_key *key)
{
	struct source *s = calloc(1, sizeof(*s) + t->worker_count * sizeof(s->queues[0]));

	if (!s)
		return NULL;
	s->key = *key;
	for (uint32_t i = 0; i < t->worker_count; i++)
		TAILQ_INIT(&s->queues[i].peers);
	LIST_INSERT_HEAD(bucket_of(t, key), s, same);
	return s;
}

static void stop_idling(struct sources *t, struct source *s)
{
	TAILQ_REMOVE(&t->idle, s, idle);
	t->idle_count--;
}

static void forget(struct source *s)
{
	LIST_REMOVE(s, same);
	free(s);
}

static bool is_full(const struct source *s, int64_t now_ns)
{
	return budget_debt_ns(&s->operations, now_ns) == 0 && budget_debt_ns(&s->bytes, now_ns) == 0;
}

/* A few each time; who still owes something is looked at again when all others have been. */
static void forget_some(struct sources *t, int64_t now_ns)
{
	for (int i = 0; i < IDLE_LOOKS && !TAILQ_EMPTY(&t->idle); i++) {
		struct source *s = TAILQ_FIRST(&t->idle);

		stop_idling(t, s);
		if (is_full(s, now_ns) || t->idle_count >= SOURCES_IDLE_MAX) {
			forget(s);
		} else {
			TAILQ_INSERT_TAIL(&t->idle, s, idle);
			t->idle_count++;
		}
	}
}

/* With the mutex. */
static int join(struct sources *t, const struct source_key *key, int64_t clients_max, struct source **out)
{
	struct source *s = find(t, key);

	if (s && clients_max > 0 && s->clients >= clients_max)
		return -EUSERS;
	if (s && s->clients == 0)
		stop_idling(t, s);
	if (!s)
		s = add(t, key);
	if (!s)
		return -ENOMEM;
	if (s->clients++ == 0)
		atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	*out = s;
	return 0;
}

int sources_join(struct sources *t, const struct source_key *key, int64_t clients_max, int64_t now_ns,
		 struct source **out)
{
	int rc;

	pthread_mutex_lock(&t->mutex);
	rc = join(t, key, clients_max, out);
	forget_some(t, now_ns);
	pthread_mutex_unlock(&t->mutex);
	if (rc == -EUSERS)
		atomic_fetch_add_explicit(&t->refused, 1, memory_order_relaxed);
	return rc;
}

/* With the mutex. */
static void leave(struct sources *t, struct source *s, int64_t now_ns)
{
	if (--s->clients > 0)
		return;
	atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
	if (is_full(s, now_ns)) {
		forget(s);
		return;
	}
	TAILQ_INSERT_TAIL(&t->idle, s, idle);
	t->idle_count++;
	forget_some(t, now_ns);
}

void sources_leave(struct sources *t, struct source *s, int64_t now_ns)
{
	if (!s)
		return;
	pthread_mutex_lock(&t->mutex);
	leave(t, s, now_ns);
	pthread_mutex_unlock(&t->mutex);
}

void sources_forgive(struct sources *t, int64_t now_ns)
{
	struct source *s;

	pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i < SOURCE_BUCKETS; i++)
		LIST_FOREACH (s, &t->buckets[i], same) {
			budget_forgive(&s->operations, now_ns);
			budget_forgive(&s->bytes, now_ns);
		}
	pthread_mutex_unlock(&t->mutex);
}

void sources_fini(struct sources *t)
{
	struct source *s;

	while ((s = TAILQ_FIRST(&t->idle))) {
		stop_idling(t, s);
		forget(s);
	}
	free(t->buckets);
	t->buckets = NULL;
	pthread_mutex_destroy(&t->mutex);
}
