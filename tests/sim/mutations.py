#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Breaks the daemon on purpose, one place at a time, and shows that a test catches each.

mutations.py [NAME...]: all of them, or those whose names are given. Works on a copy of the tree. Prints a table: what
was broken, the test that is to catch it (the only one that is run), what it said. A test passes without the mutation,
the simulation also at the seed at which it failed with it. Ends with 1 when one was not caught, or did not compile.
MUTATION_SECONDS=N: how long a test may look for one.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
SECONDS_MAX = int(os.environ.get("MUTATION_SECONDS", "120"))

# Below the build directory.
SIM = "sim/test_sim"
TXN_QUICK = "tests/test_txn_quick"
TXN_CELLS = "tests/test_txn_cells"
STOPPED = "tests/test_txn_stopped"
CONCURRENT = "tests/test_concurrent"
EXTRA = "tests/test_extra"
CUT = "tests/test_cut"
FLEET = "uplink/test_uplink_sim"
RULE = "tests/test_uplink_rule"
UPTABLE = "tests/test_uplink_table"
UPREFUSED = "tests/test_uplink_refused"
UPSWITCH = "tests/test_uplink_switch"
UPFORGET = "tests/test_uplink_forget"
SOUND = ".sound"

# Name, test, file, what stands there, what is put in its place.
MUTATIONS = [
    ("a worker that is behind goes on", SIM, "daemon/epoch.h",
     "	return stamp == (uint32_t)(s->own + 1) &&", "	return false && stamp == (uint32_t)(s->own + 1) &&"),
    ("a stamp is raised after the change to base", SIM, "daemon/txn_commit.c",
     """	counter_raise(k->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	if (k->is_live)
		counter_set_base(k->counter, base_after(k));
	if (extra_after(k))
		publish_extra(t, k, extra_after(k));
	k->extra_new = NULL; /* the counter's, or there was none */
	if (object == word)
		return;
	counter_set_object(k->counter, object);
""", """	txn_tell(t, t->epoch->own);
	if (k->is_live)
		counter_set_base(k->counter, base_after(k));
	if (extra_after(k))
		publish_extra(t, k, extra_after(k));
	k->extra_new = NULL;
	if (object != word)
		counter_set_object(k->counter, object);
	counter_raise(k->counter, t->epoch->own, &t->epoch->clock->open);
	if (object == word)
		return;
"""),
    ("a stamp is raised after the change to a cell", SIM, "daemon/txn_add.c",
     """	counter_raise(add->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	counter_cell_add(add->object, t->worker, add->delta);
""", """	txn_tell(t, t->epoch->own);
	counter_cell_add(add->object, t->worker, add->delta);
	counter_raise(add->counter, t->epoch->own, &t->epoch->clock->open);
"""),
    ("the stamp is read before the value", SIM, "daemon/txn.c",
     """	int64_t value = counter_has_object(object) ? counter_total(k->counter, object) : 0;

	k->stamp_before = counter_stamp(k->counter);
""", """	int64_t value;

	k->stamp_before = counter_stamp(k->counter);
	value = counter_has_object(object) ? counter_total(k->counter, object) : 0;
"""),
    ("a seal is skipped: an epoch ends before all have sealed", SIM, "daemon/commit.c",
     "			if (!is_sealed)\n				waker_sleep(&c->waker, -1);\n",
     "			is_sealed = true;\n"),
    ("a sleeper that sealed and slept again is sealed twice", SIM, "daemon/epoch.c",
     "	if (atomic_load(&s->sealed) >= e) {\n", "	if (0) {\n"),
    ("a worker parks though the epoch has moved", SIM, "daemon/epoch.c",
     "	if (epoch_open(s->clock) == own)\n		return true;", "	if (own)\n		return true;"),
    ("a worker that wakes up does not look", SIM, "daemon/epoch.c",
     "	if (epoch_open(s->clock) != s->own)\n		epoch_seal(s, epoch_open(s->clock));\n}",
     "}"),
    ("the first change after an advance is not noted", CONCURRENT, "daemon/epoch.c",
     "	atomic_store(&c->is_dirty, 0);\n	atomic_store(&c->open, e + 1);\n",
     "	atomic_store(&c->open, e + 1);\n	atomic_store(&c->is_dirty, 0);\n"),
    ("durable is said before the commit", SIM, "daemon/commit.c",
     "	is_in_journal = commit_content(c, e);\n	atomic_store(&c->clock->durable, e);\n",
     "	atomic_store(&c->clock->durable, e);\n	is_in_journal = commit_content(c, e);\n"),
    ("replies leave one epoch early", SIM, "daemon/hold.h",
     "h->marks[0].epoch <= durable", "h->marks[0].epoch <= durable + 1"),
    ("a read is not held for what it tells", SIM, "daemon/txn.c",
     "		txn_tell_stamp(t, stamp);\n	}\n	return object == view.object", "	}\n	return object == view.object"),
    ("a read under locks is not held", SIM, "daemon/txn.c",
     "	txn_tell_stamp(t, k->stamp_before);\n", ""),
    ("an addition is recorded twice", SIM, "daemon/txn_add.c",
     "	txn_note_dirty(t);\n	return epoch_buffer_add(t->epoch->open, add->id, (uint64_t)add->delta);",
     "	txn_note_dirty(t);\n	(void)epoch_buffer_add(t->epoch->open, add->id, (uint64_t)add->delta);\n"
     "	return epoch_buffer_add(t->epoch->open, add->id, (uint64_t)add->delta);"),
    ("a session is not recorded", SIM, "daemon/request_session.c",
     "	if (epoch_buffer_session(epoch->open, &at, session_id(s), record->seq, record->cursor))\n",
     "	if (record->seq % 8 && epoch_buffer_session(epoch->open, &at, session_id(s), record->seq, record->cursor))\n"),
    ("a session is recorded in an older epoch than it was seen in", SIM, "daemon/request_session.c",
     "		if (s->last.epoch <= r->txn->epoch->own)\n			return;", "		if (s)\n			return;"),
    ("who has lost a session goes on", SIM, "daemon/request_session.c",
     "	if (s->owner != r->peer->client.id) {", "	if (0) {"),
    ("a refused batch does not end the binding", SIM, "daemon/request_session.c",
     "	r->peer->is_session_lost = true;\n	return REQUEST_DONE;", "	return REQUEST_DONE;"),
    ("a known batch is answered before it is on disk", SIM, "daemon/request_session.c",
     "		txn_tell(r->txn, session_epoch_of(s, a->record.seq));\n", ""),
    ("a session says stored too early", SIM, "daemon/session.c",
     "	return s->older.epoch <= durable ? s->older.seq : s->stored_seq;", "	return s->older.seq;"),
    ("a token is not recorded", SIM, "daemon/request_once.c",
     "	return epoch_buffer_token(epoch->open, o->key.name, o->key.token, o->delta);",
     "	return o->delta == 3 ? 0 : epoch_buffer_token(epoch->open, o->key.name, o->key.token, o->delta);"),
    ("a used token is answered before it is on disk", SIM, "daemon/request_once.c",
     "	txn_tell(r->txn, token->epoch);\n", ""),
    ("a token is looked up before its stripe is locked", SIM, "daemon/request_once.c",
     "		once_lock(t, &o->key);\n		token = once_find(t, &o->key, tokens_before_ms(r), durable_of(r));",
     "		token = once_find(t, &o->key, tokens_before_ms(r), durable_of(r));\n		once_lock(t, &o->key);"),
    ("cells are merged before they rest", TXN_CELLS, "daemon/counter.h",
     "	return epoch != 0 && epoch <= epoch_sealed;", "	return epoch != 0 && epoch <= epoch_sealed + 1;"),
    ("cells are added to while they are merged", SIM, "daemon/counter.h",
     "	if (atomic_load_explicit(&cells->merge_epoch, memory_order_relaxed))\n		return false;\n", ""),
    ("readers see half a transaction", SIM, "daemon/txn.c",
     "? COUNTER_LOCKED_TXN : COUNTER_LOCKED;", "? COUNTER_LOCKED : COUNTER_LOCKED;"),
    ("FLUSHALL comes between the looks of a transaction", STOPPED, "daemon/txn.c",
     "registry_floor(t->registry) != t->floor_seen)\n		result = LOCK_AGAIN;",
     "registry_floor(t->registry) != t->floor_seen)\n		result = LOCK_OK;"),
    ("ids are drawn on both sides of FLUSHALL", STOPPED, "daemon/registry.c",
     "== floor_seen;\n	if (is_same)\n		*first", "== floor_seen;\n	is_same = true;\n	if (is_same)\n		*first"),
    ("what was unlinked is freed at once", SIM, "daemon/commit.c",
     "	limbo_free(c);\n	retired_list_fini(&c->limbo);\n	c->limbo = fresh;",
     "	limbo_free(c);\n	retired_list_fini(&c->limbo);\n	c->limbo = fresh;\n	limbo_free(c);"),
    ("a reclaimed record is not looked up again", SIM, "daemon/txn.c",
     "	if (counter_object(k->counter) == COUNTER_GONE)\n		return LOCK_AGAIN;", "	if (0)\n		return LOCK_AGAIN;"),
    ("WAITAOF waits for the epoch before", SIM, "daemon/request_durable.c",
     "wait->target : epoch_open(clock);", "wait->target : epoch_open(clock) - 1;"),
    ("what came while the flag was set is not looked for", SIM, "daemon/worker.c",
     "		if (is_over(w, p))\n			return 0;\n	return is_release_due(w) || is_audit_due(w) ? 0 : ms;", "		(void)p;\n	return ms;"),
    ("a waker is parked too late", SIM, "daemon/worker.c",
     "	waker_park(&w->waker);\n	ms = sleep_ms(w);\n	if (ms != 0 && (atomic_load(&w->inbox)",
     "	ms = sleep_ms(w);\n	waker_park(&w->waker);\n	if (ms != 0 && (atomic_load(&w->inbox)"),
    ("an addition through base and cells ignores a seal in between", STOPPED, "daemon/txn_add.c",
     "		is_void = epoch != t->epoch->own || ", "		is_void = "),
    ("the short way does not look whether it is behind", TXN_QUICK, "daemon/txn_quick.c",
     "registry_floor(t->registry) && !txn_is_behind(t, counter_stamp(c));", "registry_floor(t->registry);"),
    ("the short way does not look for FLUSHALL", TXN_QUICK, "daemon/txn_quick.c",
     "	return id >= registry_floor(t->registry) && ", "	return id && "),
    ("the short way does not record a run whole", SIM, "daemon/txn_quick.c",
     "	return epoch_buffer_add(t->epoch->open, id, (uint64_t)total) == 0;",
     "	return epoch_buffer_add(t->epoch->open, id, total > 4 ? 4 : (uint64_t)total) == 0;"),
    ("the short way raises the stamp after the change", SIM, "daemon/txn_quick.c",
     "	counter_raise(c, t->epoch->own, &t->epoch->clock->open);\n	counter_set_base(c, sum);\n",
     "	counter_set_base(c, sum);\n	counter_raise(c, t->epoch->own, &t->epoch->clock->open);\n"),
    ("a short way is not held for what it tells", SIM, "daemon/request_quick.c",
     "	if (w->is_holding && w->txn.told)\n", "	if (0)\n"),
    ("SHC.EXPLAIN says of every value that it is on disk", SIM, "daemon/request_explain.c",
     "	e->is_stored = txn->told <= e->durable_epoch;", "	e->is_stored = true;"),
    ("what has expired is there for a transaction", EXTRA, "daemon/txn.c",
     "	if (result == LOCK_OK && t->has_extras)\n		expire_all(t);\n", "	if (0)\n		expire_all(t);\n"),
    ("a new object comes, and the one that has expired is not ended", CUT, "daemon/txn.c",
     "			k->is_expired = true;\n", "			k->was_live = k->is_deleted = false;\n"),
    ("an addition reaches the object that has expired", CUT, "daemon/txn.c",
     "			k->is_expired = true;\n", "			k->is_deleted = false;\n"),
    ("the clock of a transaction was read before its locks", EXTRA, "daemon/txn.c",
     "	t->wall_ms = 0;\n	for (size_t i = 0;", "	for (size_t i = 0;"),
    ("each counter expires at a time of its own", EXTRA, "daemon/txn.c",
     "		if (k->extra && extra_is_expired(k->extra, txn_wall_ms(t))) {", "		if (k->extra && extra_is_expired(k->extra, clock_wall_ms())) {"),
    ("a reader without the lock believes the clock", EXTRA, "daemon/txn.c",
     "		if (has_expired(k->counter, object)) {", "		if (1 || has_expired(k->counter, object)) {"),
    ("a state is recorded behind the publishing", EXTRA, "daemon/txn_commit.c",
     """		if (!rc && (effects & (EFFECT_STATE | EFFECT_HITS)))
			record_extras(t);
		if (!rc && t->is_auditing)
			txn_record_audit(t);
		for (size_t i = 0; i < t->key_count && !rc; i++) {
			txn_prefetch_key(t, i + TXN_AHEAD);
			if (is_changed(&t->keys[i]))
				publish(t, &t->keys[i]);
		}
""", """		if (!rc && t->is_auditing)
			txn_record_audit(t);
		for (size_t i = 0; i < t->key_count && !rc; i++) {
			txn_prefetch_key(t, i + TXN_AHEAD);
			if (is_changed(&t->keys[i]))
				publish(t, &t->keys[i]);
		}
		if (!rc && (effects & (EFFECT_STATE | EFFECT_HITS)))
			record_extras(t);
"""),
    ("a new state has the version of the old one", CUT, "daemon/txn_commit.c", "		x->version++;\n", ""),
    ("hits are counted and not recorded", CUT, "daemon/txn_commit.c",
     "		epoch_buffer_hit(t->epoch->open, &hit);\n", ""),
    ("an expiry that was taken away is not recorded", CUT, "daemon/txn_commit.c",
     "	return k->expire_at_ms != atomic_load_explicit(", "	return k->expire_at_ms && k->expire_at_ms != atomic_load_explicit("),
    ("a refused transaction takes back what it has not recorded", EXTRA, "daemon/txn_commit.c",
     "is_changed(&t->keys[i]) && has_delta(&t->keys[i])", "is_changed(&t->keys[i]) && delta_of(&t->keys[i])"),
    ("an object that ends stays in the tree", EXTRA, "daemon/txn.c",
     "		expiry_set(&t->registry->expiry, t->worker, counter_extra_of(object), 0);\n", ""),
    ("in the whole daemon each counter expires at a time of its own", SIM, "daemon/txn.c",
     "		if (k->extra && extra_is_expired(k->extra, txn_wall_ms(t))) {", "		if (k->extra && extra_is_expired(k->extra, clock_wall_ms())) {"),
    ("a start forgets when a counter expires", SIM, "daemon/recover.c",
     "	atomic_store(&x->expire_at_ms, state->expire_at_ms);\n", ""),
    ("an expiry that is moved is not moved on disk", CUT, "daemon/txn_commit.c",
     "	return k->expire_at_ms != atomic_load_explicit(&k->extra->expire_at_ms, memory_order_relaxed) ||",
     "	return !k->expire_at_ms != !atomic_load_explicit(&k->extra->expire_at_ms, memory_order_relaxed) ||"),
    ("the short way reads what may have expired", EXTRA, "daemon/txn_quick.c",
     "!counter_has_object(view.object) || counter_has_extra(view.object) ||", "!counter_has_object(view.object) ||"),
    # The uplink. What its scripts do is played by tests/uplink/redis.c, and broken there.
    ("a field of a known start is ours whatever its epoch", RULE, "daemon/uplink_rule.c",
     "	return known && mark->epoch <= known->epoch_max;", "	return known;"),
    ("the present start's epochs have no end", RULE, "daemon/uplink_rule.c",
     "		return mark->epoch <= l->now.epoch;", "		return true;"),
    ("a retired incarnation is none", RULE, "daemon/uplink_rule.c",
     "		return judge_tombstone(l, there, field);", "		return UPLINK_NOTHING;"),
    ("a tombstone of a copy is its own", RULE, "daemon/uplink_rule.c",
     "	if (!has_been_at(l, &field->mark))\n		*field", "	if (0)\n		*field"),
    ("a half step goes from the least number to 0", RULE, "daemon/uplink_rule.c",
     "have == INT64_MIN ? -1 : 0;", "0;"),
    ("an offset is taken over by another object", RULE, "daemon/uplink_rule.c",
     "	if (have->object == object || have->offset == 0) {", "	if (have) {"),
    ("a hole in an index stays", UPTABLE, "daemon/uplink_index.c",
     "		x->slots[hole] = x->slots[i];\n		hole = i;\n", "		break;\n"),
    ("a baseline outlives its counter", UPSWITCH, "daemon/uplink_feed.c",
     "	e->committed = e->baseline = e->at_start = 0;", "	e->committed = e->at_start = 0;"),
    ("a FLUSHALL is not seen", UPTABLE, "daemon/uplink_feed.c",
     "		apply_floor(t, buffers[i]->floor_id, now_ms);", "		(void)apply_floor;"),
    ("what changes under way is not due again", UPTABLE, "daemon/uplink_table.c",
     "		e->is_changed = true;", "		e->is_changed = false;"),
    ("what was not answered is not sent again", UPTABLE, "daemon/uplink_due.c",
     "		uplink_table_to_left(t, e);\n	else if", "		(void)t;\n	else if"),
    ("what is refused is sent for each change", UPREFUSED, "daemon/uplink_table.c",
     "	if (e->place == UPLINK_ASIDE)\n		return;\n",
     "	if (e->place == UPLINK_ASIDE)\n		uplink_table_fetch(t, e);\n"),
    ("what is refused and believed right is right", UPREFUSED, "daemon/uplink_table.c",
     "	e->place = UPLINK_AT_REST;\n	e->is_looked_at = true;\n", "	e->place = UPLINK_AT_REST;\n"),
    ("what is refused is not seen when names are looked up for a switch", UPREFUSED, "daemon/uplink_baseline.c",
     "		if (e && e->is_in_doubt && e->place == UPLINK_ASIDE)\n", "		if (0)\n"),
    ("what is refused is forgotten by a switch", UPREFUSED, "daemon/uplink_baseline.c",
     "		if (e->place == UPLINK_ASIDE)\n", "		if (0)\n"),
    ("a name that somebody waits for is there though another push of it was under way", UPREFUSED, "daemon/uplink_due.c",
     "	if (!rc && e->place != UPLINK_UNDER_WAY) {", "	if (!rc) {"),
    ("a name that somebody waits for is there though something else is", UPREFUSED, "daemon/uplink_due.c",
     "		e->is_looked_at = a->outcome == UPLINK_OTHER && is_again;", "		e->is_looked_at = false;"),
    ("names that come and go while they are refused pile up", UPFORGET, "daemon/uplink_due.c",
     "		tidy_queue(t, &t->aside, &t->aside_count);\n", ""),
    ("a round with lost answers is through", UPTABLE, "daemon/uplink_due.c",
     "t->round_count + t->left_count + t->under_way_count == 0", "t->round_count + t->under_way_count == 0"),
    ("a deleted name is forgotten before a zero is there", UPTABLE, "daemon/uplink_due.c",
     "	       uplink_is_right(&e->there, 0, 0) && !e->is_in_doubt;", "	       !e->is_in_doubt;"),
    ("a page tells what the next one tells again", UPTABLE, "daemon/uplink_table.c",
     "		count = before;\n", "		(void)before;\n"),
    ("what has been rolled back is believed at a switch", UPSWITCH, "daemon/uplink_baseline.c",
     "			t->by_name.slots[i]->is_in_doubt = true;", "			(void)t;"),
    ("what is on its way at a switch may come to something", UPSWITCH, "daemon/uplink_due.c",
     "	if (e->is_lost) {\n		prepare_fence", "	if (0) {\n		prepare_fence"),
    ("what an earlier start has sent may come behind a retirement", UPSWITCH, "daemon/uplink_due.c",
     "	return t->is_given_up && !a->is_final &&", "	return 0 && !a->is_final &&"),
    ("what a retired incarnation had not brought is lost", FLEET, "daemon/uplink_baseline.c",
     "	if (t->is_given_up && e->belief != UPLINK_UNKNOWN)\n		return e->baseline;\n", ""),
    ("a switch waits for no replica", FLEET, "daemon/uplink_switch.c",
     "	if (!resolve_doubts(u) || !wait_for_replica(u))", "	(void)wait_for_replica;\n	if (!resolve_doubts(u))"),
    ("a master that was replaced in a switch is not looked at again", FLEET, "daemon/uplink_switch.c",
     "	       u->switch_topology == u->topology;\n}", "	       true;\n}"),
    ("what came and went is forgotten though it has a ledger", UPFORGET, "daemon/uplink_due.c",
     "		e->is_new = false; /* it may", "		(void)e; /* it may"),
    ("names that come and go while the cluster is down pile up", UPFORGET, "daemon/uplink_due.c",
     "		if (is_unheard_of(e)) {\n", "		if (0) {\n"),
    ("a second switch goes back to where the start began", UPSWITCH, "daemon/uplink_baseline.c",
     "		e->baseline = e->at_start = e->id", "		e->baseline = e->id"),
    ("what has come since a round began is said to be there", FLEET, "daemon/uplink_due.c",
     "		t->synced_epoch = t->round_epoch;", "		t->synced_epoch = t->fed;"),
    ("doubts are not resolved before a switch", FLEET, "daemon/uplink_switch.c",
     "	if (!resolve_doubts(u) || !wait_for_replica(u))", "	(void)resolve_doubts;\n	if (!wait_for_replica(u))"),
    ("a new number is on disk before its baselines", FLEET, "daemon/uplink_switch.c",
     "	int rc = 0;\n\n	for (; left", "	int rc = commit_call(u->commit, switch_to, w);\n\n	for (; left"),
    ("a push is marked with an epoch that is not on disk", FLEET, "daemon/uplink_feed.c",
     "		t->epoch = epoch;\n	was_due", "		t->epoch = epoch + 1;\n	was_due"),
    ("a sweep forgets a name that an epoch brings back", UPFORGET, "daemon/uplink_due.c",
     "	return e->id == 0 && !e->is_reserved && e->belief != UPLINK_UNKNOWN", "	return e->id == 0 && e->belief != UPLINK_UNKNOWN"),
    ("a field that has come back is forgotten at once", UPFORGET, "daemon/uplink_due.c",
     "		e->is_found &= !a->has_field;\n", ""),
    ("a push is believed whatever was there", FLEET, "daemon/uplink_push.c",
     "		return is_done ? (struct uplink_answer){.outcome = UPLINK_PUSHED}", "		return is_done || text.len ? (struct uplink_answer){.outcome = UPLINK_PUSHED}"),
    ("copies take each other for themselves", FLEET, "daemon/uplink_rule.c",
     "	return known && mark->epoch <= known->epoch_max;", "	return true;"),
    ("who has never reached the cluster does not wait", FLEET, "daemon/uplink.c",
     "	if (!u->round_ms)\n		return round_due_ms(u, now);", "	if (0)\n		return 0;"),
    ("ledgers that have come back are not looked at", FLEET, "daemon/uplink_sweep.c",
     "	return uplink_table_found(&u->table, name) == 0;", "	(void)u, (void)name;\n	return true;"),
    ("the push script does not compare", FLEET, "tests/uplink/redis.c",
     "	if (strcmp(row ? row->text : \"\", before) != 0) {\n", "	if (0) {\n"),
    ("the push script adds without the field", FLEET, "tests/uplink/redis.c",
     "		copy(row->text, sizeof(row->text), after);\n", "		if (!sim_one_in(50))\n			copy(row->text, sizeof(row->text), after);\n"),
    ("the push script replaces a field though INCRBY has failed", FLEET, "tests/uplink/redis.c",
     "			put_error(out, \"ERR increment or decrement would overflow\");\n			return;\n",
     "			put_error(out, \"ERR increment or decrement would overflow\");\n"),
    ("the retire script leaves nothing behind", FLEET, "tests/uplink/redis.c",
     "	memcpy(row->text, \"retired \", strlen(\"retired \"));\n", "	*row = l->rows[--l->count];\n"),
    ("the rest of a batch that was cut for its source's budget is forgotten", SIM, "daemon/peer_limit.c",
     "		p->has_stale_parser = true; /* the rest is parsed again */\n", ""),
    ("reconnecting renews a budget", "tests/test_peer_source", "daemon/peer_source.c",
     "	if (is_full(s, now_ns)) {\n		forget(s);\n		return;", "	if (now_ns) {\n		forget(s);\n		return;"),
]


