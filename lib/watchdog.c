/* SPDX-License-Identifier: MIT */
/* watchdog.c - see watchdog.h. */
#include "watchdog.h"

#include <assert.h>
#include <inttypes.h>
#include <time.h>

#include "log.h"
#include "notify.h"

enum {
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
	LATE_LOOKS = 16, /* in an interval, while somebody is silent */
};

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void watchdog_init(struct watchdog *w, int64_t interval_ns)
{
	w->interval_ns = interval_ns;
	w->next_ns = w->asked_ns = 0;
	w->count = 0;
	w->is_late = false;
}

void watchdog_add(struct watchdog *w, const struct watched *thread)
{
	assert(w->count < WATCHDOG_THREADS_MAX);
	w->threads[w->count++] = *thread;
}

static void ask_all(struct watchdog *w, int64_t now)
{
	w->asked_ns = now;
	for (size_t i = 0; i < w->count; i++) {
		pulse_ask(w->threads[i].pulse);
		w->threads[i].wake(w->threads[i].arg);
	}
}

/* True: somebody is silent. Each is named once, until all come round again. */
static bool name_silent(struct watchdog *w, int64_t asked_ms)
{
	bool is_any = false;

	for (size_t i = 0; i < w->count; i++) {
		struct watched *t = &w->threads[i];

		if (!pulse_is_silent(t->pulse))
			continue;
		is_any = true;
		if (!t->is_named)
			log_warning("%s %u does not come round (asked %" PRId64
				    " ms ago): the service manager is not told that all is well",
				    t->name, t->number, asked_ms);
		t->is_named = true;
	}
	return is_any;
}

static void forget_names(struct watchdog *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->threads[i].is_named = false;
	w->is_late = false;
}

bool watchdog_look(struct watchdog *w, int64_t now)
{
	int64_t asked_ms = (now - w->asked_ns) / NS_PER_MS;

	if (name_silent(w, asked_ms)) {
		w->is_late = true;
		w->next_ns = now + w->interval_ns / LATE_LOOKS;
		return false;
	}
	if (w->is_late) {
		log_info("all threads come round again, after %" PRId64 " ms", asked_ms);
		forget_names(w);
	}
	(void)notify_send("WATCHDOG=1");
	ask_all(w, now);
	w->next_ns = now + w->interval_ns / 2;
	return true;
}

static int wait_for(const sigset_t *set, int64_t ns)
{
	const struct timespec left = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	return sigtimedwait(set, NULL, &left);
}

int watchdog_wait(struct watchdog *w, const sigset_t *set)
{
	int sig = 0;

	while (w->interval_ns == 0)
		if (sigwait(set, &sig) == 0)
			return sig;
	do {
		int64_t now = now_ns();

		if (now >= w->next_ns)
			(void)watchdog_look(w, now);
		sig = wait_for(set, w->next_ns - now);
	} while (sig <= 0);
	return sig;
}
