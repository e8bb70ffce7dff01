/* SPDX-License-Identifier: MIT */
/*
 * notify.h - the small protocols of systemd, without its library: sd_notify (NOTIFY_SOCKET), its watchdog
 * (WATCHDOG_PID, WATCHDOG_USEC) and socket activation (LISTEN_PID, LISTEN_FDS). Source: sd_notify(3),
 * sd_watchdog_enabled(3), sd_listen_fds(3).
 */
#ifndef SHC_NOTIFY_H
#define SHC_NOTIFY_H

#include <stdint.h>

/* Main, before there are threads: looks who is to be told, and keeps it. 0, 1 when there is nobody to tell,
 * -EINVAL for an address that is none. */
int notify_open(void);

/* Any thread: sends e.g. "READY=1\nSTATUS=..." (also to an abstract "@" address). 0 when sent, 1 when there
 * is nobody to tell, -errno. */
int notify_send(const char *text);

/* The same, made as by printf; what is too long for a datagram of ours is cut. */
int notify_sendf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Nanoseconds within which the manager wants to hear WATCHDOG=1 again; 0: it does not, or not from this
 * process. Nonsense is 0, too: a manager that means it will end us, and say why. */
int64_t notify_watchdog_ns(void);

/* Says that the configuration is being read again, until the next READY=1. */
int notify_reloading(void);

/* Main: how many sockets were passed, the first is descriptor 3; 0 when none or not for this process. Marks
 * them cloexec and unsets the variables. -EINVAL for nonsense. */
int notify_listen_fds(void);

#endif
