/* SPDX-License-Identifier: MIT */
/* oracle_once.c - see oracle_once.h. */
#include "oracle_once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients.h"
#include "kept.h"
#include "oracle.h"
#include "sim.h"

enum { SEQS_MAX = 8192, RECENT_TOKENS = 12 };

struct session_truth {
	uint64_t acked, sent, durable;
	uint64_t binding; /* the newest that was told */
	uint64_t bound_last;
	bool is_applied[SEQS_MAX]; /* was acknowledged so by the present daemon, or is on disk */
};

struct token_truth {
	bool is_sent, is_acked, is_durable;
	bool is_applied; /* was acknowledged so by the present daemon, or is on disk */
	int64_t acked_at;
};

static struct session_truth sessions[SESSIONS];
static struct token_truth tokens[TOKENS_MAX];
static uint32_t token_count;
static int64_t acks;
static uint64_t bindings;

void oracle_once_init(void)
{
	memset(sessions, 0, sizeof(sessions));
	memset(tokens, 0, sizeof(tokens));
	token_count = 0;
	acks = 0;
	bindings = 0;
}

void oracle_once_note(int64_t *low)
{
	for (size_t i = 0; i < SESSIONS; i++)
		low[i] = (int64_t)sessions[i].acked;
	low[SESSIONS] = acks;
}

static void be_durable(struct session_truth *s, uint64_t seq)
{
	if (seq > s->durable)
		s->durable = seq;
}

void oracle_once_barrier(const int64_t *low)
{
	for (size_t i = 0; i < SESSIONS; i++)
		be_durable(&sessions[i], (uint64_t)low[i]);
	for (size_t i = 0; i < token_count; i++)
		tokens[i].is_durable |= tokens[i].is_acked && tokens[i].acked_at <= low[SESSIONS];
}

/* ---- sessions ---- */

int64_t oracle_batch_own(uint64_t seq)
{
	return 1 + (int64_t)(seq % 5);
}

int64_t oracle_batch_shared(uint64_t seq)
{
	return (int64_t)(seq % 3);
}

void oracle_apply_sent(uint32_t session, uint64_t seq)
{
	sim_check(seq < SEQS_MAX, "too many batches");
	if (seq > sessions[session].sent)
		sessions[session].sent = seq;
}

const char *oracle_applied(uint32_t session, uint64_t seq, uint64_t binding)
{
	struct session_truth *s = &sessions[session];

	if (s->is_applied[seq])
		return "it was applied before";
	if (binding != s->binding && seq > s->bound_last)
		return "it was applied for a connection that has lost the session";
	s->is_applied[seq] = true;
	if (seq > s->acked)
		s->acked = seq;
	if (clients_is_commit_mode())
		be_durable(s, seq);
	return NULL;
}

void oracle_known(uint32_t session, uint64_t seq)
{
	struct session_truth *s = &sessions[session];

	if (seq > s->acked)
		s->acked = seq;
	if (clients_is_commit_mode())
		be_durable(s, seq);
}

static uint64_t seq_on_disk(uint32_t session)
{
	char id[KEPT_NAME_MAX];

	(void)snprintf(id, sizeof(id), "session%u", session);
	return kept_session(id)->seq;
}

const char *oracle_apply_leaves(uint32_t session, uint64_t seq)
{
	return seq_on_disk(session) >= seq ? NULL : "it leaves before the batch is on disk";
}

const char *oracle_bound(uint32_t session, uint64_t last, uint64_t stored, int64_t low, uint64_t *binding)
{
	struct session_truth *s = &sessions[session];

	if ((int64_t)last < low)
		return "it forgets a batch that was acknowledged";
	if (last > s->sent)
		return "it knows a batch that was never sent";
	if (stored > last || stored > seq_on_disk(session))
		return "it says stored of what is not";
	if (last > s->acked)
		s->acked = last;
	be_durable(s, stored);
	if (clients_is_commit_mode())
		be_durable(s, last);
	if (!binding)
		return NULL;
	s->binding = *binding = ++bindings;
	s->bound_last = last;
	return NULL;
}

static void check_session(uint32_t session, int64_t *shared)
{
	const struct session_truth *s = &sessions[session];
	uint64_t seq = seq_on_disk(session);
	int64_t own = 0, kept;
	char name[KEPT_NAME_MAX];

	sim_check(seq >= s->durable, "session %u is at %llu on disk, %llu was durable", session,
		  (unsigned long long)seq, (unsigned long long)s->durable);
	sim_check(seq <= s->sent, "session %u is at %llu on disk, %llu was sent", session,
		  (unsigned long long)seq, (unsigned long long)s->sent);
	for (uint64_t n = 1; n <= seq; n++) {
		own += oracle_batch_own(n);
		*shared += oracle_batch_shared(n);
	}
	(void)snprintf(name, sizeof(name), "own%u", session);
	(void)kept_counter(name, &kept);
	sim_check(oracle_is_flushing() || own == kept,
		  "session %u is at %llu on disk, its counter at %lld and not %lld", session,
		  (unsigned long long)seq, (long long)kept, (long long)own);
}

/* ---- tokens ---- */

