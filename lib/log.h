/* SPDX-License-Identifier: MIT */
/*
 * log.h - lines to stderr for the operator: what happened and what to do. text or json, with a level.
 *
 * Any thread; a line is one write(2). Values from outside go through strvis (text) or JSON escapes. In text
 * form under systemd (JOURNAL_STREAM set) lines carry a <N> priority prefix and no time stamp.
 */
#ifndef SHC_LOG_H
#define SHC_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

void log_init(bool is_json, enum log_level level_min);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
