/* SPDX-License-Identifier: MIT */
/* uplink.c - see uplink.h. Entered by main and by its own thread. */
#include "../lib/cluster.h"
#include "uplink.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "commit.h"
#include "config_value.h"
#include "../lib/log.h"
#include "store.h"

enum {
	PAUSE_MS_MIN = 100,
	PAUSE_MS_MAX = 2000,
	CHECK_MS = 10000, /* between two looks at masters that are well */
	FINISH_MS = 2000, /* a stop waits so long for the cluster */
	YIELDING = 5,	  /* of nice(2), as the committer */
	ROWS = 2000,	  /* of a transaction: as folding */
};

/* ---- start and end ---- */

/* Where it goes, for people: as CONFIG GET tells it, without user and password. */
static void show_url(struct uplink *u)
{
	static const struct config_value_rule rule = {.kind = CONFIG_VALUE_UPLINK};
	const struct config_value value = {.text = u->config->uplink};

	config_value_format(&rule, &value, u->shown_url, sizeof(u->shown_url));
}

static int take_url(struct uplink *u, char why[URL_ERROR_SIZE])
{
	int rc = url_parse(&u->url, u->config->uplink, why);

	if (rc < 0)
		return rc;
	if (rc == URL_OK && u->url.kind != URL_UNIX) {
		show_url(u);
		return 0;
	}
	if (rc == URL_OK) {
		url_fini(&u->url);
		(void)snprintf(why, URL_ERROR_SIZE, "redis+cluster://HOST:PORT is expected");
	}
	return -EINVAL;
}

static int prepare(struct uplink *u)
{
	int rc;

	u->cluster = cluster_open(&u->url);
	u->tags = calloc(SLOT_COUNT, sizeof(*u->tags));
	u->flights = calloc(UPLINK_WINDOW, sizeof(*u->flights));
	u->totals = calloc(UPLINK_TOTALS, sizeof(*u->totals));
	if (u->cluster)
		cluster_stop_with(u->cluster, &u->is_stopping);
	if (!u->cluster || !u->tags || !u->flights || !u->totals)
		return -ENOMEM;
	shard_tags(u->tags);
	for (size_t i = 0; i < UPLINK_WINDOW; i++) {
		u->flights[i] = (struct uplink_flight){.uplink = u, .next_free = u->free_flights};
		u->free_flights = &u->flights[i];
	}
	rc = uplink_table_init(&u->table);
	if (rc)
		return rc;
	rc = waker_init(&u->waker);
	if (rc)
		uplink_table_fini(&u->table);
	return rc;
}

static void unprepare(struct uplink *u)
{
	cluster_close(u->cluster);
	free(u->tags);
	free(u->flights);
	free(u->scan.scans);
	free(u->retirement.walk.scans);
	free(u->totals);
	url_fini(&u->url);
}

int uplink_init(struct uplink *u, const struct config *config, struct commit *commit,
		char why[URL_ERROR_SIZE])
{
	int rc;

	*u = (struct uplink){.config = config, .commit = commit};
	why[0] = '\0';
	if (gethostname(u->host, sizeof(u->host) - 1))
		strcpy(u->host, "?");
	rc = take_url(u, why);
	if (rc)
		return rc;
	rc = prepare(u);
	if (rc)
		unprepare(u);
	else
		uplink_asks_init(&u->asks);
	return rc;
}

void uplink_fini(struct uplink *u)
{
	unprepare(u);
	uplink_table_fini(&u->table);
	uplink_asks_fini(&u->asks);
	uplink_lineage_fini(&u->lineage);
	waker_fini(&u->waker);
}

/* ---- who this is ---- */

uint64_t uplink_draw_id(void)
{
	uint64_t id;

	do {
		arc4random_buf(&id, sizeof(id));
		id >>= 1; /* SQLite's integers are signed */
	} while (id == 0);
	return id;
}

