/* SPDX-License-Identifier: MIT */
/* input.c - see input.h. */
#include "input.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "../lib/num.h"
#include "exchange.h"

static const char control[] = "may not hold control characters";

/* ---- the query ---- */

struct only {
	struct exchange *exchange;
	const char *const *names;
	unsigned seen; /* a bit each */
};

static enum MHD_Result check_argument(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct only *o = cls;
	unsigned bit = 1;

	(void)kind;
	if (!*name && (!value || !*value))
		return MHD_YES; /* "a=1&&b=2" */
	for (const char *const *known = o->names; *known; known++, bit <<= 1) {
		if (strcmp(*known, name) != 0)
			continue;
		if (!(o->seen & bit)) {
			o->seen |= bit;
			return MHD_YES;
		}
		exchange_fail(o->exchange, MHD_HTTP_BAD_REQUEST, "the query has \"%s\" more than once", name);
		return MHD_NO;
	}
	exchange_fail(o->exchange, MHD_HTTP_BAD_REQUEST,
		      "the query has \"%.100s\", which this request does not know", name);
	return MHD_NO;
}

static bool has_only_arguments(struct exchange *x, const char *const *names)
{
	struct only o = {x, names, 0};

	MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, check_argument, &o);
	return x->status == 0;
}

bool input_has_only(struct exchange *x, const char *const *names)
{
	if (buf_len(&x->body))
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "this request has no body: what it wants stands in its query");
	return x->status == 0 && has_only_arguments(x, names);
}

/* ---- the body ---- */

/* curl says that what -d gives is a form. */
static bool is_json_type(const char *type)
{
	static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
					    "text/plain", "text/json"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t len = strlen(types[i]);

		if (strncasecmp(type, types[i], len) == 0 && strchr("; \t", type[len]))
			return true;
	}
	return false;
}

static bool is_among(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (strcmp(*keys, key) == 0)
			return true;
	return false;
}

bool input_has_only_keys(struct exchange *x, json_t *object, const char *const *keys)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (is_among(key, keys))
			continue;
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "there is a key \"%.100s\" that this request does not know", key);
		return false;
	}
	return true;
}

/* What is wrong with it, where jansson's words are about jansson. */
static const char *reason_of(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_numeric_overflow:
		return "a number is beyond 64 bits, -9223372036854775808 to 9223372036854775807";
	case json_error_null_character:
	case json_error_null_byte_in_key: return "there is a \\u0000 in it, which no string here may have";
	case json_error_stack_overflow: return "it is nested too deep";
	case json_error_out_of_memory: return "out of memory";
	default: return error->text;
	}
}

/* Of its type, and not packed. */
static bool is_type_known(struct exchange *x)
{
	const char *type = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Content-Type");
	const char *packing = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Content-Encoding");

	if (packing && strcasecmp(packing, "identity") != 0)
		exchange_fail(x, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
			      "the body must be JSON as it is, not packed (Content-Encoding: %.100s)",
			      packing);
	else if (type && !is_json_type(type))
		exchange_fail(x, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "the body must be JSON, not %.100s", type);
	return x->status == 0;
}

json_t *input_body(struct exchange *x, const char *const *keys)
{
	static const char *const nothing[] = {NULL};
	json_error_t error;
	json_t *body;

	if (!has_only_arguments(x, nothing))
		return NULL;
	if (x->body.failed) {
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return NULL;
	}
	if (!is_type_known(x))
		return NULL;
	if (buf_len(&x->body) == 0)
		return json_object();
	body = json_loadb(buf_head(&x->body), buf_len(&x->body), JSON_REJECT_DUPLICATES, &error);
	if (!body)
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "the body is not understood: %s, at byte %d",
			      reason_of(&error), error.position);
	else if (!json_is_object(body))
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "the body must be a JSON object");
	if (body && (!json_is_object(body) || !input_has_only_keys(x, body, keys))) {
		json_decref(body);
		return NULL;
	}
	return body;
}

/* ---- names ---- */

bool input_is_utf8(const char *text, size_t len)
{
	json_t *s = json_stringn(text, len);

	json_decref(s);
	return s != NULL;
}

static bool take_name(struct exchange *x, const char *text, size_t len, char *out, uint8_t *out_len)
{
	if (len == 0 || len > JOB_NAME_MAX) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "a counter's name has 1 to %d bytes, not %zu",
			      JOB_NAME_MAX, len);
		return false;
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			exchange_fail(x, MHD_HTTP_BAD_REQUEST, "a counter's name %s", control);
			return false;
		}
	if (!input_is_utf8(text, len)) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "a counter's name must be UTF-8 here");
		return false;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	*out_len = (uint8_t)len;
	return true;
}

