/* SPDX-License-Identifier: MIT */
#include "bench_worth.h"

/* n(n+1)/2 modulo 2^64; of a negative one too, so that a difference is the sum of what lies between. The even
 * factor is halved first. */
static uint64_t passed_to(int64_t n)
{
	uint64_t half = (uint64_t)(n % 2 == 0 ? n / 2 : (n - 1) / 2 + 1);
	return half * (n % 2 == 0 ? (uint64_t)n + 1 : (uint64_t)n);
}

void bench_worth_add(struct bench_worth *w, int64_t value)
{
	w->sum += (uint64_t)value;
	w->passed += passed_to(value);
	w->least = value < w->least ? value : w->least;
	w->most = value > w->most ? value : w->most;
}

int bench_worth_judge(const struct bench_worth *before, const struct bench_worth *after,
		      const struct reply_values *answers, bool are_increments)
{
	bool is_any = answers->least <= answers->most;
	if (answers->absent > 0)
		return WORTH_ABSENT;
	if (is_any && (answers->least < before->least || answers->most > after->most ||
		       (are_increments && answers->least == before->least)))
		return WORTH_OUTSIDE;
	return are_increments && answers->sum != after->passed - before->passed ? WORTH_OTHER : WORTH_FITS;
}
