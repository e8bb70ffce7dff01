/* SPDX-License-Identifier: MIT */
/* server.c - see server.h. Main thread. */
#include "server.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "../lib/log.h"
#include "../lib/num.h"
#include "../lib/notify.h"
#include "readers.h"
#include "recover.h"
#include "state_lock.h"

enum {
	STATUS_BAD_DATA = 65, /* damaged, or of a newer version */
	STATUS_UNAVAILABLE = 69,
	STATUS_IO = 74,
	STATUS_NO_PERMISSION = 77,
	STATUS_CONFIG = 78,
	FDS_RESERVED = 64, /* for everything that is not a client */
	STATE_UMASK = 077, /* the state is for its user: rules of access would mean nothing to its readers */
};

int server_status_of(int rc)
{
	switch (-rc) {
	case EUCLEAN:
	case EPROTONOSUPPORT: return STATUS_BAD_DATA;
	case EACCES:
	case EPERM: return STATUS_NO_PERMISSION;
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ENAMETOOLONG: return STATUS_CONFIG;
	default: return STATUS_IO;
	}
}

static void note_in_lock(const struct server *s, const char word[8])
{
	state_lock_note(s->lock_fd, s->config->db, s->config->socket, word);
}

/* 0 or an exit status. */
static int lock_state(struct server *s)
{
	int rc = state_lock_take(s->config->db, &s->lock_fd);

	if (rc)
		return rc == -EWOULDBLOCK ? STATUS_UNAVAILABLE : server_status_of(rc);
	note_in_lock(s, "loading");
	return 0;
}

/* ---- state ---- */

static uint32_t allowed_cpu_count(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 0 : (uint32_t)CPU_COUNT(&set);
}

static void say_loaded(const struct server *s, const struct store_state *state, int64_t ms)
{
	uint64_t sessions = atomic_load(&s->sessions.count), tokens = atomic_load(&s->tokens.count);

	log_info("%s: %" PRIu64 " counter%s, %" PRIu64 " session%s, %" PRIu64 " token%s, %" PRIu64
		 " byte%s of journal, read in %" PRId64 " ms",
		 s->config->db, state->counters, num_plural(state->counters), sessions, num_plural(sessions),
		 tokens, num_plural(tokens), state->journal_bytes, num_plural(state->journal_bytes), ms);
}

/* 0 or an exit status. */
static int load_state(struct server *s)
{
	int64_t now = clock_ms(CLOCK_REALTIME), before = clock_ms(CLOCK_MONOTONIC);
	const struct recover recover = {
		.registry = &s->registry,
		.sessions = &s->sessions,
		.tokens = &s->tokens,
		.uplink = s->uplink ? &s->uplink->table : NULL,
		.sessions_before_ms = now - atomic_load(&s->config->session_ttl_ms),
		.tokens_before_ms = now - atomic_load(&s->config->token_ttl_ms),
		.workers = s->config->workers,
		.threads = allowed_cpu_count(),
	};
	struct store_state state;
	int rc;

	notify_send("STATUS=checking and loading the counters");
	rc = store_open(&s->store, s->config->db, STORE_CREATE);

	if (!rc)
		rc = recover_load(&recover, s->store, &state);
	if (!rc && s->uplink)
		rc = uplink_load(s->uplink, s->store);
	if (rc == -EDQUOT) {
		log_error("%s holds more counters than max-memory allows: raise it", s->config->db);
		return STATUS_CONFIG;
	}
	if (rc) {
		log_error("%s", s->store ? store_error(s->store) : "out of memory");
		return server_status_of(rc > 0 ? -EIO : rc);
	}
	rc = audit_sweep_loaded(&s->audit, &s->registry);
	if (rc) {
		log_error("audit: %s",
			  rc == -EDQUOT ? "more counters fit the patterns than max-memory allows: raise it"
					: "out of memory");
		return rc == -EDQUOT ? STATUS_CONFIG : STATUS_IO;
	}
	malloc_trim(0); /* what reading has needed */
	epoch_clock_init(&s->clock, state.epoch_first, &s->commit.waker);
	say_loaded(s, &state, clock_ms(CLOCK_MONOTONIC) - before);
	return 0;
}

