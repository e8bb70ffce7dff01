/* SPDX-License-Identifier: MIT */
/*
 * glob.h - patterns as KEYS and SCAN MATCH take them in Redis: * ? [abc] [^a] [a-z] and \ to escape. Pure.
 * Bounded: the work is at most pattern length times text length (no exponential backtracking).
 */
#ifndef SHC_GLOB_H
#define SHC_GLOB_H

#include <stdbool.h>

#include "slice.h"

bool glob_match(struct slice pattern, struct slice text);

#endif
