/* SPDX-License-Identifier: MIT */
/*
 * help.h - `shcount help`: made from the same tables that the command line is read with.
 */
#ifndef SHC_HELP_H
#define SHC_HELP_H

#include "command.h"

/* Both print to stdout and return the exit status. */
int help_list(const struct command *const *commands, size_t count, const struct option_spec *globals);
int help_command(const struct command *command, const struct option_spec *globals);

#endif