/* ---- who may do what ---- */

static void say_rules(const struct access *access)
{
	if (access)
		log_info("access: %zu rule%s in force", access->rule_count,
			 access->rule_count == 1 ? " is" : "s are");
	else
		log_info("access: no rules any more: whoever can connect may do everything");
}

/* Rules that come into force are not all that there is between others and the counters. */
static void say_readers(const struct server *s)
{
	char why[READERS_WHY_SIZE];

	if (readers_find(s->config->db, why))
		log_warning("access: beside the rules, %s", why);
}

/* 0 or an exit status. */
static int open_access(struct server *s)
{
	const char *path = atomic_load(&s->config->access);
	char why[GUARDED_WHY_SIZE];
	struct access *access = NULL;

	if (!path)
		return 0;
	if (access_read(&access, path, why)) {
		log_error("access: %s", why);
		return STATUS_CONFIG;
	}
	say_rules(access);
	access_now_set(&s->access, access);
	say_readers(s);
	return 0;
}

/* Whether what is to be in force is enough for who can reach us. */
static bool is_enough(const struct server *s, const struct access *access)
{
	return !s->acceptor.is_exposed || access_has_logins(access);
}

/* A reload, while it is not known whether it is one. */
struct reading {
	const struct server *server;
	struct access *access; /* the rules as they would be; null: none */
};

/* As config_approve_fn. */
static int read_rules(void *arg, const char *path, struct config_error *err)
{
	struct reading *r = arg;
	char why[GUARDED_WHY_SIZE];

	if (path && access_read(&r->access, path, why)) {
		(void)snprintf(err->text, sizeof(err->text), "access: %s", why);
		return CONFIG_BAD;
	}
	if (is_enough(r->server, r->access))
		return CONFIG_OK;
	r->access = access_unref(r->access);
	(void)strlcpy(err->text,
		      "access: there is no login any more, and listening beyond loopback needs one",
		      sizeof(err->text));
	return CONFIG_BAD;
}

/* Takes the reference. False: there are no rules, as before. */
static bool put_in_force(struct server *s, struct access *access)
{
	if (!access && !s->access.set)
		return false;
	if (access && !s->access.set)
		say_readers(s);
	access_now_set(&s->access, access);
	return true;
}

/* Rights and limits of those who are connected follow from rules and settings: workers make them anew. */
static void renew_peers(struct server *s)
{
	sources_forgive(&s->sources, steady_clock_ns(&s->registry.steady));
	access_now_touch(&s->access);
	for (uint32_t i = 0; i < s->worker_count; i++)
		waker_wake(&s->workers[i].waker);
}

/* ---- limits ---- */

/* As many descriptors as clients are allowed, or fewer clients. */
static void raise_limits(struct server *s)
{
	int64_t clients = atomic_load(&s->config->max_clients);
	rlim_t want = (rlim_t)clients + FDS_RESERVED;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= want)
		return;
	clients = limit.rlim_cur > FDS_RESERVED * 2 ? (int64_t)limit.rlim_cur - FDS_RESERVED : FDS_RESERVED;
	log_warning("max-clients is %" PRId64 " instead of %" PRId64
		    ": only %llu descriptors are allowed (LimitNOFILE, "
		    "ulimit -n)",
		    clients, atomic_load(&s->config->max_clients), (unsigned long long)limit.rlim_cur);
	atomic_store(&s->config->max_clients, clients);
}