def copy_tree(to):
    files = subprocess.run(["git", "ls-files", "daemon", "lib", "cmd", "gateway", "mk", "man", "scripts", "tests/sim",
                            "tests/uplink", "tests/unit", "Makefile",
                            "VERSION"], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    for name in files:
        os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
        shutil.copy(os.path.join(TOP, name), os.path.join(to, name))


def build(tree, test):
    return subprocess.run(["make", "-s", "-j2", "BUILD=build", "build/" + test], cwd=tree, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def run(tree, test):
    """What the test said, or None when it noticed nothing in time. A few seeds of every kind, then more."""
    stages = ((1, 0.1), (1000, 0.3), (2000, 1), (5000, 3)) if test == SIM else \
        ((1, 0.1), (1000, 1), (2000, 5), (5000, 10)) if test == FLEET else ((1, 1),)
    start = time.monotonic()
    for first, scale in stages:
        said = run_once(tree, test, first, scale, SECONDS_MAX - (time.monotonic() - start))
        if said:
            return "%s; %.1f s" % (said, time.monotonic() - start)
    return None


def run_once(tree, test, first, scale, seconds):
    env = dict(os.environ, SHC_TEST_FIRST=str(first), SHC_TEST_SCALE=str(scale), CMOCKA_MESSAGE_OUTPUT="TAP")
    env.pop("SHC_TEST_SEED", None)
    if seconds <= 0:
        return None
    try:
        done = subprocess.run(["build/" + test], cwd=tree, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 0:
        return None
    said = re.search(r"^# (SHC_TEST_SEED=.*)$", done.stdout, re.M) or \
        re.search(r"^not ok \d+ - (.*)$", done.stdout, re.M)
    return said.group(1) if said else "ended with %d" % done.returncode


def build_sound(tree, test):
    """Builds it without a mutation, and keeps that. It must pass, or it would catch everything."""
    made = build(tree, test)
    if made.returncode:
        sys.exit("%s does not build:\n%s" % (test, made.stdout))
    shutil.copy(os.path.join(tree, "build", test), os.path.join(tree, "build", test + SOUND))
    said = run_once(tree, test, 1, 0.1 if test in (SIM, FLEET) else 1, SECONDS_MAX)
    if said:
        sys.exit("%s fails without a mutation: %s" % (test, said))


def is_seed_sound(tree, test, said):
    """The seed at which the simulation failed, if it was that, passes without the mutation."""
    seed = re.match(r"SHC_TEST_SEED=(\d+)", said)
    if not seed:
        return True
    env = dict(os.environ, SHC_TEST_SEED=seed.group(1))
    return subprocess.run(["build/" + test + SOUND], cwd=tree, env=env, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def mutate(tree, test, path, old, new):
    """The outcome, and what was said."""
    with open(os.path.join(tree, path), encoding="utf-8") as f:
        source = f.read()
    if source.count(old) != 1:
        return "NOT APPLIED", "the line stands there %d times" % source.count(old)
    with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
        f.write(source.replace(old, new))
    try:
        made = build(tree, test)
        if made.returncode:
            return "NOT COMPILED", made.stdout.strip().splitlines()[-1]
        said = run(tree, test)
        if not said:
            return "NOT CAUGHT", "in %d s" % SECONDS_MAX
        return "caught" if is_seed_sound(tree, test, said) else "NOT SOUND", said
    finally:
        with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
            f.write(source)


def main():
    wanted = sys.argv[1:]
    chosen = [m for m in MUTATIONS if not wanted or m[0] in wanted]
    if len(chosen) < len(wanted):
        sys.exit("no such mutation: %s" % ", ".join(set(wanted) - {m[0] for m in chosen}))
    row = "%%-%ds  %%-%ds  %%s" % (max(len(m[0]) for m in chosen), max(len(m[1]) for m in chosen))
    missed = 0
    with tempfile.TemporaryDirectory() as tree:
        copy_tree(tree)
        for test in sorted({m[1] for m in chosen}):
            build_sound(tree, test)
        print(row % ("mutation", "test", "outcome"), flush=True)
        for name, test, path, old, new in chosen:
            outcome, text = mutate(tree, test, path, old, new)
            missed += outcome != "caught"
            print(row % (name, test, "%s: %s" % (outcome, text)), flush=True)
    print("%d of %d caught" % (len(chosen) - missed, len(chosen)))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
