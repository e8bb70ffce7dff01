/* SPDX-License-Identifier: MIT */
/*
 * cmd_uplink.c - a daemon's uplink: what it says of itself, and what an operator may do about it. The verbs
 * stand in one table.
 */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "nearest.h"
#include "output.h"
#include "target.h"
#include "uplink.h"

enum { OPTION_REPAIR };

static const struct option_spec options[] = {
	[OPTION_REPAIR] = {0, "repair", OPTION_FLAG, NULL, "with verify: put right what differs"},
	{0},
};

enum { INCARNATION_DIGITS = 16 };

int uplink_no_sense(const char *command)
{
	return command_fail(EX_UNAVAILABLE, "the answer to %s makes no sense: is that a shcounterd?",
			    command);
}

/* ---- what an operator may do ---- */

/* SHC.UPLINK `word`, with `operand` unless that is null. A change that got no answer is in doubt. */
static int change(struct shc *shc, const char *word, const char *operand, const struct shc_reply **reply)
{
	const char *const argv[] = {"SHC.UPLINK", word, operand};
	enum shc_status status = shc_command(shc, operand ? 3 : 2, argv, NULL, true, reply);
	return status ? command_status(shc, status) : EX_OK;
}

/* A number that was answered, under `key`, and with --json beside it whose it is. */
static int show(const struct invocation *inv, const char *whose_key, const char *key, int64_t number)
{
	struct output out;
	struct slice whose = slice_str(inv->operands[1]);
	output_init(&out, STDOUT_FILENO, inv->is_json);
	if (inv->is_json && !inv->is_quiet) {
		json_open(&out);
		json_bytes(&out, whose_key, whose);
		json_i64(&out, key, number);
		json_close(&out);
	} else if (!inv->is_quiet) {
		output_i64(&out, number);
		output_line(&out);
	}
	return output_finish(&out);
}

static int reset(const struct invocation *inv, struct shc *shc)
{
	const struct shc_reply *reply;
	int rc = change(shc, "RESET", inv->operands[1], &reply);
	if (rc)
		return rc;
	if (reply->type != SHC_T_INT)
		return uplink_no_sense("SHC.UPLINK RESET");
	return show(inv, "name", "total_before", reply->integer);
}

static int retire(const struct invocation *inv, struct shc *shc)
{
	char id[INCARNATION_DIGITS + 1] = "";
	const struct shc_reply *reply;
	for (int i = 0; i < INCARNATION_DIGITS; i++)
		id[i] = (char)tolower((unsigned char)inv->operands[1][i]);
	int rc = change(shc, "RETIRE", id, &reply);
	if (rc)
		return rc;
	if (reply->type != SHC_T_INT)
		return uplink_no_sense("SHC.UPLINK RETIRE");
	/* As likely as not a digit is wrong. */
	if (reply->integer == 0)
		command_fail(EX_OK, "no ledger had anything of %s: it was never there, or is retired already",
			     id);
	return show(inv, "incarnation", "ledgers", reply->integer);
}

static int show_accepted(void)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	json_open(&out);
	json_bool(&out, "accepted", true);
	json_close(&out);
	return output_finish(&out);
}

static int accept_state(const struct invocation *inv, struct shc *shc)
{
	const struct shc_reply *reply;
	int rc = change(shc, "ACCEPT", NULL, &reply);
	if (rc)
		return rc;
	return inv->is_json && !inv->is_quiet ? show_accepted() : EX_OK;
}

/* ---- the verbs ---- */

static int status(const struct invocation *inv, struct shc *shc)
{
	return uplink_status(inv, shc);
}

static int verify(const struct invocation *inv, struct shc *shc)
{
	return uplink_verify(inv, shc, inv->values[OPTION_REPAIR] != NULL);
}

static bool check_incarnation(const struct invocation *inv, const char *id)
{
	size_t digits = 0;
	while (isxdigit((unsigned char)id[digits]))
		digits++;
	if (digits == INCARNATION_DIGITS && id[digits] == '\0')
		return true;
	return command_usage(
		       inv,
		       "ID \"%.64s\": the 16 hexadecimal digits of an incarnation are expected, as uplink "
		       "status prints them",
		       id) == EX_OK;
}

/* ID and NAME are operands of one word of the help: what is to be checked of them differs. */
static const struct verb {
	const char *word;
	const char *operand; /* what it is called; null: it takes none */
	bool (*check)(const struct invocation *inv, const char *operand);
	int (*run)(const struct invocation *inv, struct shc *shc);
} verbs[] = {
	{"status", NULL, NULL, status},
	{"verify", NULL, NULL, verify},
	{"reset", "NAME", command_is_name, reset},
	{"retire", "ID", check_incarnation, retire},
	{"accept", NULL, NULL, accept_state},
};

enum { VERBS_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

/* Null after a complaint. */
static const struct verb *find_verb(const struct invocation *inv)
{
	const char *word = inv->operands[0];
	struct nearest n = {.word = word};
	for (size_t i = 0; i < VERBS_COUNT; i++) {
		if (strcmp(verbs[i].word, word) == 0)
			return &verbs[i];
		nearest_offer(&n, verbs[i].word);
	}
	if (n.found)
		command_usage(inv, "uplink has no \"%.32s\"; did you mean %s?", word, n.found);
	else
		command_usage(inv, "uplink has no \"%.32s\"", word);
	return NULL;
}

static bool check(const struct invocation *inv, const struct verb *v)
{
	if (inv->values[OPTION_REPAIR] && v->run != verify)
		return command_usage(inv, "--repair is for uplink verify") == EX_OK;
	if (!v->operand && inv->operands_count > 1)
		return command_usage(inv, "uplink %s takes less: \"%.64s\" is too much", v->word,
				     inv->operands[1]) == EX_OK;
	if (v->operand && inv->operands_count < 2)
		return command_usage(inv, "uplink %s needs more: shcount uplink %s %s", v->word, v->word,
				     v->operand) == EX_OK;
	return !v->operand || v->check(inv, inv->operands[1]);
}

static int run(struct invocation *inv)
{
	const struct verb *v = find_verb(inv);
	struct shc *shc;
	if (!v || !check(inv, v))
		return EX_USAGE;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	rc = target_check_daemon(inv, shc);
	if (rc == EX_OK)
		rc = v->run(inv, shc);
	shc_close(shc);
	return rc;
}

const struct command cmd_uplink = {
	.name = "uplink",
	.group = GROUP_SERVER,
	.operands = "status|verify|reset|retire|accept [NAME|ID]",
	.summary = "how the daemon and its cluster agree",
	.help = "  shcount uplink status            how far it is, and each node, WHAT<TAB>VALUE\n"
		"  shcount uplink verify            a line a counter; exit 1 when one differs\n"
		"  shcount uplink verify --repair   and put right what differs\n"
		"  shcount uplink reset visits      the total becomes 0; prints what it was\n"
		"  shcount uplink retire 6f1d20c9a4b37e58    that daemon is gone for good\n"
		"  shcount uplink accept            this restored state is the one to go on with\n"
		"\n"
		"A daemon with `uplink` in its configuration brings its counters to a Redis Cluster, where the total "
		"over all such daemons is. verify prints NAME, LOCAL, LEDGER, TOTAL and FOREIGN with tabs between: "
		"what is counted here, what the cluster has of this daemon, what all have together, and what "
		"other clients of the cluster have added; and behind them, when it is not right, why.\n"
		"\n"
		"retire moves what the incarnation ID has counted to what is of nobody, and prints in how many "
		"counters there was something; the total stays. reset and retire may be repeated.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 2,
	.is_local = true,
	.run = run,
};
