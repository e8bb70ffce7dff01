/* SPDX-License-Identifier: MIT */
/*
 * ring.c - one io_uring with its provided buffers. The only file with liburing.h.
 *
 * SINGLE_ISSUER: only the thread that made it enters. DEFER_TASKRUN: completions are made only while it is
 * inside the kernel, so between two entries the queue stands still, and what we give back (places in the
 * queue, buffers) need be told only before the next one. Needs Linux 6.1 and liburing 2.3.
 */
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define NS_PER_S 1000000000

/* The stride is a cache line more than the size: buffers that all began at the same offset of a page would
 * fight for a few sets of the caches. Untouched ones cost address space only. */
#define BUF_SIZE	 16384u
#define BUF_STRIDE	 (BUF_SIZE + 64u)
#define BUF_RING_BYTES	 (RING_BUF_COUNT * sizeof(struct io_uring_buf))
#define BUF_MEMORY_BYTES ((size_t)RING_BUF_COUNT * BUF_STRIDE)
#define BUF_GROUP	 0

/* Queue entries. A submission entry takes 64 bytes, a completion 16. */
#define SQ_MIN	  32u
#define SQ_MAX	  512u
#define CQ_PER_SQ 4u

struct ring {
	struct io_uring uring;
	struct io_uring_buf_ring *bufs;
	char *buf_memory;
	int bufs_returned;   /* not yet told to the kernel */
	unsigned cqes_taken; /* not yet told to the kernel */
	int error;	     /* for good; ring_enter() says so */
	bool loses_eof;
};

/* -- the kernel -- */

static void publish(struct ring *ring)
{
	if (ring->cqes_taken)
		io_uring_cq_advance(&ring->uring, ring->cqes_taken);
	if (ring->bufs_returned)
		io_uring_buf_ring_advance(ring->bufs, ring->bufs_returned);
	ring->cqes_taken = 0;
	ring->bufs_returned = 0;
}

static bool is_passing(int error)
{
	/* EBUSY: completions wait for room in the queue. EAGAIN: no memory for a request right now. */
	return error == -ETIME || error == -EINTR || error == -EBUSY || error == -EAGAIN;
}

int ring_enter(struct ring *ring, int64_t timeout_ns)
{
	struct __kernel_timespec timeout = {.tv_sec = timeout_ns / NS_PER_S,
					    .tv_nsec = timeout_ns % NS_PER_S};
	struct io_uring_cqe *unused; /* after a signal it is null whatever the result says */
	int ret;

	if (ring->error < 0)
		return ring->error;
	publish(ring);
	if (timeout_ns == 0)
		ret = io_uring_submit_and_get_events(&ring->uring);
	else if (timeout_ns < 0)
		ret = io_uring_submit_and_wait(&ring->uring, 1);
	else
		ret = io_uring_submit_and_wait_timeout(&ring->uring, &unused, 1, &timeout, NULL);
	return ret < 0 && !is_passing(ret) ? ret : 0;
}

/* -- operations -- */

static struct io_uring_sqe *sqe_get(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	int ret;

	if (sqe)
		return sqe;
	publish(ring);
	do
		ret = io_uring_submit(&ring->uring);
	while (ret == -EINTR);
	sqe = io_uring_get_sqe(&ring->uring);
	if (!sqe)
		ring->error = ret < 0 ? ret : -EBUSY;
	return sqe;
}

bool ring_recv(struct ring *ring, int fd, uint64_t data)
{
	struct io_uring_sqe *sqe = sqe_get(ring);

	if (!sqe)
		return false;
	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUF_GROUP;
	io_uring_sqe_set_data64(sqe, data);
	return true;
}

