/* SPDX-License-Identifier: MIT */
/*
 * no_uplink.c - the simulated daemon has no uplink, so nobody comes here: its rules are simulated beside a
 * cluster of their own (tests/unit/test_uplink_sim.c).
 */
#include <stdlib.h>

#include "../../daemon/uplink.h"

int uplink_init(struct uplink *u, const struct config *config, struct commit *commit,
		char why[URL_ERROR_SIZE])
{
	(void)u;
	(void)config;
	(void)commit;
	(void)why;
	abort();
}

void uplink_fini(struct uplink *u)
{
	(void)u;
	abort();
}

int uplink_load(struct uplink *u, struct store *store)
{
	(void)u;
	(void)store;
	abort();
}

int uplink_start(struct uplink *u)
{
	(void)u;
	abort();
}

void uplink_stop(struct uplink *u)
{
	(void)u;
	abort();
}

void uplink_finish(struct uplink *u)
{
	(void)u;
	abort();
}

void uplink_end_epoch(struct uplink *u, struct epoch_buffer *const *buffers, size_t count, uint64_t epoch,
		      bool has_content)
{
	(void)u;
	(void)buffers;
	(void)count;
	(void)epoch;
	(void)has_content;
	abort();
}
