/* SPDX-License-Identifier: MIT */
/*
 * doctor.h - what `shcount doctor` has found so far, a line as soon as it is known, and who looks at what.
 *
 * doctor.c says it; doctor_machine.c looks at this machine, doctor_daemon.c at a shcounterd and the way to
 * it, doctor_redis.c at a Redis Cluster or server. None of them changes anything.
 */
#ifndef SHC_DOCTOR_H
#define SHC_DOCTOR_H

#include "../lib/url.h"
#include "command.h"
#include "output.h"

enum doctor_grade { DOCTOR_OK, DOCTOR_WARN, DOCTOR_BAD };

struct doctor {
	struct invocation *inv;
	struct output out;
	unsigned grades[DOCTOR_BAD + 1]; /* how often */
};

/* One finding: what was looked at, what was found there (a format), and what to change, in words; null or "":
 * nothing. Printed at once; with -q only what is not well. */
void doctor_say(struct doctor *d, enum doctor_grade grade, const char *what, const char *change,
		const char *found, ...) __attribute__((format(printf, 5, 6)));

/* Kernel, io_uring, limits of processes. */
void doctor_machine(struct doctor *d);

/* The way to a Unix socket: false when it cannot be used, which was said. Else doctor_socket_mode says who
 * may, when it is known whether there are rules of access. */
bool doctor_socket(struct doctor *d, const char *path);
void doctor_socket_mode(struct doctor *d, const char *path, bool has_rules);
/* Of the shcounterd that is connected to. */
bool doctor_has_rules(struct shc *shc);
/* What to do when a shcounterd that listens refuses to say anything, or does not; null: nothing that is
 * known. */
const char *doctor_change_of(enum shc_status status, const char *error);
/* A shcounterd that is connected to; `is_here`: on this machine. */
void doctor_daemon(struct doctor *d, struct shc *shc, bool is_here);

/* A Redis Cluster, or one Redis server, that is connected to. */
void doctor_redis(struct doctor *d, struct shc *shc);

#endif