bool ring_send(struct ring *ring, int fd, const char *bytes, size_t len, bool is_try, uint64_t data)
{
	struct io_uring_sqe *sqe = sqe_get(ring);
	int flags = MSG_WAITALL | MSG_NOSIGNAL;

	if (!sqe)
		return false;
	/* DONTWAIT: it ends inside the entry that submits it. WAITALL makes a short send a failure, which is
	 * posted even so. */
	if (is_try)
		flags |= MSG_DONTWAIT;
	io_uring_prep_send(sqe, fd, bytes, len < RING_SEND_MAX ? len : RING_SEND_MAX, flags);
	if (is_try)
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, data);
	return true;
}

bool ring_poll(struct ring *ring, int fd, unsigned events, uint64_t data)
{
	struct io_uring_sqe *sqe = sqe_get(ring);

	if (!sqe)
		return false;
	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data64(sqe, data);
	return true;
}

bool ring_poll_every(struct ring *ring, int fd, unsigned events, uint64_t data)
{
	struct io_uring_sqe *sqe = sqe_get(ring);

	if (!sqe)
		return false;
	io_uring_prep_poll_multishot(sqe, fd, events);
	io_uring_sqe_set_data64(sqe, data);
	return true;
}

bool ring_cancel(struct ring *ring, uint64_t target, uint64_t data)
{
	struct io_uring_sqe *sqe = sqe_get(ring);

	if (!sqe)
		return false;
	/* By user data: the kernel finds that through a hash. By descriptor it would look at every request.
	 */
	io_uring_prep_cancel64(sqe, target, 0);
	io_uring_sqe_set_data64(sqe, data);
	return true;
}

bool ring_is_submitted(const struct ring *ring)
{
	return io_uring_sq_ready(&ring->uring) == 0;
}

/* -- completions -- */

unsigned ring_ready(const struct ring *ring)
{
	const struct io_uring_cq *cq = &ring->uring.cq;

	/* Acquire: pairs with the kernel's release of the tail; the entries below it are whole. */
	return io_uring_smp_load_acquire(cq->ktail) - *cq->khead - ring->cqes_taken;
}

static const struct io_uring_cqe *cqe_at(const struct ring *ring, unsigned index)
{
	const struct io_uring_cq *cq = &ring->uring.cq;

	return &cq->cqes[(*cq->khead + ring->cqes_taken + index) & cq->ring_mask];
}

uint64_t ring_peek(const struct ring *ring, unsigned index)
{
	return cqe_at(ring, index)->user_data;
}

bool ring_take(struct ring *ring, struct ring_completion *out)
{
	const struct io_uring_cqe *cqe;

	if (ring_ready(ring) == 0)
		return false;
	cqe = cqe_at(ring, 0);
	out->data = cqe->user_data;
	out->res = cqe->res;
	out->is_last = !(cqe->flags & IORING_CQE_F_MORE);
	out->buf = cqe->flags & IORING_CQE_F_BUFFER ? (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT)
						    : RING_BUF_NONE;
	ring->cqes_taken++;
	return true;
}

bool ring_has_overflow(const struct ring *ring)
{
	return io_uring_cq_has_overflow(&ring->uring);
}

const char *ring_buf(const struct ring *ring, int buf)
{
	return ring->buf_memory + (size_t)buf * BUF_STRIDE;
}

void ring_buf_return(struct ring *ring, int buf)
{
	io_uring_buf_ring_add(ring->bufs, ring->buf_memory + (size_t)buf * BUF_STRIDE, BUF_SIZE,
			      (unsigned short)buf, io_uring_buf_ring_mask(RING_BUF_COUNT),
			      ring->bufs_returned);
	ring->bufs_returned++;
}

/* -- making and freeing -- */

enum { TEST_RECV = 1, TEST_CANCEL };

struct self_test {
	bool has_data;
	bool has_end;
	bool is_over; /* the request has ended */
	int error;
};

static void self_test_reap(struct ring *ring, struct self_test *test)
{
	struct ring_completion completion;

	while (ring_take(ring, &completion)) {
		if (completion.buf != RING_BUF_NONE)
			ring_buf_return(ring, completion.buf);
		if (completion.data != TEST_RECV)
			continue;
		test->has_data |= completion.res > 0;
		test->has_end |= completion.res == 0;
		test->is_over |= completion.is_last;
		if (completion.res < 0 && completion.res != -ECANCELED)
			test->error = completion.res;
	}
}

