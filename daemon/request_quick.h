/* SPDX-License-Identifier: MIT */
/* request_quick.h - see request_quick.c. */
#ifndef SHC_REQUEST_QUICK_H
#define SHC_REQUEST_QUICK_H

#include "batch.h"

/* Does as many of the first requests as are one step on one counter, with their replies. Returns how many; 0:
 * nothing has happened, request_execute the first one. The worker has not sealed since the batch was looked
 * up. Worker. */
size_t request_quick(struct peer *peer, const struct batch_item *items, size_t count);

#endif