void uplink_become(struct uplink *u, uint64_t incarnation)
{
	u->incarnation = incarnation;
	uplink_put_id(u->incarnation_id, incarnation);
	u->is_registered = false;
	u->record_len = 0;
	u->broken = UPLINK_WHOLE;
	u->wait_count = 0;
}

static int take_lineage(struct uplink *u, const struct store_uplink *found, const struct uplink_mark *now)
{
	struct uplink_mark *marks = calloc(found->start_count + 1, sizeof(*marks));
	int rc;

	if (!marks)
		return -ENOMEM;
	for (size_t i = 0; i < found->start_count; i++)
		marks[i] = (struct uplink_mark){found->starts[i].start, found->starts[i].after_epoch};
	marks[found->start_count] = *now;
	rc = uplink_lineage_init(&u->lineage, marks, found->start_count + 1);
	free(marks);
	return rc;
}

static int load_baseline(void *arg, uint64_t id, int64_t value)
{
	uplink_table_load_baseline(arg, id, value);
	return 0;
}

static int put_baselines(struct store *store, uint64_t incarnation, const struct store_baseline *rows,
			 size_t count)
{
	int rc = 0;

	for (size_t at = 0; at < count && !rc; at += ROWS)
		rc = store_put_baselines(store, incarnation, rows + at,
					 count - at < ROWS ? count - at : ROWS);
	return rc;
}

/* A backup has begun to live: all that it holds is its original's to bring, which may be alive and not have
 * done so yet. Before anybody counts here, so that nothing of that is lost, whenever this is cut off. */
static int leave_original(struct uplink *u, struct store *store, struct store_uplink *found)
{
	char before[UPLINK_ID_SIZE], after[UPLINK_ID_SIZE];
	uint64_t incarnation = uplink_draw_id();
	size_t count;
	struct store_baseline *rows = uplink_table_baselines(&u->table, 0, &count);
	int rc = rows ? put_baselines(store, incarnation, rows, count) : -ENOMEM;

	free(rows);
	if (!rc)
		rc = store_uplink_switch(store, incarnation);
	if (rc)
		return rc;
	uplink_put_id(before, found->incarnation);
	uplink_put_id(after, incarnation);
	log_warning(
		"uplink: this state is a backup: incarnation %s stays its original's, this one goes on as %s "
		"and brings what is counted from now on. Sessions and tokens are refused until somebody has "
		"looked: shcount uplink accept",
		before, after);
	found->incarnation = incarnation;
	found->is_restored = true;
	return 0;
}

static int begin_start(struct uplink *u, struct store *store, const struct store_uplink *found)
{
	const struct uplink_mark now = {.start = uplink_draw_id(), .epoch = store_last_epoch(store)};
	int rc;

	uplink_become(u, found->incarnation ? found->incarnation : uplink_draw_id());
	atomic_store(&u->is_restored, found->is_restored);
	rc = take_lineage(u, found, &now);
	if (!rc)
		rc = store_baselines(store, load_baseline, &u->table);
	if (!rc)
		rc = store_uplink_begin(store, u->incarnation, now.start, now.epoch);
	if (!rc)
		uplink_table_loaded(&u->table, now.epoch);
	return rc;
}

int uplink_load(struct uplink *u, struct store *store)
{
	struct store_uplink found;
	int rc = store_uplink_load(store, &found);

	if (rc)
		return rc;
	if (found.is_copy)
		rc = leave_original(u, store, &found);
	if (!rc)
		rc = begin_start(u, store, &found);
	free(found.starts);
	return rc > 0 ? -ENOSPC : rc;
}

/* ---- shared by its files ---- */

void uplink_note(struct uplink *u, const char *text)
{
	(void)snprintf(u->error, sizeof(u->error), "%s", text);
}

void uplink_say(struct uplink *u, const char *fmt, ...)
{
	char text[UPLINK_ERROR_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, u->error) == 0)
		return;
	uplink_note(u, text);
	log_warning("uplink: %s", text);
}

