/* SPDX-License-Identifier: MIT */
/* oracle.c - see fleet.h: what must be so at every moment, and when everything has been pushed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/num.h"
#include "fleet.h"

int64_t atom_values[NAMES][ATOMS];
unsigned atom_counts[NAMES];
bool atom_may_be_lost[NAMES][ATOMS];
bool atom_may_be_double[NAMES][ATOMS];

static const struct plan *plan;
static bool is_strict; /* what 7b says may be there twice may not */

void oracle_reset(const struct plan *p)
{
	plan = p;
	is_strict = getenv("SHC_SIM_STRICT") != NULL;
	memset(atom_values, 0, sizeof(atom_values));
	memset(atom_counts, 0, sizeof(atom_counts));
	memset(atom_may_be_lost, 0, sizeof(atom_may_be_lost));
	memset(atom_may_be_double, 0, sizeof(atom_may_be_double));
}

static int64_t value_of(unsigned name, const struct atoms *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < atom_counts[name]; i++)
		if (atoms_has(a, i))
			sum += (uint64_t)atom_values[name][i];
	return (int64_t)sum;
}

static unsigned group_number(unsigned name)
{
	return net_group_of(slot_of((struct slice){names[name], strlen(names[name])}));
}

static const struct group *group_of(unsigned name)
{
	return &net.groups[group_number(name)];
}

static const struct ledger *ledger_of(unsigned name)
{
	return &group_of(name)->live.ledgers[name];
}

static void count_atoms(const struct ledger *l, int counts[ATOMS])
{
	for (unsigned i = 0; i < ATOMS; i++) {
		counts[i] = l->retired_atoms[i];
		for (size_t k = 0; k < l->count; k++)
			if (!l->rows[k].is_retired)
				counts[i] +=
					atoms_has(&l->rows[k].atoms, i) - atoms_has(&l->rows[k].minus, i);
	}
}

/* ---- what is sent ---- */

static const struct past *past_of(const struct daemon *d, uint64_t epoch)
{
	for (size_t i = d->past_count; i-- > 0;)
		if (d->past[i].epoch == epoch)
			return &d->past[i];
	return NULL;
}

static bool read_field(const char *text, struct uplink_field *field)
{
	return uplink_parse_field((struct slice){text, strlen(text)}, field);
}

/* One that only gives the field another mark; what it stands for is what it stood for. */
static bool is_fence(struct request *q, const struct uplink_field *after)
{
	struct uplink_field before = {.value = 0};

	if (q->words[4][0] && !read_field(q->words[4], &before))
		return false;
	q->is_fence = strcmp(q->words[6], "0") == 0 && before.value == after->value &&
		      before.object == after->object && before.offset == after->offset;
	return q->is_fence;
}

/* A push speaks of a state that its disk had, and has all of it: or is half of a step of more than 64 bits.
 */
void oracle_pushing(struct daemon *d, struct request *q)
{
	int name = name_number(q->words[1]);
	const struct base *base;
	const struct past *past;
	struct uplink_field field;
	int64_t contribution;

	if (strcmp(q->words[4], q->words[5]) == 0)
		return;
	sim_check(name >= 0 && read_field(q->words[5], &field), "%s is pushed", q->words[5]);
	sim_check(field.mark.start == d->start, "a push in the name of another start");
	if (is_fence(q, &field))
		return;
	past = past_of(d, field.mark.epoch);
	sim_check(past, "daemon %d pushes epoch %" PRIu64 ", which is not on its disk", d->number,
		  field.mark.epoch);
	base = past->objects[name].id ? disk_base(&d->disk, past->objects[name].id) : NULL;
	contribution = past->objects[name].value - (base ? base->value : 0);
	if (field.value == contribution && field.object == past->objects[name].id) {
		q->atoms = past->objects[name].atoms;
		if (base) {
			q->minus = atoms_less(&base->atoms, &q->atoms);
			q->atoms = atoms_less(&q->atoms, &base->atoms);
		}
		q->is_murky = base && base->is_murky;
		return;
	}
	sim_check(plan->is_huge && (field.value == 0 || field.value == -1 || field.value == field.offset),
		  "daemon %d pushes %" PRId64 " of %s, its disk had %" PRId64 " then", d->number, field.value,
		  q->words[1], contribution);
	q->is_murky = true;
}

