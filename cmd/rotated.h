/* SPDX-License-Identifier: MIT */
/*
 * rotated.h - the names that a log is given when it is rotated: FILE.1, FILE.2.gz (logrotate, newsyslog: the
 * smaller the newer), FILE-20261127, FILE.2026-11-27_13 (dateext and its like: the greater the newer).
 */
#ifndef SHC_ROTATED_H
#define SHC_ROTATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ROTATED_MAX = 64, /* the newest of them are looked at */
	ROTATED_TEXT_MAX = 31,
};

enum rotated_kind { ROTATED_NUMBER, ROTATED_DATE };

struct rotated {
	char *path; /* owned; the directory as in FILE */
	enum rotated_kind kind;
	char text[ROTATED_TEXT_MAX + 1]; /* the number or the date */
	bool is_packed;			 /* .gz and the like */
	int64_t changed_ns;		 /* its time of modification */
	uint32_t id;			 /* chain_id */
};

struct rotated_list {
	struct rotated *items; /* owned; newest first */
	size_t count;
};

/* The regular files beside `file`, packed ones only where there is none of the same name unpacked. 0 or
 * -errno; then *out is empty. */
int rotated_find(const char *file, struct rotated_list *out);
void rotated_fini(struct rotated_list *list);

/* ---- pure ---- */

/* Whether `name` is `base` rotated; fills in kind, text and is_packed. */
bool rotated_parse(const char *base, const char *name, struct rotated *out);

/* Newest first. A log has changed from one kind of name to the other at most once: all of the kind whose last
 * change is the younger one are the newer ones. */
void rotated_sort(struct rotated *items, size_t count);

#endif
