/* SPDX-License-Identifier: MIT */
/*
 * request_client.h - what HELLO shares with CLIENT.
 */
#ifndef SHC_REQUEST_CLIENT_H
#define SHC_REQUEST_CLIENT_H

#include <stdbool.h>

#include "../lib/slice.h"
#include "request.h"

/* Gives the connection a name, "" takes it away. False: the name is no good, and an error was put. */
bool client_take_name(struct request *r, struct slice name);

#endif
