/* SPDX-License-Identifier: MIT */
#include "slot.h"

uint16_t slot_crc16_more(uint16_t crc, unsigned char byte)
{
	/* Of four bits each: 0x1021 times 0 to 15, without carries. */
	static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
					   0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
	unsigned value = crc;
	value = (value << 4 & 0xffff) ^ table[value >> 12 ^ byte >> 4];
	value = (value << 4 & 0xffff) ^ table[value >> 12 ^ (byte & 15u)];
	return (uint16_t)value;
}

uint16_t slot_crc16(struct slice s)
{
	uint16_t crc = 0;
	for (size_t i = 0; i < s.len; i++)
		crc = slot_crc16_more(crc, (unsigned char)s.data[i]);
	return crc;
}

unsigned slot_of(struct slice key)
{
	const char *open = key.len ? memchr(key.data, '{', key.len) : NULL;
	if (open) {
		struct slice rest = {open + 1, key.len - (size_t)(open + 1 - key.data)};
		const char *close = rest.len ? memchr(rest.data, '}', rest.len) : NULL;
		if (close && close > rest.data)
			key = (struct slice){rest.data, (size_t)(close - rest.data)};
	}
	return slot_crc16(key) % SLOT_COUNT;
}
