#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Breaks the daemon on purpose, one line at a time, and shows that the simulation notices each.

mutations.py [NAME...]: all of them, or those whose names are given. Works on a copy of the tree. Ends with 1 when one
was not noticed, or did not compile.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
SECONDS_MAX = int(os.environ.get("MUTATION_SECONDS", "60"))

# Name, file, what stands there, what is put in its place.
MUTATIONS = [
    ("a worker that is behind goes on", "daemon/epoch.h",
     "	return stamp == (uint32_t)(s->own + 1) &&", "	return false && stamp == (uint32_t)(s->own + 1) &&"),
    ("a stamp is raised after the change to base", "daemon/txn_commit.c",
     """	counter_raise(k->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	if (k->is_live)
		counter_set_base(k->counter, base_after(k));
	if (object == word)
		return;
	counter_set_object(k->counter, object);
""", """	txn_tell(t, t->epoch->own);
	if (k->is_live)
		counter_set_base(k->counter, base_after(k));
	if (object != word)
		counter_set_object(k->counter, object);
	counter_raise(k->counter, t->epoch->own, &t->epoch->clock->open);
	if (object == word)
		return;
"""),
    ("a stamp is raised after the change to a cell", "daemon/txn_add.c",
     """	counter_raise(add->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	counter_cell_add(add->object, t->worker, add->delta);
""", """	txn_tell(t, t->epoch->own);
	counter_cell_add(add->object, t->worker, add->delta);
	counter_raise(add->counter, t->epoch->own, &t->epoch->clock->open);
"""),
    ("the stamp is read before the value", "daemon/txn.c",
     """	int64_t value = counter_has_object(object) ? counter_total(k->counter, object) : 0;

	k->stamp_before = counter_stamp(k->counter);
""", """	int64_t value;

	k->stamp_before = counter_stamp(k->counter);
	value = counter_has_object(object) ? counter_total(k->counter, object) : 0;
"""),
    ("a seal is skipped: an epoch ends before all have sealed", "daemon/commit.c",
     "			if (!is_sealed)\n				waker_sleep(&c->waker, -1);\n",
     "			is_sealed = true;\n"),
    ("a sleeper that sealed and slept again is sealed twice", "daemon/epoch.c",
     "	if (atomic_load(&s->sealed) >= e) {\n", "	if (0) {\n"),
    ("a worker parks though the epoch has moved", "daemon/epoch.c",
     "	if (epoch_open(s->clock) == own)\n		return true;", "	if (own)\n		return true;"),
    ("a worker that wakes up does not look", "daemon/epoch.c",
     "	if (epoch_open(s->clock) != s->own)\n		epoch_seal(s, epoch_open(s->clock));\n}",
     "}"),
    ("the first change after an advance is not noted", "daemon/epoch.c",
     "	atomic_store(&c->is_dirty, 0);\n	atomic_store(&c->open, e + 1);\n",
     "	atomic_store(&c->open, e + 1);\n	atomic_store(&c->is_dirty, 0);\n"),
    ("durable is said before the commit", "daemon/commit.c",
     "	commit_content(c, e);\n	atomic_store(&c->clock->durable, e);\n",
     "	atomic_store(&c->clock->durable, e);\n	commit_content(c, e);\n"),
    ("replies leave one epoch early", "daemon/hold.h",
     "h->marks[0].epoch <= durable", "h->marks[0].epoch <= durable + 1"),
    ("a read is not held for what it tells", "daemon/txn.c",
     "		txn_tell_stamp(t, stamp);\n	}\n	if (object != view.object", "	}\n	if (object != view.object"),
    ("a read under locks is not held", "daemon/txn.c",
     "	txn_tell_stamp(t, k->stamp_before);\n", ""),
    ("an addition is recorded twice", "daemon/txn_add.c",
     "	txn_note_dirty(t);\n	return epoch_buffer_add(t->epoch->open, counter_id(add->object), (uint64_t)add->delta);",
     "	txn_note_dirty(t);\n	(void)epoch_buffer_add(t->epoch->open, counter_id(add->object), (uint64_t)add->delta);\n"
     "	return epoch_buffer_add(t->epoch->open, counter_id(add->object), (uint64_t)add->delta);"),
    ("a session is not recorded", "daemon/request_once.c",
     "	if (epoch_buffer_session(epoch->open, &at, session_id(s), record->seq, record->cursor))\n",
     "	if (record->seq % 8 && epoch_buffer_session(epoch->open, &at, session_id(s), record->seq, record->cursor))\n"),
    ("a session is recorded in an older epoch than it was seen in", "daemon/request_once.c",
     "		if (s->last.epoch <= r->txn->epoch->own)\n			return;", "		if (s)\n			return;"),
    ("who has lost a session goes on", "daemon/request_once.c",
     "	if (s->owner != r->peer->client.id) {", "	if (0) {"),
    ("a refused batch does not end the binding", "daemon/request_once.c",
     "	r->peer->is_session_lost = true;\n	return REQUEST_DONE;", "	return REQUEST_DONE;"),
    ("a known batch is answered before it is on disk", "daemon/request_once.c",
     "		txn_tell(r->txn, session_epoch_of(s, a->record.seq));\n", ""),
    ("a session says stored too early", "daemon/session.c",
     "	return s->older.epoch <= durable ? s->older.seq : s->stored_seq;", "	return s->older.seq;"),
    ("a token is not recorded", "daemon/request_once.c",
     "	return epoch_buffer_token(epoch->open, o->key.name, o->key.token, o->delta);",
     "	return o->delta == 3 ? 0 : epoch_buffer_token(epoch->open, o->key.name, o->key.token, o->delta);"),
    ("a used token is answered before it is on disk", "daemon/request_once.c",
     "	txn_tell(r->txn, token->epoch);\n", ""),
    ("a token is looked up before its stripe is locked", "daemon/request_once.c",
     "		once_lock(t, &o->key);\n		token = once_find(t, &o->key, tokens_before_ms(r), durable_of(r));",
     "		token = once_find(t, &o->key, tokens_before_ms(r), durable_of(r));\n		once_lock(t, &o->key);"),
    ("cells are merged before they rest", "daemon/counter.h",
     "	return epoch != 0 && epoch <= epoch_sealed;", "	return epoch != 0 && epoch <= epoch_sealed + 1;"),
    ("cells are added to while they are merged", "daemon/counter.h",
     "	if (atomic_load_explicit(&cells->merge_epoch, memory_order_relaxed))\n		return false;\n", ""),
    ("readers see half a transaction", "daemon/txn.c",
     "? COUNTER_LOCKED_TXN : COUNTER_LOCKED;", "? COUNTER_LOCKED : COUNTER_LOCKED;"),
    ("FLUSHALL comes between the looks of a transaction", "daemon/txn.c",
     "registry_floor(t->registry) != t->floor_seen)\n		result = LOCK_AGAIN;",
     "registry_floor(t->registry) != t->floor_seen)\n		result = LOCK_OK;"),
    ("ids are drawn on both sides of FLUSHALL", "daemon/registry.c",
     "== floor_seen;\n	if (is_same)\n		*first", "== floor_seen;\n	is_same = true;\n	if (is_same)\n		*first"),
    ("what was unlinked is freed at once", "daemon/commit.c",
     "	limbo_free(c);\n	retired_list_fini(&c->limbo);\n	c->limbo = fresh;",
     "	limbo_free(c);\n	retired_list_fini(&c->limbo);\n	c->limbo = fresh;\n	limbo_free(c);"),
    ("a reclaimed record is not looked up again", "daemon/txn.c",
     "	if (counter_object(k->counter) == COUNTER_GONE)\n		return LOCK_AGAIN;", "	if (0)\n		return LOCK_AGAIN;"),
    ("WAITAOF waits for the epoch before", "daemon/request_durable.c",
     "wait->target : epoch_open(clock);", "wait->target : epoch_open(clock) - 1;"),
    ("what came while the flag was set is not looked for", "daemon/worker.c",
     "		if (is_over(w, p))\n			return 0;\n	return is_release_due(w) ? 0 : ms;", "		(void)p;\n	return ms;"),
    ("a waker is parked too late", "daemon/worker.c",
     "	waker_park(&w->waker);\n	ms = sleep_ms(w);\n	if (ms != 0 && (atomic_load(&w->inbox)",
     "	ms = sleep_ms(w);\n	waker_park(&w->waker);\n	if (ms != 0 && (atomic_load(&w->inbox)"),
    ("an addition through base and cells ignores a seal in between", "daemon/txn_add.c",
     "		is_void = epoch != t->epoch->own || ", "		is_void = "),
]