/* 0 or an exit status. */
static int choose_io(struct server *s)
{
	int rc = io_probe(s->config->io, &s->io, &s->io_reason);

	if (rc) {
		log_error("io_uring cannot be used: %s%s", s->io_reason ? s->io_reason : strerror(-rc),
			  s->config->io == IO_URING ? " (--io epoll works everywhere)" : "");
		return rc == -EPERM ? STATUS_NO_PERMISSION : STATUS_IO;
	}
	if (s->io_reason)
		log_warning("using epoll: %s", s->io_reason);
	return 0;
}

/* ---- workers ---- */

/* The i-th CPU this process may run on. */
static int allowed_cpu(uint32_t i)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &set) && i-- == 0)
			return cpu;
	return -1;
}

/* 0 or -errno. Those that were started run on failure too: stop_workers. */
static int start_workers(struct server *s)
{
	uint32_t count = s->config->workers;
	bool is_pinned = count == allowed_cpu_count() && count > 1;
	int rc = 0;

	s->workers = aligned_alloc(128, (count * sizeof(*s->workers) + 127) & ~(size_t)127);
	if (!s->workers)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && !rc; i++) {
		struct worker *w = &s->workers[i];

		rc = worker_init(w, s, i, is_pinned ? allowed_cpu(i) : -1);
		if (rc)
			break;
		s->commit.workers[i] = (struct commit_worker){.slot = &w->slot, .waker = &w->waker};
		rc = worker_start(w);
		if (rc)
			worker_fini(w);
		else
			s->worker_count++;
	}
	if (rc)
		log_error("cannot start worker %u of %u: %s", s->worker_count, count, io_why(rc));
	return rc;
}

static void stop_workers(struct server *s)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		worker_stop_begin(&s->workers[i]);
	for (uint32_t i = 0; i < s->worker_count; i++)
		worker_join(&s->workers[i]);
}

static void free_workers(struct server *s)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		worker_fini(&s->workers[i]);
	free(s->workers);
}

/* ---- signals ---- */

static void signals_block(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* the write says EFBIG, which has a line in store_failure.c */
}

/* Rules have a line of their own. */
static void say_read_again(const struct server *s, const char *said)
{
	if (said[0])
		log_info("configuration read again: %s", said);
	else if (!s->access.set)
		log_info("there is nothing to read again: neither a configuration file nor rules were given");
}

static void reload(struct server *s)
{
	const char *audit = atomic_load(&s->config->audit);
	struct reading reading = {.server = s};
	struct config_error err;
	char said[1024];
	bool has_rules;
	int rc;

	notify_reloading();
	rc = config_reload(s->config, read_rules, &reading, said, sizeof(said), &err);
	if (rc) {
		log_error("%s; nothing was changed", err.text);
	} else {
		has_rules = put_in_force(s, reading.access);
		renew_peers(s);
		/* Now it is true. */
		if (has_rules)
			say_rules(reading.access);
		say_read_again(s, said);
	}
	raise_limits(s);
	log_init(s->config->is_log_json, (enum log_level)atomic_load(&s->config->log_level));
	waker_wake(&s->commit.waker);
	if (s->uplink)
		waker_wake(&s->uplink->waker); /* it may be in the middle of a longer interval */
	if (atomic_load(&s->config->audit) != audit) {
		audit_changed(&s->audit);
		waker_wake(&s->workers[0].waker);
	}
	if (rc)
		notify_sendf("READY=1\nSTATUS=counting; the configuration was not taken over: %s", err.text);
	else
		notify_send("READY=1\nSTATUS=counting");
}

/* ---- the watchdog ---- */

static void wake(void *waker)
{
	waker_wake(waker);
}

/* A disk that hangs, or a Redis or a backup that does, is no reason to end a daemon that counts. */
static void watch_threads(struct server *s)
{
	watchdog_init(&s->watchdog, notify_watchdog_ns());
	for (uint32_t i = 0; i < s->worker_count; i++) {
		struct worker *w = &s->workers[i];

		watchdog_add(&s->watchdog, &(struct watched){.pulse = &w->pulse,
							     .wake = wake,
							     .arg = &w->waker,
							     .name = "worker",
							     .number = w->index});
	}
	watchdog_add(&s->watchdog, &(struct watched){.pulse = &s->commit.pulse,
						     .wake = wake,
						     .arg = &s->commit.waker,
						     .name = "committer"});
	watchdog_add(&s->watchdog, &(struct watched){.pulse = &s->acceptor.pulse,
						     .wake = wake,
						     .arg = &s->acceptor.waker,
						     .name = "acceptor"});
}

