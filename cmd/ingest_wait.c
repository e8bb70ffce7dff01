/* SPDX-License-Identifier: MIT */
/*
 * ingest_wait.c - between two reads: whether to stop, and what is sent while the input keeps us waiting.
 */
#include <errno.h>

#include "../lib/conn.h"
#include "command.h"
#include "ingest.h"
#include "signals.h"
#include "stream.h"

/* A plain send waits for its answers: it may take this part of the time, so that fast pipes stay fast. */
enum { SEND_SHARE = 10 };

/* Since when has anything waited to be sent, or to be known safe? */
static void note_gathered(struct ingest *in)
{
	bool is_fresh = in->stream && in->stream->is_fresh;
	if (in->batch_begin_ns == 0 && (is_fresh || ingest_has_gathered(in)))
		in->batch_begin_ns = conn_now_ns();
}

/* Until something is to be sent; -1: nothing is. */
static int64_t patience_ns(const struct ingest *in)
{
	if (in->batch_begin_ns == 0 || (in->stream && in->stream->is_in_long_line))
		return -1;
	int64_t most_ns = in->send_ns * SEND_SHARE;
	if (most_ns < INGEST_BATCH_NS_MAX)
		most_ns = INGEST_BATCH_NS_MAX;
	int64_t left_ns = in->batch_begin_ns + most_ns - conn_now_ns();
	return left_ns > 0 ? left_ns : 0;
}

static int send_meanwhile(struct ingest *in)
{
	if (in->stream)
		return stream_send_meanwhile(in);
	int64_t begin_ns = conn_now_ns();
	int rc = ingest_send_gathered(in);
	in->send_ns = conn_now_ns() - begin_ns;
	return rc;
}

/* Positive when there is something to read, 0 to look again, or -errno. */
static int wait_once(struct ingest *in, int fd)
{
	note_gathered(in);
	int64_t ns = patience_ns(in), beat_ns = progress_beat_ns(&in->progress);
	if (ns == 0)
		return send_meanwhile(in) ? -ECANCELED : 0;
	int n = signals_wait_readable(fd, beat_ns >= 0 && (ns < 0 || beat_ns < ns) ? beat_ns : ns);
	progress_update(&in->progress, &in->seen);
	return n == -EINTR ? 0 : n;
}

/* A regular file is always ready: only signals are looked for. */
int ingest_wait(struct ingest *in, int fd)
{
	note_gathered(in);
	int n = 0;
	while (n == 0) {
		if (signals_stop())
			return -ECANCELED;
		n = in->is_regular ? 1 : wait_once(in, fd);
	}
	return n > 0 ? 0 : n;
}
