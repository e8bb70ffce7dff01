/* SPDX-License-Identifier: MIT */
/* once.c - see once.h. Owns the tokens. */
#include "once.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spin.h"

enum { BUCKETS_MIN = 16 };

void once_table_init(struct once_table *t, _Atomic int64_t *count_max, _Atomic size_t *used_bytes)
{
	memset(t, 0, sizeof(*t));
	t->count_max = count_max;
	t->used_bytes = used_bytes;
	hash_key_init(&t->key);
}

static size_t bytes_of(const struct once_token *token)
{
	return sizeof(*token) + token->name_len + token->token_len;
}

struct once_token *once_free(struct once_table *t, struct once_token *token)
{
	if (!token)
		return NULL;
	atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(t->used_bytes, bytes_of(token), memory_order_relaxed);
	free(token);
	return NULL;
}

void once_table_fini(struct once_table *t)
{
	for (size_t i = 0; i < ONCE_STRIPES; i++) {
		struct once_stripe *stripe = &t->stripes[i];

		for (struct once_token *token = stripe->oldest, *newer; token; token = newer) {
			newer = token->newer;
			once_free(t, token);
		}
		free(stripe->buckets);
		*stripe = (struct once_stripe){0};
	}
}

/* ---- stripes ---- the top bits of the hash choose the stripe, the low ones the bucket */

struct once_key once_key(const struct once_table *t, struct slice name, struct slice token)
{
	uint64_t hash = hash_bytes(&t->key, name.data, name.len);

	return (struct once_key){
		.name = name,
		.token = token,
		.hash = hash * UINT64_C(0x9e3779b97f4a7c15) + hash_bytes(&t->key, token.data, token.len),
	};
}

static struct once_stripe *stripe_of(struct once_table *t, const struct once_key *key)
{
	return &t->stripes[key->hash >> 58];
}

void once_lock(struct once_table *t, const struct once_key *key)
{
	spin_lock(&stripe_of(t, key)->lock);
}

void once_unlock(struct once_table *t, const struct once_key *key)
{
	spin_unlock(&stripe_of(t, key)->lock);
}

static bool is_key(const struct once_token *token, const struct once_key *key)
{
	struct slice name = {.data = token->bytes, .len = token->name_len};
	struct slice own = {.data = token->bytes + token->name_len, .len = token->token_len};

	return token->hash == (uint32_t)key->hash && slice_equal(name, key->name) &&
	       slice_equal(own, key->token);
}

/* One that is not durable is not forgotten: its record may meet another of the same key and epoch. */
static bool is_expired(const struct once_token *token, int64_t before_ms, uint64_t durable)
{
	return token->used_ms < before_ms && token->epoch <= durable;
}

const struct once_token *once_find(const struct once_table *t, const struct once_key *key, int64_t before_ms,
				   uint64_t durable)
{
	const struct once_stripe *stripe = &t->stripes[key->hash >> 58];
	const struct once_token *token =
		stripe->buckets ? stripe->buckets[(uint32_t)key->hash & stripe->mask] : NULL;

	while (token && (is_expired(token, before_ms, durable) || !is_key(token, key)))
		token = token->next;
	return token;
}

/* Without memory for it the chains grow longer; only the first array is needed. */
static bool make_buckets(struct once_stripe *stripe)
{
	size_t mask = stripe->buckets ? stripe->mask * 2 + 1 : BUCKETS_MIN - 1;
	struct once_token **buckets;

	if (stripe->buckets && stripe->count <= stripe->mask)
		return true;
	buckets = calloc(mask + 1, sizeof(struct once_token *));
	if (!buckets)
		return stripe->buckets != NULL;
	for (struct once_token *token = stripe->oldest; token; token = token->newer) {
		struct once_token **bucket = &buckets[token->hash & mask];

		token->next = *bucket;
		*bucket = token;
	}
	free(stripe->buckets);
	stripe->buckets = buckets;
	stripe->mask = mask;
	return true;
}

/* ---- forgetting ---- */

static void take_oldest(struct once_table *t, struct once_stripe *stripe)
{
	struct once_token *token = stripe->oldest;
	struct once_token **at = &stripe->buckets[token->hash & stripe->mask];

	while (*at != token)
		at = &(*at)->next;
	*at = token->next;
	stripe->oldest = token->newer;
	if (!stripe->oldest)
		stripe->newest = NULL;
	stripe->count--;
	once_free(t, token);
}

static void expire(struct once_table *t, struct once_stripe *stripe, int64_t before_ms, uint64_t durable)
{
	while (stripe->oldest && is_expired(stripe->oldest, before_ms, durable))
		take_oldest(t, stripe);
}

void once_expire(struct once_table *t, int64_t before_ms, uint64_t durable)
{
	for (size_t i = 0; i < ONCE_STRIPES; i++) {
		spin_lock(&t->stripes[i].lock);
		expire(t, &t->stripes[i], before_ms, durable);
		spin_unlock(&t->stripes[i].lock);
	}
}

/* ---- adding ---- */

static struct once_token *make(struct once_table *t, const struct once_key *key, int64_t delta)
{
	struct once_token *token = malloc(sizeof(*token) + key->name.len + key->token.len);

	if (!token)
		return NULL;
	*token = (struct once_token){
		.delta = delta,
		.hash = (uint32_t)key->hash,
		.name_len = (uint8_t)key->name.len,
		.token_len = (uint8_t)key->token.len,
	};
	memcpy(token->bytes, key->name.data, key->name.len);
	memcpy(token->bytes + key->name.len, key->token.data, key->token.len);
	atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(t->used_bytes, bytes_of(token), memory_order_relaxed);
	return token;
}

int once_new(struct once_table *t, const struct once_key *key, int64_t delta, int64_t before_ms,
	     uint64_t durable, struct once_token **out)
{
	struct once_stripe *stripe = stripe_of(t, key);

	expire(t, stripe, before_ms, durable);
	if (once_is_full(t))
		return -EDQUOT;
	if (!make_buckets(stripe))
		return -ENOMEM;
	*out = make(t, key, delta);
	return *out ? 0 : -ENOMEM;
}

void once_add(struct once_table *t, const struct once_key *key, struct once_token *token, uint64_t epoch,
	      int64_t now_ms)
{
	struct once_stripe *stripe = stripe_of(t, key);
	struct once_token **bucket = &stripe->buckets[token->hash & stripe->mask];

	token->epoch = epoch;
	token->used_ms = now_ms;
	/* In front of an expired one of the same key. */
	token->next = *bucket;
	*bucket = token;
	token->newer = NULL;
	if (stripe->newest)
		stripe->newest->newer = token;
	else
		stripe->oldest = token;
	stripe->newest = token;
	stripe->count++;
}

int once_load(struct once_table *t, struct slice name, struct slice token, int64_t delta, int64_t used_ms)
{
	struct once_key key = once_key(t, name, token);
	struct once_token *made;

	if (!make_buckets(stripe_of(t, &key)))
		return -ENOMEM;
	made = make(t, &key, delta);
	if (!made)
		return -ENOMEM;
	once_add(t, &key, made, 0, used_ms);
	return 0;
}
