/* SPDX-License-Identifier: MIT */
/* loop.c - see loop.h. Entered by its thread, but for start, wake and stop. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "../lib/log.h"
#include "certificate.h"
#include "events.h"
#include "exchange.h"

enum {
	WAIT_MS_MAX = 1000,
	LINGER_MS = 1000,
	BATCHES_MAX = 16, /* behind each other, before something else is looked after */
};

/* ---- turns ---- */

void loop_put(struct loop *l, struct exchange *x)
{
	x->job.next = NULL;
	*l->jobs_end = &x->job;
	l->jobs_end = &x->job.next;
}

void loop_drop(struct loop *l, const struct exchange *x)
{
	struct job **at = &l->jobs;

	while (*at && *at != &x->job)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = x->job.next;
	if (l->jobs_end == &x->job.next)
		l->jobs_end = at;
}

/* All that have come while the last ones were run. */
static void run_jobs(struct loop *l)
{
	struct job *jobs = l->jobs, *next;
	uint64_t count = 0;

	l->jobs = NULL;
	l->jobs_end = &l->jobs;
	pulse_excuse(&l->pulse);
	backend_run(l->backend, jobs);
	pulse_return(&l->pulse);
	for (; jobs; jobs = next, count++) {
		struct exchange *x = (struct exchange *)(void *)jobs;

		next = jobs->next;
		x->state = EXCHANGE_DONE;
	}
	metrics_add(&l->metrics.batches, 1);
	metrics_add(&l->metrics.jobs, count);
}

static int earlier(int a, int64_t b)
{
	return b >= 0 && b < a ? (int)b : a;
}

static int wait_ms(struct loop *l)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int wait = l->jobs ? 0 : WAIT_MS_MAX;

	if (MHD_get_timeout(l->http, &ms) == MHD_YES)
		wait = earlier(wait, (int64_t)ms);
	return wait;
}

static void drain(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) > 0)
		;
}

static void turn(struct loop *l, int http_fd)
{
	struct pollfd fds[] = {{.fd = http_fd, .events = POLLIN}, {.fd = l->wake_fd, .events = POLLIN}};

	if (poll(fds, 2, wait_ms(l)) > 0 && fds[1].revents)
		drain(l->wake_fd);
	clients_shut(&l->clients, conn_now_ns() / 1000000);
	events_tick(l->events, conn_now_ns() / 1000000);
	MHD_run(l->http);
	for (int i = 0; l->jobs && i < BATCHES_MAX; i++) {
		run_jobs(l);
		MHD_run(l->http); /* answers them, and takes what has come meanwhile */
	}
	pulse_answer(&l->pulse);
}

static void *run(void *arg)
{
	struct loop *l = arg;
	int fd = MHD_get_daemon_info(l->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;

	pthread_setname_np(pthread_self(), "http");
	while (!atomic_load_explicit(&l->gateway->is_stopping, memory_order_relaxed))
		turn(l, fd);
	events_end(l->events);
	/* No request becomes a job any more (exchange.c): those that are jobs have their replies now. */
	do {
		if (l->jobs)
			run_jobs(l);
		MHD_run(l->http);
	} while (l->jobs);
	clients_linger(&l->clients, LINGER_MS);
	return NULL;
}

/* ---- start and stop ---- */

static void note_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
			    enum MHD_ConnectionNotificationCode what)
{
	struct loop *l = cls;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*socket_context = clients_add(
			&l->clients,
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
			conn_now_ns() / 1000000);
	else
		clients_remove(&l->clients, *socket_context);
	metrics_add(what == MHD_CONNECTION_NOTIFY_STARTED ? &l->metrics.accepted : &l->metrics.ended, 1);
}

__attribute__((format(printf, 2, 0))) static void note_trouble(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http: %s", text);
}

/* "%00" would end a path or a key early: what stands there instead is in none. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
	size_t len = MHD_http_unescape(text);

	(void)cls, (void)connection;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = '\1';
	return len;
}

static struct MHD_Daemon *start_http(struct loop *l, int fd)
{
	const struct options *o = l->gateway->options;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	unsigned connections = (unsigned)(o->max_connections / o->threads);
	const bool is_tls = o->tls_cert != NULL;

	if (is_tls)
		flags |= MHD_USE_TLS;
	return MHD_start_daemon(flags, 0, NULL, NULL, exchange_handle, l, MHD_OPTION_EXTERNAL_LOGGER,
				note_trouble, l, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
				exchange_end, l, MHD_OPTION_NOTIFY_CONNECTION, note_connection, l,
				MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LOOP_MEMORY_EACH,
				MHD_OPTION_CONNECTION_LIMIT, connections ? connections : 1,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)o->max_connections_each,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_timeout_s,
				is_tls ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END, certificate_choose,
				MHD_OPTION_END);
}

static int open_backend(struct loop *l, char why[OPTIONS_ERROR_SIZE])
{
	const struct options *o = l->gateway->options;

	return backend_open(&l->backend, (const char *const *)o->backends, o->backend_count,
			    (int)o->backend_timeout_ms, l->number, why);
}

/* libmicrohttpd has no more to say. */
static int refuse_start(char why[OPTIONS_ERROR_SIZE])
{
	(void)snprintf(why, OPTIONS_ERROR_SIZE, "cannot start a server of HTTP: %s", strerror(errno));
	return -EIO;
}

int loop_start(struct loop *l, struct gateway *gateway, unsigned number, int fd, char why[OPTIONS_ERROR_SIZE])
{
	int rc;

	*l = (struct loop){.gateway = gateway, .number = number, .wake_fd = -1};
	l->jobs_end = &l->jobs;
	/* One that begins when it has almost been idle for too long has as long again. */
	clients_init(&l->clients, 2 * gateway->options->idle_timeout_s * 1000);
	rc = open_backend(l, why);
	if (!rc) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "cannot start a thread");
		l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		l->events = events_open(l);
		if (l->wake_fd >= 0 && l->events)
			l->http = start_http(l, fd);
		rc = l->http ? -pthread_create(&l->thread, NULL, run, l) : refuse_start(why);
	}
	if (!l->http)
		close(fd);
	return rc;
}

void loop_wake(struct loop *l)
{
	const uint64_t one = 1;

	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return; /* it is full: it will wake */
}

void loop_stop(struct loop *l)
{
	loop_wake(l);
	if (l->thread)
		pthread_join(l->thread, NULL);
}

void loop_fini(struct loop *l)
{
	if (l->http)
		MHD_stop_daemon(l->http); /* closes what it listened on */
	events_close(l->events);
	backend_close(l->backend);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
}
