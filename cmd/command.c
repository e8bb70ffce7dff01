/* SPDX-License-Identifier: MIT */
/*
 * command.c - what commands share when something is wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/buf.h"
#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "terminal.h"

static void complain(const char *text)
{
	struct buf line = BUF_INIT;
	buf_append(&line, "shcount: ", 9);
	struct terminal t;
	terminal_look(&t, STDERR_FILENO);
	if (t.is_terminal && !t.is_utf8)
		output_visible_ascii(&line, slice_str(text));
	else
		output_visible(&line, slice_str(text));
	buf_append(&line, "\n", 1);
	ssize_t ignored = line.data ? write(STDERR_FILENO, buf_head(&line), buf_len(&line)) : 0;
	(void)ignored; /* there is nobody left to tell */
	buf_fini(&line);
}

int command_fail(int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain(text);
	return status;
}

int command_usage(const struct invocation *inv, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain(text);
	if (inv->command)
		return command_fail(EX_USAGE, "see: shcount help %s", inv->command->name);
	return command_fail(EX_USAGE, "see: shcount help");
}

const char *command_noun(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

bool command_is_name(const struct invocation *inv, const char *name)
{
	struct slice s = slice_str(name);
	if (slice_is_name(s))
		return true;
	if (s.len == 0)
		command_usage(inv, "the name of a counter is empty");
	else if (s.len > NAME_LEN_MAX)
		command_usage(inv, "\"%.32s...\": a name has at most %d bytes, this one has %zu", name,
			      NAME_LEN_MAX, s.len);
	else
		command_usage(inv, "\"%s\": a name has no control characters (tab, newline, ...)", name);
	return false;
}

bool command_are_names(const struct invocation *inv)
{
	for (int i = 0; i < inv->operands_count; i++) {
		if (!command_is_name(inv, inv->operands[i]))
			return false;
	}
	return true;
}

bool command_number(const struct invocation *inv, const char *text, const char *what, int64_t *out)
{
	if (num_parse_i64_loose(slice_str(text), out))
		return true;
	command_usage(inv,
		      "%s \"%.64s\" is not a whole number from -9223372036854775808 to 9223372036854775807",
		      what, text);
	return false;
}

bool command_duration(const struct invocation *inv, const char *text, const char *what, int64_t max_ms,
		      int64_t *out_ms)
{
	int64_t ms;
	if (!num_parse_duration_ms(slice_str(text), &ms) || ms < 1) {
		command_usage(inv, "%s \"%.32s\": a duration such as 500ms, 60s, 5m, 24h or 7d is expected",
			      what, text);
		return false;
	}
	if (ms > max_ms) {
		command_usage(inv, "%s \"%.32s\" is too long: %lldd at most", what, text,
			      (long long)(max_ms / 86400000));
		return false;
	}
	*out_ms = ms;
	return true;
}

bool command_is_in_one_place(const struct invocation *inv, const char *what)
{
	if (inv->shards <= 1)
		return true;
	command_usage(inv, "--shards is not for %s: only a counter in one place has them", what);
	return false;
}

bool command_says(const struct shc *shc, const char *words)
{
	return strncmp(shc_error(shc), words, strlen(words)) == 0;
}

/* It is for whoever cares for the server to give more. */
static void how_to_be_let_in(const struct shc *shc)
{
	if (strstr(shc_error(shc), "NOAUTH"))
		command_fail(0, "the password, or USER:PASSWORD, goes into $SHCOUNT_AUTH, or into the URL in "
				"$SHCOUNT_URL");
	else if (strstr(shc_error(shc), "NOPERM"))
		command_fail(
			0, "whoever cares for the server may allow it: in the rules of access of shcounterd, "
			   "or the ACL of Redis");
}

int command_status(const struct shc *shc, enum shc_status status)
{
	static const int exits[] = {
		[SHC_OK] = EX_OK,
		[SHC_MISSING] = EXIT_NO,
		[SHC_REFUSED] = EXIT_NO,
		[SHC_UNREACHABLE] = EX_UNAVAILABLE,
		[SHC_IN_DOUBT] = EX_TEMPFAIL,
		[SHC_DENIED] = EX_NOPERM,
		[SHC_USAGE] = EX_USAGE,
		[SHC_PROTOCOL] = EX_UNAVAILABLE,
		[SHC_MEMORY] = EX_IOERR,
		[SHC_LOST] = EXIT_NO,
	};
	command_fail(exits[status], "%s", shc_error(shc));
	/* A daemon that does not reach its cluster is for the caller one that is not there. */
	if (status == SHC_REFUSED && command_says(shc, "UPLINKDOWN"))
		return EX_UNAVAILABLE;
	if (status == SHC_REFUSED && command_says(shc, "UPLINKDOUBT"))
		return EX_TEMPFAIL;
	if (status == SHC_DENIED)
		how_to_be_let_in(shc);
	return exits[status];
}
