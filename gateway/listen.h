/* SPDX-License-Identifier: MIT */
/* listen.h - the sockets on which the gateway listens: one a thread, among which the kernel deals clients. */
#ifndef SHC_GATEWAY_LISTEN_H
#define SHC_GATEWAY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

/* Opens `count` descriptors for "HOST:PORT" or "[v6]:PORT". *is_loopback: nobody else can reach them. 0 or
 * negative with a sentence in `why`, and none is open. */
int listen_open(const char *where, int *fds, size_t count, bool *is_loopback, char why[OPTIONS_ERROR_SIZE]);

/* "127.0.0.1:8480": with the port that the kernel has chosen for 0. */
void listen_name(int fd, char *out, size_t size);

#endif
