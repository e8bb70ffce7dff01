/* SPDX-License-Identifier: MIT */
/*
 * test_io_many.c - the io with many connections at once: shared buffers, full queues, slots used again.
 */
#include "../../daemon/io_backend.h"
#include "io_rig.h"

#include <sys/resource.h>

enum { MANY = 1000, GREETING = 64 };

/* As many as the limit on open files allows, two for each. */
static unsigned many_allowed(void)
{
	struct rlimit limit = {0};

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= 2 * MANY + 100)
		return MANY;
	print_message("only %u connections: RLIMIT_NOFILE is %u\n", (unsigned)(limit.rlim_cur - 100) / 2,
		      (unsigned)limit.rlim_cur);
	return (unsigned)(limit.rlim_cur - 100) / 2;
}

static bool have_all(const struct rig_conn *rcs, unsigned count, size_t len)
{
	for (unsigned i = 0; i < count; i++) {
		if (rcs[i].in_len < len)
			return false;
	}
	return true;
}

/* All peers have sent before the io looks: a thousand wake-ups, from 256 buffers and a queue for
 * `conns_hint`. */
static void many_at_once(void **state, uint32_t conns_hint)
{
	struct rig_conn *rcs = calloc(MANY, sizeof(*rcs));
	unsigned count = many_allowed();
	char data[GREETING];
	struct rig rig;

	rig_open(&rig, state, conns_hint);
	for (unsigned i = 0; i < count; i++) {
		rig_connect(&rig, &rcs[i], AF_UNIX);
		rcs[i].is_echo = true;
	}
	rig_settle(&rig);
	rig.waits = 0;
	for (size_t round = 0; round < 3; round++) {
		for (unsigned i = 0; i < count; i++) {
			rig_fill(data, GREETING, i, round * GREETING);
			rig_peer_send(&rcs[i], data, GREETING);
		}
		RIG_UNTIL(&rig, have_all(rcs, count, (round + 1) * GREETING));
		rig_settle(&rig);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(recv(rcs[i].peer_fd, data, GREETING, MSG_DONTWAIT), GREETING);
			rig_check(data, GREETING, i, round * GREETING);
		}
	}
	/* It did not turn round and round for want of buffers or room. */
	assert_in_range(rig.waits, 3, 300);
	for (unsigned i = 0; i < count; i++)
		rig_close_begin(&rig, &rcs[i]);
	for (unsigned i = 0; i < count; i++)
		rig_disconnect(&rig, &rcs[i]);
	rig_close(&rig);
	free(rcs);
}

static void test_thousand_connections_at_once_lose_nothing(void **state)
{
	many_at_once(state, MANY);
}

static void test_full_completion_queue_loses_nothing(void **state)
{
	many_at_once(state, 1);
}

enum { FLOODERS = 64, FLOOD = 300000 };

