/* SPDX-License-Identifier: MIT */
/*
 * sorter.c - order, what is forgotten, and the merge. The item of a record is small and has the beginning of
 * what it is sorted by, behind what all names have in common, so that most comparisons touch no record.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "sorter.h"

/* A record in the room. */
struct item {
	uint64_t key; /* filled in when they are sorted */
	uint32_t place;
};

enum {
	FEW_ITEMS = 4096,	   /* with a small limit, sorting pays only for a good many */
	READ_BYTES_MIN = 16 << 10, /* of a run at a time */
};

/* ---- order ---- */

/* Where keys differ, records are in their order. */
static uint64_t key_of(const struct sorter *s, const char *record)
{
	if (s->order == SORTER_BY_VALUE)
		return ~((uint64_t)record_value(record) ^ UINT64_C(1) << 63);
	struct slice name = record_name(record);
	size_t left = name.len - s->prefix_len;
	uint64_t key = 0;
	memcpy(&key, name.data + s->prefix_len, left < sizeof(key) ? left : sizeof(key));
	return be64toh(key);
}

static void narrow_prefix(struct sorter *s, struct slice name)
{
	if (!s->has_prefix) {
		memcpy(s->prefix, name.data, name.len);
		s->prefix_len = name.len;
		s->has_prefix = true;
	}
	size_t len = 0;
	while (len < s->prefix_len && len < name.len && s->prefix[len] == name.data[len])
		len++;
	s->prefix_len = len;
}

static int compare_names(const char *a, const char *b)
{
	struct slice x = record_name(a), y = record_name(b);
	int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
	return order ? order : (int)x.len - (int)y.len;
}

static int compare_records(const struct sorter *s, const char *a, const char *b)
{
	int64_t x = record_value(a), y = record_value(b);
	if (s->order == SORTER_BY_VALUE && x != y)
		return x > y ? -1 : 1;
	return compare_names(a, b);
}

/* The same, by their keys. */
static int compare_keyed(uint64_t key_a, const char *a, uint64_t key_b, const char *b)
{
	if (key_a != key_b)
		return key_a < key_b ? -1 : 1;
	return compare_names(a, b);
}

/* Of the same name, the newer one, which lies higher, comes first: that is the one that is told. */
static int compare_items(const void *a, const void *b, void *arg)
{
	const struct item *x = a, *y = b;
	const struct sorter *s = arg;
	int order = compare_keyed(x->key, s->room + x->place, y->key, s->room + y->place);
	return order ? order : (x->place < y->place) - (x->place > y->place);
}

static int compare_places(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	return (x->place > y->place) - (x->place < y->place);
}

static bool is_same_name(const char *a, const char *b)
{
	return slice_equal(record_name(a), record_name(b));
}

/* ---- the room ---- */

int sorter_init(struct sorter *s, enum sorter_order order, uint64_t limit, size_t memory_bytes)
{
	assert(memory_bytes >= SORTER_BYTES_MIN && memory_bytes <= UINT32_MAX);
	*s = (struct sorter){.order = order, .limit = limit};
	runs_init(&s->runs);
	s->room_size = memory_bytes / sizeof(struct item) * sizeof(struct item);
	s->room = malloc(s->room_size);
	return s->room ? 0 : -ENOMEM;
}

void sorter_fini(struct sorter *s)
{
	runs_fini(&s->runs);
	free(s->room);
	s->room = NULL;
}

/* Room ends where an item does. */
static struct item *items(const struct sorter *s)
{
	return (struct item *)(void *)(s->room + s->room_size) - s->count;
}

/* Sorts, and leaves of every name the newest and of all the first `limit`. */
static void sort_items(struct sorter *s)
{
	struct item *from = items(s), *kept = from;
	size_t count = s->count, kept_count = 0;
	for (size_t i = 0; i < count; i++)
		from[i].key = key_of(s, s->room + from[i].place);
	qsort_r(from, count, sizeof(*from), compare_items, s);
	for (size_t i = 0; i < count && kept_count < s->limit; i++) {
		if (kept_count > 0 &&
		    is_same_name(s->room + kept[kept_count - 1].place, s->room + from[i].place))
			continue;
		kept[kept_count++] = from[i];
	}
	s->count = kept_count;
	memmove(items(s), kept, kept_count * sizeof(*kept));
	if (kept_count > 0 && kept_count == s->limit) {
		const char *last = s->room + items(s)[kept_count - 1].place;
		memcpy(s->bound, last, record_size(last));
		s->has_bound = true;
	}
}

/* Moves the records that still have an item together. */
static void close_gaps(struct sorter *s)
{
	struct item *all = items(s);
	size_t end = 0;
	qsort(all, s->count, sizeof(*all), compare_places);
	for (size_t i = 0; i < s->count; i++) {
		size_t size = record_size(s->room + all[i].place);
		memmove(s->room + end, s->room + all[i].place, size);
		all[i].place = (uint32_t)end;
		end += size;
	}
	s->records_size = end;
}

/* Sorted items to the file. */
static int spill(struct sorter *s)
{
	const struct item *all = items(s);
	int rc = runs_begin(&s->runs);
	for (size_t i = 0; rc == 0 && i < s->count; i++)
		rc = runs_put(&s->runs, s->room + all[i].place);
	if (rc == 0)
		rc = runs_end(&s->runs);
	s->count = 0;
	s->records_size = 0;
	return rc;
}

