/* SPDX-License-Identifier: MIT */
/*
 * bare_http.c - the least that a server on libmicrohttpd can do for an increment: reads the request, and
 * gives the same answer to each, which is as long as the gateway's, with as many headers. Nothing is parsed,
 * counted or asked.
 *
 * Usage: bare_http THREADS
 *
 * Says "ready: http://127.0.0.1:PORT/" when it listens. Runs until it is ended.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1000, MEMORY_EACH = 8 << 10 };

static char answer[] = "{\"success\":true,\"message\":\"bench is 1234567 now\",\"new_value\":1234567,"
		       "\"data\":{\"counter_id\":\"bench\",\"value\":1234567}}";
static struct MHD_Response *response;

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload_data,
			      size_t *upload_size, void **req_cls)
{
	static int seen;

	(void)cls, (void)url, (void)method, (void)version, (void)upload_data;
	if (!*req_cls) {
		*req_cls = &seen;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv)
{
	unsigned threads = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
	struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct MHD_Daemon *daemon;

	response = MHD_create_response_from_buffer(sizeof(answer) - 1, answer, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return 1;
	MHD_add_response_header(response, "Content-Type", "application/json");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	/* A pool of one is refused. */
	daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, &loopback,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)MEMORY_EACH, threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads,
		MHD_OPTION_END);
	if (!daemon)
		return 1;
	fprintf(stderr, "ready: http://127.0.0.1:%u/\n",
		(unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	for (;;)
		pause();
}
