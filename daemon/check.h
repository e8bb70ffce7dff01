/* SPDX-License-Identifier: MIT */
/*
 * check.h - `shcounterd --check`: whether a start would succeed here, and go on well. Changes nothing.
 */
#ifndef SHC_CHECK_H
#define SHC_CHECK_H

#include "config.h"

/* Reads the whole database (store_check). With a configuration file also what that leads to: the directory of
 * the state and who has it, free space, the socket's place and group. Tells a line for each thing, with what
 * to change where something is wrong. Returns an exit status: 0; 65 the database is not what it should be;
 * 74, 77, 78 as a start would end. What is wrong with the database comes first. */
int check_run(const struct config *config);

#endif
