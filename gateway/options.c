/* SPDX-License-Identifier: MIT */
/* options.c - see options.h. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fill.h"
#include "../lib/log.h"
#include "../lib/num.h"
#include "../lib/url.h"

enum kind { TEXT, MANY, NUMBER, DURATION, CHOICE };

struct option {
	const char *name, *value_name, *otherwise; /* otherwise: its default, as in the file; null: none */
	enum kind kind;
	size_t offset, count_offset; /* in struct options; MANY: an array, and how many there are */
	int64_t min, max;	     /* MANY: max */
	const char *choices[5];
	const char *help;
};

#define AT(field)   offsetof(struct options, field)
#define SECONDS_MAX 86400

static const struct option table[] = {
	{"listen",
	 "HOST:PORT",
	 "127.0.0.1:8480",
	 TEXT,
	 AT(listen),
	 0,
	 0,
	 0,
	 {0},
	 "where to listen; beyond loopback only with tokens"},
	{"backend",
	 "URL",
	 NULL,
	 MANY,
	 AT(backends),
	 AT(backend_count),
	 0,
	 JOB_BACKENDS_MAX,
	 {0},
	 "unix:///path or a path, redis://..., redis+cluster://...; several: additions are spread over them, reads sum them "
	 "up; default: the daemon that shcount finds"},
	{"tokens",
	 "FILE",
	 NULL,
	 TEXT,
	 AT(tokens),
	 0,
	 0,
	 0,
	 {0},
	 "who may do what: NAME ROLE sha256:HEX a line; read again on SIGHUP"},
	{"host",
	 "NAME",
	 NULL,
	 MANY,
	 AT(hosts),
	 AT(host_count),
	 0,
	 OPTION_HOSTS_MAX,
	 {0},
	 "a name that browsers may ask by, beside localhost and addresses that it listens on"},
	{"threads", "N", "2", NUMBER, AT(threads), 0, 1, 64, {0}, "each with connections of its own"},
	{"rate-limit",
	 "N/s",
	 "0",
	 NUMBER,
	 AT(rate_limit),
	 0,
	 0,
	 1000000000,
	 {0},
	 "requests a second of a client; 0: no limit"},
	{"backend-timeout",
	 "DURATION",
	 "1s",
	 DURATION,
	 AT(backend_timeout_ms),
	 0,
	 10,
	 60000,
	 {0},
	 "how long a backend may take"},
	{"idle-timeout",
	 "SECONDS",
	 "30",
	 NUMBER,
	 AT(idle_timeout_s),
	 0,
	 1,
	 SECONDS_MAX,
	 {0},
	 "a client's connection on which nothing moves is closed"},
	{"max-connections",
	 "N",
	 "1000",
	 NUMBER,
	 AT(max_connections),
	 0,
	 1,
	 1000000,
	 {0},
	 "of all clients, shared out evenly to the threads"},
	{"max-connections-each",
	 "N",
	 "0",
	 NUMBER,
	 AT(max_connections_each),
	 0,
	 0,
	 1000000,
	 {0},
	 "of one address and thread; 0: no limit"},
	{"max-body", "BYTES", "1048576", NUMBER, AT(max_body_bytes), 0, 1, 1 << 30, {0}, "of a request"},
	{"tls-cert",
	 "FILE",
	 NULL,
	 TEXT,
	 AT(tls_cert),
	 0,
	 0,
	 0,
	 {0},
	 "certificate chain, PEM: HTTPS; read again on SIGHUP"},
	{"tls-key", "FILE", NULL, TEXT, AT(tls_key), 0, 0, 0, {0}, "its key, PEM; likewise"},
	{"metrics-prefix",
	 "TEXT",
	 NULL,
	 TEXT,
	 AT(metrics_prefix),
	 0,
	 0,
	 0,
	 {0},
	 "counters whose names begin so are in /metrics"},
	{"metrics-max", "N", "100", NUMBER, AT(metrics_max), 0, 0, 10000, {0}, "so many of them"},
	{"log-format",
	 "text|json",
	 "text",
	 CHOICE,
	 AT(is_log_json),
	 0,
	 0,
	 0,
	 {"text", "json"},
	 "of lines on stderr"},
	{"log-level",
	 "debug|info|warning|error",
	 "info",
	 CHOICE,
	 AT(log_level),
	 0,
	 0,
	 0,
	 {"debug", "info", "warning", "error"},
	 "what is logged at least"},
};
enum { TABLE = sizeof(table) / sizeof(table[0]) };

static const char usage[] =
	"usage: shcount-gateway [-f FILE] [--NAME VALUE]...\n"
	"       shcount-gateway --hash-token\n\n"
	"  shcount-gateway --backend unix:///run/shcounterd/shcounterd.sock\n"
	"  curl -d '{\"counter_id\": \"visits\"}' http://127.0.0.1:8480/counter/increment\n\n"
	"HTTP and JSON, metrics and a live page, in front of shcounterd or a Redis\n"
	"Cluster. Runs in the foreground and logs to standard error.\n"
	"shcount-gateway(8) has the whole story.\n\n"
	"  -f, --config FILE\n        settings, a `name = value` a line; options win over the file\n"
	"      --hash-token\n        reads a token from stdin, prints what the file of tokens has of it\n"
	"  -V, --version\n        the version\n  -h, --help\n        this\n\n"
	"Settings, each an option and a line of the file:\n";