/* ---- a new incarnation ---- */

static int name_of(const struct daemon *d, uint64_t id)
{
	for (size_t i = d->past_count; i-- > 0;)
		for (int name = 0; name < NAMES; name++)
			if (d->past[i].objects[name].id == id)
				return name;
	return -1;
}

/* Which of the states that this start had a baseline speaks of: of the counter, or of one of that name that
 * is gone, and has not left its field yet. */
static void find_past(const struct daemon *d, struct base *base)
{
	int name = name_of(d, base->id);

	for (size_t i = d->past_count; name >= 0 && i-- > 0;) {
		const struct object *o = &d->past[i].objects[name];

		if (o->value == base->value) {
			base->atoms = o->atoms;
			return;
		}
	}
	sim_check(plan->is_huge, "daemon %d: the baseline %" PRId64 " of %" PRIu64 " is none of its values",
		  d->number, base->value, base->id);
	base->is_murky = true;
}

static const struct base *base_for(const struct daemon *d, uint64_t id, uint64_t incarnation)
{
	for (size_t i = 0; i < d->disk.base_count; i++)
		if (d->disk.bases[i].id == id && d->disk.bases[i].incarnation == incarnation)
			return &d->disk.bases[i];
	return NULL;
}

/* Of an incarnation that was given up: what its field stands for, whoever has brought it. False: not that. */
static bool find_kept(const struct daemon *d, struct base *base, const struct redis *r)
{
	int name = name_of(d, base->id);
	const struct row *row = name < 0 ? NULL : redis_row(&r->ledgers[name], d->uplink.incarnation_id);
	const struct base *before = base_for(d, base->id, d->uplink.incarnation);
	struct atoms atoms = before ? before->atoms : (struct atoms){{0}};
	struct uplink_field field;

	if (name < 0)
		return false;
	if (row && uplink_parse_field(redis_field(row), &field) && field.object == base->id)
		atoms = atoms_less(&atoms, &row->minus);
	else
		row = NULL;
	for (unsigned i = 0; row && i < ATOMS; i++)
		if (atoms_has(&row->atoms, i))
			atoms_add(&atoms, i);
	if ((row && row->is_murky) || (before && before->is_murky) ||
	    value_of((unsigned)name, &atoms) != base->value)
		return false;
	base->atoms = atoms;
	return true;
}

static void find_base(const struct daemon *d, struct base *base)
{
	int name = name_of(d, base->id);
	const struct group *g = name < 0 ? NULL : group_of((unsigned)name);

	if (d->uplink.table.is_given_up && g &&
	    (find_kept(d, base, &g->live) || (g->has_zombie && find_kept(d, base, &g->zombie))))
		return;
	find_past(d, base);
}

static bool is_others_row(const struct daemon *d, const struct row *row)
{
	struct uplink_field field;

	if (!row || (row->is_retired && !d->uplink.table.is_given_up) ||
	    !uplink_parse_field(redis_field(row), &field))
		return row != NULL;
	for (size_t i = 0; i < d->disk.start_count; i++)
		if (d->disk.starts[i].start == field.mark.start)
			return false;
	return true;
}

/* What was pushed without an answer into a field that tells nothing of it any more. */
static void note_unseen(unsigned name, const struct object *o, const struct base *base,
			const int counts[ATOMS])
{
	for (unsigned i = 0; i < ATOMS; i++)
		atom_may_be_double[name][i] |=
			counts[i] > 0 && atoms_has(&o->atoms, i) && !(base && atoms_has(&base->atoms, i));
}

