/* SPDX-License-Identifier: MIT */
/* info.h - what INFO says: lines `key:value`, a value perhaps `key=value,key=value`. Pure; any thread. */
#ifndef SHC_INFO_H
#define SHC_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

/* The next line of `text` with a key, and moves `text` behind it; false: there is none any more. */
bool info_next(struct slice *text, struct slice *key, struct slice *value);

/* The value of the line of that key; false, and untouched: there is none. */
bool info_find(struct slice text, const char *key, struct slice *out);

/* Whether it is that word. */
bool info_is(struct slice text, const char *key, const char *word);

/* The same as a whole number; `otherwise` when there is none, or it is none. */
int64_t info_number(struct slice text, const char *key, int64_t otherwise);

/* Of a value like "keys=2,expires=0". */
int64_t info_part(struct slice value, const char *key, int64_t otherwise);

/* Of a value like "le_100=N,le_250=N,...,le_inf=N,sum_us=N", where each N has those before it: the bound
 * below which `share` of them are (0.99); -1: there were none; INT64_MAX: beyond the last bound. */
int64_t info_quantile(struct slice value, double share);

#endif