static void wait_for_stop(struct server *s, const sigset_t *set)
{
	const char *reason;
	int sig;

	watch_threads(s);
	while ((sig = watchdog_wait(&s->watchdog, set)) == SIGHUP)
		reload(s);
	reason = atomic_load(&s->stop_reason);
	log_info("%s: stopping", reason ? reason : strsignal(sig));
}

void server_stop(struct server *s, bool is_folding, const char *reason)
{
	atomic_store(&s->is_folding_at_stop, is_folding);
	atomic_store(&s->stop_reason, reason);
	kill(getpid(), SIGTERM);
}

/* ---- start and stop, in order ---- */

static void say_ready(const struct server *s)
{
	log_info("ready: %s, %u worker%s, %s, durability %s, %s", s->config->socket, s->worker_count,
		 num_plural(s->worker_count), io_kind_name(s->io),
		 s->config->durability == DURABILITY_COMMIT ? "commit" : "interval", s->config->db);
	notify_sendf("READY=1\nSTATUS=counting: %u worker%s, %s", s->worker_count,
		     num_plural(s->worker_count), io_kind_name(s->io));
}

/* With everything that holds state up: serve until told to stop. 0 or an exit status. */
static int serve(struct server *s, const sigset_t *signals)
{
	char why[1024];
	int status, rc;

	status = acceptor_open(&s->acceptor, s, why, sizeof(why));
	if (status) {
		log_error("%s", why);
		return status;
	}
	note_in_lock(s, "serving"); /* before anybody is answered */
	rc = acceptor_start(&s->acceptor);
	if (rc) {
		log_error("cannot start the acceptor: %s", strerror(-rc));
		acceptor_stop(&s->acceptor);
		return STATUS_IO;
	}
	say_ready(s);
	wait_for_stop(s, signals);
	note_in_lock(s, "leaving");
	notify_send("STOPPING=1\nSTATUS=answering what was received, committing, folding");
	acceptor_stop(&s->acceptor);
	return 0;
}

/* 0 or an exit status. */
static int run_threads(struct server *s, const sigset_t *signals)
{
	int status = STATUS_IO, rc = audit_reader_init(&s->audit_reader, s->config->db);
	bool has_committer = false;

	if (rc) {
		log_error("cannot prepare the reader of the audit log: %s", strerror(-rc));
		return STATUS_IO;
	}
	rc = start_workers(s);
	if (!rc) {
		rc = commit_start(&s->commit);
		has_committer = rc == 0;
		if (rc)
			log_error("cannot start the committer: %s", strerror(-rc));
	}
	if (!rc && s->uplink) {
		rc = uplink_start(s->uplink);
		if (rc)
			log_error("cannot start the uplink: %s", strerror(-rc));
	}
	if (!rc)
		status = serve(s, signals);
	atomic_store(&s->backup.is_cancelled, true);
	/* Before the workers, who may wait for its answers, and the committer, which it may wait for. */
	if (s->uplink)
		uplink_stop(s->uplink);
	stop_workers(s);
	refusals_tell(&s->refusals, clock_ms(CLOCK_MONOTONIC), true);
	backup_fini(&s->backup);
	audit_reader_fini(&s->audit_reader);
	if (has_committer)
		commit_stop(&s->commit);
	/* What had not started has no slot. */
	s->commit.worker_count = s->worker_count;
	rc = commit_finish(&s->commit, atomic_load(&s->is_folding_at_stop));
	if (s->uplink)
		uplink_finish(s->uplink);
	free_workers(s);
	return status ? status : rc;
}

