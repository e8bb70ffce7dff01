/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "adds.h"

bool adds_put(struct buf *adds, struct slice name, int64_t delta)
{
	size_t size = 1 + name.len + sizeof(delta);
	char *to = buf_reserve(adds, size);
	if (!to) {
		adds->failed = false;
		return false;
	}
	to[0] = (char)name.len;
	memcpy(to + 1, name.data, name.len);
	for (size_t i = 0; i < sizeof(delta); i++)
		to[1 + name.len + i] = (char)((uint64_t)delta >> 8 * i);
	buf_commit(adds, size);
	return true;
}

struct slice adds_next(const struct buf *adds, size_t *pos, int64_t *delta)
{
	const char *from = buf_head(adds) + *pos;
	struct slice name = {from + 1, (unsigned char)from[0]};
	uint64_t bits = 0;
	for (size_t i = 0; i < sizeof(*delta); i++)
		bits |= (uint64_t)(unsigned char)name.data[name.len + i] << 8 * i;
	*delta = (int64_t)bits;
	*pos += 1 + name.len + sizeof(*delta);
	return name;
}

bool adds_read_count(struct slice adds, uint32_t *count)
{
	size_t pos = 0;
	for (*count = 0; pos < adds.len; ++*count) {
		size_t len = (unsigned char)adds.data[pos];
		if (adds.len - pos < 1 + len + sizeof(int64_t) || *count == UINT32_MAX ||
		    !slice_is_name((struct slice){adds.data + pos + 1, len}))
			return false;
		pos += 1 + len + sizeof(int64_t);
	}
	return true;
}
