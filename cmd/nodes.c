/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nodes.h"

struct node_answers {
	struct node_answer *list; /* owned */
	size_t count, cap;
	bool has_failed; /* no memory */
};

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

static int ask(struct shc *shc, const char *command, struct node_answers *out)
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

static void free_answers(struct node_answers *answers)
{
	for (size_t i = 0; i < answers->count; i++) {
		free(answers->list[i].name);
		free(answers->list[i].text);
	}
	free(answers->list);
}

int nodes_show(const struct invocation *inv, struct shc *shc, const char *command, const char *heading,
	       node_show_fn *show)
{
	struct node_answers answers;
	struct output out;
	int rc = ask(shc, command, &answers);
	bool is_asked = rc == EX_OK;
	output_init(&out, STDOUT_FILENO, true);
	if (is_asked && heading && !inv->is_json && !inv->is_quiet)
		output_text(&out, slice_str(heading));
	for (size_t i = 0; is_asked && i < answers.count; i++) {
		if (!inv->is_quiet)
			show(inv, &out, &answers.list[i]);
		if (!answers.list[i].is_answered)
			rc = command_fail(EX_UNAVAILABLE, "%s", answers.list[i].text);
	}
	int written = output_finish(&out);
	free_answers(&answers);
	return rc ? rc : written;
}
