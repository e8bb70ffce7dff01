/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>

#include "../lib/conn.h"
#include "signals.h"

enum { NS_PER_S = 1000000000, SAME_NS = 200000000 /* two of them within this time are one request */ };

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOPS = sizeof(stops) / sizeof(stops[0]) };

static volatile sig_atomic_t stop_signal, is_asked;
static int64_t stop_ns; /* the handler's alone */

static void on_stop(int sig)
{
	int64_t now_ns = conn_now_ns();
	if (stop_signal == 0) {
		stop_signal = sig;
		stop_ns = now_ns;
	} else if (now_ns - stop_ns >= SAME_NS) {
		signal(sig, SIG_DFL);
		raise(sig); /* comes when this handler returns */
	}
}

static void on_question(int sig)
{
	(void)sig;
	is_asked = 1;
}

static void all_of_ours(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGUSR1);
	for (size_t i = 0; i < STOPS; i++)
		sigaddset(set, stops[i]);
}

/* Without SA_RESTART: whatever waits is to look. */
void signals_note_questions(void)
{
	struct sigaction action = {.sa_handler = on_question};
	sigaction(SIGUSR1, &action, NULL);
}

void signals_note_stops(void)
{
	struct sigaction old, action = {.sa_handler = on_stop};
	all_of_ours(&action.sa_mask);
	for (size_t i = 0; i < STOPS; i++) {
		if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(stops[i], &action, NULL);
	}
}

int signals_stop(void)
{
	return stop_signal;
}

bool signals_take_question(void)
{
	bool was_asked = is_asked;
	is_asked = 0;
	return was_asked;
}

/* Blocked between the look and ppoll, which lets them in: none can come unseen in between. */
int signals_wait_readable(int fd, int64_t timeout_ns)
{
	sigset_t ours, before;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct timespec ts = {.tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S};
	all_of_ours(&ours);
	sigprocmask(SIG_BLOCK, &ours, &before);
	int n = -1, error = EINTR;
	if (!stop_signal && !is_asked) {
		n = ppoll(&pfd, 1, timeout_ns < 0 ? NULL : &ts, &before);
		error = errno;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n < 0 ? -error : n;
}

void signals_end(void)
{
	signal(stop_signal, SIG_DFL);
	raise(stop_signal);
}