static void token_counter(uint32_t token, char *name)
{
	(void)snprintf(name, KEPT_NAME_MAX, "once%u", token % TOKEN_COUNTERS);
}

static const struct kept_token *token_on_disk(uint32_t token)
{
	char text[KEPT_NAME_MAX];

	(void)snprintf(text, sizeof(text), "token%u", token);
	return kept_token(text);
}

uint32_t oracle_token_choose(void)
{
	uint32_t recent = token_count < RECENT_TOKENS ? token_count : RECENT_TOKENS;

	if (recent && (sim_one_in(2) || token_count == TOKENS_MAX))
		return token_count - 1 - sim_below(recent);
	return token_count++;
}

/* Some add nothing: only the token itself says that they are used. */
int64_t oracle_token_delta(uint32_t token)
{
	return token % 7;
}

bool oracle_token_is_of_several(uint32_t token)
{
	return token % 3 == 0;
}

static int64_t sum_of(uint32_t counter, bool is_acked_only)
{
	int64_t sum = 0;

	for (uint32_t i = counter; i < token_count; i += TOKEN_COUNTERS)
		if (tokens[i].is_acked || (!is_acked_only && tokens[i].is_sent))
			sum += oracle_token_delta(i);
	return sum;
}

int64_t oracle_token_sent(uint32_t token)
{
	tokens[token].is_sent = true;
	return sum_of(token % TOKEN_COUNTERS, true);
}

bool oracle_token_is_acked(uint32_t token)
{
	return tokens[token].is_acked;
}

const char *oracle_token_answered(uint32_t token, int64_t value, bool is_applied, int64_t low)
{
	struct token_truth *t = &tokens[token];

	if (is_applied && t->is_applied)
		return "the token is applied twice";
	t->is_applied |= is_applied;
	if (!oracle_is_flushing() && (value < low || value > sum_of(token % TOKEN_COUNTERS, false)))
		return "the counter's value cannot be";
	if (!t->is_acked)
		t->acked_at = ++acks;
	t->is_acked = true;
	if (clients_is_commit_mode())
		t->is_durable = true;
	return NULL;
}

const char *oracle_token_leaves(uint32_t token, int64_t value)
{
	char name[KEPT_NAME_MAX];
	int64_t kept;

	token_counter(token, name);
	(void)kept_counter(name, &kept);
	if (!token_on_disk(token))
		return "it leaves before the token is on disk";
	return oracle_is_flushing() || kept >= value ? NULL : "it leaves before the value is on disk";
}

/* ---- the disk ---- */

static void check_tokens(void)
{
	int64_t sums[TOKEN_COUNTERS] = {0}, several = 0, kept;
	const struct kept_token *t;
	char name[KEPT_NAME_MAX];

	for (size_t i = kept_tokens(&t); i-- > 0; t++) {
		uint32_t token = (uint32_t)strtoul(t->token + strlen("token"), NULL, 10);
		bool is_of_several = oracle_token_is_of_several(token);

		token_counter(token, name);
		sim_check(strcmp(t->name, is_of_several ? "\xff" : name) == 0, "%s has the name '%s'",
			  t->token, t->name);
		sim_check(is_of_several || t->delta == oracle_token_delta(token), "%s has another delta",
			  t->token);
		sums[token % TOKEN_COUNTERS] += oracle_token_delta(token);
		several += is_of_several;
	}
	for (uint32_t i = 0; i < TOKEN_COUNTERS; i++) {
		token_counter(i, name);
		(void)kept_counter(name, &kept);
		sim_check(kept == sums[i], "%s is %lld on disk, its tokens make %lld", name, (long long)kept,
			  (long long)sums[i]);
	}
	(void)kept_counter("several", &kept);
	sim_check(kept == several, "tokens of several additions: %lld on disk, and %lld were counted",
		  (long long)several, (long long)kept);
}

void oracle_once_landed(void)
{
	int64_t shared = 0, kept;

	for (uint32_t i = 0; i < SESSIONS; i++)
		check_session(i, &shared);
	if (oracle_is_flushing())
		return;
	(void)kept_counter("shared", &kept);
	sim_check(shared == kept, "the counter of all sessions is %lld on disk and not %lld", (long long)kept,
		  (long long)shared);
	check_tokens();
}

void oracle_once_recovered(void)
{
	oracle_once_landed();
	for (uint32_t i = 0; i < SESSIONS; i++) {
		struct session_truth *s = &sessions[i];

		s->acked = s->durable = s->sent = s->bound_last = seq_on_disk(i);
		s->binding = 0;
		for (uint64_t n = 0; n < SEQS_MAX; n++)
			s->is_applied[n] = n <= s->acked;
	}
	for (uint32_t i = 0; i < token_count; i++) {
		bool is_kept = token_on_disk(i) != NULL;

		sim_check(is_kept || !tokens[i].is_durable, "token%u was durable and is not on disk", i);
		if (is_kept && !tokens[i].is_acked)
			tokens[i].acked_at = ++acks;
		tokens[i].is_acked = tokens[i].is_durable = tokens[i].is_applied = is_kept;
	}
}
