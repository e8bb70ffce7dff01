/* SPDX-License-Identifier: MIT */
#define LIBBSD_NETBSD_VIS
#include "log.h"

#include <bsd/vis.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A message is cut at MESSAGE_MAX; of its bytes the escapes make at most 6 each ("\u00XX"). */
enum { MESSAGE_MAX = 1024, LINE_MAX_BYTES = MESSAGE_MAX * 6 + 128 };

/* Written by main (start, SIGHUP); read by anyone; relaxed: a line more or less at the turn does not matter.
 */
static _Atomic int level_min = LOG_LEVEL_INFO;
static _Atomic bool is_json;
static _Atomic bool is_journal;

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const char level_priorities[] = "7643"; /* of syslog(3) */

/* Is stderr the journal's stream, and not merely inherited with the variable? See systemd.exec(5). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_init(bool json, enum log_level level)
{
	atomic_store_explicit(&is_json, json, memory_order_relaxed);
	atomic_store_explicit(&is_journal, stderr_is_journal(), memory_order_relaxed);
	atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

/* Of a well-formed character of three bytes: one that turns the direction of what follows, or ends a line
 * (Unicode's Bidi_Control, U+2028, U+2029): a line of the log would read as another. */
static bool is_turning(const unsigned char *s)
{
	return s[0] == 0xe2 &&
	       ((s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
		(s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
}

/* Bytes of the character at s if it is well-formed UTF-8 and neither a control character (C1 included) nor
 * one that turns the line, else 0. */
static size_t character_len(const unsigned char *s)
{
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc2 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf5 ? 4
				   : 0;
	if (len == 0 || (len == 1 && (s[0] < 0x20 || s[0] == 0x7f)))
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	if ((len == 3 && is_turning(s)) || (s[0] == 0xd8 && s[1] == 0x9c))
		return 0;
	return len;
}

/* One byte that cannot stand as it is. */
static char *put_escaped(char *out, const unsigned char *s, bool json)
{
	if (!json)
		return vis(out, s[0], VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_NOSLASH, s[1]);
	/* A byte that is no UTF-8 has no place in JSON. */
	return out + sprintf(out, "\\u%04x", s[0] < 0x80 ? s[0] : 0xfffdU);
}

static char *put_message(char *out, const char *message, bool json)
{
	const unsigned char *s = (const unsigned char *)message;
	while (*s != '\0') {
		size_t len = character_len(s);
		if (len == 0) {
			out = put_escaped(out, s++, json);
			continue;
		}
		if (json && (*s == '"' || *s == '\\'))
			*out++ = '\\';
		memcpy(out, s, len);
		out += len;
		s += len;
	}
	return out;
}

static char *put_time(char *out)
{
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	out += strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
	return out + sprintf(out, ".%03ldZ", now.tv_nsec / 1000000);
}

static size_t make_line(char *line, enum log_level level, const char *message)
{
	char *out = line;
	if (atomic_load_explicit(&is_json, memory_order_relaxed)) {
		out = stpcpy(out, "{\"time\":\"");
		out = put_time(out);
		out += sprintf(out, "\",\"level\":\"%s\",\"message\":\"", level_names[level]);
		out = put_message(out, message, true);
		out = stpcpy(out, "\"}\n");
	} else if (atomic_load_explicit(&is_journal, memory_order_relaxed)) {
		out += sprintf(out, "<%c>", level_priorities[level]);
		out = put_message(out, message, false);
		*out++ = '\n';
	} else {
		out = put_time(out);
		out += sprintf(out, " %s: ", level_names[level]);
		out = put_message(out, message, false);
		*out++ = '\n';
	}
	return (size_t)(out - line);
}

/* Cut in the middle, a message must not look whole. */
static void mark_cut(char message[MESSAGE_MAX])
{
	memcpy(message + MESSAGE_MAX - sizeof("..."), "...", sizeof("..."));
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char message[MESSAGE_MAX], line[LINE_MAX_BYTES];
	int saved_errno = errno;
	va_list args;
	if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed))
		return;
	va_start(args, fmt);
	if (vsnprintf(message, sizeof(message), fmt, args) >= (int)sizeof(message))
		mark_cut(message);
	va_end(args);
	size_t len = make_line(line, level, message);
	/* Nobody is left to be told when this fails. */
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
	errno = saved_errno;
}
