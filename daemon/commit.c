/* SPDX-License-Identifier: MIT */
/*
 * commit.c - see commit.h: epochs and the thread; commit_tend.c has what is done in the store between two
 * epochs. Entered by its own thread, and by main before it starts and after it has ended.
 */
#include "commit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "commit_private.h"
#include "../lib/log.h"
#include "../lib/notify.h"

enum {
	STOP_TRIES_MAX = 8, /* some seconds, then a stop ends without the disk */
	YIELDING = 5,	    /* of nice(2): a third of a worker's share of a CPU they both want */
};

int commit_init(struct commit *c, struct epoch_clock *clock, struct store *store, struct registry *registry,
		const struct config *config, size_t worker_count)
{
	int rc;

	*c = (struct commit){
		.clock = clock,
		.store = store,
		.registry = registry,
		.config = config,
		.worker_count = worker_count,
	};
	pack_init(&c->pack);
	top_init(&c->top);
	c->workers = calloc(worker_count, sizeof(*c->workers));
	c->buffers = calloc(worker_count, sizeof(struct epoch_buffer *));
	if (!c->workers || !c->buffers) {
		free(c->workers);
		free(c->buffers);
		return -ENOMEM;
	}
	atomic_init(&c->last_save_s, clock_wall_ms() / 1000);
	c->folded_ms = clock_ms(CLOCK_MONOTONIC);
	rc = commit_call_init(&c->call);
	return rc ? rc : waker_init(&c->waker);
}

static void limbo_free(struct commit *c)
{
	for (size_t i = 0; i < c->limbo.count; i++)
		registry_free(c->registry, &c->limbo.items[i]);
	c->limbo.count = 0;
}

void commit_fini(struct commit *c)
{
	limbo_free(c);
	retired_list_fini(&c->limbo);
	pack_fini(&c->pack);
	top_fini(&c->top);
	commit_call_fini(&c->call);
	free(c->workers);
	free(c->buffers);
	waker_fini(&c->waker);
}

/* ---- an epoch ---- */

_Noreturn void commit_fail(const struct commit *c)
{
	log_error("%s: whether the last changes are on disk is unknown; stopping without a further "
		  "acknowledgement. "
		  "Clients that were waiting must ask again after the restart",
		  store_error(c->store));
	_exit(COMMIT_EXIT_IO);
}

/* Waits until every worker has sealed e. They do so within microseconds, or when the kernel lets them run. */
static void seal_all(struct commit *c, uint64_t e)
{
	c->buffer_count = 0;
	for (size_t i = 0; i < c->worker_count; i++) {
		struct commit_worker *w = &c->workers[i];
		struct epoch_buffer *buffer;

		for (;;) {
			bool is_sealed;

			waker_park(&c->waker);
			pulse_answer(&c->pulse); /* who keeps us waiting is asked, too */
			is_sealed = epoch_collect(w->slot, e, &buffer);
			if (!is_sealed)
				waker_sleep(&c->waker, -1);
			waker_unpark(&c->waker);
			if (is_sealed)
				break;
		}
		if (buffer)
			c->buffers[c->buffer_count++] = buffer;
	}
}

void commit_wake_waiting(struct commit *c, uint32_t for_what)
{
	for (size_t i = 0; i < c->worker_count; i++)
		if (atomic_load(&c->workers[i].slot->waits) & for_what)
			waker_wake(c->workers[i].waker);
}

void commit_set_stuck(struct commit *c, const char *why)
{
	if (!why == !commit_is_stuck(c))
		return;
	atomic_store(&c->is_stuck, why != NULL);
	if (why)
		log_warning("%s; %s, and this is tried again", why,
			    c->config->durability == DURABILITY_COMMIT ? "changes are refused meanwhile"
								       : "counting goes on in memory");
	else
		log_info("the state can be written again; nothing was lost");
	if (why)
		(void)notify_sendf("STATUS=the disk refuses: %.*s", (int)strcspn(why, "\n"), why);
	else
		(void)notify_send("STATUS=counting");
	commit_wake_waiting(c, EPOCH_WAITS_SEALED | EPOCH_WAITS_DISK);
}

void commit_note_refusal(struct commit *c, const char *why)
{
	commit_set_stuck(c, why);
	atomic_fetch_add(&c->refusals, 1);
	commit_wake_waiting(c, EPOCH_WAITS_DISK);
}

/* Somebody else's business with the store. Not at a stop: who waits is told so by commit_stop. */
static void serve_call(struct commit *c)
{
	if (!atomic_load(&c->is_stopping) && commit_call_serve(&c->call, c->store) < 0)
		commit_fail(c);
}

