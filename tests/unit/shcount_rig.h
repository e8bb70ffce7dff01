/* SPDX-License-Identifier: MIT */
/*
 * shcount_rig.h - a handle of libshcount, and the scripted server that it speaks to. For one test program:
 * everything is static.
 */
#ifndef SHC_SHCOUNT_RIG_H
#define SHC_SHCOUNT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/shcount.h"
#include "scripted_server.h"

enum {
	PATIENCE_MS = 5000,
	IMPATIENCE_MS = 50,
	UNTOUCHED = 77, /* what an output has that must stay as it is */
};

static struct server server;
static struct shc *shc;

/* Over a Unix socket. */
__attribute__((unused)) static void start(const struct step *steps, int timeout_ms)
{
	server_start(&server, steps);
	assert_int_equal(shc_open(&shc, server.url, timeout_ms), SHC_OK);
}

/* `user` is "" or "NAME:PASSWORD@". */
__attribute__((unused)) static void start_tcp(const struct step *steps, const char *user)
{
	server_start_tcp(&server, steps, user);
	assert_int_equal(shc_open(&shc, server.url, PATIENCE_MS), SHC_OK);
}

/* The handle goes first, so that a server that waits for more sees the end. */
static void finish(void)
{
	shc_close(shc);
	assert_string_equal(server_stop(&server), "");
}

#define assert_says(text) assert_non_null(strstr(shc_error(shc), text))

#endif
