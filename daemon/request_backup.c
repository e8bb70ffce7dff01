/* SPDX-License-Identifier: MIT */
/* request_backup.c - SHC.BACKUP: BEGIN, READ, END. A client takes a copy of the state through its connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request_sub.h"
#include "server.h"
#include "worker.h"

enum { READ_BYTES_MAX = 1 << 20 };

static struct backup *backup_of(const struct request *r)
{
	return &r->worker->server->backup;
}

static enum request_result reply_failed(struct request *r, const char *why)
{
	resp_put_errorf(r->out, "ERR the backup failed: %s", why);
	backup_drop(backup_of(r), r->peer->client.id);
	return REQUEST_DONE;
}

/* What was acknowledged is committed by now, or the disk is full. */
static enum request_result begin_copy(struct request *r)
{
	int rc;

	if (epoch_durable(r->txn->epoch->clock) < r->peer->wait.target) {
		backup_drop(backup_of(r), r->peer->client.id);
		return reply_stuck(r);
	}
	rc = backup_start(backup_of(r), r->peer->client.id);
	if (rc)
		return reply_failed(r, strerror(-rc));
	return peer_park(r->peer, WAIT_BACKUP, 0, -1);
}

/* In three turns: everything acknowledged so far is to be on disk; then it is copied; then the size is known.
 */
static enum request_result backup_begin(struct request *r)
{
	struct backup *b = backup_of(r);
	uint64_t id = r->peer->client.id, target;
	int64_t size_bytes = 0;
	const char *why = "";

	switch (backup_look(b, id, &size_bytes, &why)) {
	case BACKUP_NONE: break;
	case BACKUP_ASKED: return begin_copy(r);
	case BACKUP_RUNNING: return peer_park(r->peer, WAIT_BACKUP, 0, -1);
	case BACKUP_DONE: return reply_int(r, size_bytes);
	case BACKUP_FAILED: return reply_failed(r, why);
	}
	if (!backup_take(b, id, &r->worker->waker))
		return reply_error(r, "ERR a backup is already running");
	target = epoch_open(r->txn->epoch->clock);
	epoch_want(r->txn->epoch->clock, target);
	return peer_park(r->peer, WAIT_COMMITTED, target, -1);
}

static enum request_result backup_read_piece(struct request *r)
{
	int64_t offset, count;
	ssize_t n;
	void *data;

	if (!num_parse_i64(r->argv[2], &offset) || !num_parse_i64(r->argv[3], &count))
		return reply_not_integer(r);
	if (offset < 0 || count < 1 || count > READ_BYTES_MAX)
		return reply_error(r, "ERR an offset from 0 and a count from 1 to 1048576 are expected");
	data = malloc((size_t)count);
	if (!data)
		return reply_error(r, "OOM out of memory");
	n = backup_read(backup_of(r), r->peer->client.id, data, (size_t)count, offset);
	if (n == -EBADF)
		reply_error(r, "ERR there is no backup to read: SHC.BACKUP BEGIN first");
	else if (n < 0)
		resp_put_errorf(r->out, "ERR the backup cannot be read: %s", strerror((int)-n));
	else
		resp_put_bulk(r->out, data, (size_t)n);
	free(data);
	return REQUEST_DONE;
}

static enum request_result backup_end(struct request *r)
{
	if (!backup_drop(backup_of(r), r->peer->client.id))
		return reply_error(r, "ERR there is no backup of this connection's");
	return reply_ok(r);
}

static enum request_result backup_help(struct request *r)
{
	return subcommand_help(r, &subcommands_backup);
}

static const struct subcommand rows[] = {
	{"shc.backup|begin", 2, backup_begin, "0.2.0",
	 "Copies the state, everything acknowledged so far included; returns the size in bytes.", "",
	 AS_COMMAND},
	{"shc.backup|end", 2, backup_end, "0.2.0", "Forgets the copy.", "", AS_COMMAND},
	{"shc.backup|help", 2, backup_help, "0.2.0", "Prints this help.", "", AS_COMMAND},
	{"shc.backup|read", 4, backup_read_piece, "0.2.0", "Returns a piece of the copy.", "offset count",
	 AS_COMMAND},
};

const struct subcommands subcommands_backup = {rows, sizeof(rows) / sizeof(rows[0])};

enum request_result request_shc_backup(struct request *r)
{
	return subcommand_run(r, &subcommands_backup);
}