/* Before an epoch is tried again: a longer pause each time. At a stop there is an end to it. */
static void wait_to_retry(struct commit *c, const char *why, int64_t *pause_ms, unsigned *tries)
{
	commit_note_refusal(c, why);
	if (atomic_load(&c->is_stopping) && ++*tries > STOP_TRIES_MAX) {
		log_error("the changes since the last commit are lost: a stop waits for some seconds, and %s",
			  why);
		_exit(COMMIT_EXIT_IO);
	}
	*pause_ms = *pause_ms ? 2 * *pause_ms : COMMIT_RETRY_MS_MIN;
	if (*pause_ms > COMMIT_RETRY_MS_MAX)
		*pause_ms = COMMIT_RETRY_MS_MAX;
	waker_park(&c->waker);
	pulse_answer(&c->pulse);
	if (!commit_call_is_waiting(&c->call))
		waker_sleep(&c->waker, *pause_ms * 1000000);
	waker_unpark(&c->waker);
	/* However long this goes on; it may find room where an epoch does not, or only want to read. */
	serve_call(c);
}

/* Entries of the audit log may stand alone: what EXEC has added and taken away again. */
static bool has_content(const struct commit *c, const struct journal_writer *w)
{
	return w->count || c->pack.audit.count;
}

/* Until it is on disk. */
static void write_epoch(struct commit *c, uint64_t e, const struct journal_writer *w)
{
	int64_t pause_ms = 0;
	unsigned tries = 0;
	int rc;

	while ((rc = has_content(c, w) ? store_commit(c->store, e, w, c->pack.audit.items,
						      c->pack.audit.count, atomic_load(&c->registry->id_next))
				       : store_reserve(c->store, e)) != STORE_OK) {
		if (rc < 0)
			commit_fail(c);
		wait_to_retry(c, store_error(c->store), &pause_ms, &tries);
	}
	/* Small as it is, it may find room where folding does not. */
	commit_set_stuck(c, c->fold_retry_ms ? store_error(c->store) : NULL);
}

/* Out of memory: the buffers hold everything; when some is freed it goes on. */
static void pack(struct commit *c, uint64_t e, struct journal_writer *w)
{
	int64_t pause_ms = 0;
	unsigned tries = 0;
	char why[64];

	(void)snprintf(why, sizeof(why), "out of memory while packing epoch %llu", (unsigned long long)e);
	journal_writer_init(w, clock_wall_ms());
	while (pack_audit(&c->pack, c->buffers, c->buffer_count) ||
	       pack_epoch(&c->pack, c->buffers, c->buffer_count, w) || journal_writer_finish(w) ||
	       (c->uplink && uplink_reserve(c->uplink, c->buffers, c->buffer_count))) {
		journal_writer_fini(w);
		wait_to_retry(c, why, &pause_ms, &tries);
		journal_writer_init(w, clock_wall_ms());
	}
}

/* Whether the journal has any of it: what store_last_epoch tells after a start, for the uplink must not push
 * in the name of an epoch that has only entries of the audit log. */
static bool commit_content(struct commit *c, uint64_t e)
{
	struct journal_writer w;
	bool is_in_journal;

	pack(c, e, &w);
	pulse_excuse(&c->pulse);
	write_epoch(c, e, &w);
	pulse_return(&c->pulse);
	is_in_journal = w.count > 0;
	if (has_content(c, &w))
		atomic_fetch_add_explicit(&c->epochs, 1, memory_order_relaxed);
	journal_writer_fini(&w);
	audit_entries_clear(&c->pack.audit);
	return is_in_journal;
}

/* What was unlinked while an epoch was open may still be in the hands of a worker in that epoch or, if its
 * own look came late, in the next: it is freed when that one is sealed too. Counters without an object leave
 * the table here. */
static void reclaim(struct commit *c)
{
	struct retired_list fresh = {0};

	for (size_t b = 0; b < c->buffer_count; b++) {
		const struct retired_list *l = &c->buffers[b]->retired;

		for (size_t i = 0; i < l->count; i++) {
			const struct retired *item = &l->items[i];

			if (item->kind == RETIRED_COUNTER && !registry_remove(c->registry, item->p))
				continue;
			/* Out of memory for the note: better lost than freed under a reader. */
			(void)retired_list_add(&fresh, item->p, item->kind);
		}
	}
	/* After the lists were read: they may name what is in limbo again. */
	limbo_free(c);
	retired_list_fini(&c->limbo);
	c->limbo = fresh;
}

/* What it takes from the buffers costs no reply: those are on their way. */
static void tell_top(struct commit *c, int64_t ended_ns)
{
	const struct top_names names = {.store = c->store, .registry = c->registry};

	bool is_told;

	pulse_excuse(&c->pulse); /* names are on disk */
	is_told = top_end_epoch(&c->top, c->buffers, c->buffer_count, ended_ns, &names);
	pulse_return(&c->pulse);
	if (is_told)
		commit_wake_waiting(c, EPOCH_WAITS_DISK);
}

/* From the end of the epoch until it is on disk, the tries that the disk refused included. */
static void note_time(struct commit_times *t, int64_t ns)
{
	size_t i = 0;

	while (i < METRIC_TIMES_BOUNDS && ns > metric_times_bounds_us[i] * 1000)
		i++;
	atomic_fetch_add_explicit(&t->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->sum_ns, (uint64_t)ns, memory_order_relaxed);
}

