/* SPDX-License-Identifier: MIT */
/*
 * uplink_refused.c - what the cluster refuses: why, when it is tried again, and who is told.
 *
 * A server that is out of memory, or does not let its user in, refuses all names, and nobody tells when that
 * is over. So some are tried each second, in turn, and all of them as soon as one gets through.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/shard.h"
#include "clock.h"
#include "../lib/log.h"
#include "uplink.h"

enum {
	RETRY_MS = 1000,
	RETRIES = 64,	 /* names at once */
	SAY_MS = 10000,	 /* between two lines of how many there are */
	SHOWN_MAX = 100, /* bytes of a name in a sentence, so that it has room for the reason */
};

static const char ill_fitting[] = "its contribution does not fit 64 bits";
static const char kept[] = "names that begin with shc: are taken in Redis: it stays here";

static struct slice name_of(const struct uplink_push *p)
{
	return (struct slice){p->entry->name, p->entry->name_len};
}

/* ---- why ---- */

/* True: it is a new one. */
static bool number_of(struct uplink_refusals *r, struct slice why, uint8_t *number)
{
	size_t len = why.len < UPLINK_WHY_SIZE ? why.len : UPLINK_WHY_SIZE - 1;

	if (r->why_count == 0)
		r->why_count = UPLINK_WHY_RANGE + 1;
	for (*number = UPLINK_WHY_RANGE + 1; *number < r->why_count; ++*number)
		if (strlen(r->why[*number]) == len && memcmp(r->why[*number], why.data, len) == 0)
			return false;
	if (r->why_count == UPLINK_WHYS) {
		*number = UPLINK_WHYS - 1;
		strcpy(r->why[*number], "see the log, and the last error in the status");
		return false;
	}
	memcpy(r->why[*number], why.data, len);
	r->why[*number][len] = '\0';
	r->why_count++;
	return true;
}

static const char *why_of(const struct uplink *u, uint8_t number)
{
	return number == UPLINK_WHY_RANGE ? ill_fitting : u->refusals.why[number];
}

bool uplink_put_why(const struct uplink *u, const struct uplink_state *s, char *out, size_t size)
{
	if (s->is_there && shard_is_own((struct slice){s->name, s->name_len}))
		(void)snprintf(out, size, "%s", kept);
	else if (s->is_refused && s->why == UPLINK_WHY_RANGE)
		(void)snprintf(out, size, "%s", ill_fitting);
	else if (s->is_refused)
		(void)snprintf(out, size, "the cluster refuses it: %s", why_of(u, s->why));
	else
		return false;
	return true;
}

/* ---- one that is refused ---- */

static void say_count(struct uplink_refusals *r, size_t count)
{
	r->said_count = count;
	r->said_ms = clock_ms(CLOCK_MONOTONIC);
}

/* A line for each reason; how many have it is said later. */
uint8_t uplink_refuse(struct uplink *u, struct uplink_node *n, const struct uplink_push *p, struct slice why)
{
	struct uplink_refusals *r = &u->refusals;
	struct slice name = name_of(p);
	uint8_t number;

	/* Not so much of the name that nothing is left of the reason. */
	(void)snprintf(r->last, sizeof(r->last), "%.*s%s: %.*s",
		       (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX), name.data,
		       name.len > SHOWN_MAX ? "..." : "", (int)why.len, why.data);
	if (number_of(r, why, &number)) {
		log_warning("uplink: the cluster refuses %s; it is tried again", r->last);
		say_count(r, r->said_count ? r->said_count : 1);
	}
	uplink_note(u, r->last);
	if (n)
		memcpy(n->error, r->last, sizeof(r->last));
	return number;
}

bool uplink_keep(struct uplink *u, const struct uplink_push *p)
{
	static const struct uplink_answer answer = {.outcome = UPLINK_KEPT};
	struct slice name = name_of(p);

	if (!shard_is_own(name))
		return false;
	if (p->after.object && !u->refusals.is_kept_said) {
		u->refusals.is_kept_said = true;
		log_warning("uplink: %.*s, and whatever else begins with shc:, stays here: such names are "
			    "taken in Redis",
			    (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX), name.data);
	}
	uplink_table_answer(&u->table, p, &answer);
	return true;
}

/* ---- trying again ---- */

int64_t uplink_retry_ms(struct uplink *u)
{
	if (u->refusals.is_all_due)
		return 0;
	return uplink_table_counts(&u->table).aside ? u->refusals.due_ms : INT64_MAX;
}

void uplink_retry_some(struct uplink *u)
{
	struct uplink_refusals *r = &u->refusals;
	int64_t now = clock_ms(CLOCK_MONOTONIC);

	r->is_all = r->is_all_due;
	if (!r->is_all && now < r->due_ms)
		return;
	if (r->is_all)
		r->trying = uplink_asks_count(&u->asks);
	r->is_all_due = false;
	r->due_ms = now + RETRY_MS;
	uplink_table_tidy(&u->table);
	uplink_table_retry(&u->table, r->is_all ? SIZE_MAX : RETRIES);
}

/* How many they are, when that has changed, and that there are none any more. */
static void say_how_many(struct uplink *u)
{
	struct uplink_refusals *r = &u->refusals;
	size_t count = uplink_table_counts(&u->table).refused;

	if (count == 0) {
		if (r->said_count)
			log_info("uplink: the cluster refuses nothing any more");
		r->said_count = r->why_count = 0;
		r->last[0] = '\0';
		return;
	}
	if (r->last[0] == '\0')
		(void)snprintf(r->last, sizeof(r->last), "%s", ill_fitting);
	if (count == r->said_count || clock_ms(CLOCK_MONOTONIC) < r->said_ms + SAY_MS)
		return;
	log_warning("uplink: %zu counter%s refused now, the last one: %s", count,
		    count == 1 ? " is" : "s are", r->last);
	say_count(r, count);
}

void uplink_retry_end(struct uplink *u, bool is_through)
{
	struct uplink_refusals *r = &u->refusals;
	bool has_recovered = uplink_table_has_recovered(&u->table);

	if (r->is_all && is_through)
		r->tried = r->trying;
	/* Whoever is refused among all has been heard. */
	r->is_all_due |= has_recovered && !r->is_all;
	r->is_all = false;
	say_how_many(u);
}
