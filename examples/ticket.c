/* SPDX-License-Identifier: MIT */
/* ticket.c - prints a number that nobody else gets. */
#include <inttypes.h>
#include <shcount.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct shc *shc;
	int64_t ticket;
	const char *url =
		argc > 1 ? argv[1] : "/run/shcounterd/shcounterd.sock";
	enum shc_status status = shc_open(&shc, url, 5000);

	if (status == SHC_OK)
		status = shc_incr(shc, "tickets", 7, 1, &ticket);
	if (status == SHC_OK)
		printf("%" PRId64 "\n", ticket);
	else
		fprintf(stderr, "ticket: %s\n", shc_error(shc));
	shc_close(shc);
	return status != SHC_OK;
}
