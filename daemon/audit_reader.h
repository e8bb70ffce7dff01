/* SPDX-License-Identifier: MIT */
/*
 * audit_reader.h - SHC.LOG: a thread with a read-only connection of its own to the database answers one
 * question after the other, beside the committer and in no worker's way.
 *
 * A question belongs to the connection that asked. Only so many answers lie here untaken; the rest wait to be
 * looked for. The thread is started by the first question. Any worker; a mutex inside, never held over I/O.
 */
#ifndef SHC_AUDIT_READER_H
#define SHC_AUDIT_READER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../lib/buf.h"
#include "../lib/slice.h"
#include "waker.h"

enum { AUDIT_COUNT_MAX = 10000 }; /* entries of one answer */

struct audit_question;
TAILQ_HEAD(audit_question_list, audit_question);

struct audit_reader {
	const char *db; /* path of the database; borrowed */
	pthread_mutex_t mutex;
	/* under it */
	struct audit_question_list waiting;
	size_t untaken; /* answers */
	bool is_stopping;
	pthread_t thread;
	bool has_thread;
	/* of the thread */
	struct waker waker;
};

int audit_reader_init(struct audit_reader *r, const char *db); /* 0 or -errno */
/* Ends the thread, in the middle of nothing longer than one answer. All questions have been dropped. */
void audit_reader_fini(struct audit_reader *r);

struct audit_answer {
	size_t count;	 /* entries */
	size_t own;	 /* of them: not FLUSHALL's */
	struct buf rows; /* each an array of RESP: log_id, time, operation, delta, value, peer */
	int rc;		 /* 0, or negative: */
	char why[256];
};

/* As store_audit_read, which see. `waker` hears of the answer. Null: no memory, or no thread. */
struct audit_question *audit_reader_ask(struct audit_reader *r, struct slice name, int64_t after,
					int64_t count, struct waker *waker);

bool audit_reader_is_answered(struct audit_reader *r, const struct audit_question *q);

/* Of a question that is answered; lasts until it is dropped. */
const struct audit_answer *audit_reader_answer(const struct audit_question *q);

/* Answered or not: nobody wants to know any more. Null is allowed. Returns null. */
struct audit_question *audit_reader_drop(struct audit_reader *r, struct audit_question *q);

#endif
