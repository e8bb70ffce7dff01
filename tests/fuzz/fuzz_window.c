/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a window on disk, as they are and under a right checksum: never a crash or a read outside;
 * what is accepted is packed again into what reads the same, and behaves as a window: it takes hits and
 * answers.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/journal.h"
#include "../../daemon/window.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int is_true)
{
	if (!is_true)
		abort();
}

static void use(struct window *w)
{
	static const int64_t steps[] = {-100000, -301, -1, 0, 1, 299, 301, 86400, 2592000};
	struct window_sum before, after;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		int64_t newest = window_newest(w), now = newest == INT64_MIN ? 0 : newest + steps[i];

		need(window_sum(w, now, 300000, &before) == 0);
		need(window_prepare(w, now) == 0);
		window_add(w, now, 1);
		need(window_sum(w, now, 300000, &after) == 0);
		if (window_newest(w) == now)
			need(after.hits == before.hits + 1);
		need(window_sum(w, now, 86400000, &after) == 0);
		need(window_sum(w, now, 2592000000, &after) == 0);
		need(window_bytes(w) <= WINDOW_BYTES_MAX);
	}
}

static void read_window(const void *data, size_t size)
{
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct window *w, *again;
	int error = 0;

	w = window_unpack(data, size, &error);
	if (!w) {
		need(error < 0);
		return;
	}
	window_pack(w, &first);
	again = window_unpack(buf_head(&first), buf_len(&first), &error);
	need(again != NULL);
	window_pack(again, &second);
	need(buf_len(&first) == buf_len(&second) && buf_len(&first) <= size);
	need(memcmp(buf_head(&first), buf_head(&second), buf_len(&first)) == 0);
	use(again);
	window_free(again);
	window_free(w);
	buf_fini(&first);
	buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *body = malloc(size + 4);
	uint32_t sum = journal_checksum(data, size);

	need(body != NULL);
	memcpy(body, data, size);
	read_window(body, size);
	for (size_t i = 0; i < 4; i++)
		body[size + i] = (unsigned char)(sum >> 8 * i);
	read_window(body, size + 4);
	free(body);
	return 0;
}