static size_t kept_size(const struct sorter *s)
{
	size_t size = s->count * sizeof(struct item);
	for (size_t i = 0; i < s->count; i++)
		size += record_size(s->room + items(s)[i].place);
	return size;
}

/* What is behind the limit makes room; the file does when that is too little. */
static int make_room(struct sorter *s)
{
	sort_items(s);
	if (kept_size(s) > s->room_size / 2)
		return spill(s);
	close_gaps(s);
	return 0;
}

static bool is_crowded(const struct sorter *s, size_t size)
{
	size_t left = s->room_size - s->records_size - s->count * sizeof(struct item);
	bool is_full = left < size + sizeof(struct item);
	return is_full || (s->limit < SIZE_MAX / 4 && s->count >= s->limit * 2 + FEW_ITEMS);
}

int sorter_add(struct sorter *s, struct slice name, int64_t value)
{
	char record[RECORD_SIZE_MAX];
	record_put(record, name, value);
	if (s->has_bound && compare_records(s, record, s->bound) > 0)
		return 0;
	narrow_prefix(s, name);
	size_t size = record_size(record);
	int rc = is_crowded(s, size) ? make_room(s) : 0;
	if (rc)
		return rc;
	memcpy(s->room + s->records_size, record, size);
	s->count++;
	*items(s) = (struct item){.place = (uint32_t)s->records_size};
	s->records_size += size;
	return 0;
}

/* ---- the merge ---- */

/* A run and its foremost record. */
struct source {
	uint64_t key;
	const char *record;
	size_t index; /* a higher one is newer */
	struct run_reader reader;
};

static bool is_before(const struct source *a, const struct source *b)
{
	int order = compare_keyed(a->key, a->record, b->key, b->record);
	return order < 0 || (order == 0 && a->index > b->index);
}

/* heap[0] has changed: down to its place among the others. */
static void sift(struct source **heap, size_t count)
{
	struct source *moving = heap[0];
	size_t at = 0;
	for (size_t child; (child = at * 2 + 1) < count; at = child) {
		if (child + 1 < count && is_before(heap[child + 1], heap[child]))
			child++;
		if (!is_before(heap[child], moving))
			break;
		heap[at] = heap[child];
	}
	heap[at] = moving;
}

static int advance(const struct sorter *s, struct source *source)
{
	int rc = run_next(&source->reader, &source->record);
	if (rc == 0 && source->record)
		source->key = key_of(s, source->record);
	return rc;
}

/* The room, where nothing is any more, becomes buffers to read the runs with. */
static int open_sources(struct sorter *s, struct source *sources, struct source **heap)
{
	size_t count = s->runs.count, share = s->room_size / count;
	if (share < READ_BYTES_MIN)
		share = READ_BYTES_MIN;
	free(s->room);
	s->room = reallocarray(NULL, count, share);
	int rc = s->room ? 0 : -ENOMEM;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		sources[i].index = i;
		heap[i] = &sources[i];
		run_reader_init(&sources[i].reader, &s->runs, i, s->room + i * share, share);
		rc = advance(s, &sources[i]);
	}
	return rc;
}

static int order_first(const void *a, const void *b)
{
	return is_before(*(struct source *const *)a, *(struct source *const *)b) ? -1 : 1;
}

static int merge(const struct sorter *s, struct source **heap,
		 bool (*tell)(void *arg, struct slice name, int64_t value), void *arg)
{
	char last[RECORD_SIZE_MAX];
	size_t count = s->runs.count;
	int rc = 0;
	bool is_going_on = true;
	for (uint64_t told = 0; rc == 0 && is_going_on && count > 0 && told < s->limit;) {
		const char *record = heap[0]->record;
		if (told == 0 || !is_same_name(last, record)) {
			memcpy(last, record, record_size(record));
			is_going_on = tell(arg, record_name(record), record_value(record));
			told++;
		}
		rc = advance(s, heap[0]);
		if (!heap[0]->record)
			heap[0] = heap[--count];
		sift(heap, count);
	}
	return rc;
}

static int tell_runs(struct sorter *s, bool (*tell)(void *arg, struct slice name, int64_t value), void *arg)
{
	int rc = s->count > 0 ? spill(s) : 0;
	if (rc)
		return rc;
	struct source *sources = calloc(s->runs.count, sizeof(*sources));
	struct source **heap = calloc(s->runs.count, sizeof(*heap));
	rc = sources && heap ? open_sources(s, sources, heap) : -ENOMEM;
	if (rc == 0) {
		qsort(heap, s->runs.count, sizeof(struct source *), order_first);
		rc = merge(s, heap, tell, arg);
	}
	free(sources);
	free(heap);
	return rc;
}

int sorter_tell(struct sorter *s, bool (*tell)(void *arg, struct slice name, int64_t value), void *arg)
{
	sort_items(s);
	if (s->runs.count > 0)
		return tell_runs(s, tell, arg);
	for (size_t i = 0; i < s->count; i++) {
		const char *record = s->room + items(s)[i].place;
		if (!tell(arg, record_name(record), record_value(record)))
			break;
	}
	return 0;
}
