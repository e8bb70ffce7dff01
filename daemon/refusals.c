/* SPDX-License-Identifier: MIT */
/* refusals.c - see refusals.h. */
#include "refusals.h"

#include <bsd/string.h>
#include <string.h>

void refusals_init(struct refusals *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->mutex, NULL);
}

void refusals_fini(struct refusals *r)
{
	pthread_mutex_destroy(&r->mutex);
}

static bool is_due(const struct refusals_source *s, int64_t now_ms)
{
	return !s->who[0] || now_ms - s->said_ms >= REFUSALS_MS;
}

/* Its place, or one that nobody needs. Null: all are in use. */
static struct refusals_source *find(struct refusals *r, const char *who, int64_t now_ms)
{
	struct refusals_source *spare = NULL;

	for (size_t i = 0; i < REFUSALS_SOURCES; i++) {
		struct refusals_source *s = &r->sources[i];

		if (strcmp(s->who, who) == 0)
			return s;
		if (is_due(s, now_ms) && (!spare || !s->who[0]))
			spare = s;
	}
	if (!spare)
		return NULL;
	r->others += spare->unsaid;
	*spare = (struct refusals_source){0};
	(void)strlcpy(spare->who, who, sizeof(spare->who));
	spare->said_ms = now_ms - REFUSALS_MS;
	return spare;
}

static bool note(struct refusals *r, const char *who, int64_t now_ms, uint64_t *unsaid)
{
	struct refusals_source *s = find(r, who, now_ms);

	if (!s) {
		r->others++;
		return false;
	}
	if (!is_due(s, now_ms)) {
		s->unsaid++;
		return false;
	}
	*unsaid = s->unsaid + r->others;
	s->unsaid = r->others = 0;
	s->said_ms = now_ms;
	return true;
}

bool refusals_note(struct refusals *r, const char *who, int64_t now_ms, uint64_t *unsaid)
{
	bool is_said;

	pthread_mutex_lock(&r->mutex);
	is_said = note(r, who, now_ms, unsaid);
	pthread_mutex_unlock(&r->mutex);
	return is_said;
}