static void close_epoch(struct commit *c)
{
	uint64_t e = epoch_advance(c->clock);
	int64_t ended_ns = clock_ns(CLOCK_MONOTONIC);
	bool is_in_journal;

	c->dirty_since_ms = 0;
	seal_all(c, e);
	atomic_store(&c->clock->sealed, e);
	commit_wake_waiting(c, EPOCH_WAITS_SEALED);
	is_in_journal = commit_content(c, e);
	atomic_store(&c->clock->durable, e);
	commit_wake_waiting(c, EPOCH_WAITS_DISK);
	note_time(&c->times, clock_ns(CLOCK_MONOTONIC) - ended_ns);
	if (c->uplink)
		uplink_end_epoch(c->uplink, c->buffers, c->buffer_count, e, is_in_journal);
	tell_top(c, ended_ns);
	reclaim(c);
	for (size_t i = 0; i < c->buffer_count; i++)
		epoch_buffer_clear(c->buffers[i]);
	c->buffer_count = 0;
}

/* SAVE: what is acknowledged now is committed at once, then folded in steps between commits like any
 * snapshot. */
static void begin_save(struct commit *c, uint64_t want)
{
	c->save_number = want;
	c->save_epoch = epoch_open(c->clock);
	close_epoch(c);
}

uint64_t commit_want_fold(struct commit *c)
{
	uint64_t number = atomic_fetch_add(&c->fold_want, 1) + 1;

	waker_wake(&c->waker);
	return number;
}

/* ---- the thread ---- */

/* Milliseconds until the next epoch is due; -1: not before something happens; 0: now. */
static int64_t commit_due_ms(struct commit *c, int64_t now)
{
	int64_t due, top_due = top_due_ms(&c->top, now);

	if (atomic_load(&c->clock->want) >= epoch_open(c->clock))
		return 0;
	/* What is in limbo waits for one more epoch, though nothing may change any more: after a load of ten
	 * million counters that is 30 MB of segments. */
	if (!atomic_load(&c->clock->is_dirty) && c->limbo.count == 0)
		return top_due;
	if (!c->dirty_since_ms)
		c->dirty_since_ms = now;
	due = c->dirty_since_ms + atomic_load(&c->config->commit_interval_ms) - now;
	return clock_sooner_ms(due > 0 ? due : 0, top_due);
}

static bool has_work(struct commit *c, uint64_t *save)
{
	*save = atomic_load(
		&c->fold_want); /* one after the other: a later one begins when this one is done */
	return atomic_load(&c->is_stopping) || commit_call_is_waiting(&c->call) ||
	       (*save > c->save_number && !c->save_epoch);
}

/* Sleeps until something is due. */
static void wait_for_work(struct commit *c)
{
	uint64_t save;
	int64_t now, ms;

	waker_park(&c->waker);
	pulse_answer(&c->pulse); /* parked: a later question wakes us */
	now = clock_ms(CLOCK_MONOTONIC);
	ms = clock_sooner_ms(commit_due_ms(c, now), commit_tend_due_ms(c, now));
	if (!has_work(c, &save) && ms != 0)
		waker_sleep(&c->waker, ms < 0 ? -1 : ms * 1000000);
	waker_unpark(&c->waker);
}

/* In interval mode few wait for a commit, but a worker that gets half a CPU while a million counters are
 * committed falls behind: p99.9 of a request 8 to 35 ms, and 6 to 8 ms so (`bench/run stall`). */
static void yield_to_workers(const struct commit *c)
{
	/* On Linux 0 is the calling thread, not the process. */
	if (c->config->durability == DURABILITY_INTERVAL)
		(void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + YIELDING);
}

/* What is done in the store between two epochs. */
static void use_store(struct commit *c)
{
	pulse_excuse(&c->pulse);
	serve_call(c);
	commit_tend(c);
	pulse_return(&c->pulse);
}

static void *run(void *arg)
{
	struct commit *c = arg;
	uint64_t save;

	pthread_setname_np(pthread_self(), "committer");
	yield_to_workers(c);
	while (!atomic_load(&c->is_stopping)) {
		wait_for_work(c);
		if (has_work(c, &save) && save > c->save_number && !c->save_epoch)
			begin_save(c, save);
		else if (commit_due_ms(c, clock_ms(CLOCK_MONOTONIC)) == 0)
			close_epoch(c);
		use_store(c);
	}
	return NULL;
}

int commit_start(struct commit *c)
{
	return -pthread_create(&c->thread, NULL, run, c);
}

void commit_stop(struct commit *c)
{
	atomic_store(&c->is_stopping, true);
	commit_call_cancel(&c->call);
	waker_wake(&c->waker);
	pthread_join(c->thread, NULL);
}

int commit_finish(struct commit *c, bool is_folding)
{
	bool is_whole;

	atomic_store(&c->is_stopping, true);
	commit_call_cancel(&c->call); /* the thread may never have started */
	/* The workers have ended (epoch_end): their open buffers are ours. */
	close_epoch(c);
	close_epoch(c); /* frees what the first one retired */
	is_whole = !is_folding || commit_fold_all(c);
	if (store_look_at_place(c->store) != STORE_OK) {
		log_error("%s", store_error(c->store));
		return COMMIT_EXIT_IO;
	}
	if (!is_whole)
		log_warning("%s; the changes are in the journal and are folded at the next start",
			    store_error(c->store));
	return 0;
}
