/* SPDX-License-Identifier: MIT */
/*
 * request_explain.c - SHC.EXPLAIN: what this daemon knows about one counter. A read like GET: it waits for
 * nothing and changes nothing; in commit mode its reply is held like any other.
 */
#include "../lib/resp.h"
#include "config_default.h"
#include "peer.h"
#include "request.h"
#include "server.h"
#include "worker.h"

struct explanation {
	struct txn_parts parts;
	int64_t value;
	int64_t cells[CONFIG_WORKERS_MAX];
	uint64_t durable_epoch;
	bool is_stored; /* the disk has exactly this value, when the reply leaves */
};

static void explain(const struct request *r, struct explanation *e)
{
	const struct worker *w = r->worker;
	struct txn *txn = r->txn;

	/* Durable first: what was on disk then is seen in what is read now. So when nothing that is seen is
	 * newer, disk and memory agree. */
	e->durable_epoch = epoch_durable(txn->epoch->clock);
	txn_look_at_parts(txn, r->argv[1], &e->parts, e->cells);
	e->is_stored = txn->told <= e->durable_epoch;
	if (w->is_holding && !e->is_stored) {
		/* The reply leaves when this is true. */
		e->durable_epoch = txn->told;
		e->is_stored = true;
	}
	/* Modulo 2^64 on the way, as in counter_total. */
	uint64_t sum = (uint64_t)e->parts.base;
	for (uint32_t i = 0; i < e->parts.cell_count; i++)
		sum += (uint64_t)e->cells[i];
	e->value = (int64_t)sum;
}

static void put_int(struct buf *out, const char *key, int64_t value)
{
	resp_put_bulk_str(out, key);
	resp_put_int(out, value);
}

enum { EXPLANATION_PAIRS = 14, PAIRS_OF_UPLINK = 2 };

static void put(const struct request *r, const struct explanation *e, const struct buf *pairs)
{
	const struct config *config = r->worker->server->config;
	struct buf *out = r->out;

	resp_put_map(out, r->proto, EXPLANATION_PAIRS + (buf_len(pairs) ? PAIRS_OF_UPLINK : 0));
	put_int(out, "exists", e->parts.is_live);
	put_int(out, "value", e->value);
	put_int(out, "base", e->parts.base);
	resp_put_bulk_str(out, "cells");
	resp_put_array(out, e->parts.cell_count);
	for (uint32_t i = 0; i < e->parts.cell_count; i++)
		resp_put_int(out, e->cells[i]);
	put_int(out, "expire_at_ms", e->parts.expire_at_ms);
	put_int(out, "merging", e->parts.is_merging);
	put_int(out, "contention", e->parts.heat);
	put_int(out, "contention_for_cells", TXN_HEAT_FOR_CELLS);
	put_int(out, "changed_epoch", (int64_t)e->parts.changed_epoch);
	put_int(out, "durable_epoch", (int64_t)e->durable_epoch);
	put_int(out, "stored", e->is_stored);
	resp_put_bulk_str(out, "store_status");
	resp_put_bulk_str(out, commit_is_stuck(&r->worker->server->commit) ? "retrying" : "ok");
	resp_put_bulk_str(out, "durability");
	resp_put_bulk_str(out, config->durability == DURABILITY_COMMIT ? "commit" : "interval");
	put_int(out, "commit_interval_ms",
		atomic_load_explicit(&config->commit_interval_ms, memory_order_relaxed));
	if (buf_len(pairs))
		buf_append(out, buf_head(pairs), buf_len(pairs));
}

enum request_result request_shc_explain(struct request *r)
{
	enum request_result result;
	struct explanation e;
	struct buf pairs = {0};

	if (!slice_is_name(r->argv[1]))
		return reply_bad_name(r);
	if (request_ask_uplink(r, r->argv[1], &pairs, &result))
		return result;
	explain(r, &e);
	put(r, &e, &pairs);
	buf_fini(&pairs);
	return REQUEST_DONE;
}