void oracle_switching(struct daemon *d, uint64_t incarnation)
{
	int counts[ATOMS];

	for (size_t i = 0; i < d->disk.base_count; i++)
		if (d->disk.bases[i].incarnation == incarnation)
			find_base(d, &d->disk.bases[i]);
	/* What was counted in starts before this one, and is in no field; and what a failover has taken from
	 * a field that is not ours any more. */
	for (unsigned name = 0; name < NAMES; name++) {
		bool is_others = is_others_row(d, redis_row(ledger_of(name), d->uplink.incarnation_id));
		bool is_old = d->uplink.table.is_given_up && net_sees_old_master(d, group_number(name));
		const struct object *o =
			is_others || is_old ? &d->disk.objects[name] : &d->past[0].objects[name];

		count_atoms(ledger_of(name), counts);
		/* Nobody else goes on with it: all is known, but from a master that is none any more. */
		if (d->uplink.table.is_given_up && !is_others && !is_old)
			continue;
		for (unsigned i = 0; i < ATOMS; i++)
			atom_may_be_lost[name][i] |= counts[i] == 0 && atoms_has(&o->atoms, i) &&
						     (!is_others || plan->has_failovers);
		if (is_others || is_old)
			note_unseen(name, o, base_for(d, o->id, incarnation), counts);
	}
	totals.switches++;
	say("daemon %d: switches to %016" PRIx64, d->number, incarnation);
}

/* ---- failovers ---- */

/* By an incarnation that somebody goes on with, and is not about to leave. */
static bool is_present(const char *id)
{
	for (int i = 0; i < DAEMONS; i++)
		if (daemons[i].disk.is_used &&
		    !(daemons[i].is_running && daemons[i].uplink.wait_count >= UPLINK_WAITS)) {
			char own[UPLINK_ID_SIZE];

			uplink_put_id(own, daemons[i].disk.incarnation);
			if (strcmp(own, id) == 0)
				return true;
		}
	return false;
}

static void count_left(const struct ledger *l, int counts[ATOMS])
{
	for (unsigned i = 0; i < ATOMS; i++) {
		counts[i] = l->retired_atoms[i];
		for (size_t k = 0; k < l->count; k++)
			if (!l->rows[k].is_retired && !is_present(l->rows[k].id))
				counts[i] +=
					atoms_has(&l->rows[k].atoms, i) - atoms_has(&l->rows[k].minus, i);
	}
}

/* What an incarnation had brought that nobody goes on with nobody brings again. */
void oracle_rolls_back(const struct redis *from, const struct redis *to)
{
	int before[ATOMS], after[ATOMS];

	for (unsigned name = 0; name < NAMES; name++) {
		count_left(&from->ledgers[name], before);
		count_left(&to->ledgers[name], after);
		for (unsigned i = 0; i < ATOMS; i++)
			atom_may_be_lost[name][i] |= before[i] > after[i];
	}
}

/* ---- at every moment ---- */

static void check_ledger(const struct ledger *l, unsigned name)
{
	uint64_t sum = (uint64_t)l->retired + l->foreign;
	struct uplink_field field;

	for (size_t i = 0; i < l->count; i++) {
		const struct row *row = &l->rows[i];

		if (row->is_retired)
			continue;
		sim_check(read_field(row->text, &field), "field %s", row->text);
		sum += uplink_field_sum(&field);
		sim_check(row->is_murky ||
				  (uint64_t)field.value == (uint64_t)value_of(name, &row->atoms) -
								   (uint64_t)value_of(name, &row->minus),
			  "the field of %s is not the sum of what it stands for", row->id);
	}
	sim_check((uint64_t)l->total == sum,
		  "%s: total %" PRId64 " is not fields + retired + foreign = %" PRId64, names[name], l->total,
		  (int64_t)sum);
}

void oracle_ledgers(void)
{
	for (unsigned g = 0; g < GROUPS; g++)
		for (unsigned name = 0; name < NAMES; name++) {
			check_ledger(&net.groups[g].live.ledgers[name], name);
			if (net.groups[g].has_zombie)
				check_ledger(&net.groups[g].zombie.ledgers[name], name);
		}
}