void uplink_begin(struct uplink *u, int timeout_ms)
{
	int64_t left_ms = u->until_ms ? u->until_ms - clock_ms(CLOCK_MONOTONIC) : timeout_ms;

	if (left_ms < 1)
		left_ms = 1;
	cluster_begin(u->cluster, left_ms < timeout_ms ? (int)left_ms : timeout_ms, true);
}

void uplink_ledger_key(const struct uplink *u, struct slice name, struct shard_key *out, unsigned *slot)
{
	*slot = slot_of(name);
	shard_ledger(out, u->tags[*slot], name);
}

/* ---- the committer ---- */

void uplink_end_epoch(struct uplink *u, struct epoch_buffer *const *buffers, size_t count, uint64_t epoch,
		      bool has_content)
{
	int64_t now = clock_ms(CLOCK_MONOTONIC);

	uplink_table_end_epoch(&u->table, buffers, count, epoch, has_content, now);
	/* It is parked when there is nothing to do, or when somebody waits for this epoch. */
	waker_wake(&u->waker);
}

/* ---- the thread ---- */

/* Who serves what, and how often a connection has ended: another number when something has been rolled back,
 * perhaps. */
static uint64_t topology(struct uplink *u)
{
	uint64_t sum = cluster_partings(u->cluster);

	for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
		sum = sum * UINT64_C(0x9e3779b97f4a7c15) + (uintptr_t)cluster_master(u->cluster, slot);
	return sum;
}

void uplink_look_at_topology(struct uplink *u)
{
	uint64_t now = topology(u);

	if (now == u->topology)
		return;
	if (u->topology)
		uplink_sweep_begin(u, true);
	u->is_record_due = true; /* it may be lost, too */
	u->topology = now;
	u->check_due_ms = 0;
}

static void set_condition(struct uplink *u, enum uplink_condition condition)
{
	if (condition == u->condition)
		return;
	if (condition == UPLINK_UP)
		log_info("uplink: %s takes what is counted here, as incarnation %s", u->shown_url,
			 u->incarnation_id);
	else
		log_warning("uplink: %s: %s; counting goes on, and this is tried again", u->shown_url,
			    u->error[0] ? u->error : "cannot be reached");
	u->condition = condition;
}

static void pause_growing(struct uplink *u)
{
	u->pause_ms = u->pause_ms ? 2 * u->pause_ms : PAUSE_MS_MIN;
	if (u->pause_ms > PAUSE_MS_MAX)
		u->pause_ms = PAUSE_MS_MAX;
	u->retry_ms = clock_ms(CLOCK_MONOTONIC) + u->pause_ms;
	uplink_table_tidy(&u->table);
}

static int64_t sweep_due_ms(const struct uplink *u, int64_t now)
{
	return u->sweep_due_ms > now ? u->sweep_due_ms - now : 0;
}