static int self_test_run(struct ring *ring, const int fds[2], struct self_test *test)
{
	int ret;

	ring_recv(ring, fds[0], TEST_RECV);
	ret = io_uring_submit(&ring->uring);
	if (ret < 0)
		return ret;
	if (send(fds[1], "x", 1, MSG_NOSIGNAL) != 1 || shutdown(fds[1], SHUT_WR) < 0)
		return -errno;
	ret = ring_enter(ring, 0);
	self_test_reap(ring, test);
	if (test->is_over || ret < 0)
		return ret;
	/* No end though it is there: take the request back. */
	ring_cancel(ring, TEST_RECV, TEST_CANCEL);
	while (!test->is_over && ret == 0) {
		ret = ring_enter(ring, NS_PER_S);
		self_test_reap(ring, test);
	}
	return ret;
}

/* Tries once what every connection will need. Also finds out about a bug of some kernels from Linux 6.17 on
 * (fixed in the spring of 2026): when data and the shutdown behind it arrive before the receiver enters, a
 * multishot recv on an AF_UNIX socket tells the data and never the end. Completions are made only when we
 * enter, so this is no race. */
static int self_test(struct ring *ring)
{
	struct self_test test = {.error = 0};
	int fds[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ret = self_test_run(ring, fds, &test);
	(void)close(fds[0]);
	(void)close(fds[1]);
	if (ret < 0)
		return ret;
	if (test.error < 0)
		return test.error;
	ring->loses_eof = !test.has_end;
	return test.has_data ? 0 : -EINVAL;
}

static int bufs_new(struct ring *ring)
{
	struct io_uring_buf_reg reg = {.ring_entries = RING_BUF_COUNT, .bgid = BUF_GROUP};
	size_t size = BUF_RING_BYTES + BUF_MEMORY_BYTES;
	void *memory;
	int ret;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	/* A huge page would make untouched buffers resident. */
	(void)madvise(memory, size, MADV_NOHUGEPAGE);
	ring->bufs = memory;
	ring->buf_memory = (char *)memory + BUF_RING_BYTES;
	reg.ring_addr = (uint64_t)(uintptr_t)memory;
	ret = io_uring_register_buf_ring(&ring->uring, &reg, 0);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < RING_BUF_COUNT; i++)
		ring_buf_return(ring, (int)i);
	publish(ring);
	return 0;
}

static int queues_new(struct ring *ring, uint32_t conns_hint)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
						  IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE};
	unsigned entries = SQ_MIN;
	int ret;

	while (entries < conns_hint && entries < SQ_MAX)
		entries *= 2;
	params.cq_entries = entries * CQ_PER_SQ;
	ret = io_uring_queue_init_params(entries, &ring->uring, &params);
	if (ret < 0) {
		ring->uring.ring_fd = -1;
		return ret;
	}
	/* Saves the kernel a look-up of the descriptor at each entry; without it we only lose that. */
	(void)io_uring_register_ring_fd(&ring->uring);
	return 0;
}

struct ring *ring_free(struct ring *ring)
{
	if (!ring)
		return NULL;
	if (ring->uring.ring_fd >= 0)
		io_uring_queue_exit(&ring->uring);
	if (ring->bufs)
		(void)munmap(ring->bufs, BUF_RING_BYTES + BUF_MEMORY_BYTES);
	free(ring);
	return NULL;
}

int ring_new(struct ring **out, uint32_t conns_hint)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int ret;

	if (!ring)
		return -ENOMEM;
	ret = queues_new(ring, conns_hint);
	if (ret == 0)
		ret = bufs_new(ring);
	if (ret == 0)
		ret = self_test(ring);
	if (ret < 0) {
		ring_free(ring);
		return ret;
	}
	*out = ring;
	return 0;
}

bool ring_loses_eof(const struct ring *ring)
{
	return ring->loses_eof;
}
