/* SPDX-License-Identifier: MIT */
/* kept_audit.c - see kept_audit.h. */
#include "kept_audit.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/glob.h"
#include "kept.h"
#include "sim.h"

struct audited {
	char name[KEPT_NAME_MAX];
	uint64_t value;
	/* What the last FLUSHALL has deleted: a change of that which was made before it may be told behind
	 * it, when the worker of the FLUSHALL was one epoch behind. */
	uint64_t flushed;
};

struct staged {
	char name[KEPT_NAME_MAX];
	uint64_t delta, value;
	uint8_t operation;
};

static const char *pattern;
static struct audited *counters;
static size_t counter_count, counter_cap;
static struct staged *staged;
static size_t staged_count;

void kept_audit_init(const char *p)
{
	pattern = p;
}

void kept_audit_fini(void)
{
	free(counters);
	free(staged);
	counters = NULL;
	staged = NULL;
	counter_count = counter_cap = staged_count = 0;
}

const char *kept_audit_pattern(void)
{
	return pattern;
}

bool kept_audit_has(const char *name)
{
	return pattern && glob_match(slice_str(pattern), slice_str(name));
}

static struct audited *find(const char *name)
{
	for (size_t i = 0; i < counter_count; i++)
		if (strcmp(counters[i].name, name) == 0)
			return &counters[i];
	return NULL;
}

static struct audited *find_or_make(const char *name)
{
	struct audited *a = find(name);

	if (a)
		return a;
	if (counter_count == counter_cap) {
		counter_cap = counter_cap * 2 + 64;
		counters = reallocarray(counters, counter_cap, sizeof(*counters));
		sim_check(counters, "out of memory");
	}
	a = &counters[counter_count++];
	*a = (struct audited){0};
	memcpy(a->name, name, strlen(name) + 1);
	return a;
}

uint64_t kept_audit_value(const char *name)
{
	const struct audited *a = find(name);

	return a ? a->value : 0;
}

void kept_audit_stage(const struct audit_entry *entries, size_t count)
{
	sim_check(staged_count == 0, "entries of two commits");
	staged = reallocarray(staged, count + 1, sizeof(*staged));
	sim_check(staged, "out of memory");
	for (size_t i = 0; i < count; i++) {
		const struct audit_entry *e = &entries[i];
		struct staged *s = &staged[staged_count++];

		sim_check(e->name.len < sizeof(s->name), "a long name");
		*s = (struct staged){
			.delta = (uint64_t)e->delta, .value = (uint64_t)e->value, .operation = e->operation};
		memcpy(s->name, e->name.data, e->name.len);
	}
}

static void apply(const struct staged *s)
{
	struct audited *a;

	if (s->operation == AUDIT_FLUSH) {
		for (size_t i = 0; i < counter_count; i++) {
			counters[i].flushed = counters[i].value;
			counters[i].value = 0;
		}
		return;
	}
	sim_check(kept_audit_has(s->name), "%s is not audited", s->name);
	a = find_or_make(s->name);
	if (a->value + s->delta != s->value && a->flushed + s->delta == s->value) {
		a->flushed = s->value;
		return;
	}
	sim_check(a->value + s->delta == s->value, "%s: %s by %lld to %lld does not follow %lld", s->name,
		  audit_operation_name(s->operation), (long long)s->delta, (long long)s->value,
		  (long long)a->value);
	a->value = s->value;
}

void kept_audit_land(void)
{
	for (size_t i = 0; i < staged_count; i++)
		apply(&staged[i]);
	staged_count = 0;
}

void kept_audit_drop(void)
{
	staged_count = 0;
}
