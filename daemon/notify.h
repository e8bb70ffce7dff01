/* SPDX-License-Identifier: MIT */
/*
 * notify.h - the two small protocols of systemd, without its library: sd_notify (NOTIFY_SOCKET) and socket
 * activation (LISTEN_PID, LISTEN_FDS). Source: sd_notify(3), sd_listen_fds(3). Main thread.
 */
#ifndef SHC_NOTIFY_H
#define SHC_NOTIFY_H

/* Sends e.g. "READY=1\nSTATUS=..." (also to an abstract "@" address). 0 when sent, 1 when there is nobody to
 * tell, -errno. */
int notify_send(const char *text);

/* How many sockets were passed, the first is descriptor 3; 0 when none or not for this process. Marks them
 * cloexec and unsets the variables. -EINVAL for nonsense. */
int notify_listen_fds(void);

#endif
