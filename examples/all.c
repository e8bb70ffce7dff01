/* SPDX-License-Identifier: MIT */
/*
 * all.c - prints every counter and its value, in no order.
 *
 * One handle asks for names, the other for values: a reply lasts until
 * the next call on its handle.
 */
#include <inttypes.h>
#include <shcount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct shc *shc)
{
	fprintf(stderr, "all: %s\n", shc_error(shc));
	return EXIT_FAILURE;
}

/* In Redis, what belongs to counters has names that begin so. */
static bool is_own(const struct shc_reply *name)
{
	return name->len >= 4 && memcmp(name->data, "shc:", 4) == 0;
}

static enum shc_status print_values(struct shc *shc,
				    const struct shc_reply *page)
{
	size_t n = 0, count = page->count;
	const char **names = calloc(count + 1, sizeof(*names));
	size_t *lens = calloc(count + 1, sizeof(*lens));
	int64_t *values = calloc(count + 1, sizeof(*values));
	enum shc_status status = SHC_MEMORY;

	if (names && lens && values) {
		for (size_t i = 0; i < count; i++) {
			const struct shc_reply *e = &page->elements[i];

			if (is_own(e))
				continue;
			names[n] = e->data;
			lens[n++] = e->len;
		}
		status = shc_mget(shc, n, names, lens, values, NULL);
	}
	for (size_t i = 0; status == SHC_OK && i < n; i++)
		printf("%.*s\t%" PRId64 "\n", (int)lens[i], names[i],
		       values[i]);
	free(names);
	free(lens);
	free(values);
	return status;
}

static int print_all(struct shc *scan, struct shc *get)
{
	char cursor[24] = "0";
	const struct shc_reply *reply, *at;

	do {
		const char *argv[] = {"SCAN", cursor, "COUNT", "1000"};

		if (shc_command(scan, 4, argv, NULL, false, &reply))
			return fail(scan);
		at = reply->elements;
		if (reply->count != 2 || at[0].len >= sizeof(cursor))
			return EXIT_FAILURE; /* not from SCAN */
		if (print_values(get, &at[1]))
			return fail(get);
		memcpy(cursor, at[0].data, at[0].len);
		cursor[at[0].len] = '\0';
	} while (strcmp(cursor, "0") != 0);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct shc *scan = NULL, *get = NULL;
	const char *url =
		argc > 1 ? argv[1] : "/run/shcounterd/shcounterd.sock";
	int result;

	if (shc_open(&scan, url, 5000))
		result = fail(scan);
	else if (shc_open(&get, url, 5000))
		result = fail(get);
	else
		result = print_all(scan, get);
	shc_close(get);
	shc_close(scan);
	return result;
}