static void flood(struct rig *rig, struct rig_conn *rc, uint64_t stream)
{
	static char data[FLOOD];
	const int size = FLOOD; /* the kernel doubles it */

	rig_connect(rig, rc, AF_UNIX);
	assert_int_equal(setsockopt(rc->peer_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	rig_fill(data, FLOOD, stream, 0);
	rig_peer_send(rc, data, FLOOD);
}

/* Each round finds more data than all provided buffers hold (4 MiB), in sockets that are full at once. */
static void test_flood_without_buffers_left_loses_nothing(void **state)
{
	struct rig_conn rcs[FLOODERS];
	struct rig rig;

	rig_open(&rig, state, FLOODERS);
	for (unsigned i = 0; i < FLOODERS; i++)
		flood(&rig, &rcs[i], i);
	rig.waits = 0;
	RIG_UNTIL(&rig, have_all(rcs, FLOODERS, FLOOD));
	assert_in_range(rig.waits, 1, 100);
	for (unsigned i = 0; i < FLOODERS; i++) {
		assert_int_equal(rcs[i].in_len, FLOOD);
		rig_check(rcs[i].in, FLOOD, i, 0);
		rig_disconnect(&rig, &rcs[i]);
	}
	rig_close(&rig);
}

/* Pause, resume and close must also find a connection that stands in the queue for buffers. */
static void test_flood_can_be_paused_and_closed_while_it_waits_for_buffers(void **state)
{
	struct rig_conn rcs[FLOODERS];
	struct rig rig;

	rig_open(&rig, state, FLOODERS);
	for (unsigned i = 0; i < FLOODERS; i++)
		flood(&rig, &rcs[i], i);
	rig_round(&rig, RIG_PATIENCE_NS);
	for (unsigned i = 0; i < FLOODERS; i += 2)
		io_recv_pause(rig.io, &rcs[i].conn);
	for (unsigned i = 1; i < FLOODERS; i += 2)
		rig_close_begin(&rig, &rcs[i]);
	rig_settle(&rig);
	for (unsigned i = 1; i < FLOODERS; i += 2)
		assert_int_equal(rcs[i].closeds, 1);
	for (unsigned i = 0; i < FLOODERS; i += 2)
		io_recv_resume(rig.io, &rcs[i].conn);
	for (unsigned i = 0; i < FLOODERS; i += 2) {
		RIG_UNTIL(&rig, rcs[i].in_len == FLOOD);
		rig_check(rcs[i].in, FLOOD, i, 0);
	}
	for (unsigned i = 0; i < FLOODERS; i++)
		rig_disconnect(&rig, &rcs[i]);
	rig_close(&rig);
}

/* Data that came in for connections which have been closed meanwhile is not told; its buffers must come back.
 */
static void test_buffers_of_untold_data_come_back(void **state)
{
	enum { OTHERS = 4, TIMES = 200 }; /* together more than there are buffers */
	struct rig_conn first;
	struct rig_conn others[OTHERS];
	struct rig rig;
	struct io_event event;

	rig_open(&rig, state, 2);
	rig_connect(&rig, &first, AF_UNIX);
	for (unsigned i = 1; i <= TIMES; i++) {
		for (unsigned k = 0; k < OTHERS; k++)
			rig_connect(&rig, &others[k], AF_UNIX);
		rig_settle(&rig);
		rig_peer_send(&first, "x", 1);
		for (unsigned k = 0; k < OTHERS; k++)
			rig_peer_send(&others[k], "y", 1);
		assert_int_equal(io_wait(rig.io, RIG_PATIENCE_NS), 0);
		while (io_next(rig.io, &event)) {
			rig_note(&rig, &event);
			for (unsigned k = 0; k < OTHERS && event.type == IO_RECV; k++)
				rig_close_begin(&rig, &others[k]);
		}
		assert_int_equal(first.in_len, i);
		for (unsigned k = 0; k < OTHERS; k++)
			rig_disconnect(&rig, &others[k]);
	}
	rig_disconnect(&rig, &first);
	/* With one or two left it would go on, but at a crawl. */
	flood(&rig, &first, 1);
	rig.waits = 0;
	RIG_UNTIL(&rig, first.in_len == FLOOD);
	assert_in_range(rig.waits, 1, 10);
	rig_disconnect(&rig, &first);
	rig_close(&rig);
}

/* Each of many quiet sends stops half-way and says so: more completions than the smallest queue holds. A
 * wake-up comes in the middle of that. */
static void test_full_queue_loses_no_word_of_a_send_and_no_wake_up(void **state)
{
	enum { COUNT = 400, EACH = 400000, PIECE = 100000 };
	static struct rig_conn rcs[COUNT];
	static size_t got[COUNT];
	static char data[EACH];
	static char piece[PIECE];
	const uint64_t one = 1;
	unsigned done = 0;
	struct rig rig;

	rig_open(&rig, state, 1);
	memset(got, 0, sizeof(got));
	rig_fill(data, EACH, 7, 0);
	for (unsigned i = 0; i < COUNT; i++)
		rig_connect(&rig, &rcs[i], AF_UNIX);
	rig_settle(&rig);
	for (unsigned i = 0; i < COUNT; i++) {
		if (i == COUNT / 2)
			assert_int_equal(write(rig.wake_fd, &one, sizeof(one)), sizeof(one));
		io_send_quiet(rig.io, &rcs[i].conn, data, EACH);
	}
	RIG_UNTIL(&rig, rig.wakes > 0);
	rig_settle(&rig);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(rcs[i].sents, 0);
	while (done < COUNT) {
		done = 0;
		for (unsigned i = 0; i < COUNT; i++) {
			ssize_t n = recv(rcs[i].peer_fd, piece, PIECE, MSG_DONTWAIT);

			if (n > 0)
				rig_check(piece, (size_t)n, 7, got[i]);
			got[i] += n > 0 ? (size_t)n : 0;
			done += got[i] == EACH && rcs[i].sents == 1;
		}
		rig_settle(&rig);
	}
	rig.wakes = 0;
	assert_int_equal(write(rig.wake_fd, &one, sizeof(one)), sizeof(one));
	RIG_UNTIL(&rig, rig.wakes == 1);
	for (unsigned i = 0; i < COUNT; i++)
		rig_disconnect(&rig, &rcs[i]);
	rig_close(&rig);
}

static void test_one_flooder_does_not_starve_another(void **state)
{
	enum { ROUND_MAX = 512 << 10 }; /* bytes of one connection in one round: 32 buffers, or one read */
	static char data[100000];
	struct rig_conn flooder;
	struct rig_conn other;
	struct rig rig;

	rig_open(&rig, state, 2);
	rig_connect(&rig, &flooder, AF_UNIX);
	rig_connect(&rig, &other, AF_UNIX);
	rig_settle(&rig);
	for (unsigned i = 1; i <= 50; i++) {
		size_t before = flooder.in_len;

		rig_peer_send(&flooder, data, sizeof(data));
		rig_peer_send(&other, "x", 1);
		rig_round(&rig, RIG_PATIENCE_NS);
		assert_int_equal(other.in_len, i);
		assert_true(flooder.in_len - before <= (rig.kind == IO_EPOLL ? 65536 : ROUND_MAX));
		RIG_UNTIL(&rig, flooder.in_len == sizeof(data) * i);
	}
	rig_disconnect(&rig, &flooder);
	rig_disconnect(&rig, &other);
	rig_close(&rig);
}

static void test_slot_used_again_does_not_answer_for_its_last_tenant(void **state)
{
	struct io_conn first = {.fd = -1};
	struct io_conn second = {.fd = -1};
	struct io_slots slots;

	(void)state;
	io_slots_init(&slots);
	assert_int_equal(io_slots_take(&slots, &first), 0);
	assert_ptr_equal(io_slots_find(&slots, first.slot, first.generation), &first);
	io_slots_put(&slots, &first);
	assert_null(io_slots_find(&slots, first.slot, first.generation));
	assert_int_equal(io_slots_take(&slots, &second), 0);
	assert_int_equal(second.slot, first.slot);
	assert_null(io_slots_find(&slots, first.slot, first.generation));
	assert_ptr_equal(io_slots_find(&slots, second.slot, second.generation), &second);
	assert_null(io_slots_find(&slots, UINT32_MAX, 0));
	io_slots_fini(&slots);
}

/* -- a random schedule --
 *
 * Goal: whatever happens to connections in whatever order, each gets its own bytes, in order, and the life of
 * io.h. Method: 24 places; each step does something random at a random place or waits. A place that was
 * closed starts again with a new stream in the very round of its IO_CLOSED, so that its slot meets what is
 * left of its last tenant.
 */
enum { PLACES = 24, STEPS = 30000, SEND_BYTES_MAX = 300000 };

struct place {
	struct rig_conn rc; /* first */
	uint64_t stream;    /* peer to us; ours to the peer is the complement */
	size_t peer_sent;
	size_t peer_got;
	size_t taken;	  /* of rc.in, checked */
	size_t sent;	  /* by io_send, told or not */
	unsigned told;	  /* IO_SENT */
	unsigned started; /* io_send */
	bool is_ended;	  /* the peer has shut down */
	char *sending;
};

struct chaos {
	struct rig rig;
	struct place places[PLACES];
	uint64_t seed;
	uint64_t streams;
	uint64_t bytes;
};

static void place_start(struct chaos *c, struct place *p)
{
	free(p->rc.in);
	free(p->sending);
	if (p->rc.peer_fd >= 0)
		(void)close(p->rc.peer_fd);
	*p = (struct place){.stream = ++c->streams};
	rig_connect(&c->rig, &p->rc, rig_random(&c->seed) % 8 ? AF_UNIX : AF_INET);
}

static void place_peer_send(struct chaos *c, struct place *p)
{
	char data[20000];
	size_t len = 1 + rig_random(&c->seed) % (rig_random(&c->seed) % 4 ? 100 : sizeof(data));
	ssize_t n;

	if (p->is_ended || p->rc.peer_fd < 0)
		return;
	rig_fill(data, len, p->stream, p->peer_sent);
	n = send(p->rc.peer_fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	p->peer_sent += n > 0 ? (size_t)n : 0;
}

static void place_peer_recv(struct chaos *c, struct place *p)
{
	char data[50000];
	ssize_t n;

	if (p->rc.peer_fd < 0)
		return;
	n = recv(p->rc.peer_fd, data, 1 + rig_random(&c->seed) % sizeof(data), MSG_DONTWAIT);
	if (n <= 0)
		return;
	rig_check(data, (size_t)n, ~p->stream, p->peer_got);
	p->peer_got += (size_t)n;
	assert_true(p->peer_got <= p->sent);
}

static void place_peer_end(struct place *p, bool is_whole)
{
	p->is_ended = true;
	if (p->rc.peer_fd < 0)
		return;
	(void)shutdown(p->rc.peer_fd, SHUT_WR);
	if (is_whole)
		(void)close(p->rc.peer_fd);
	if (is_whole)
		p->rc.peer_fd = -1;
}

static void place_send(struct chaos *c, struct place *p)
{
	size_t len = 1 + rig_random(&c->seed) % (rig_random(&c->seed) % 4 ? 100 : SEND_BYTES_MAX);

	if (p->rc.fails > 0 || io_is_sending(&p->rc.conn))
		return;
	free(p->sending);
	p->sending = malloc(len);
	rig_fill(p->sending, len, ~p->stream, p->sent);
	p->sent += len;
	p->started++;
	if (rig_random(&c->seed) % 2)
		io_send_quiet(c->rig.io, &p->rc.conn, p->sending, len);
	else
		io_send(c->rig.io, &p->rc.conn, p->sending, len);
}

static void place_check(struct chaos *c, struct place *p)
{
	rig_check(p->rc.in + p->taken, p->rc.in_len - p->taken, p->stream, p->taken);
	c->bytes += p->rc.in_len - p->taken;
	p->taken = p->rc.in_len;
	assert_true(p->taken <= p->peer_sent);
	if (p->rc.eofs > 0) {
		assert_true(p->is_ended);
		assert_int_equal(p->taken, p->peer_sent);
	}
	assert_true(p->rc.sents <= p->started);
}

static void chaos_round(struct chaos *c, int64_t timeout_ns)
{
	struct io_event event;

	assert_int_equal(io_wait(c->rig.io, timeout_ns), 0);
	while (io_next(c->rig.io, &event)) {
		struct place *p = (struct place *)event.conn;

		rig_note(&c->rig, &event);
		place_check(c, p);
		/* Sometimes in mid-round, with more of it to be told. */
		if (p->rc.closeds > 0)
			place_start(c, p);
		else if (!p->rc.is_closing && rig_random(&c->seed) % 16 == 0)
			rig_close_begin(&c->rig, &p->rc);
		else if (!p->rc.is_closing && rig_random(&c->seed) % 4 == 0)
			place_send(c, p);
	}
}

static void chaos_step(struct chaos *c)
{
	struct place *p = &c->places[rig_random(&c->seed) % PLACES];
	unsigned what = (unsigned)(rig_random(&c->seed) % 64);

	if (what < 20)
		place_peer_send(c, p);
	else if (what < 32)
		place_peer_recv(c, p);
	else if (what < 34)
		place_peer_end(p, what == 33);
	else if (what >= 54)
		chaos_round(c, 0);
	else if (p->rc.is_closing)
		return;
	else if (what < 44)
		place_send(c, p);
	else if (what < 47)
		io_recv_pause(c->rig.io, &p->rc.conn);
	else if (what < 52)
		io_recv_resume(c->rig.io, &p->rc.conn);
	else
		rig_close_begin(&c->rig, &p->rc);
}

/* What the peers have sent must come to the last byte, and what we send must arrive. */
static void chaos_finish(struct chaos *c)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct place *p = &c->places[i];

		if (!p->rc.is_closing)
			io_recv_resume(c->rig.io, &p->rc.conn);
		if (p->rc.peer_fd >= 0)
			(void)shutdown(p->rc.peer_fd, SHUT_WR);
		p->is_ended = true;
	}
	for (size_t i = 0; i < PLACES; i++) {
		struct place *p = &c->places[i];

		while (!p->rc.is_closing &&
		       (p->rc.eofs + p->rc.fails == 0 || (p->rc.fails == 0 && io_is_sending(&p->rc.conn)))) {
			rig_round(&c->rig, 0);
			place_peer_recv(c, p);
		}
		place_check(c, p);
	}
	for (size_t i = 0; i < PLACES; i++) {
		rig_disconnect(&c->rig, &c->places[i].rc);
		free(c->places[i].sending);
	}
}

static void chaos_run(void **state, uint64_t seed)
{
	static struct chaos c;

	c = (struct chaos){.seed = seed};
	print_message("seed %llu\n", (unsigned long long)seed);
	rig_open(&c.rig, state, 1);
	for (size_t i = 0; i < PLACES; i++) {
		c.places[i].rc.peer_fd = -1;
		place_start(&c, &c.places[i]);
	}
	for (unsigned i = 0; i < STEPS; i++)
		chaos_step(&c);
	chaos_finish(&c);
	rig_close(&c.rig);
	/* The schedule must do something: thousands of connections, megabytes. */
	assert_true(c.streams > 300 && c.bytes > 1000000);
}

static void test_random_schedule_keeps_every_stream_whole(void **state)
{
	const char *given = getenv("SEED");

	if (given) {
		chaos_run(state, strtoull(given, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= 4; seed++)
		chaos_run(state, seed);
}

#define TEST_BOTH(fn) RIG_TEST(uring, fn), RIG_TEST(epoll, fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(test_thousand_connections_at_once_lose_nothing),
		TEST_BOTH(test_full_completion_queue_loses_nothing),
		cmocka_unit_test(test_slot_used_again_does_not_answer_for_its_last_tenant),
		TEST_BOTH(test_full_queue_loses_no_word_of_a_send_and_no_wake_up),
		TEST_BOTH(test_flood_without_buffers_left_loses_nothing),
		TEST_BOTH(test_flood_can_be_paused_and_closed_while_it_waits_for_buffers),
		TEST_BOTH(test_buffers_of_untold_data_come_back),
		TEST_BOTH(test_one_flooder_does_not_starve_another),
		TEST_BOTH(test_random_schedule_keeps_every_stream_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