enum { HELP_INDENT = 8, HELP_COLUMNS = 80, DURATION_SIZE = 24, RANGE_SIZE = 64 };

/* "10ms", "60s". */
static const char *duration(char out[DURATION_SIZE], int64_t ms)
{
	if (ms % 1000)
		(void)snprintf(out, DURATION_SIZE, "%lldms", (long long)ms);
	else
		(void)snprintf(out, DURATION_SIZE, "%llds", (long long)(ms / 1000));
	return out;
}

/* "1 to 64", "10ms to 60s". */
static void tell_range(const struct option *t, char out[RANGE_SIZE])
{
	char min[DURATION_SIZE], max[DURATION_SIZE];

	if (t->kind == DURATION)
		(void)snprintf(out, RANGE_SIZE, "%s to %s", duration(min, t->min), duration(max, t->max));
	else
		(void)snprintf(out, RANGE_SIZE, "%lld to %lld", (long long)t->min, (long long)t->max);
}

static void help_setting(const struct option *t, struct buf *out)
{
	char text[512], range[RANGE_SIZE];
	int at = snprintf(text, sizeof(text), "      --%s %s\n", t->name, t->value_name);

	fill_append(out, text, 0, 0, HELP_COLUMNS);
	at = snprintf(text, sizeof(text), "%s", t->help);
	if (t->kind == NUMBER || t->kind == DURATION) {
		tell_range(t, range);
		at += snprintf(text + at, sizeof(text) - (size_t)at, "; %s", range);
	}
	if (t->otherwise)
		(void)snprintf(text + at, sizeof(text) - (size_t)at, "; default: %s", t->otherwise);
	fill_append(out, text, 0, HELP_INDENT, HELP_COLUMNS);
}

static void print_help(void)
{
	struct buf out = {0};

	for (size_t i = 0; i < TABLE; i++)
		help_setting(&table[i], &out);
	printf("%s%.*s", usage, (int)buf_len(&out), buf_head(&out));
	buf_fini(&out);
}

/* ---- values ---- */

static int set_text(char **at, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

static int put_text(struct options *o, const struct option *t, const char *text)
{
	char **list = (char **)(void *)((char *)o + t->offset);
	size_t *count = (size_t *)(void *)((char *)o + t->count_offset);

	return *count == (size_t)t->max ? -E2BIG : set_text(&list[(*count)++], text);
}

static int set_number(struct options *o, const struct option *t, const char *text)
{
	int64_t *at = (int64_t *)(void *)((char *)o + t->offset), n;
	struct slice s = slice_str(text);
	bool is_number;

	if (strcmp(t->value_name, "N/s") == 0 && s.len > 2 && strcmp(text + s.len - 2, "/s") == 0)
		s.len -= 2;
	is_number = t->kind == DURATION ? num_parse_duration_ms(s, &n) : num_parse_i64(s, &n);
	if (!is_number || n < t->min || n > t->max)
		return -EINVAL;
	*at = n;
	return 0;
}

static int set_choice(struct options *o, const struct option *t, const char *text)
{
	for (int i = 0; t->choices[i]; i++)
		if (strcmp(t->choices[i], text) == 0) {
			if (t->offset == AT(is_log_json))
				o->is_log_json = i == 1;
			else
				o->log_level = i;
			return 0;
		}
	return -EINVAL;
}

static int set(struct options *o, const struct option *t, const char *text, const char *where,
	       char why[OPTIONS_ERROR_SIZE])
{
	int rc = -EINVAL;
	char range[RANGE_SIZE];

	if (t->kind == MANY)
		rc = put_text(o, t, text);
	else if (t->kind == TEXT)
		rc = set_text((char **)(void *)((char *)o + t->offset), text);
	else
		rc = t->kind == CHOICE ? set_choice(o, t, text) : set_number(o, t, text);
	if (rc == -EINVAL && (t->kind == NUMBER || t->kind == DURATION)) {
		tell_range(t, range);
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s%s: '%.60s' is no %s from %s", where, t->name,
			       text, t->kind == NUMBER ? "number" : "duration", range);
	} else if (rc == -EINVAL)
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s%s: '%.60s' is not %s", where, t->name, text,
			       t->value_name);
	else if (rc)
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s%s: %s", where, t->name, strerror(-rc));
	return rc;
}

