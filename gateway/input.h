/* SPDX-License-Identifier: MIT */
/*
 * input.h - what a request says: fields of its JSON body, arguments of its query, its Idempotency-Key. Each
 * says what is wrong with exchange_fail, and returns false then. The thread of the exchange.
 */
#ifndef SHC_GATEWAY_INPUT_H
#define SHC_GATEWAY_INPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

/* The body as an object that has none but these keys (ends with null); then the query has nothing. An empty
 * body is an empty object. Null: it is none. */
json_t *input_body(struct exchange *x, const char *const *keys);

/* None but these arguments (ends with null), each once; then there is no body. */
bool input_has_only(struct exchange *x, const char *const *names);

/* None but these keys, likewise. */
bool input_has_only_keys(struct exchange *x, json_t *object, const char *const *keys);

/* job->name, of "counter_id" or "counterId"; "default" when there is neither. Of an object, or of the query.
 */
bool input_name(struct exchange *x, const json_t *object);
bool input_name_of_query(struct exchange *x);
/* The same of one of these keys, which must be there. */
bool input_name_of_keys(struct exchange *x, const json_t *object, const char *a, const char *b);

/* An integer under one of these keys (`b` may be null); `otherwise` when there is none. */
bool input_integer(struct exchange *x, const json_t *object, const char *a, const char *b, int64_t otherwise,
		   int64_t *out);
/* Of the query, from 1 to `max`. */
bool input_count(struct exchange *x, const char *name, int64_t otherwise, int64_t max, int64_t *out);
/* Of the query: "500ms", "60s", "5m", "24h", "7d". */
bool input_duration(struct exchange *x, const char *name, const char *otherwise, int64_t *ms);

/* Of the query: "true" or "false"; false when there is none. */
bool input_flag(struct exchange *x, const char *name, bool *out);

bool input_is_utf8(const char *text, size_t len);

/* job->token, of the header Idempotency-Key, if there is one. */
bool input_token(struct exchange *x);
/* There may be none: the request cannot be made to count once. */
bool input_no_token(struct exchange *x);

#endif
