/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bsd/libutil.h>

#include "../lib/conn.h"
#include "autostart.h"
#include "holder.h"
#include "place.h"
#include "spawn.h"

#define SYSTEM_DIRECTORY "/run/shcounterd"
#define IDLE_EXIT	 "10m"

enum {
	NS_PER_MS = 1000000,
	PAUSE_MIN_NS = 1 * NS_PER_MS,
	PAUSE_MAX_NS = 20 * NS_PER_MS,
	PAUSE_REFUSED_MAX_NS = 500 * NS_PER_MS, /* when what was started is turned away again and again */
	LOG_BYTES_MAX = 1 << 20,		/* then it begins afresh */
	TAIL_BYTES_MAX = 4096,			/* of the log, in a complaint */
};

/* What is being done. */
struct start {
	struct shc *shc;
	const char *socket;
	int64_t deadline_ns, pause_ns;
	int lock_fd; /* -1: somebody else starts one */
	char program[PATH_MAX], db[PATH_MAX], log[PATH_MAX];
	off_t log_begin; /* where the words of the one we started begin */
	pid_t child;	 /* 0: none is running */
	int ended;	 /* its wait status; -1: it has not ended */
	int started;	 /* so many */
	bool is_refused; /* the last one was turned away */
};

const char *autostart_refusal(void)
{
	const char *wish = getenv("SHCOUNT_AUTOSTART");
	if (wish && strcmp(wish, "0") == 0)
		return "SHCOUNT_AUTOSTART=0: none is started";
	if (access(SYSTEM_DIRECTORY, F_OK) == 0)
		return SYSTEM_DIRECTORY " exists, so the system's daemon may be about to come back, and no "
					"other one is started";
	return NULL;
}

/* ---- the daemon ---- */

/* EX_OK, or an exit status after a complaint. */
static int open_log(struct start *s, int *out)
{
	struct stat st;
	int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st))
		return command_fail(place_exit_of(errno), "%s: cannot write the log of your daemon: %s",
				    s->log, strerror(errno));
	s->log_begin = st.st_size > LOG_BYTES_MAX && ftruncate(fd, 0) == 0 ? 0 : st.st_size;
	*out = fd;
	return EX_OK;
}

static int start_daemon(struct start *s)
{
	const char *const argv[] = {"shcounterd", "--socket", s->socket,     "--socket-mode", "0600",
				    "--db",	  s->db,      "--idle-exit", IDLE_EXIT,	      NULL};
	int log_fd = -1, exit_status = spawn_find(s->program);
	if (!exit_status)
		exit_status = open_log(s, &log_fd);
	if (exit_status)
		return exit_status;
	if (s->started == 0)
		s->pause_ns = PAUSE_MIN_NS;
	s->ended = -1;
	int error = spawn_run(s->program, argv, log_fd, s->started++ == 0, &s->child);
	close(log_fd);
	if (error)
		return command_fail(EX_UNAVAILABLE, "%s: cannot be run: %s", s->program, strerror(error));
	return EX_OK;
}

/* ---- when it has ended ---- */

