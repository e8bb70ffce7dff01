/* SPDX-License-Identifier: MIT */
#include "revive.h"
#include "shcount_impl.h"

void revive_on(struct shc *shc, revive_fn *fn, void *arg)
{
	shc->wire.revive = fn;
	shc->wire.revive_arg = arg;
}

const char *revive_path(const struct shc *shc)
{
	return shc->wire.url.kind == URL_UNIX ? shc->wire.url.path : NULL;
}
