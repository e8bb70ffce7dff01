/* SPDX-License-Identifier: MIT */
/*
 * secret.h - passwords and tokens as files have them: "sha256:" and 64 hexadecimal digits. Who reads the file
 * learns none that was drawn at random. Pure; any thread.
 */
#ifndef SHC_SECRET_H
#define SHC_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

enum {
	SECRET_HASH_SIZE = 32,
	SECRET_LINE_SIZE = 7 + 2 * SECRET_HASH_SIZE + 1,
	SECRET_SHORT_CHARS = 16, /* what is shorter can be guessed, and its hash turned back */
};

void secret_hash(struct slice secret, uint8_t out[SECRET_HASH_SIZE]);

/* "sha256:..." of it. */
void secret_line(struct slice secret, char out[SECRET_LINE_SIZE]);
/* False: the word is no such thing. */
bool secret_parse(struct slice word, uint8_t out[SECRET_HASH_SIZE]);

/* 1 or 0, without a jump: how long it takes tells nothing of what they are. */
size_t secret_is_same(const uint8_t a[SECRET_HASH_SIZE], const uint8_t b[SECRET_HASH_SIZE]);

#endif
