/* SPDX-License-Identifier: MIT */
/* daemon.c - see fleet.h: the life of a daemon, and its committer. */
#include <string.h>

#include "../../daemon/epoch_buffer.h"
#include "fleet.h"

enum { BUFFERS = 2 };

struct daemon daemons[DAEMONS];
struct daemon *acting;

static struct slice slice_of(const char *text)
{
	return (struct slice){text, strlen(text)};
}

/* ---- start and end ---- */

static void remember(struct daemon *d)
{
	struct past *p = &d->past[d->past_count++];

	sim_check(d->past_count <= HISTORY_MAX, "too many epochs");
	p->epoch = d->disk.epoch;
	memcpy(p->objects, d->disk.objects, sizeof(p->objects));
}

void daemon_start(struct daemon *d)
{
	char why[URL_ERROR_SIZE];
	struct store *store = (struct store *)(void *)d;

	acting = d;
	d->config.uplink = (char *)(uintptr_t) "redis+cluster://127.0.0.1:7000";
	atomic_store(&d->config.uplink_interval_ms, 1 << sim_below(12));
	sim_check(uplink_init(&d->uplink, &d->config, (struct commit *)(void *)d, why) == 0, "%s", why);
	for (int i = 0; i < NAMES; i++) {
		const struct object *o = &d->disk.objects[i];

		if (o->id)
			sim_check(uplink_table_load(&d->uplink.table, o->id, slice_of(names[i]), o->value) ==
					  0,
				  "no memory");
	}
	d->is_running = true;
	d->is_dead = d->is_stopping = false;
	d->epoch = d->disk.epoch + sim_below(3);
	d->past_count = 0;
	sim_check(uplink_load(&d->uplink, store) == 0, "a start fails");
	remember(d);
	sim_check(uplink_start(&d->uplink) == 0, "no thread");
	say("daemon %d: starts as %016llx of %s, epoch %llu", d->number, (unsigned long long)d->start,
	    d->uplink.incarnation_id, (unsigned long long)d->disk.epoch);
}

static void tidy(struct daemon *d)
{
	sim_release((int)d->uplink.thread);
	if (d->is_stopping)
		sim_release(d->fiber);
	uplink_fini(&d->uplink);
	d->is_running = d->is_stopping = false;
}

/* What its thread does from now on nobody sees; it is let run to its end. */
void daemon_crash(struct daemon *d)
{
	d->is_dead = true;
	atomic_store(&d->uplink.is_stopping, true);
	waker_wake(&d->uplink.waker);
	while (!sim_is_over((int)d->uplink.thread) || (d->is_stopping && !sim_is_over(d->fiber)))
		sim_run_fiber(sim_is_over((int)d->uplink.thread) ? d->fiber : (int)d->uplink.thread);
	tidy(d);
	totals.crashes++;
	say("daemon %d: crashed", d->number);
}

static void commit_nothing(struct daemon *d);

static void *stop_main(void *arg)
{
	struct daemon *d = arg;

	uplink_stop(&d->uplink);
	commit_nothing(d);
	uplink_finish(&d->uplink);
	return NULL;
}

void daemon_stop(struct daemon *d)
{
	d->is_stopping = true;
	d->fiber = sim_spawn(stop_main, d);
	say("daemon %d: stops", d->number);
}

void daemon_look(struct daemon *d)
{
	if (d->is_running && d->is_stopping && sim_is_over(d->fiber)) {
		say("daemon %d: has stopped", d->number);
		tidy(d);
	}
}

/* ---- an epoch ---- */

struct epoch {
	struct epoch_buffer buffers[BUFFERS];
	struct disk after;
	bool has_content;
};

static struct epoch_buffer *any(struct epoch *e)
{
	return &e->buffers[sim_below(BUFFERS)];
}

static int64_t draw(const struct plan *plan)
{
	if (plan->is_huge && sim_one_in(2))
		return sim_one_in(3) ? INT64_MIN : (int64_t)sim_random();
	return (int64_t)(sim_random() >> 32) - (INT64_C(1) << (sim_one_in(3) ? 32 : 16));
}

static void end_object(struct object *o, unsigned name)
{
	for (unsigned i = 0; i < ATOMS; i++)
		if (atoms_has(&o->atoms, i))
			atom_may_be_lost[name][i] = true;
	*o = (struct object){.id = 0};
}

static void add(struct epoch *e, const struct plan *plan, unsigned name)
{
	struct object *o = &e->after.objects[name];
	int64_t delta = draw(plan), sum;
	unsigned atom = atom_counts[name];

	if (atom == ATOMS || __builtin_add_overflow(o->value, delta, &sum))
		return;
	if (!o->id) {
		o->id = ++e->after.next_id;
		sim_check(epoch_buffer_create(any(e), o->id, slice_of(names[name])) == 0, "no memory");
	}
	sim_check(epoch_buffer_add(any(e), o->id, (uint64_t)delta) == 0, "no memory");
	o->value = sum;
	atom_values[name][atom] = delta;
	atoms_add(&o->atoms, atom);
	atom_counts[name]++;
	e->has_content = true;
}

static void delete (struct epoch *e, unsigned name)
{
	struct object *o = &e->after.objects[name];

	if (!o->id)
		return;
	sim_check(epoch_buffer_delete(any(e), o->id) == 0, "no memory");
	end_object(o, name);
	e->has_content = true;
}

static void flush(struct epoch *e)
{
	e->after.floor_id = ++e->after.next_id;
	epoch_buffer_flush(any(e), e->after.floor_id);
	for (unsigned i = 0; i < NAMES; i++)
		if (e->after.objects[i].id)
			end_object(&e->after.objects[i], i);
	e->has_content = true;
}

static void change(struct epoch *e, const struct plan *plan)
{
	unsigned name = sim_below(NAMES);

	if (plan->has_deletes && sim_one_in(12))
		delete (e, name);
	else if (plan->has_deletes && sim_one_in(100))
		flush(e);
	else
		add(e, plan, name);
}

/* On disk, then told. */
static void commit(struct daemon *d, struct epoch *e)
{
	struct epoch_buffer *buffers[BUFFERS];

	for (int i = 0; i < BUFFERS; i++)
		buffers[i] = &e->buffers[i];
	sim_check(uplink_reserve(&d->uplink, buffers, BUFFERS) == 0, "no memory");
	d->epoch++;
	if (e->has_content) {
		e->after.epoch = d->epoch;
		/* What the uplink's thread has had written meanwhile stays: nothing, on one stack. */
		d->disk = e->after;
		remember(d);
		totals.commits++;
	}
	uplink_end_epoch(&d->uplink, buffers, BUFFERS, d->epoch, e->has_content);
	for (int i = 0; i < BUFFERS; i++)
		epoch_buffer_fini(&e->buffers[i]);
}

static void begin(struct daemon *d, struct epoch *e)
{
	for (int i = 0; i < BUFFERS; i++)
		epoch_buffer_init(&e->buffers[i]);
	e->after = d->disk;
	e->has_content = false;
}

void daemon_commit(struct daemon *d, const struct plan *plan)
{
	static struct epoch e;
	unsigned count = sim_below(4);

	begin(d, &e);
	for (unsigned i = 0; i < count; i++)
		change(&e, plan);
	commit(d, &e);
}

static void commit_nothing(struct daemon *d)
{
	static struct epoch e;

	if (d->is_dead)
		return;
	begin(d, &e);
	commit(d, &e);
}