static void push_some(struct uplink *u)
{
	uint64_t answers = u->answers;
	bool is_through = false, is_swept = true;

	if (uplink_register(u)) {
		if (sweep_due_ms(u, clock_ms(CLOCK_MONOTONIC)) == 0)
			is_swept = uplink_sweep_some(u);
		uplink_retry_some(u);
		is_through = uplink_round(u);
		uplink_retry_end(u, is_through);
	}
	uplink_look_at_topology(u);
	if (u->broken)
		return;
	if (is_through && is_swept) {
		u->pause_ms = u->retry_ms = 0;
		u->is_wanted = false;
		if (uplink_table_counts(&u->table).refused == 0)
			u->error[0] = '\0';
		if (!u->is_somebody_missing)
			set_condition(u, UPLINK_UP);
		return;
	}
	if (u->answers == answers)
		set_condition(u, UPLINK_DOWN);
	pause_growing(u);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Milliseconds until a round is to begin. */
static int64_t round_due_ms(struct uplink *u, int64_t now)
{
	int64_t at = u->round_ms + atomic_load(&u->config->uplink_interval_ms);
	int64_t idle_ms = earlier(u->sweep_due_ms, uplink_retry_ms(u));

	if (u->is_wanted || u->round_ms == 0 || u->refusals.is_all_due)
		at = 0;
	else if (uplink_table_counts(&u->table).due == 0 && idle_ms > at)
		at = idle_ms;
	if (u->retry_ms > at)
		at = u->retry_ms;
	return at > now ? at - now : 0;
}

/* Whether the cluster is there is known from pushes, and from time to time by asking. */
static void check(struct uplink *u)
{
	bool is_there = uplink_check_nodes(u);

	uplink_look_at_topology(u);
	u->is_somebody_missing = !is_there;
	u->check_due_ms = clock_ms(CLOCK_MONOTONIC) + (is_there ? CHECK_MS : PAUSE_MS_MAX);
	if (!is_there)
		set_condition(u, UPLINK_DOWN);
	else if (u->condition == UPLINK_DOWN)
		u->round_ms = 0; /* one tells whether it is up; nobody may wait for it */
}

/* What is due now. Milliseconds until there is more. */
static int64_t step(struct uplink *u)
{
	int64_t now;

	uplink_answer_questions(u);
	now = clock_ms(CLOCK_MONOTONIC);
	if (u->broken) {
		if (now >= u->retry_ms && !uplink_switch(u))
			pause_growing(u);
		return u->retry_ms > now ? u->retry_ms - now : 0;
	}
	if (round_due_ms(u, now) == 0) {
		push_some(u);
		uplink_answer_questions(u); /* somebody may have waited for it */
	}
	if (u->broken || u->retirement.question)
		return 0;
	if (clock_ms(CLOCK_MONOTONIC) >= u->check_due_ms && u->round_ms)
		check(u);
	now = clock_ms(CLOCK_MONOTONIC);
	if (!u->round_ms)
		return round_due_ms(u, now); /* a check comes behind the first round */
	return earlier(round_due_ms(u, now), u->check_due_ms > now ? u->check_due_ms - now : 0);
}

static void *run(void *arg)
{
	struct uplink *u = arg;

	pthread_setname_np(pthread_self(), "uplink");
	(void)setpriority(PRIO_PROCESS, 0, YIELDING);
	uplink_sweep_begin(u, true);
	while (!atomic_load(&u->is_stopping)) {
		int64_t wait_ms;

		/* Whoever feeds the table, asks or stops from here on wakes us. */
		waker_park(&u->waker);
		wait_ms = step(u);
		if (wait_ms != 0 && !atomic_load(&u->is_stopping))
			waker_sleep(&u->waker, wait_ms * 1000000);
		waker_unpark(&u->waker);
	}
	uplink_retire_stop(u);
	uplink_asks_end(&u->asks, "UPLINKDOWN the daemon is stopping");
	return NULL;
}

int uplink_start(struct uplink *u)
{
	int rc = -pthread_create(&u->thread, NULL, run, u);

	u->has_thread = rc == 0;
	return rc;
}

void uplink_stop(struct uplink *u)
{
	atomic_store(&u->is_stopping, true);
	waker_wake(&u->waker);
	if (u->has_thread)
		pthread_join(u->thread, NULL);
	else
		uplink_asks_end(&u->asks, "UPLINKDOWN the daemon is stopping");
}

void uplink_finish(struct uplink *u)
{
	if (uplink_table_counts(&u->table).due == 0)
		return;
	u->until_ms = clock_ms(CLOCK_MONOTONIC) + FINISH_MS;
	cluster_stop_with(u->cluster, NULL);
	(void)uplink_check_nodes(u);
	if (uplink_is_anybody_there(u) && uplink_register(u))
		(void)uplink_round(u);
	if (uplink_table_counts(&u->table).due)
		log_warning(
			"uplink: some changes are not in the cluster yet; the next start brings them, if no "
			"copy of this state is started before");
}
