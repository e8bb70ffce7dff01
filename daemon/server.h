/* SPDX-License-Identifier: MIT */
/*
 * server.h - the daemon as a whole: who exists, in which order it starts and ends.
 *
 * Start: lock, store, load, clock, committer, workers, listeners, acceptor, READY. Stop (SIGTERM, SIGINT,
 * SHUTDOWN, idle-exit): acceptor (takes who has connected), workers (answer what was received), committer
 * (commit, fold), store. Main thread: sigwait.
 *
 * Lock order: session, or stripe (tokens) -> counters; segment (registry) -> directory (registry); segment
 * -> counter; counters by address; the arena's, the table of sessions', the client
 * directory's, the access set's, the sources' and the refusals' are leaves.
 * Nobody holds a counter's lock when asking for a segment's.
 */
#ifndef SHC_SERVER_H
#define SHC_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/watchdog.h"
#include "acceptor.h"
#include "access.h"
#include "audit.h"
#include "audit_reader.h"
#include "backup.h"
#include "client.h"
#include "commit.h"
#include "config.h"
#include "epoch.h"
#include "once.h"
#include "peer_memory.h"
#include "refusals.h"
#include "registry.h"
#include "session.h"
#include "peer_source.h"
#include "store.h"
#include "uplink.h"
#include "worker.h"

struct server {
	struct config *config;
	enum io_kind io;       /* chosen */
	const char *io_reason; /* why not the other; may be null */
	int64_t started_s;     /* wall clock */
	int64_t started_ms;    /* monotonic */
	char run_id[41];
	int lock_fd;
	struct store *store;
	struct registry registry;
	struct session_table sessions;
	struct once_table tokens;
	struct epoch_clock clock;
	struct commit commit;
	struct backup backup;
	struct audit audit;
	struct audit_reader audit_reader;
	struct uplink *uplink; /* owned; null: none */
	struct access_now access;
	struct refusals refusals;
	struct sources sources;
	struct client_directory clients;
	struct peer_memory peer_memory;
	struct worker *workers;
	uint32_t worker_count;
	int inherited; /* sockets from the service manager, -errno when it makes no sense */
	struct acceptor acceptor;
	struct watchdog watchdog; /* main's */

	const char *_Atomic stop_reason; /* static; null: a signal from outside */
	_Atomic bool is_folding_at_stop; /* SHUTDOWN NOSAVE: no */
};

/* Runs until told to stop. Returns an exit status (0, 65, 69, 74, 77, 78); has logged why. */
int server_run(struct config *config);

/* The exit status for a negative errno of the store or of files. */
int server_status_of(int rc);

/* As SIGTERM does; `reason`, for the log, is static. Any thread. */
void server_stop(struct server *s, bool is_folding, const char *reason);

#endif
