/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chain.h"
#include "rotated.h"

enum { NUMBER_DIGITS_MAX = 5, DATE_DIGITS_MIN = 6 };

/* ---- names ---- */

static size_t packed_suffix(const char *text, size_t len)
{
	static const char *const suffixes[] = {".gz", ".zst", ".xz", ".bz2"};
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t n = strlen(suffixes[i]);
		if (len > n && memcmp(text + len - n, suffixes[i], n) == 0)
			return n;
	}
	return 0;
}

bool rotated_parse(const char *base, const char *name, struct rotated *out)
{
	size_t base_len = strlen(base);
	if (strncmp(name, base, base_len) != 0 || (name[base_len] != '.' && name[base_len] != '-'))
		return false;
	const char *text = name + base_len + 1;
	size_t len = strlen(text), packed = packed_suffix(text, len);
	len -= packed;
	size_t digits = strspn(text, "0123456789"), dateish = strspn(text, "0123456789-_.:T");
	if (len == 0 || len > ROTATED_TEXT_MAX || digits == 0)
		return false;
	/* "app-1" may be another program's. */
	bool is_number = name[base_len] == '.' && digits == len && len <= NUMBER_DIGITS_MAX;
	if (!is_number && (dateish < len || len < DATE_DIGITS_MIN))
		return false;
	out->kind = is_number ? ROTATED_NUMBER : ROTATED_DATE;
	out->is_packed = packed > 0;
	memcpy(out->text, text, len);
	out->text[len] = '\0';
	return true;
}

/* ---- order ---- */

static int compare(const void *left, const void *right)
{
	const struct rotated *a = left, *b = right;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == ROTATED_DATE && strcmp(a->text, b->text) != 0)
		return -strcmp(a->text, b->text);
	long x = a->kind == ROTATED_NUMBER ? strtol(a->text, NULL, 10) : 0;
	long y = b->kind == ROTATED_NUMBER ? strtol(b->text, NULL, 10) : 0;
	if (x != y)
		return x < y ? -1 : 1;
	return a->is_packed - b->is_packed;
}

void rotated_sort(struct rotated *items, size_t count)
{
	int64_t youngest_ns[2] = {INT64_MIN, INT64_MIN};
	size_t numbers = 0;
	for (size_t i = 0; i < count; i++) {
		numbers += items[i].kind == ROTATED_NUMBER;
		if (items[i].changed_ns > youngest_ns[items[i].kind])
			youngest_ns[items[i].kind] = items[i].changed_ns;
	}
	if (count > 0)
		qsort(items, count, sizeof(*items), compare);
	if (youngest_ns[ROTATED_DATE] <= youngest_ns[ROTATED_NUMBER] || numbers == 0)
		return;
	for (size_t from = numbers; from < count; from++) { /* the dates to the front */
		struct rotated date = items[from];
		memmove(items + from - numbers + 1, items + from - numbers, numbers * sizeof(*items));
		items[from - numbers] = date;
	}
}

/* ---- the directory ---- */

static int append(struct rotated_list *list, const struct rotated *item)
{
	struct rotated *items = reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	list->items[list->count++] = *item;
	return 0;
}

static int take_entry(DIR *dir, const char *file, size_t dir_len, const char *name, struct rotated_list *list)
{
	struct stat st;
	struct rotated item = {0};
	if (!rotated_parse(file + dir_len, name, &item) || fstatat(dirfd(dir), name, &st, 0) ||
	    !S_ISREG(st.st_mode))
		return 0;
	item.changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	item.id = chain_id(st.st_ino);
	if (asprintf(&item.path, "%.*s%s", (int)dir_len, file, name) < 0)
		return -ENOMEM;
	int rc = append(list, &item);
	if (rc)
		free(item.path);
	return rc;
}

static int read_entries(DIR *dir, const char *file, size_t dir_len, struct rotated_list *list)
{
	int rc = 0;
	while (rc == 0) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry)
			return -errno;
		rc = take_entry(dir, file, dir_len, entry->d_name, list);
	}
	return rc;
}

static bool is_same_name(const struct rotated *a, const struct rotated *b)
{
	return a->kind == b->kind && strcmp(a->text, b->text) == 0;
}

/* What is being packed is there twice for a while: the one that is whole stays. */
static void drop_doubles(struct rotated_list *list)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++) {
		struct rotated *item = &list->items[i];
		if (kept == ROTATED_MAX || (kept > 0 && is_same_name(&list->items[kept - 1], item)))
			free(item->path);
		else
			list->items[kept++] = *item;
	}
	list->count = kept;
}

static DIR *open_directory(const char *file, size_t dir_len)
{
	char *path = dir_len > 0 ? strndup(file, dir_len) : strdup(".");
	DIR *dir = path ? opendir(path) : NULL;
	free(path);
	return dir;
}

int rotated_find(const char *file, struct rotated_list *out)
{
	const char *slash = strrchr(file, '/');
	size_t dir_len = slash ? (size_t)(slash - file) + 1 : 0;
	*out = (struct rotated_list){0};
	DIR *dir = open_directory(file, dir_len);
	if (!dir)
		return -errno;
	int rc = read_entries(dir, file, dir_len, out);
	closedir(dir);
	if (rc) {
		rotated_fini(out);
		return rc;
	}
	rotated_sort(out->items, out->count);
	drop_doubles(out);
	return 0;
}

void rotated_fini(struct rotated_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].path);
	free(list->items);
	*list = (struct rotated_list){0};
}