def copy_tree(to):
    files = subprocess.run(["git", "ls-files", "daemon", "lib", "cmd", "mk", "tests/sim", "Makefile", "VERSION"],
                           cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    for name in files:
        os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
        shutil.copy(os.path.join(TOP, name), os.path.join(to, name))


def build(tree):
    return subprocess.run(["make", "-s", "-j2", "BUILD=build", "sim-programs"], cwd=tree, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def run(tree):
    """What the simulation said, or null when it noticed nothing in time. A few seeds of every kind, then more."""
    start = time.monotonic()
    for first, scale in ((1, 0.1), (1000, 0.3), (2000, 1), (5000, 3)):
        said = run_seeds(tree, first, scale, SECONDS_MAX - (time.monotonic() - start))
        if said:
            return "%s; %.1f s" % (said, time.monotonic() - start)
    return None


def run_seeds(tree, first, scale, seconds):
    env = dict(os.environ, SHC_TEST_FIRST=str(first), SHC_TEST_SCALE=str(scale))
    env.pop("SHC_TEST_SEED", None)
    if seconds <= 0:
        return None
    try:
        done = subprocess.run(["build/sim/test_sim"], cwd=tree, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 0:
        return None
    said = re.search(r"^# (SHC_TEST_SEED=.*)$", done.stdout, re.M)
    text = said.group(1) if said else "ended with %d" % done.returncode
    return text


def mutate(tree, name, path, old, new):
    with open(os.path.join(tree, path), encoding="utf-8") as f:
        source = f.read()
    if source.count(old) != 1:
        return "NOT APPLIED", "the line stands there %d times" % source.count(old)
    with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
        f.write(source.replace(old, new))
    try:
        made = build(tree)
        if made.returncode:
            return "NOT COMPILED", made.stdout.strip().splitlines()[-1]
        said = run(tree)
        return ("noticed", said) if said else ("NOT NOTICED", "in %d s" % SECONDS_MAX)
    finally:
        with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
            f.write(source)


def main():
    wanted = sys.argv[1:]
    missed = 0
    with tempfile.TemporaryDirectory() as tree:
        copy_tree(tree)
        if build(tree).returncode:
            sys.exit("the simulation does not build")
        for name, path, old, new in MUTATIONS:
            if wanted and name not in wanted:
                continue
            outcome, text = mutate(tree, name, path, old, new)
            missed += outcome != "noticed"
            print("%s: %s: %s" % (outcome, name, text), flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
