/* SPDX-License-Identifier: MIT */
/* oracle.c - see oracle.h. On the test's own stack, or stepped out. */
#include "oracle.h"

#include <string.h>

#include "../../daemon/server.h"
#include "../../daemon/window.h"
#include "clients.h"
#include "kept.h"
#include "net.h"
#include "sim.h"

enum { TICKETS_MAX = 1 << 16 };

struct sum {
	int64_t acked, pending, lost;
	int64_t durable; /* surely */
	int64_t left;	 /* acknowledged, as far as the daemon has let go of it */
	uint8_t seen[TICKETS_MAX / 8];
};

static struct sum sums[SUM_COUNT];
static const char *const names[SUM_COUNT] = {"src", "ticket", "add1", "add2", "add3", "add4", "add5", "add6"};
static bool is_flushing, is_expiring, may_refuse;
static struct {
	int64_t ends_ms; /* the newest that anybody was told of */
	uint8_t seen[TICKETS_MAX / 8];
} life;
static int64_t told;
static uint64_t open_seen, durable_seen;

void oracle_init(bool flushing, bool expiring)
{
	memset(sums, 0, sizeof(sums));
	memset(&life, 0, sizeof(life));
	is_expiring = expiring;
	oracle_once_init();
	is_flushing = flushing;
	told = 0;
	open_seen = durable_seen = 0;
}

bool oracle_is_flushing(void)
{
	return is_flushing;
}

bool oracle_is_expiring(void)
{
	return is_expiring;
}

const char *oracle_sum_name(uint32_t sum)
{
	return names[sum];
}

/* ---- additions ---- */

void oracle_note_low(int64_t *low)
{
	for (size_t i = 0; i < SUM_COUNT; i++)
		low[i] = sums[i].acked;
}

void oracle_sum_sent(uint32_t sum, int64_t delta)
{
	sums[sum].pending += delta;
}

void oracle_sum_acked(uint32_t sum, int64_t delta)
{
	struct sum *s = &sums[sum];

	s->pending -= delta;
	s->acked += delta;
	if (clients_is_commit_mode())
		s->durable = s->acked;
}

void oracle_sum_refused(uint32_t sum, int64_t delta)
{
	sums[sum].pending -= delta;
}

void oracle_sum_lost(uint32_t sum, int64_t delta)
{
	sums[sum].pending -= delta;
	sums[sum].lost += delta;
}

static int64_t most(const struct sum *s)
{
	return s->acked + s->pending + s->lost;
}

/* ---- replies ---- */

const char *oracle_sum_read(uint32_t sum, int64_t value, int64_t low)
{
	struct sum *s = &sums[sum];

	if (is_flushing)
		return NULL;
	if (value < low)
		return "it misses what was acknowledged before";
	if (value > most(s))
		return "it is more than was ever sent";
	if (clients_is_commit_mode() && value > s->durable)
		s->durable = value;
	if (sum == SUM_TICKET && value > told)
		told = value;
	return NULL;
}

const char *oracle_sum_stored(uint32_t sum, int64_t value)
{
	int64_t kept;

	if (is_flushing)
		return NULL;
	(void)kept_counter(names[sum], &kept);
	if (kept < value)
		return "it is not on disk";
	if (value > sums[sum].durable)
		sums[sum].durable = value;
	return NULL;
}

const char *oracle_ticket(uint32_t sum, int64_t value, int64_t low)
{
	uint8_t *byte = &sums[sum].seen[value / 8 % (TICKETS_MAX / 8)], bit = (uint8_t)(1U << value % 8);

	if (is_flushing)
		return NULL;
	if (value <= low)
		return "a ticket that is not above those drawn before";
	if (*byte & bit)
		return "a ticket that was drawn before";
	*byte |= bit;
	return oracle_sum_read(sum, value, low);
}

const char *oracle_life(int64_t value, int64_t ends_ms)
{
	uint8_t bit = (uint8_t)(1U << value % 8);

	/* What was not held may be lost, and drawn again. */
	if (!clients_is_commit_mode() || ends_ms < life.ends_ms)
		return NULL;
	if (ends_ms > life.ends_ms)
		memset(life.seen, 0, sizeof(life.seen));
	life.ends_ms = ends_ms;
	if (life.seen[value / 8] & bit)
		return "a number that was drawn before in this life";
	life.seen[value / 8] |= bit;
	return NULL;
}

const char *oracle_sum_leaves(uint32_t sum, int64_t value)
{
	int64_t kept;

	(void)kept_counter(names[sum], &kept);
	return is_flushing || kept >= value ? NULL : "it leaves before it is on disk";
}

const char *oracle_sum_ack_leaves(uint32_t sum, int64_t delta)
{
	sums[sum].left += delta;
	return oracle_sum_leaves(sum, sums[sum].left);
}

void oracle_barrier(const struct op *op)
{
	for (size_t i = 0; i < SUM_COUNT; i++)
		if (op->low[i] > sums[i].durable)
			sums[i].durable = op->low[i];
	oracle_once_barrier(op->low_once);
}

int64_t oracle_told(void)
{
	return told;
}

bool oracle_may_refuse(void)
{
	return may_refuse;
}

void oracle_set_may_refuse(bool may)
{
	may_refuse = may;
}

/* ---- the disk ---- */

static void check_sum(const struct sum *s, const char *name)
{
	int64_t value;

	(void)kept_counter(name, &value);
	sim_check(value >= s->durable, "%s is %lld on disk, was durable as %lld", name, (long long)value,
		  (long long)s->durable);
	sim_check(value <= most(s), "%s is %lld on disk, at most %lld was sent", name, (long long)value,
		  (long long)most(s));
}

