/* SPDX-License-Identifier: MIT */
/*
 * test_io_sweep.c - the sweep of io_uring.c, which finds ends of file that the kernel has lost.
 *
 * Goal: it works although the kernel at hand need not have the bug. Method: this program holds io_uring.c
 * itself, over a ring that loses on purpose: the end that comes with the first end of file is kept back, and
 * its request seems to go on until it is cancelled.
 */
#include "../../daemon/ring.h"

static bool lossy_loses_eof(const struct ring *ring);
static bool lossy_take(struct ring *ring, struct ring_completion *out);
static bool lossy_cancel(struct ring *ring, uint64_t target, uint64_t data);
static int lossy_enter(struct ring *ring, int64_t timeout_ns);

#define ring_loses_eof lossy_loses_eof
#define ring_take      lossy_take
#define ring_cancel    lossy_cancel
#define ring_enter     lossy_enter
#include "../../daemon/io_uring.c" /* in place of the object: the archive's is not linked then */
#undef ring_loses_eof
#undef ring_take
#undef ring_cancel
#undef ring_enter

#include "io_rig.h"

static unsigned ends_to_lose;
static unsigned entries;
static uint64_t lost;	  /* user data of the recv whose end was lost, 0: none */
static bool is_cancelled; /* ... and that has been cancelled since */

static bool lossy_loses_eof(const struct ring *ring)
{
	(void)ring;
	return true;
}

static int lossy_enter(struct ring *ring, int64_t timeout_ns)
{
	entries++;
	return ring_enter(ring, timeout_ns);
}

static bool lossy_cancel(struct ring *ring, uint64_t target, uint64_t data)
{
	if (lost != 0 && target == lost)
		is_cancelled = true;
	return ring_cancel(ring, target, data);
}

static bool lossy_take(struct ring *ring, struct ring_completion *out)
{
	if (is_cancelled) {
		*out = (struct ring_completion){
			.data = lost, .res = -ECANCELED, .buf = RING_BUF_NONE, .is_last = true};
		is_cancelled = false;
		lost = 0;
		return true;
	}
	while (ring_take(ring, out)) {
		if (ends_to_lose == 0 || op_of(out->data) != OP_RECV || out->res != 0)
			return true;
		ends_to_lose--;
		lost = out->data;
	}
	return false;
}

static void test_lost_end_behind_data_is_found(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	ends_to_lose = 1;
	rig_peer_send(&rc, "all", 3);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	RIG_UNTIL(&rig, rc.eofs == 1);
	assert_int_equal(ends_to_lose, 0);
	assert_int_equal(rc.in_len, 3);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_close_of_a_connection_with_a_lost_end_is_told(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	ends_to_lose = 1;
	rig_peer_send(&rc, "all", 3);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	RIG_UNTIL(&rig, rc.in_len == 3);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_sweep_leaves_the_living_alone_and_ends_with_silence(void **state)
{
	enum { COUNT = 3 * SWEEP_BATCH / 2 };
	struct rig_conn rcs[COUNT];
	int64_t start_ns;
	struct rig rig;

	rig_open(&rig, state, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		rig_connect(&rig, &rcs[i], AF_UNIX);
		rig_peer_send(&rcs[i], "x", 1);
	}
	for (unsigned i = 0; i < COUNT; i++)
		RIG_UNTIL(&rig, rcs[i].in_len == 1);
	/* One sweep, at the end of one shortened sleep; after it nothing shortens a sleep any more. */
	rig_round(&rig, 2 * SWEEP_NS);
	rig_round(&rig, 0);
	start_ns = rig_now_ns();
	entries = 0;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_round(&rig, 2 * SWEEP_NS), 0);
	assert_int_equal(entries, 2);
	assert_true(rig_now_ns() - start_ns >= 4 * SWEEP_NS);
	for (unsigned i = 0; i < COUNT; i++) {
		rig_peer_send(&rcs[i], "y", 1);
		RIG_UNTIL(&rig, rcs[i].in_len == 2);
		assert_int_equal(rcs[i].eofs, 0);
	}
	for (unsigned i = 0; i < COUNT; i++)
		rig_disconnect(&rig, &rcs[i]);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(uring, test_lost_end_behind_data_is_found),
		RIG_TEST(uring, test_close_of_a_connection_with_a_lost_end_is_told),
		RIG_TEST(uring, test_sweep_leaves_the_living_alone_and_ends_with_silence),
	};

	(void)rig_kind_epoll;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
