/* SPDX-License-Identifier: MIT */
/* secret.c - see secret.h. */
#include "secret.h"

#include <sha2.h>
#include <stdio.h>
#include <string.h>

static const char prefix[] = "sha256:";

void secret_hash(struct slice secret, uint8_t out[SECRET_HASH_SIZE])
{
	SHA2_CTX sha;

	SHA256Init(&sha);
	SHA256Update(&sha, (const uint8_t *)secret.data, secret.len);
	SHA256Final(out, &sha);
}

void secret_line(struct slice secret, char out[SECRET_LINE_SIZE])
{
	uint8_t hash[SECRET_HASH_SIZE];

	secret_hash(secret, hash);
	out += sprintf(out, "%s", prefix);
	for (size_t i = 0; i < SECRET_HASH_SIZE; i++)
		out += sprintf(out, "%02x", hash[i]);
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool secret_parse(struct slice word, uint8_t out[SECRET_HASH_SIZE])
{
	const size_t head = sizeof(prefix) - 1;

	if (word.len != head + 2 * SECRET_HASH_SIZE || memcmp(word.data, prefix, head) != 0)
		return false;
	for (size_t i = 0; i < SECRET_HASH_SIZE; i++) {
		int high = digit_of(word.data[head + 2 * i]), low = digit_of(word.data[head + 2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

size_t secret_is_same(const uint8_t a[SECRET_HASH_SIZE], const uint8_t b[SECRET_HASH_SIZE])
{
	unsigned difference = 0;

	for (size_t i = 0; i < SECRET_HASH_SIZE; i++)
		difference |= a[i] ^ b[i];
	return (difference - 1) >> (8 * sizeof(difference) - 1);
}