static void check_alike(const char *one, const char *other)
{
	int64_t a, b;
	bool has_a = kept_counter(one, &a), has_b = kept_counter(other, &b);

	sim_check(has_a == has_b && a == b, "epoch %llu has half of something: %s is %s %lld, %s %s %lld",
		  (unsigned long long)kept_epoch(), one, has_a ? "there," : "not there,", (long long)a, other,
		  has_b ? "there," : "not there,", (long long)b);
	sim_check(!has_a || kept_side(one)->expire_at_ms == kept_side(other)->expire_at_ms,
		  "epoch %llu: %s and %s expire at different times", (unsigned long long)kept_epoch(), one,
		  other);
}

void oracle_landed(void)
{
	int64_t a, b;

	check_alike("pair1", "pair2");
	check_alike("twin1", "twin2");
	check_alike("left", "right");
	oracle_once_landed();
	if (is_flushing)
		return;
	(void)kept_counter("src", &a);
	(void)kept_counter("dst", &b);
	sim_check(b <= a, "epoch %llu has dst = %lld, which came from src, but src = %lld",
		  (unsigned long long)kept_epoch(), (long long)b, (long long)a);
	for (size_t i = 0; i < SUM_COUNT; i++)
		check_sum(&sums[i], names[i]);
}

/* ---- recovery ---- */

/* What was lost may be drawn again. */
static void forget_above(struct sum *s, int64_t value)
{
	for (int64_t v = value + 1; v <= value + TICKETS_MAX / 2; v++)
		s->seen[v / 8 % (TICKETS_MAX / 8)] &= (uint8_t) ~(1U << v % 8);
}

void oracle_recovered(void)
{
	oracle_landed();
	oracle_once_recovered();
	for (size_t i = 0; i < SUM_COUNT; i++) {
		struct sum *s = &sums[i];
		int64_t value;

		(void)kept_counter(names[i], &value);
		if (!clients_is_commit_mode())
			forget_above(s, value);
		s->acked = s->durable = s->left = value;
		s->pending = s->lost = 0;
	}
	(void)kept_counter("src", &told);
	open_seen = durable_seen = 0;
}

/* ---- memory ---- */

struct rest {
	size_t live;
	struct server *server;
};

static void check_side(const char *name, const struct extra *x)
{
	const struct kept_side *kept = kept_side(name);
	struct window_sum sum;

	sim_check(kept->expire_at_ms == (x ? atomic_load(&x->expire_at_ms) : 0),
		  "%s expires at another time on disk", name);
	sim_check(kept->tat_ns == (x ? x->tat_ns : 0), "the limit of %s is another on disk", name);
	(void)window_sum(x ? x->window : NULL, 0, INT64_C(30) * 24 * 3600 * 1000, &sum);
	sim_check(kept->hits == sum.hits, "%s has %llu hits in memory and %llu on disk", name,
		  (unsigned long long)sum.hits, (unsigned long long)kept->hits);
}

static void check_counter(void *arg, struct counter *c)
{
	struct rest *rest = arg;
	struct counter_view view = counter_read(c);
	char name[256] = "";
	int64_t kept;

	if (!counter_has_object(view.object) ||
	    counter_id(view.object) < registry_floor(&rest->server->registry))
		return;
	memcpy(name, c->name, c->name_len);
	rest->live++;
	sim_check(kept_counter(name, &kept), "%s is in memory and not on disk", name);
	sim_check(kept == view.value, "%s is %lld in memory and %lld on disk", name, (long long)view.value,
		  (long long)kept);
	sim_check(counter_id(view.object) == kept_counter_id(name), "%s has another id on disk", name);
	check_side(name, counter_has_extra(view.object) ? counter_extra_of(view.object) : NULL);
}

void oracle_at_rest(void)
{
	struct rest rest = {.server = net_server()};

	(void)registry_walk(&rest.server->registry, 0, SIZE_MAX, check_counter, &rest);
	sim_check(rest.live == kept_counter_count(), "%zu counters in memory, %zu on disk", rest.live,
		  kept_counter_count());
	sim_check((int64_t)rest.live == atomic_load(&rest.server->registry.live_count),
		  "%zu counters, DBSIZE says %lld", rest.live,
		  (long long)atomic_load(&rest.server->registry.live_count));
	for (size_t i = 0; i < SUM_COUNT && !is_flushing; i++) {
		int64_t value;

		(void)kept_counter(names[i], &value);
		sim_check(value >= sums[i].acked && sums[i].pending == 0,
			  "%s is %lld, acknowledged were %lld", names[i], (long long)value,
			  (long long)sums[i].acked);
	}
}

void oracle_step(void)
{
	const struct server *s = net_server();
	uint64_t open, sealed, durable;

	if (!s)
		return;
	open = atomic_load_explicit(&s->clock.open, memory_order_relaxed);
	sealed = atomic_load_explicit(&s->clock.sealed, memory_order_relaxed);
	durable = atomic_load_explicit(&s->clock.durable, memory_order_relaxed);
	sim_check(open >= open_seen && durable >= durable_seen, "an epoch goes back");
	sim_check(durable <= sealed && sealed < open && open - durable <= 2,
		  "epochs: %llu open, %llu sealed, %llu durable", (unsigned long long)open,
		  (unsigned long long)sealed, (unsigned long long)durable);
	open_seen = open;
	durable_seen = durable;
}