/* 0 or an exit status. */
static int prepare_uplink(struct server *s)
{
	static struct uplink uplink; /* large; one a process */
	char why[URL_ERROR_SIZE];
	int rc;

	if (!s->config->uplink)
		return 0;
	rc = uplink_init(&uplink, s->config, &s->commit, why);
	if (rc) {
		log_error("uplink: %s", rc == -EINVAL ? why : strerror(-rc));
		return rc == -EINVAL ? STATUS_CONFIG : STATUS_IO;
	}
	s->uplink = s->commit.uplink = &uplink;
	return 0;
}

static int run_with_state(struct server *s, const sigset_t *signals)
{
	int status, rc;

	/* Before the load: the clock points to the committer's waker. */
	rc = commit_init(&s->commit, &s->clock, NULL, &s->registry, s->config, s->config->workers);
	if (rc) {
		log_error("cannot prepare the committer: %s", strerror(-rc));
		return STATUS_IO;
	}
	s->commit.sessions = &s->sessions;
	s->commit.tokens = &s->tokens;
	status = prepare_uplink(s);
	if (!status)
		status = load_state(s);
	s->commit.store = s->store;
	if (!status)
		status = choose_io(s);
	if (!status)
		status = run_threads(s, signals);
	commit_fini(&s->commit);
	if (s->uplink)
		uplink_fini(s->uplink);
	s->store = store_close(s->store);
	return status;
}

/* The name of a service manager's socket is that of ours, wherever it is shown. 0 or an exit status. */
static int name_socket(struct server *s)
{
	char name[128];

	s->inherited = notify_listen_fds();
	if (acceptor_name_inherited(s->inherited, name, sizeof(name)) && config_set_socket(s->config, name)) {
		log_error("out of memory");
		return STATUS_IO;
	}
	setproctitle("%s", s->config->socket);
	return 0;
}

static void fill_identity(struct server *s)
{
	unsigned char bytes[20];

	arc4random_buf(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(s->run_id + 2 * i, 3, "%02x", bytes[i]);
	s->started_s = clock_ms(CLOCK_REALTIME) / 1000;
	s->started_ms = clock_ms(CLOCK_MONOTONIC);
}

int server_run(struct config *config)
{
	static struct server server; /* large; one a process */
	struct server *s = &server;
	sigset_t signals;
	int status;

	signals_block(&signals);
	umask(STATE_UMASK);
	s->config = config;
	s->lock_fd = -1;
	atomic_init(&s->is_folding_at_stop, true);
	if (notify_open() < 0)
		log_warning(
			"NOTIFY_SOCKET is no address of a socket: nobody is told that the daemon is ready");
	fill_identity(s);
	status = name_socket(s);
	if (status)
		return status;
	raise_limits(s);
	client_directory_init(&s->clients);
	access_now_init(&s->access);
	refusals_init(&s->refusals);
	audit_init(&s->audit, config);
	if (registry_init(&s->registry, &config->max_memory_bytes)) {
		log_error("out of memory");
		return STATUS_IO;
	}
	once_table_init(&s->tokens, &config->max_tokens, &s->registry.other_bytes);
	if (sources_init(&s->sources, config->workers)) {
		log_error("out of memory");
		return STATUS_IO;
	}
	if (session_table_init(&s->sessions, &config->max_sessions, &s->registry.other_bytes)) {
		log_error("out of memory");
		return STATUS_IO;
	}
	status = open_access(s);
	if (!status)
		status = lock_state(s);
	if (!status) {
		backup_init(&s->backup, config->db);
		status = run_with_state(s, &signals);
	}
	session_table_fini(&s->sessions);
	once_table_fini(&s->tokens);
	registry_fini(&s->registry);
	client_directory_fini(&s->clients);
	sources_fini(&s->sources);
	access_now_fini(&s->access);
	refusals_fini(&s->refusals);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (!status)
		log_info("stopped");
	return status;
}