static const struct option *find(const char *name, size_t len)
{
	for (size_t i = 0; i < TABLE; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

/* ---- the file ---- */

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text;
}

static int take_line(struct options *o, char *line, const char *where, const bool *given,
		     char why[OPTIONS_ERROR_SIZE])
{
	char *equals, *name = trim(line), *value;
	const struct option *t;

	if (*name == '\0' || *name == '#')
		return 0;
	equals = strchr(name, '=');
	if (!equals) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s'%.60s' is no NAME = VALUE", where, name);
		return -EINVAL;
	}
	*equals = '\0';
	value = trim(equals + 1);
	name = trim(name);
	t = find(name, strlen(name));
	if (!t) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%sthere is no setting '%.60s'", where, name);
		return -EINVAL;
	}
	return given[t - table] ? 0 : set(o, t, value, where, why);
}

/* Settings that stood on the command line are left alone. */
static int read_file(struct options *o, const char *path, const bool *given, char why[OPTIONS_ERROR_SIZE])
{
	FILE *f = fopen(path, "re");
	char *line = NULL, where[160];
	size_t size = 0, number = 0;
	int rc = 0;

	if (!f) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	while (!rc && getline(&line, &size, f) >= 0) {
		(void)snprintf(where, sizeof(where), "%s:%zu: ", path, ++number);
		rc = take_line(o, line, where, given, why);
	}
	free(line);
	fclose(f);
	return rc;
}

/* ---- the command line ---- */

static int take_word(struct options *o, int argc, char **argv, int *at, bool *given, const char **file,
		     char why[OPTIONS_ERROR_SIZE])
{
	const char *word = argv[*at], *equals = strchr(word, '='), *value;
	const struct option *t = NULL;
	bool is_file = strcmp(word, "-f") == 0 || strcmp(word, "--config") == 0;

	if (!is_file && strncmp(word, "--", 2) == 0)
		t = find(word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
	if (!t && !is_file) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "there is no option '%.60s'; see --help", word);
		return -EINVAL;
	}
	value = equals && t ? equals + 1 : ++*at < argc ? argv[*at] : NULL;
	if (!value) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s needs a value", word);
		return -EINVAL;
	}
	if (is_file) {
		*file = value;
		return 0;
	}
	given[t - table] = true;
	return set(o, t, value, "--", why);
}

static int set_defaults(struct options *o, char why[OPTIONS_ERROR_SIZE])
{
	int rc = 0;

	for (size_t i = 0; i < TABLE && !rc; i++)
		if (table[i].otherwise)
			rc = set(o, &table[i], table[i].otherwise, "", why);
	return rc;
}

/* Where shcount would look: its variables, a daemon of the user's own that is there, that of the system. */
static int set_backend(struct options *o, char why[OPTIONS_ERROR_SIZE])
{
	const char *url = getenv("SHCOUNT_URL"), *path = getenv("SHCOUNT_SOCKET");
	const char *run = getenv("XDG_RUNTIME_DIR");
	char own[URL_PATH_MAX + 1];

	if (url && *url)
		return set(o, find("backend", 7), url, "$SHCOUNT_URL: ", why);
	if (!path || !*path) {
		int len = snprintf(own, sizeof(own), "%s/shcounterd/shcounterd.sock", run ? run : "");

		path = run && *run && len < (int)sizeof(own) && access(own, F_OK) == 0
			       ? own
			       : "/run/shcounterd/shcounterd.sock";
	}
	return set(o, find("backend", 7), path, "$SHCOUNT_SOCKET: ", why);
}

/* What stood on the command line is a wrong command line. */
static int check_pair(const struct options *o, const bool *given, char why[OPTIONS_ERROR_SIZE])
{
	if (!o->tls_cert == !o->tls_key)
		return 0;
	(void)snprintf(why, OPTIONS_ERROR_SIZE, "%s is given without %s: they go together",
		       o->tls_cert ? "tls-cert" : "tls-key", o->tls_cert ? "tls-key" : "tls-cert");
	return given[find("tls-cert", 8) - table] || given[find("tls-key", 7) - table] ? -EINVAL : -EBADMSG;
}

int options_parse(struct options *o, int argc, char **argv, char why[OPTIONS_ERROR_SIZE])
{
	bool given[TABLE] = {false};
	const char *file = NULL;
	int rc;

	*o = (struct options){.listen = NULL};
	rc = set_defaults(o, why);
	for (int i = 1; i < argc && !rc; i++) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			print_help();
			return 1;
		}
		if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
			puts("shcount-gateway " SHC_VERSION);
			return 1;
		}
		rc = take_word(o, argc, argv, &i, given, &file, why);
	}
	if (!rc && file)
		rc = read_file(o, file, given, why) ? -EBADMSG : 0;
	if (!rc && !o->backend_count)
		rc = set_backend(o, why);
	return rc ? rc : check_pair(o, given, why);
}

void options_fini(struct options *o)
{
	for (size_t i = 0; i < TABLE; i++)
		if (table[i].kind == TEXT)
			free(*(char **)(void *)((char *)o + table[i].offset));
	for (size_t i = 0; i < o->backend_count; i++)
		free(o->backends[i]);
	for (size_t i = 0; i < o->host_count; i++)
		free(o->hosts[i]);
}