/* What it wrote since it was started, a line each; of very much the end. */
static void show_log(const struct start *s)
{
	char text[TAIL_BYTES_MAX + 1], *rest = text, *line;
	struct stat st;
	int fd = open(s->log, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	if (fd >= 0 && fstat(fd, &st) == 0) {
		off_t tail = st.st_size - TAIL_BYTES_MAX;
		bool is_cut = tail > s->log_begin;
		n = pread(fd, text, TAIL_BYTES_MAX, is_cut ? tail : s->log_begin);
		text[n > 0 ? n : 0] = '\0';
		if (n > 0 && is_cut)
			(void)strsep(&rest, "\n"); /* half a line */
	}
	if (fd >= 0)
		close(fd);
	while (n > 0 && (line = strsep(&rest, "\n")))
		if (line[0])
			command_fail(EX_OK, "  %s", line);
}

/* Its own exit status where it means the same here. */
static int complain_ended(const struct start *s)
{
	int status = WIFEXITED(s->ended) ? WEXITSTATUS(s->ended) : EX_UNAVAILABLE;
	struct stat st;
	bool is_silent = stat(s->log, &st) == 0 && st.st_size <= s->log_begin;
	const char *says = is_silent ? "has nothing about it" : "says:";
	if (WIFEXITED(s->ended))
		command_fail(EX_OK, "your daemon (%s) has ended with %d; %s %s", s->program, status, s->log,
			     says);
	else
		command_fail(EX_OK, "your daemon (%s) was ended by signal %d; %s %s", s->program,
			     WTERMSIG(s->ended), s->log, says);
	show_log(s);
	if (status == EX_IOERR) {
		char directory[PATH_MAX];
		place_directory_of(s->db, directory);
		command_fail(EX_OK, "%s: see whether the disk has room: df %s", directory, directory);
	}
	return status == EX_IOERR || status == EX_NOPERM || status == EX_CONFIG ? status : EX_UNAVAILABLE;
}

/* Beside what the state's path leads to, as the daemon has it (state_lock.h). */
static void lock_path(const struct start *s, char path[PATH_MAX])
{
	char real[PATH_MAX];
	snprintf(path, PATH_MAX, "%.*s.lock", PATH_MAX - 8, realpath(s->db, real) ? real : s->db);
}

static void start_lock_path(const struct start *s, char path[PATH_MAX])
{
	char directory[PATH_MAX];
	place_directory_of(s->socket, directory);
	snprintf(path, PATH_MAX, "%.*s/start.lock", PATH_MAX - 16, directory);
}

/* Somebody has the state, and does not answer. */
static int complain_held(const struct start *s, const struct holder *h)
{
	switch (h->phase) {
	case HOLDER_LEAVING:
		return command_fail(EX_UNAVAILABLE,
				    "your last daemon (process %ld) is still leaving, and writes what it has "
				    "counted to the disk; try again, with a longer --timeout; its log is %s",
				    h->pid, s->log);
	case HOLDER_LOADING:
		return command_fail(EX_UNAVAILABLE,
				    "your daemon (process %ld) is loading its counters; try again, with a "
				    "longer --timeout; its log is %s",
				    h->pid, s->log);
	case HOLDER_SERVING:
		return command_fail(EX_UNAVAILABLE,
				    "your daemon (process %ld) has your counters and does not answer on %s; "
				    "end it, and the next use starts another one",
				    h->pid, h->socket);
	case HOLDER_UNKNOWN: break;
	}
	return command_fail(
		EX_UNAVAILABLE,
		"%s.lock: process %ld has your counters, and is no daemon that is known here; end "
		"it, or wait until it has ended",
		s->db, h->pid);
}

static int complain_late(const struct start *s)
{
	char path[PATH_MAX];
	struct holder holder;
	lock_path(s, path);
	if (holder_look(path, &holder))
		return complain_held(s, &holder);
	if (s->ended >= 0)
		return complain_ended(s);
	if (s->child)
		return command_fail(
			EX_UNAVAILABLE,
			"your daemon (process %ld) has been started and does not answer yet; try again, with a "
			"longer --timeout; its log is %s",
			(long)s->child, s->log);
	start_lock_path(s, path);
	if (s->lock_fd < 0 && holder_look(path, &holder) && holder.pid > 0)
		return command_fail(
			EX_UNAVAILABLE,
			"another shcount (process %ld) is starting your daemon; try again, with a longer "
			"--timeout, or let it go on if it is stopped (kill -CONT %ld)",
			holder.pid, holder.pid);
	return command_fail(EX_UNAVAILABLE, "%s: try again, with a longer --timeout", shc_error(s->shc));
}

/* Another daemon has the state or the socket: the last one, which is leaving. Or it has left in good order
 * before we could connect. */
static bool is_passing(int ended)
{
	return WIFEXITED(ended) && (WEXITSTATUS(ended) == EX_UNAVAILABLE || WEXITSTATUS(ended) == EX_OK);
}

static int look_at_child(struct start *s)
{
	int status;
	if (waitpid(s->child, &status, WNOHANG) != s->child)
		return EX_OK;
	s->child = 0;
	s->ended = status;
	s->is_refused = WIFEXITED(status) && WEXITSTATUS(status) == EX_UNAVAILABLE;
	return is_passing(status) ? EX_OK : complain_ended(s);
}

/* ---- the one that has the state already ---- */

/* Another daemon may listen there by now. */
static bool has_our_state(const struct start *s, struct shc *shc)
{
	static const char *const words[] = {"CONFIG", "GET", "db"};
	const struct shc_reply *reply;
	return shc_command(shc, 3, words, NULL, false, &reply) == SHC_OK && reply->type == SHC_T_ARRAY &&
	       reply->count == 2 && reply->elements[1].type == SHC_T_STRING &&
	       reply->elements[1].len == strlen(s->db) &&
	       memcmp(reply->elements[1].data, s->db, reply->elements[1].len) == 0;
}

static int left_ms(const struct start *s)
{
	int64_t ms = (s->deadline_ns - conn_now_ns()) / NS_PER_MS;
	return ms > 0 ? (int)ms : 1;
}

/* True: s->shc is connected to it. */
static bool connect_holder(struct start *s, const struct holder *h)
{
	struct shc *shc;
	if (!h->socket[0] || h->phase == HOLDER_LEAVING || strcmp(h->socket, s->socket) == 0)
		return false;
	if (shc_open(&shc, h->socket, left_ms(s)) != SHC_OK || shc_connect(shc) != SHC_OK ||
	    !has_our_state(s, shc)) {
		shc_close(shc);
		return false;
	}
	shc_close(s->shc);
	s->shc = shc;
	return true;
}

/* ---- until it answers ---- */

static int lock(struct start *s)
{
	char path[PATH_MAX];
	start_lock_path(s, path);
	s->lock_fd = flopen(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd >= 0)
		holder_write(s->lock_fd);
	if (s->lock_fd >= 0 || errno == EWOULDBLOCK)
		return EX_OK;
	return command_fail(place_exit_of(errno), "%s: cannot lock the start of your daemon: %s", path,
			    strerror(errno));
}

/* False: the time is over. */
static bool pause_longer(struct start *s)
{
	int64_t left_ns = s->deadline_ns - conn_now_ns();
	if (left_ns <= 0)
		return false;
	/* One that leaves in good order may be there for a moment only, and is to be found then. */
	int64_t max_ns = s->is_refused ? PAUSE_REFUSED_MAX_NS : PAUSE_MAX_NS;
	if (s->pause_ns > max_ns)
		s->pause_ns = max_ns;
	const struct timespec ts = {.tv_nsec = left_ns < s->pause_ns ? left_ns : s->pause_ns};
	nanosleep(&ts, NULL);
	s->pause_ns *= 2;
	return true;
}

static enum shc_status try_connect(const struct start *s)
{
	shc_set_timeout(s->shc, left_ms(s));
	return shc_connect(s->shc);
}

/* None is started while another one has the state: it would be turned away. */
static int start_unless_held(struct start *s, bool *is_connected)
{
	char path[PATH_MAX];
	struct holder holder;
	lock_path(s, path);
	if (!holder_look(path, &holder))
		return start_daemon(s);
	*is_connected = connect_holder(s, &holder);
	return EX_OK;
}

/* The next step of whoever has the lock or tries to get it. *is_again: look at once. */
static int step(struct start *s, bool *is_again, bool *is_connected)
{
	*is_again = false;
	if (s->child)
		return look_at_child(s);
	if (s->lock_fd >= 0)
		return start_unless_held(s, is_connected);
	int exit_status = lock(s);
	*is_again = s->lock_fd >= 0; /* it may have been started before we got it */
	return exit_status;
}

static int connect_or_start(struct start *s)
{
	for (bool is_again = false, is_connected = false;;) {
		enum shc_status status = try_connect(s);
		if (status == SHC_OK)
			return EX_OK;
		if (status != SHC_UNREACHABLE)
			return command_status(s->shc, status);
		int exit_status = step(s, &is_again, &is_connected);
		if (exit_status || is_connected)
			return exit_status;
		if (!is_again && !pause_longer(s))
			return complain_late(s);
	}
}

int autostart_connect(const struct invocation *inv, const char *socket, int64_t deadline_ns, struct shc **out)
{
	struct start s = {.socket = socket,
			  .deadline_ns = deadline_ns,
			  .pause_ns = PAUSE_MIN_NS,
			  .lock_fd = -1,
			  .ended = -1};
	mode_t umask_before = umask(077); /* 0777 would make directories that nobody can enter */
	int exit_status = place_make_for_socket(socket);
	if (!exit_status)
		exit_status = place_make_for_state(s.db, s.log);
	if (!exit_status && shc_open(&s.shc, socket, inv->timeout_ms) != SHC_OK)
		exit_status = command_fail(EX_IOERR, "out of memory");
	if (!exit_status)
		exit_status = connect_or_start(&s);
	umask(umask_before);
	if (s.lock_fd >= 0)
		close(s.lock_fd);
	if (exit_status) {
		shc_close(s.shc);
		return exit_status;
	}
	shc_set_timeout(s.shc, inv->timeout_ms);
	*out = s.shc;
	return EX_OK;
}
