/* SPDX-License-Identifier: MIT */
/*
 * config_default.h - the settings that depend on the machine and on who runs the daemon. Reads the
 * environment.
 */
#ifndef SHC_CONFIG_DEFAULT_H
#define SHC_CONFIG_DEFAULT_H

#include <stdint.h>

enum { CONFIG_WORKERS_MAX = 128 };

/* CPUs this process may run on, 1 to CONFIG_WORKERS_MAX. */
uint32_t config_default_workers(void);

/* systemd's directory for the service, the system's for root, the user's own. Heap; null when out of memory.
 */
char *config_default_socket(void);
char *config_default_db(void);

#endif
