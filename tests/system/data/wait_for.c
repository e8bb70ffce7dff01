/* SPDX-License-Identifier: MIT */
/*
 * wait_for URL REPLICAS TIMEOUT_MS NAME...: adds 1 to each, then waits (lib/cluster_wait.c) until so many
 * replicas have it. Prints the sentence, and ends with 0, 75 when it was not known in time, or 1.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/redis_impl.h"

static int say(const char *sentence, enum shc_status status)
{
	puts(sentence);
	return status == SHC_IN_DOUBT ? 75 : 1;
}

int main(int argc, char **argv)
{
	struct shc *shc = NULL;
	bool is_lost = false;
	if (argc < 5)
		return 64;
	enum shc_status status = shc_open(&shc, argv[1], 10000);
	if (status == SHC_OK)
		status = redis_identify(shc);
	for (int i = 4; status == SHC_OK && i < argc; i++)
		status = redis_incr(shc, slice_str(argv[i]), 1, NULL);
	if (status)
		return say(shc_error(shc), status);
	shc_set_timeout(shc, atoi(argv[3]));
	redis_begin(shc, false);
	status = cluster_wait(redis_engine(shc), (unsigned)atoi(argv[2]), &is_lost);
	int rc = status ? say(cluster_error(redis_engine(shc)), status) : 0;
	shc_close(shc);
	return rc;
}