/* What SHC.UPLINK SYNC would say is there is there: all up to an epoch, of counters that live on. */
static void check_synced(const struct daemon *d, unsigned name, uint64_t synced)
{
	const struct row *row = redis_row(ledger_of(name), d->uplink.incarnation_id);
	static const struct atoms none;
	struct atoms left = none;

	for (size_t i = d->past_count; i-- > 0;) {
		const struct object *o = &d->past[i].objects[name];

		if (d->past[i].epoch > synced)
			continue;
		if (o->id == d->disk.objects[name].id)
			left = atoms_less(&o->atoms, row ? &row->atoms : &none);
		break;
	}
	sim_check(memcmp(&left, &none, sizeof(none)) == 0,
		  "daemon %d, %s: not all of epoch %" PRIu64 " is there", d->number, names[name], synced);
}

void oracle_synced(void)
{
	/* A failover may take it back again. */
	if (plan->has_failovers || plan->has_copies || plan->has_retiring)
		return;
	for (int i = 0; i < DAEMONS; i++) {
		struct daemon *d = &daemons[i];

		for (unsigned name = 0; d->is_running && d->uplink.sweeps > 0 && name < NAMES; name++)
			check_synced(d, name, d->uplink.table.synced_epoch);
	}
}

/* ---- when everything has been pushed ---- */

static void check_field(const struct daemon *d, unsigned name)
{
	const struct object *o = &d->disk.objects[name];
	const struct row *row = redis_row(ledger_of(name), d->uplink.incarnation_id);
	struct uplink_field field = {.value = 0};
	int64_t wanted;

	if (__builtin_sub_overflow(o->value, o->id ? disk_baseline(&d->disk, o->id) : 0, &wanted))
		return;
	sim_check(!row || read_field(row->text, &field), "field %s", row->text);
	if (plan->is_huge && uplink_table_counts((struct uplink_table *)(uintptr_t)&d->uplink.table).refused)
		return;
	sim_check(field.value == wanted,
		  "daemon %d, %s: the field has %" PRId64 " and not %" PRId64 " - baseline = %" PRId64,
		  d->number, names[name], field.value, o->value, wanted);
}

static bool is_murky(const struct ledger *l)
{
	bool is = l->is_murky;

	for (size_t i = 0; i < l->count; i++)
		is |= !l->rows[i].is_retired && l->rows[i].is_murky;
	return is;
}

/* Each once: what a disk has must be there, and nothing may be there twice. */
static void check_atoms(unsigned name)
{
	const struct ledger *l = ledger_of(name);
	int counts[ATOMS];
	int owner[ATOMS] = {0}; /* a daemon that has it, from 1 */

	if (is_murky(l))
		return;
	count_atoms(l, counts);
	for (int d = 0; d < DAEMONS; d++)
		for (unsigned i = 0; daemons[d].is_running && i < atom_counts[name]; i++)
			if (atoms_has(&daemons[d].disk.objects[name].atoms, i))
				owner[i] = d + 1;
	for (unsigned i = 0; i < atom_counts[name]; i++) {
		totals.lost += counts[i] == 0 && owner[i];
		totals.doubled += counts[i] > 1;
		sim_check(counts[i] > 0 || !owner[i] || atom_may_be_lost[name][i] || plan->is_huge,
			  "%s: addition %u (%" PRId64 ") of daemon %d is in no field", names[name], i,
			  atom_values[name][i], owner[i] - 1);
		sim_check(counts[i] <= 1 || (atom_may_be_double[name][i] && !is_strict),
			  "%s: addition %u (%" PRId64 ") is in the total %d times", names[name], i,
			  atom_values[name][i], counts[i]);
	}
}

void oracle_quiet(void)
{
	for (int d = 0; d < DAEMONS; d++)
		for (unsigned name = 0; daemons[d].is_running && name < NAMES; name++)
			check_field(&daemons[d], name);
	for (unsigned name = 0; name < NAMES; name++)
		check_atoms(name);
	totals.quiet++;
}
