/* SPDX-License-Identifier: MIT */
/*
 * replaced.h - what the shipped objects call instead of libc: replaced.syms says which name becomes which.
 * Memory is in heap.c, the rest in outside.c. And what the test itself does with it.
 */
#ifndef SHC_SIM_REPLACED_H
#define SHC_SIM_REPLACED_H

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <threads.h>
#include <time.h>

void *sim_malloc(size_t size);
void *sim_calloc(size_t count, size_t size);
void *sim_aligned_alloc(size_t align, size_t size);
void *sim_realloc(void *p, size_t size);
void *sim_reallocarray(void *p, size_t count, size_t size);
void sim_free(void *p);
char *sim_strdup(const char *s);
char *sim_strndup(const char *s, size_t len);
void *sim_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
int sim_munmap(void *p, size_t size);
int sim_madvise(void *p, size_t size, int advice);

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int sim_pthread_join(pthread_t thread, void **result);
int sim_pthread_setname(pthread_t thread, const char *name);
int sim_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int sim_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int sim_mutex_destroy(pthread_mutex_t *m);
int sim_mutex_lock(pthread_mutex_t *m);
int sim_mutex_unlock(pthread_mutex_t *m);
int sim_sem_init(sem_t *s, int is_shared, unsigned value);
int sim_sem_destroy(sem_t *s);
int sim_sem_post(sem_t *s);
int sim_sem_wait(sem_t *s);
void sim_call_once(once_flag *flag, void (*fn)(void));
int sim_getpriority(__priority_which_t which, id_t who);
int sim_setpriority(__priority_which_t which, id_t who, int priority);
int sim_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int sim_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);

int sim_clock_gettime(clockid_t clock, struct timespec *ts);
int sim_nanosleep(const struct timespec *ts, struct timespec *left);

int sim_eventfd(unsigned count, int flags);
ssize_t sim_read(int fd, void *data, size_t size);
ssize_t sim_write(int fd, const void *data, size_t size);
int sim_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *set);
int sim_close(int fd);
mode_t sim_umask(mode_t mask);

int sim_sigwait(const sigset_t *set, int *sig);
int sim_kill(pid_t pid, int sig);
void (*sim_signal(int sig, void (*handler)(int)))(int);
pid_t sim_getpid(void);
int sim_getrlimit(int which, struct rlimit *limit);
int sim_setrlimit(int which, const struct rlimit *limit);
char *sim_getenv(const char *name);
void sim_arc4random_buf(void *p, size_t size);
int sim_getentropy(void *p, size_t size);
long sim_libc_random(void);
_Noreturn void sim_exit(int status);
_Noreturn void sim_assert_fail(const char *expression, const char *file, unsigned line, const char *function);

/* ---- for the test ---- */

void sim_outside_reset(void);
uint64_t sim_eventfd_count(int fd);   /* writes to it, ever */
void *sim_daemon_calloc(size_t size); /* from the test's own stack, for the daemon */
/* SIGTERM is on its way. */
void sim_terminate(void);

enum { SIM_CONN_FD_FIRST = 1000 }; /* descriptors of connections, fake_io.c's */
void sim_conn_close(int fd);
bool sim_conn_is_reset(int fd);

#endif
