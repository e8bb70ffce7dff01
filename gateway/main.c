/* SPDX-License-Identifier: MIT */
/* main.c - shcount-gateway: start, signals, stop. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "../lib/log.h"
#include "../lib/notify.h"
#include "../lib/num.h"
#include "../lib/watchdog.h"
#include "certificate.h"
#include "hash_token.h"
#include "listen.h"
#include "loop.h"
#include "watch.h"

struct service {
	struct options options;
	struct gateway gateway;
	struct watchdog watchdog;
	int fds[64];
	sigset_t signals;
};

/* Nobody else's machine may ask without a token. */
static int open_listeners(struct service *s, char why[OPTIONS_ERROR_SIZE])
{
	bool is_loopback;
	int rc = listen_open(s->options.listen, s->fds, (size_t)s->options.threads, &is_loopback, why);

	if (rc || is_loopback || s->options.tokens)
		return rc;
	(void)snprintf(why, OPTIONS_ERROR_SIZE,
		       "listen: %.100s can be reached from other machines: that needs tokens = FILE",
		       s->options.listen);
	return -EINVAL;
}

static int start_loops(struct service *s, char why[OPTIONS_ERROR_SIZE])
{
	struct gateway *g = &s->gateway;
	int rc = 0;

	g->loops = calloc((size_t)s->options.threads, sizeof(*g->loops));
	if (!g->loops)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)s->options.threads && !rc; i++) {
		rc = loop_start(&g->loops[i], g, (unsigned)i, s->fds[i], why);
		g->loop_count++;
	}
	return rc;
}

static int start(struct service *s, char why[OPTIONS_ERROR_SIZE])
{
	time_t until;
	int rc = 0;

	if (s->options.tls_cert)
		rc = certificate_read(s->options.tls_cert, s->options.tls_key, &until, why);
	if (!rc)
		rc = guard_open(&s->gateway.guard, &s->options, why);
	if (!rc)
		rc = open_listeners(s, why);
	if (!rc)
		rc = watch_start(&s->gateway.watch, &s->options, why);
	if (!rc)
		rc = start_loops(s, why);
	return rc;
}

/* SIGHUP. A mistake in one of them is none in the other. */
static void reload(struct service *s)
{
	const struct options *o = &s->options;
	char why[OPTIONS_ERROR_SIZE], day[32] = "";
	time_t until;

	if (o->tokens && guard_reload(s->gateway.guard, why))
		log_error("%s; what was in force stays so", why);
	else if (o->tokens)
		log_info("tokens were read again");
	if (o->tls_cert && certificate_read(o->tls_cert, o->tls_key, &until, why)) {
		log_error("%s; what was in force stays so", why);
	} else if (o->tls_cert) {
		/* Or nobody would see that the old file was there still. */
		(void)strftime(day, sizeof(day), "%F %T", gmtime(&until));
		log_info("certificate and key were read again; good until %s UTC", day);
	}
	if (!o->tokens && !o->tls_cert)
		log_info("there is no file to be read again");
}

static void wake(void *loop)
{
	loop_wake(loop);
}

static void watch_loops(struct service *s)
{
	watchdog_init(&s->watchdog, notify_watchdog_ns());
	for (size_t i = 0; i < s->gateway.loop_count; i++) {
		struct loop *l = &s->gateway.loops[i];

		watchdog_add(&s->watchdog, &(struct watched){.pulse = &l->pulse,
							     .wake = wake,
							     .arg = l,
							     .name = "thread",
							     .number = l->number});
	}
}

static void serve(struct service *s)
{
	const char *scheme = s->options.tls_cert ? "https" : "http";
	char name[64];
	int number;

	listen_name(s->fds[0], name, sizeof(name));
	log_info("ready: %s://%s/, %zu thread%s", scheme, name, s->gateway.loop_count,
		 num_plural(s->gateway.loop_count));
	(void)notify_sendf("READY=1\nSTATUS=serving %s://%s/", scheme, name);
	watch_loops(s);
	while ((number = watchdog_wait(&s->watchdog, &s->signals)) == SIGHUP) {
		(void)notify_reloading();
		reload(s);
		(void)notify_sendf("READY=1\nSTATUS=serving %s://%s/", scheme, name);
	}
	(void)notify_send("STOPPING=1");
	log_info("stopping: %s", strsignal(number));
}

static void stop(struct service *s)
{
	atomic_store(&s->gateway.is_draining, true);
	atomic_store(&s->gateway.is_stopping, true);
	for (size_t i = 0; i < s->gateway.loop_count; i++)
		loop_stop(&s->gateway.loops[i]);
	for (size_t i = 0; i < s->gateway.loop_count; i++)
		loop_fini(&s->gateway.loops[i]);
	watch_stop(s->gateway.watch);
	free(s->gateway.loops);
	guard_close(s->gateway.guard);
	certificate_forget();
	options_fini(&s->options);
}

static int status_of(int rc)
{
	switch (rc) {
	case 0: return EX_OK;
	case -EACCES:
	case -EPERM: return EX_NOPERM;
	case -EADDRINUSE:
	case -EADDRNOTAVAIL: return EX_UNAVAILABLE; /* it may be there later */
	case -EINVAL: return EX_CONFIG;
	default: return EX_OSERR;
	}
}

int main(int argc, char **argv)
{
	static struct service s;
	char why[OPTIONS_ERROR_SIZE] = "out of memory";
	int rc;

	if (argc == 2 && strcmp(argv[1], "--hash-token") == 0)
		return hash_token();
	rc = options_parse(&s.options, argc, argv, why);
	if (rc > 0) {
		options_fini(&s.options);
		return fflush(stdout) ? EX_IOERR : EX_OK;
	}
	if (rc < 0) {
		fprintf(stderr, "shcount-gateway: %s\n", why);
		return rc == -EBADMSG ? EX_CONFIG : EX_USAGE;
	}
	log_init(s.options.is_log_json, (enum log_level)s.options.log_level);
	sigemptyset(&s.signals);
	sigaddset(&s.signals, SIGTERM);
	sigaddset(&s.signals, SIGINT);
	sigaddset(&s.signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &s.signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	s.gateway.options = &s.options;
	if (notify_open() < 0)
		log_warning(
			"NOTIFY_SOCKET is no address of a socket: nobody is told that the gateway is ready");
	rc = start(&s, why);
	if (!rc)
		serve(&s);
	else
		log_error("%s", why);
	stop(&s);
	return status_of(rc);
}
