/* SPDX-License-Identifier: MIT */
/*
 * config_value.h - one setting's value: from text, to text, and its range in words.
 *
 * Knows kinds of values, not settings: config_table.c has the table. Main thread.
 */
#ifndef SHC_CONFIG_VALUE_H
#define SHC_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_value_kind {
	/* numbers */
	CONFIG_VALUE_COUNT,
	CONFIG_VALUE_DURATION, /* milliseconds; "500ms", "1s" */
	CONFIG_VALUE_SIZE,     /* bytes; "64m" is 64 * 1024 * 1024 */
	CONFIG_VALUE_MODE,     /* octal */
	CONFIG_VALUE_WORD,     /* index into `words` */
	/* strings */
	CONFIG_VALUE_PATH,     /* made absolute */
	CONFIG_VALUE_SOCKET,   /* a path that fits into a socket address */
	CONFIG_VALUE_GROUP,    /* name or number of a group there is */
	CONFIG_VALUE_ADDRESS,  /* HOST:PORT */
	CONFIG_VALUE_PATTERNS, /* of names, with blanks between */
	CONFIG_VALUE_UPLINK,   /* URL of a Redis Cluster, or of one server; shown without user and password */
};

struct config_value_rule {
	enum config_value_kind kind;
	int64_t min, max;	  /* of a number, inclusive */
	const char *const *words; /* null-terminated */
};

/* number or text, as the kind says */
struct config_value {
	int64_t number;
	char *text; /* heap; the holder frees it */
};

/* Is the value a string? */
int config_value_is_text(enum config_value_kind kind);

/* Parses `text`. Relative paths start at directory `base` (null: the current one). Returns 0 with *out (whose
 * text the caller owns then), -EINVAL with a sentence in why that names the value and the range, or -ENOMEM
 * (with a sentence). */
int config_value_parse(const struct config_value_rule *rule, const char *text, const char *base,
		       struct config_value *out, char *why, size_t why_size);

/* The value in the form in which it can be given; null text is "". */
void config_value_format(const struct config_value_rule *rule, const struct config_value *value, char *out,
			 size_t out_size);

/* "10ms to 1h", "auto or always"; "" when there is nothing to say. */
void config_value_range(const struct config_value_rule *rule, char *out, size_t out_size);

/* Why `path` is no address of a socket, or null. */
const char *config_value_socket_complaint(const char *path, char *why, size_t why_size);

/* Is the host of a HOST:PORT one of loopback, as it stands? */
bool config_value_is_loopback(const char *address);

/* What is said of another one where nobody has a password: "not a loopback address, ...". */
extern const char config_value_not_loopback[];

/* Bytes from outside made fit for a message: control characters as \n, \033, ...; cut to fit. Returns `out`.
 */
const char *config_value_visible(const char *text, char *out, size_t out_size);

#endif
