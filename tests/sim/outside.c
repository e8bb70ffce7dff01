/* SPDX-License-Identifier: MIT */
/* outside.c - see replaced.h: threads, clock, descriptors and signals of the simulated machine. */
#include "replaced.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../daemon/state_lock.h"
#include "sim.h"

enum { EVENTFD_FIRST = 100, EVENTFDS_MAX = 64, LOCK_FD = 90, PID = 4711, NS_PER_S = 1000000000 };

static struct {
	uint64_t count, written;
} eventfds[EVENTFDS_MAX];
static int eventfd_count;
static bool has_signal;

void sim_outside_reset(void)
{
	eventfd_count = 0;
	has_signal = false;
}

/* ---- threads ---- a pthread_t is the number of the fiber, a mutex and a semaphore their first word */

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	(void)attr;
	*thread = (pthread_t)sim_spawn(fn, arg);
	return 0;
}

static bool is_over(void *arg)
{
	return sim_is_over((int)*(pthread_t *)arg);
}

int sim_pthread_join(pthread_t thread, void **result)
{
	(void)result;
	(void)sim_sleep(is_over, &thread, -1);
	return 0;
}

int sim_pthread_setname(pthread_t thread, const char *name)
{
	(void)thread, (void)name;
	return 0;
}

int sim_getpriority(__priority_which_t which, id_t who)
{
	(void)which, (void)who;
	return 0;
}

int sim_setpriority(__priority_which_t which, id_t who, int priority)
{
	(void)which, (void)who, (void)priority;
	return 0;
}

int sim_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	(void)how, (void)set, (void)old;
	return 0;
}

static bool is_zero(void *word)
{
	return *(int *)word == 0;
}

static bool is_not_zero(void *word)
{
	return *(int *)word != 0;
}

int sim_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	(void)attr;
	*(int *)m = 0;
	return 0;
}

int sim_mutex_destroy(pthread_mutex_t *m)
{
	sim_check(*(int *)m == 0, "a locked mutex is destroyed");
	return 0;
}

int sim_mutex_lock(pthread_mutex_t *m)
{
	sim_point();
	while (*(int *)m)
		(void)sim_sleep(is_zero, m, -1);
	*(int *)m = 1;
	return 0;
}

int sim_mutex_unlock(pthread_mutex_t *m)
{
	*(int *)m = 0;
	sim_point();
	return 0;
}

int sim_sem_init(sem_t *s, int is_shared, unsigned value)
{
	(void)is_shared;
	*(int *)s = (int)value;
	return 0;
}

int sim_sem_destroy(sem_t *s)
{
	(void)s;
	return 0;
}

int sim_sem_post(sem_t *s)
{
	++*(int *)s;
	sim_point();
	return 0;
}

int sim_sem_wait(sem_t *s)
{
	while (!*(int *)s)
		(void)sim_sleep(is_not_zero, s, -1);
	--*(int *)s;
	return 0;
}

/* What is made once has no switch points. */
void sim_call_once(once_flag *flag, void (*fn)(void))
{
	if (*(int *)flag)
		return;
	*(int *)flag = 1;
	fn();
}

int sim_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	(void)pid, (void)size, (void)set;
	return -1;
}

int sim_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	(void)pid, (void)size, (void)set;
	return 0;
}

/* ---- clock ---- */

int sim_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t ns = clock == CLOCK_REALTIME ? sim_wall_ns() : sim_now_ns();

	sim_point();
	ts->tv_sec = ns / NS_PER_S;
	ts->tv_nsec = ns % NS_PER_S;
	return 0;
}

static int64_t deadline_of(const struct timespec *ts)
{
	return ts ? sim_now_ns() + ts->tv_sec * NS_PER_S + ts->tv_nsec : -1;
}

int sim_nanosleep(const struct timespec *ts, struct timespec *left)
{
	(void)left;
	(void)sim_sleep(NULL, NULL, deadline_of(ts));
	return 0;
}

/* ---- descriptors ---- */

static uint64_t *eventfd_of(int fd)
{
	return fd >= EVENTFD_FIRST && fd < EVENTFD_FIRST + eventfd_count ? &eventfds[fd - EVENTFD_FIRST].count
									 : NULL;
}

