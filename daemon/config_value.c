/* SPDX-License-Identifier: MIT */
#define LIBBSD_NETBSD_VIS
#include "config_value.h"

#include <arpa/inet.h>
#include <bsd/libutil.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <bsd/vis.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/loopback.h"
#include "../lib/num.h"
#include "../lib/slice.h"
#include "../lib/url.h"

enum {
	SHOWN_MAX = 128,
	RANGE_MAX = 128,
	PATTERNS_BYTES_MAX = 2048, /* they are looked through for each new counter */
};

int config_value_is_text(enum config_value_kind kind)
{
	return kind >= CONFIG_VALUE_PATH;
}

const char *config_value_visible(const char *text, char *out, size_t out_size)
{
	char whole[4 * SHOWN_MAX + 1]; /* strvis makes at most 4 of one */
	char cut[SHOWN_MAX + 1];
	strlcpy(cut, text, sizeof(cut));
	strnvis(whole, sizeof(whole), cut, VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_NOSLASH);
	if (strlcpy(out, whole, out_size) >= out_size && out_size > 4)
		strlcpy(out + out_size - 4, "...", 4);
	return out;
}

/* ---- to text ---- */

static void format_duration(int64_t ms, char *out, size_t out_size)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;
	if (ms == 0) {
		strlcpy(out, "0", out_size);
		return;
	}
	while (ms % units[i].ms != 0)
		i++;
	snprintf(out, out_size, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

static void format_size(int64_t bytes, char *out, size_t out_size)
{
	static const char units[] = "\0kmgtp";
	size_t i = 0;
	while (bytes != 0 && bytes % 1024 == 0 && i < sizeof(units) - 2) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, out_size, "%lld%.1s", (long long)bytes, units + i);
}

static void format_number(const struct config_value_rule *rule, int64_t number, char *out, size_t out_size)
{
	switch (rule->kind) {
	case CONFIG_VALUE_DURATION: format_duration(number, out, out_size); return;
	case CONFIG_VALUE_SIZE: format_size(number, out, out_size); return;
	case CONFIG_VALUE_MODE: snprintf(out, out_size, "%04llo", (unsigned long long)number); return;
	case CONFIG_VALUE_WORD: strlcpy(out, rule->words[number], out_size); return;
	default: snprintf(out, out_size, "%lld", (long long)number); return;
	}
}

/* Without user and password. */
static void format_url(const char *url, char *out, size_t out_size)
{
	const char *scheme_end = strstr(url, "://"), *at = strrchr(url, '@');
	if (scheme_end == NULL || at == NULL)
		strlcpy(out, url, out_size);
	else
		snprintf(out, out_size, "%.*s%s", (int)(scheme_end + 3 - url), url, at + 1);
}

void config_value_format(const struct config_value_rule *rule, const struct config_value *value, char *out,
			 size_t out_size)
{
	if (rule->kind == CONFIG_VALUE_UPLINK && value->text != NULL)
		format_url(value->text, out, out_size);
	else if (config_value_is_text(rule->kind))
		strlcpy(out, value->text != NULL ? value->text : "", out_size);
	else
		format_number(rule, value->number, out, out_size);
}

static void range_of_words(const char *const *words, char *out, size_t out_size)
{
	out[0] = '\0';
	for (size_t i = 0; words[i] != NULL; i++) {
		if (i > 0)
			strlcat(out, words[i + 1] != NULL ? ", " : " or ", out_size);
		strlcat(out, words[i], out_size);
	}
}

void config_value_range(const struct config_value_rule *rule, char *out, size_t out_size)
{
	char min[32], max[32];
	if (config_value_is_text(rule->kind)) {
		out[0] = '\0';
	} else if (rule->kind == CONFIG_VALUE_WORD) {
		range_of_words(rule->words, out, out_size);
	} else {
		format_number(rule, rule->min, min, sizeof(min));
		format_number(rule, rule->max, max, sizeof(max));
		snprintf(out, out_size, "%s to %s", min, max);
	}
}

/* ---- numbers from text ---- */

static bool parse_count(const char *text, int64_t *out)
{
	const char *complaint = NULL;
	long long number = strtonum(text, LLONG_MIN, LLONG_MAX, &complaint);
	*out = number;
	return complaint == NULL;
}

