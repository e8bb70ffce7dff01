/* SPDX-License-Identifier: MIT */
/* config_row.c - a row of the table and the field it stands for: see config_private.h. */
#include "config_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

const struct config_row *config_row_find(const char *name)
{
	for (size_t i = 0; i < config_row_count; i++)
		if (strcmp(config_rows[i].name, name) == 0)
			return &config_rows[i];
	return NULL;
}

struct config_value config_row_load(const struct config *c, const struct config_row *row)
{
	const void *field = (const char *)c + row->offset;
	struct config_value value = {0};
	switch (row->storage) {
	case AS_STRING: value.text = *(char *const *)field; break;
	case AS_MODE: value.number = *(const mode_t *)field; break;
	case AS_U32: value.number = *(const uint32_t *)field; break;
	case AS_I64: value.number = *(const int64_t *)field; break;
	case AS_ENUM: value.number = *(const unsigned *)field; break;
	case AS_BOOL: value.number = *(const bool *)field; break;
	case AS_ATOMIC_INT:
		value.number = atomic_load_explicit((const _Atomic int *)field, memory_order_relaxed);
		break;
	case AS_ATOMIC_I64:
		value.number = atomic_load_explicit((const _Atomic int64_t *)field, memory_order_relaxed);
		break;
	case AS_ATOMIC_STRING:
		/* acquire: pairs with the release in config_row_store. */
		value.text = atomic_load_explicit((const _Atomic(char *) *)field, memory_order_acquire);
		break;
	}
	return value;
}

/* Somebody may be reading it: it lasts as long as the config. Without memory for the note it lasts longer. */
static void keep_old(struct config *c, char *text)
{
	char **old = text != NULL ? reallocarray(c->old, c->old_count + 1, sizeof(*old)) : NULL;
	if (old == NULL)
		return;
	c->old = old;
	c->old[c->old_count++] = text;
}

void config_row_store(struct config *c, const struct config_row *row, struct config_value value)
{
	void *field = (char *)c + row->offset;
	switch (row->storage) {
	case AS_STRING:
		free(*(char **)field);
		*(char **)field = value.text;
		break;
	case AS_MODE: *(mode_t *)field = (mode_t)value.number; break;
	case AS_U32: *(uint32_t *)field = (uint32_t)value.number; break;
	case AS_I64: *(int64_t *)field = value.number; break;
	case AS_ENUM: *(unsigned *)field = (unsigned)value.number; break;
	case AS_BOOL: *(bool *)field = value.number != 0; break;
	case AS_ATOMIC_INT:
		atomic_store_explicit((_Atomic int *)field, (int)value.number, memory_order_relaxed);
		break;
	case AS_ATOMIC_I64:
		atomic_store_explicit((_Atomic int64_t *)field, value.number, memory_order_relaxed);
		break;
	case AS_ATOMIC_STRING:
		/* release: who reads the pointer reads the text. */
		keep_old(c, atomic_exchange_explicit((_Atomic(char *) *)field, value.text,
						     memory_order_release));
		break;
	}
}

void config_row_format(const struct config *c, const struct config_row *row, char *out, size_t out_size)
{
	struct config_value value = config_row_load(c, row);
	config_value_format(&row->rule, &value, out, out_size);
}

int config_row_set(struct config *c, const struct config_row *row, const char *text, const char *base,
		   int outcome, char *why)
{
	struct config_value value;
	if (config_value_parse(&row->rule, text, base, &value, why, CONFIG_WHY_MAX) != 0)
		return outcome;
	config_row_store(c, row, value);
	return CONFIG_OK;
}