static bool take_string(struct exchange *x, const json_t *value, const char *key, char *out, uint8_t *len)
{
	if (!json_is_string(value)) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"%s\" must be a string", key);
		return false;
	}
	return take_name(x, json_string_value(value), json_string_length(value), out, len);
}

/* One of two spellings. Null: neither. */
static const json_t *either(struct exchange *x, const json_t *object, const char *a, const char *b,
			    const char **key)
{
	const json_t *first = json_object_get(object, a), *second = b ? json_object_get(object, b) : NULL;

	*key = first ? a : b;
	if (first && second)
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"%s\" and \"%s\" are the same: give one", a, b);
	return first ? first : second;
}

bool input_name(struct exchange *x, const json_t *object)
{
	const char *key;
	const json_t *value = either(x, object, "counter_id", "counterId", &key);

	if (x->status)
		return false;
	if (!value)
		return take_name(x, "default", 7, x->job.name, &x->job.name_len);
	return take_string(x, value, key, x->job.name, &x->job.name_len);
}

bool input_name_of_keys(struct exchange *x, const json_t *object, const char *a, const char *b)
{
	const char *key;
	const json_t *value = either(x, object, a, b, &key);

	if (x->status)
		return false;
	if (value)
		return take_string(x, value, key, x->job.name, &x->job.name_len);
	exchange_fail(x, MHD_HTTP_BAD_REQUEST, "the body must have \"%s\"", a);
	return false;
}

/* Null: there is none. */
static const char *argument(struct exchange *x, const char *name, size_t *len)
{
	const char *value = NULL;

	*len = 0;
	if (MHD_lookup_connection_value_n(x->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
					  len) != MHD_YES)
		return NULL;
	return value ? value : "";
}

bool input_name_of_query(struct exchange *x)
{
	size_t len, other_len;
	const char *text = argument(x, "counter_id", &len), *other = argument(x, "counterId", &other_len);

	if (text && other) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "\"counter_id\" and \"counterId\" are the same: give one");
		return false;
	}
	if (other) {
		text = other;
		len = other_len;
	}
	if (!text)
		return take_name(x, "default", 7, x->job.name, &x->job.name_len);
	return take_name(x, text, len, x->job.name, &x->job.name_len);
}

/* ---- numbers ---- */

bool input_integer(struct exchange *x, const json_t *object, const char *a, const char *b, int64_t otherwise,
		   int64_t *out)
{
	const char *key;
	const json_t *value = either(x, object, a, b, &key);

	if (x->status)
		return false;
	*out = value ? json_integer_value(value) : otherwise;
	if (!value || json_is_integer(value))
		return true;
	exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"%s\" must be a whole number of 64 bits, in digits", key);
	return false;
}

bool input_count(struct exchange *x, const char *name, int64_t otherwise, int64_t max, int64_t *out)
{
	size_t len;
	const char *text = argument(x, name, &len);

	*out = otherwise;
	if (!text || (num_parse_i64((struct slice){text, len}, out) && *out >= 1 && *out <= max))
		return true;
	exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"%s\" must be a number from 1 to %lld", name,
		      (long long)max);
	return false;
}

bool input_duration(struct exchange *x, const char *name, const char *otherwise, int64_t *ms)
{
	size_t len;
	const char *text = argument(x, name, &len);
	struct slice given = text ? (struct slice){text, len} : slice_str(otherwise);

	if (num_parse_duration_ms(given, ms) && *ms > 0)
		return true;
	exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"%s\" must be a duration: 500ms, 60s, 5m, 24h, 7d", name);
	return false;
}

bool input_flag(struct exchange *x, const char *name, bool *out)
{
	size_t len;
	const char *text = argument(x, name, &len);

	*out = text && strcmp(text, "true") == 0;
	if (!text || *out || strcmp(text, "false") == 0)
		return true;
	exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"%s\" must be true or false", name);
	return false;
}

/* ---- the key ---- */

bool input_token(struct exchange *x)
{
	enum { ROOM = JOB_TOKEN_MAX - 8 }; /* behind it a batch numbers its operations */
	const char *text = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Idempotency-Key");
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return true;
	if (len == 0 || len > ROOM) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "an Idempotency-Key has 1 to %d bytes, not %zu", ROOM,
			      len);
		return false;
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			exchange_fail(x, MHD_HTTP_BAD_REQUEST, "an Idempotency-Key %s", control);
			return false;
		}
	if (!input_is_utf8(text, len)) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "an Idempotency-Key must be UTF-8 here");
		return false;
	}
	memcpy(x->job.token, text, len);
	x->job.token_len = (uint8_t)len;
	return true;
}

bool input_no_token(struct exchange *x)
{
	if (!MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Idempotency-Key"))
		return true;
	exchange_fail(x, MHD_HTTP_BAD_REQUEST,
		      "hits in time know no Idempotency-Key; /counter/increment does");
	return false;
}