static bool parse_size(const char *text, int64_t *out)
{
	uint64_t bytes;
	/* expand_number would take "-1" for a very large number. */
	if (text[0] < '0' || text[0] > '9' || expand_number(text, &bytes) != 0 || bytes > INT64_MAX)
		return false;
	*out = (int64_t)bytes;
	return true;
}

static bool parse_mode(const char *text, int64_t *out)
{
	size_t len = strlen(text);
	if (len < 3 || len > 5 || strspn(text, "01234567") != len)
		return false;
	*out = strtol(text, NULL, 8);
	return true;
}

static bool parse_word(const char *const *words, const char *text, int64_t *out)
{
	for (int64_t i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0) {
			*out = i;
			return true;
		}
	return false;
}

static bool parse_number(const struct config_value_rule *rule, const char *text, int64_t *out)
{
	switch (rule->kind) {
	case CONFIG_VALUE_DURATION: return num_parse_duration_ms(slice_str(text), out);
	case CONFIG_VALUE_SIZE: return parse_size(text, out);
	case CONFIG_VALUE_MODE: return parse_mode(text, out);
	case CONFIG_VALUE_WORD: return parse_word(rule->words, text, out);
	default: return parse_count(text, out);
	}
}

static const char *what_is_wanted(enum config_value_kind kind)
{
	switch (kind) {
	case CONFIG_VALUE_DURATION: return "give a duration (500ms, 60s, 5m, 24h) from ";
	case CONFIG_VALUE_SIZE: return "give a size (65536, 64k, 512m, 2g) from ";
	case CONFIG_VALUE_MODE: return "give an octal mode from ";
	case CONFIG_VALUE_WORD: return "choose ";
	default: return "give a number from ";
	}
}

static int number_from_text(const struct config_value_rule *rule, const char *text, struct config_value *out,
			    char *why, size_t why_size)
{
	char shown[SHOWN_MAX], range[RANGE_MAX];
	int64_t number;
	if (parse_number(rule, text, &number) &&
	    (rule->kind == CONFIG_VALUE_WORD || (number >= rule->min && number <= rule->max))) {
		*out = (struct config_value){.number = number};
		return 0;
	}
	config_value_range(rule, range, sizeof(range));
	snprintf(why, why_size, "'%s' will not do: %s%s", config_value_visible(text, shown, sizeof(shown)),
		 what_is_wanted(rule->kind), range);
	return -EINVAL;
}

/* ---- strings from text ---- */

