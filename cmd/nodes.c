/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "nodes.h"

static bool grow(struct node_answers *a)
{
	if (a->count < a->cap)
		return true;
	size_t cap = a->cap ? a->cap * 2 : 16;
	struct node_answer *list = reallocarray(a->list, cap, sizeof(*list));
	if (!list)
		return false;
	a->list = list;
	a->cap = cap;
	return true;
}

static void take(void *arg, const struct node *node, enum shc_status status, const struct resp_reply *reply,
		 const char *error)
{
	struct node_answers *a = arg;
	struct slice text = status == SHC_OK ? reply->str : slice_str(error);
	if (!grow(a)) {
		a->has_failed = true;
		return;
	}
	struct node_answer *one = &a->list[a->count++];
	*one = (struct node_answer){
		.name = strdup(cluster_name(node)),
		.slots = cluster_slots(node),
		.is_replica = cluster_is_replica(node),
		.is_answered = status == SHC_OK,
		.text = strndup(text.len ? text.data : "", text.len),
	};
	a->has_failed |= !one->name || !one->text;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct node_answer *)a)->name, ((const struct node_answer *)b)->name);
}

int nodes_ask(struct shc *shc, const char *command, struct node_answers *out)
{
	const struct slice word = slice_str(command);
	*out = (struct node_answers){0};
	enum shc_status status = redis_each(shc, true, 1, &word, take, out);
	if (out->has_failed)
		return command_fail(EX_IOERR, "out of memory");
	if (status)
		return command_status(shc, status);
	if (out->count == 0)
		return command_fail(
			EX_UNAVAILABLE,
			"the cluster names no node that can be reached: does it know its host names "
			"(cluster-announce-hostname)?");
	qsort(out->list, out->count, sizeof(*out->list), by_name);
	return EX_OK;
}

void nodes_free(struct node_answers *answers)
{
	for (size_t i = 0; i < answers->count; i++) {
		free(answers->list[i].name);
		free(answers->list[i].text);
	}
	free(answers->list);
}
