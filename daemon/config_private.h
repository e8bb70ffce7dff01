/* SPDX-License-Identifier: MIT */
/*
 * config_private.h - what the files of config share: the table's rows, the fields they stand for, and the
 * file.
 *
 * config_table.c is the table; config_row.c moves values between rows and fields; config_file.c reads a file;
 * config_help.c writes --help; config.c is the command line and the reload. Main thread, but for
 * config_row_load of what is reloadable.
 */
#ifndef SHC_CONFIG_PRIVATE_H
#define SHC_CONFIG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "config_value.h"

/* config.given has a bit for each row. */
enum { CONFIG_ROWS_MAX = 64, CONFIG_TEXT_MAX = 4096, CONFIG_WHY_MAX = 384 };

/* How the field of struct config is declared. */
enum storage {
	AS_STRING,
	AS_MODE,
	AS_U32,
	AS_I64,
	AS_ENUM,
	AS_BOOL,
	AS_ATOMIC_INT,
	AS_ATOMIC_I64,
	AS_ATOMIC_STRING,
};

struct config_row {
	const char *name;
	const char *arg; /* in --help; null: its words */
	size_t offset;
	enum storage storage;
	struct config_value_rule rule;
	int64_t initial; /* of a number that does not depend on the machine */
	bool is_reloadable;
	const char *help;
};

/* In the order of --help and CONFIG GET. */
extern const struct config_row config_rows[];
extern const size_t config_row_count; /* at most CONFIG_ROWS_MAX */

/* Null when there is none. */
const struct config_row *config_row_find(const char *name);

/* The field's value; its text stays the config's. */
struct config_value config_row_load(const struct config *c, const struct config_row *row);
/* Takes value.text. */
void config_row_store(struct config *c, const struct config_row *row, struct config_value value);
void config_row_format(const struct config *c, const struct config_row *row, char *out, size_t out_size);

/* Parses and stores. CONFIG_OK, or `outcome` with a sentence in why (CONFIG_WHY_MAX). */
int config_row_set(struct config *c, const struct config_row *row, const char *text, const char *base,
		   int outcome, char *why);

/* Reads c->config_path into c. CONFIG_OK or CONFIG_BAD. */
int config_file_read(struct config *c, struct config_error *err);

/* Puts the sentence, returns `outcome`. */
int config_fail(struct config_error *err, int outcome, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