/* "" or why not. */
static void check_group(const char *text, char *why, size_t why_size)
{
	char shown[SHOWN_MAX];
	const char *complaint = NULL;
	strtonum(text, 0, UINT32_MAX - 1, &complaint);
	if (complaint != NULL && getgrnam(text) == NULL)
		snprintf(why, why_size, "there is no group '%s' here: give a name of /etc/group or a number",
			 config_value_visible(text, shown, sizeof(shown)));
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return loopback_is_v4(v4);
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Splits "HOST:PORT" or "[HOST]:PORT"; false when it is neither. */
static bool split_address(const char *text, char *host, size_t host_size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t len;
	if (colon == NULL || colon == text)
		return false;
	len = (size_t)(colon - text);
	if (text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return false;
	}
	if (len >= host_size)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}

static void check_address(const char *text, char *why, size_t why_size)
{
	char shown[SHOWN_MAX], host[256];
	const char *port, *complaint = NULL;
	config_value_visible(text, shown, sizeof(shown));
	if (!split_address(text, host, sizeof(host), &port)) {
		snprintf(why, why_size,
			 "'%s' is no HOST:PORT: give 127.0.0.1:PORT, [::1]:PORT or localhost:PORT", shown);
		return;
	}
	strtonum(port, 1, 65535, &complaint);
	if (complaint != NULL)
		snprintf(why, why_size, "'%s' has no port from 1 to 65535 behind the colon", shown);
	else if (strcmp(host, "*") == 0) /* to getaddrinfo(3) that is loopback */
		snprintf(why, why_size, "'%s' is no address: for all of them give 0.0.0.0:%s or [::]:%s",
			 shown, port, port);
}

const char config_value_not_loopback[] =
	"not a loopback address, and nobody has a password: set access to a file of rules with a login in it, or "
	"give 127.0.0.1, [::1] or localhost, and let others in through a tunnel";

bool config_value_is_loopback(const char *address)
{
	char host[256];
	const char *port;
	return split_address(address, host, sizeof(host), &port) && is_loopback(host);
}

static void check_patterns(const char *text, char *why, size_t why_size)
{
	char shown[SHOWN_MAX];
	config_value_visible(text, shown, sizeof(shown));
	if (strlen(text) > PATTERNS_BYTES_MAX)
		snprintf(why, why_size, "'%s' and so on is too long: give patterns of %d bytes in all", shown,
			 PATTERNS_BYTES_MAX);
	else if (text[strspn(text, " \t")] == '\0')
		snprintf(why, why_size, "a value is missing");
	for (const char *c = text; *c != '\0' && why[0] == '\0'; c++)
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			snprintf(why, why_size, "'%s' has a control character, which no name has", shown);
}

static void check_uplink(const char *text, char *why, size_t why_size)
{
	char error[URL_ERROR_SIZE];
	struct url url;
	/* A socket would be another URL's answer. */
	if (strncmp(text, "redis", strlen("redis")) != 0) {
		snprintf(why, why_size, "give a Redis Cluster, as in redis+cluster://HOST:PORT");
		return;
	}
	int rc = url_parse(&url, text, error);
	if (rc == URL_OK && url.kind == URL_UNIX)
		snprintf(why, why_size, "give a Redis Cluster, as in redis+cluster://HOST:PORT");
	else if (rc != URL_OK)
		snprintf(why, why_size, "%s", rc == URL_BAD ? error : strerror(-rc));
	if (rc == URL_OK)
		url_fini(&url);
}

const char *config_value_socket_complaint(const char *path, char *why, size_t why_size)
{
	const size_t len_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	char shown[SHOWN_MAX];
	if (strlen(path) <= len_max)
		return NULL;
	snprintf(why, why_size, "'%s' has %zu bytes, and a socket's path can have %zu: give a shorter one",
		 config_value_visible(path, shown, sizeof(shown)), strlen(path), len_max);
	return why;
}

/* Heap, or null when out of memory. */
static char *absolute(const char *path, const char *base)
{
	char *out = NULL, *cwd = NULL;
	if (path[0] == '/')
		return strdup(path);
	if (base == NULL)
		base = cwd = getcwd(NULL, 0);
	if (base != NULL && asprintf(&out, "%s/%s", base, path) < 0)
		out = NULL;
	free(cwd);
	return out;
}

static int text_from_text(const struct config_value_rule *rule, const char *text, const char *base,
			  struct config_value *out, char *why, size_t why_size)
{
	bool is_path = rule->kind == CONFIG_VALUE_PATH || rule->kind == CONFIG_VALUE_SOCKET;
	char *copy = is_path ? absolute(text, base) : strdup(text);
	if (copy == NULL) {
		snprintf(why, why_size, "%s", strerror(errno));
		return -ENOMEM;
	}
	why[0] = '\0';
	if (rule->kind == CONFIG_VALUE_SOCKET)
		(void)config_value_socket_complaint(copy, why, why_size);
	else if (rule->kind == CONFIG_VALUE_GROUP)
		check_group(text, why, why_size);
	else if (rule->kind == CONFIG_VALUE_ADDRESS)
		check_address(text, why, why_size);
	else if (rule->kind == CONFIG_VALUE_PATTERNS)
		check_patterns(text, why, why_size);
	else if (rule->kind == CONFIG_VALUE_UPLINK)
		check_uplink(text, why, why_size);
	if (why[0] != '\0') {
		free(copy);
		return -EINVAL;
	}
	*out = (struct config_value){.text = copy};
	return 0;
}

int config_value_parse(const struct config_value_rule *rule, const char *text, const char *base,
		       struct config_value *out, char *why, size_t why_size)
{
	if (text[0] == '\0') {
		snprintf(why, why_size, "a value is missing");
		return -EINVAL;
	}
	if (config_value_is_text(rule->kind))
		return text_from_text(rule, text, base, out, why, why_size);
	return number_from_text(rule, text, out, why, why_size);
}