int sim_eventfd(unsigned count, int flags)
{
	(void)flags;
	sim_check(eventfd_count < EVENTFDS_MAX, "too many eventfds");
	eventfds[eventfd_count].count = eventfds[eventfd_count].written = count;
	return EVENTFD_FIRST + eventfd_count++;
}

uint64_t sim_eventfd_count(int fd)
{
	return eventfds[fd - EVENTFD_FIRST].written;
}

ssize_t sim_read(int fd, void *data, size_t size)
{
	uint64_t *count = eventfd_of(fd);

	sim_check(count && size == sizeof(*count), "read of descriptor %d", fd);
	sim_point();
	if (!*count) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(data, count, size);
	*count = 0;
	return (ssize_t)size;
}

ssize_t sim_write(int fd, const void *data, size_t size)
{
	uint64_t *count = eventfd_of(fd), add;

	if (fd == STDERR_FILENO)
		return getenv("SHC_SIM_LOG") ? write(fd, data, size) : (ssize_t)size;
	if (fd == LOCK_FD)
		return (ssize_t)size;
	sim_check(count && size == sizeof(*count), "write to descriptor %d", fd);
	memcpy(&add, data, sizeof(add));
	*count += add;
	eventfds[fd - EVENTFD_FIRST].written += add;
	sim_point();
	return (ssize_t)size;
}

static bool is_readable(void *arg)
{
	return *eventfd_of(*(int *)arg) != 0;
}

int sim_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *set)
{
	(void)set;
	if (count == 1 && fds->fd >= SIM_CONN_FD_FIRST && fds->events == 0) {
		fds->revents = sim_conn_is_reset(fds->fd) ? POLLHUP : 0;
		return fds->revents != 0;
	}
	sim_check(count == 1 && eventfd_of(fds->fd), "ppoll of something else");
	/* A signal may end it early. */
	if (timeout && sim_one_in(50)) {
		errno = EINTR;
		return -1;
	}
	return sim_sleep(is_readable, &fds->fd, deadline_of(timeout));
}

int sim_close(int fd)
{
	if (fd >= SIM_CONN_FD_FIRST)
		sim_conn_close(fd);
	return 0;
}

/* One daemon has the state at a time: the simulation sees to that. */
int state_lock_take(const char *db, int *fd)
{
	(void)db;
	*fd = LOCK_FD;
	return 0;
}

void state_lock_note(int fd, const char *db, const char *socket, const char word[8])
{
	(void)fd, (void)db, (void)socket, (void)word;
}

mode_t sim_umask(mode_t mask)
{
	return mask;
}

/* ---- the process ---- */

static bool is_signalled(void *arg)
{
	(void)arg;
	return has_signal;
}

int sim_sigwait(const sigset_t *set, int *sig)
{
	(void)set;
	(void)sim_sleep(is_signalled, NULL, -1);
	*sig = SIGTERM;
	return 0;
}

void sim_terminate(void)
{
	has_signal = true;
}

int sim_kill(pid_t pid, int sig)
{
	sim_check(pid == PID && sig == SIGTERM, "kill(%d, %d)", (int)pid, sig);
	sim_terminate();
	return 0;
}

void (*sim_signal(int sig, void (*handler)(int)))(int)
{
	(void)sig;
	return handler;
}

pid_t sim_getpid(void)
{
	return PID;
}

int sim_getrlimit(int which, struct rlimit *limit)
{
	(void)which;
	*limit = (struct rlimit){.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	return 0;
}

int sim_setrlimit(int which, const struct rlimit *limit)
{
	(void)which, (void)limit;
	return 0;
}

char *sim_getenv(const char *name)
{
	(void)name;
	return NULL;
}

void sim_arc4random_buf(void *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)p)[i] = (unsigned char)sim_random();
}

int sim_getentropy(void *p, size_t size)
{
	sim_arc4random_buf(p, size);
	return 0;
}

long sim_libc_random(void)
{
	return (long)(sim_random() >> 33);
}

void sim_exit(int status)
{
	sim_end(status);
}

void sim_assert_fail(const char *expression, const char *file, unsigned line, const char *function)
{
	sim_fail("%s:%u: %s: assertion `%s' failed", file, line, function, expression);
}
