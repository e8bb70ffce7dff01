/* SPDX-License-Identifier: MIT */
#include "../../daemon/acceptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../daemon/server.h"
#include "../../daemon/worker.h"
#include "../../lib/notify.h"

enum { WORKERS = 2, GIVEN_MAX = 256, DEADLINE_S = 20 };

/* ---- a twin of the workers: keeps what it is given ---- */

static struct {
	pthread_mutex_t mutex;
	sem_t given;
	struct handoff *handoffs[GIVEN_MAX];
	uint32_t worker[GIVEN_MAX];
	size_t count, taken;
} inbox = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct worker workers[WORKERS];
static struct server server;
static struct config config;

void worker_give(struct worker *w, struct handoff *h)
{
	pthread_mutex_lock(&inbox.mutex);
	inbox.worker[inbox.count] = w->index;
	inbox.handoffs[inbox.count++] = h;
	pthread_mutex_unlock(&inbox.mutex);
	sem_post(&inbox.given);
}

/* A twin of server_stop: keeps why. */
static const char *_Atomic stopped;
static sem_t has_stopped;

void server_stop(struct server *s, bool is_folding, const char *reason)
{
	(void)s;
	atomic_store(&stopped, is_folding ? reason : NULL);
	sem_post(&has_stopped);
}

static bool wait_for(sem_t *sem)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += DEADLINE_S;
	while (sem_timedwait(sem, &deadline))
		if (errno == ETIMEDOUT)
			return false;
	return true;
}

/* The next connection that the workers were given. */
static const struct handoff *take(void)
{
	const struct handoff *h;

	if (!wait_for(&inbox.given))
		return NULL;
	pthread_mutex_lock(&inbox.mutex);
	h = inbox.handoffs[inbox.taken++];
	pthread_mutex_unlock(&inbox.mutex);
	return h;
}

/* ---- a private directory and configuration for each test ---- */

static char dir[64], path[128];

static int setup(void **state)
{
	(void)state;
	memset(workers, 0, sizeof(workers));
	memset(&server, 0, sizeof(server));
	memset(&config, 0, sizeof(config));
	strcpy(dir, "/tmp/test_acceptor.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	for (uint32_t i = 0; i < WORKERS; i++)
		workers[i].index = i;
	server.config = &config;
	server.workers = workers;
	server.worker_count = WORKERS;
	config.socket = path;
	config.socket_mode = 0600;
	atomic_init(&config.max_clients, 1000);
	access_now_init(&server.access);
	refusals_init(&server.refusals);
	if (sources_init(&server.sources, WORKERS))
		return -1;
	atomic_store(&stopped, NULL);
	return sem_init(&has_stopped, 0, 0) || sem_init(&inbox.given, 0, 0);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	for (size_t i = 0; i < inbox.count; i++) {
		sources_leave(&server.sources, inbox.handoffs[i]->source, 0);
		close(inbox.handoffs[i]->fd);
		free(inbox.handoffs[i]);
	}
	inbox.count = inbox.taken = 0;
	sources_fini(&server.sources);
	refusals_fini(&server.refusals);
	access_now_fini(&server.access);
	sem_destroy(&inbox.given);
	sem_destroy(&has_stopped);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* The sentence of the last failure. */
static char why[512];

static int open_acceptor(void)
{
	why[0] = '\0';
	server.inherited = notify_listen_fds();
	return acceptor_open(&server.acceptor, &server, why, sizeof(why));
}

static void assert_opens(void)
{
	if (open_acceptor())
		fail_msg("acceptor_open: %s", why);
}

static void assert_refused(int status, const char *word)
{
	int got = open_acceptor();

	if (got != status || !strstr(why, word))
		fail_msg("status %d instead of %d, or no '%s' in: %s", got, status, word, why);
}

static void start(void)
{
	assert_opens();
	assert_int_equal(acceptor_start(&server.acceptor), 0);
}

static void stop(void)
{
	acceptor_stop(&server.acceptor);
}

static struct sockaddr_un unix_address(const char *at)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memcpy(a.sun_path, at, strlen(at) + 1);
	return a;
}

static int unix_listener(const char *at)
{
	struct sockaddr_un a = unix_address(at);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 16))
		return -1;
	return fd;
}

/* Connected, or -errno. */
static int connect_unix(const char *at)
{
	struct sockaddr_un a = unix_address(at);
	const struct timeval limit = {.tv_sec = DEADLINE_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static int connect_tcp(uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static bool exists(const char *at)
{
	struct stat st;

	return lstat(at, &st) == 0;
}

/* A TCP socket on a free loopback port; listening or not. */
static int tcp_socket(uint16_t *port, bool is_listening)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	if (is_listening)
		assert_int_equal(listen(fd, 4), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* ---- the choice ---- */

static void test_the_least_busy_worker_is_chosen(void **state)
{
	static const struct {
		const char *descr;
		uint32_t busy[3];
		int64_t peers[3];
		uint32_t wanted;
	} cases[] = {
		{"all the same: the first", {0, 0, 0}, {5, 5, 5}, 0},
		{"fewest connections", {0, 0, 0}, {5, 4, 6}, 1},
		{"less busy in spite of more connections", {8, 8, 2}, {1, 1, 100}, 2},
		{"one eighth is noise", {1, 0, 1}, {7, 8, 6}, 2},
		{"two eighths are not", {2, 0, 2}, {7, 8, 6}, 1},
		{"as many connections: the less busy", {1, 0, 5}, {3, 3, 3}, 1},
		{"all full", {8, 8, 8}, {3, 2, 2}, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t got = acceptor_choose(cases[i].busy, cases[i].peers, 3);

		if (got != cases[i].wanted)
			fail_msg("%s: %u instead of %u", cases[i].descr, got, cases[i].wanted);
	}
}

static void test_a_burst_of_connections_is_spread_evenly(void **state)
{
	int fds[40], of_first = 0;

	(void)state;
	start();
	for (int i = 0; i < 40; i++)
		fds[i] = connect_unix(path);
	for (int i = 0; i < 40; i++)
		assert_non_null(take());
	for (int i = 0; i < 40; i++) {
		of_first += inbox.worker[i] == 0;
		close(fds[i]);
	}
	assert_int_equal(of_first, 20);
	assert_int_equal(atomic_load(&workers[1].stats.peers), 20);
	stop();
}

static void test_a_busy_worker_is_spared(void **state)
{
	int fd;

	(void)state;
	start();
	/* Since ever: more than any time that can have passed. */
	atomic_store(&workers[0].stats.busy_ns, INT64_MAX / 16);
	atomic_store(&workers[1].stats.peers, 100);
	fd = connect_unix(path);
	assert_non_null(take());
	assert_int_equal(inbox.worker[0], 1);
	close(fd);
	stop();
}

/* ---- the Unix socket ---- */

static void test_the_socket_has_the_mode_asked_for_whatever_the_umask(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0}, masks[] = {0, 077, 0777};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (size_t k = 0; k < 3; k++) {
			mode_t before = umask(masks[k]);
			struct stat st;

			config.socket_mode = modes[i];
			assert_opens();
			umask(before);
			assert_int_equal(lstat(path, &st), 0);
			assert_true(S_ISSOCK(st.st_mode));
			assert_int_equal(st.st_mode & 07777, modes[i]);
			stop();
		}
	}
}

static void test_an_unknown_group_is_refused_and_leaves_nothing(void **state)
{
	char group[] = "no-such-group";

	(void)state;
	config.socket_group = group;
	assert_refused(78, "no-such-group");
	assert_false(exists(path));
}

static void test_a_stale_socket_is_replaced(void **state)
{
	int fd;

	(void)state;
	close(unix_listener(path));
	assert_true(exists(path));
	assert_opens();
	fd = connect_unix(path);
	assert_true(fd >= 0);
	close(fd);
	stop();
}

static void test_a_live_socket_is_refused_and_kept(void **state)
{
	int other = unix_listener(path), fd;

	(void)state;
	assert_refused(69, "another server answers there");
	fd = connect_unix(path);
	assert_true(fd >= 0);
	close(fd);
	close(other);
}

static void test_a_live_socket_whose_queue_is_full_is_kept(void **state)
{
	struct sockaddr_un a = unix_address(path);
	int other = unix_listener(path), fds[64], count = 0;

	(void)state;
	for (; count < 64; count++) {
		fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(fds[count], (const struct sockaddr *)&a, sizeof(a)))
			break;
	}
	assert_in_range(count, 1, 63);
	assert_refused(69, "another server answers there");
	assert_true(exists(path));
	for (int i = 0; i <= count; i++)
		close(fds[i]);
	close(other);
}

static void test_a_file_of_another_kind_is_refused_and_kept(void **state)
{
	char text[8] = "";
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "precious", 8), 8);
	assert_refused(78, "no socket");
	assert_int_equal(pread(fd, text, sizeof(text), 0), 8);
	assert_memory_equal(text, "precious", 8);
	assert_true(exists(path));
	close(fd);
}

static void test_a_path_that_is_too_long_is_refused(void **state)
{
	char longer[256];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, path, strlen(path));
	longer[108] = '\0';
	config.socket = longer;
	assert_refused(78, "107 bytes");
	longer[107] = '\0';
	assert_opens();
	stop();
}

static void test_the_directory_is_made_but_no_tree(void **state)
{
	char one[160], two[160];

	(void)state;
	(void)snprintf(one, sizeof(one), "%s/new/s", dir);
	(void)snprintf(two, sizeof(two), "%s/a/b/s", dir);
	config.socket = one;
	assert_opens();
	stop();
	config.socket = two;
	assert_refused(78, "directory");
}

static void test_a_directory_that_root_has_made_lets_others_through(void **state)
{
	char new[160];
	struct stat st;
	mode_t before = umask(077);

	(void)state;
	(void)snprintf(new, sizeof(new), "%s/new/s", dir);
	config.socket = new;
	assert_opens();
	stop();
	umask(before);
	*strrchr(new, '/') = '\0';
	assert_int_equal(stat(new, &st), 0);
	assert_int_equal(st.st_mode & 07777, geteuid() == 0 ? 0755 : 0700);
}

static void test_a_directory_that_others_may_write_is_refused_among_everybodys(void **state)
{
	char inner[160], link[160], in_inner[200], in_link[200];
	struct stat st;

	(void)state;
	(void)snprintf(inner, sizeof(inner), "%s/inner", dir);
	(void)snprintf(link, sizeof(link), "%s/link", dir);
	(void)snprintf(in_inner, sizeof(in_inner), "%s/s", inner);
	(void)snprintf(in_link, sizeof(in_link), "%s/s", link);
	assert_int_equal(chmod(dir, 01777), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_int_equal(symlink(inner, link), 0);
	config.socket = in_inner;
	assert_opens();
	stop();
	assert_int_equal(chmod(inner, 0707), 0);
	assert_refused(77, "not safe");
	assert_int_equal(chmod(inner, 0700), 0);
	config.socket = in_link;
	assert_refused(77, "not safe");
	assert_int_equal(lstat(in_inner, &st), -1);
}

static void test_stop_removes_the_socket_but_not_its_successor(void **state)
{
	int other;

	(void)state;
	assert_opens();
	stop();
	assert_false(exists(path));
	assert_opens();
	assert_int_equal(unlink(path), 0);
	other = unix_listener(path);
	stop();
	assert_true(exists(path));
	close(other);
}

static void test_a_failure_after_the_socket_was_made_removes_it(void **state)
{
	char address[] = "192.0.2.1:6379";

	(void)state;
	config.listen = address;
	assert_refused(78, "loopback");
	assert_false(exists(path));
	acceptor_stop(&server.acceptor); /* allowed after a failure */
}

/* ---- TCP ---- */

static void test_only_loopback_addresses_are_listened_on(void **state)
{
	static const char *const refused[] = {"0.0.0.0:6379", "192.0.2.1:6379", "[::]:6379"};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char address[64];

		strcpy(address, refused[i]);
		config.listen = address;
		assert_refused(78, address);
	}
}

static void test_a_tcp_client_is_described_and_gets_no_delay(void **state)
{
	char address[32], wanted[32];
	const struct handoff *h;
	struct sockaddr_in local;
	socklen_t len = sizeof(local), int_len = sizeof(int);
	uint16_t port;
	int no_delay = 0, fd;

	(void)state;
	close(tcp_socket(&port, false));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	config.listen = address;
	start();
	assert_int_equal(server.acceptor.tcp_port, port);
	fd = connect_tcp(port);
	h = take();
	assert_non_null(h);
	assert_string_equal(h->address.local, address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &len), 0);
	(void)snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", ntohs(local.sin_port));
	assert_string_equal(h->address.peer, wanted);
	assert_int_equal(h->address.uid, (uid_t)-1);
	assert_int_equal(getsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &int_len), 0);
	assert_int_equal(no_delay, 1);
	close(fd);
	stop();
}

/* Listens on all addresses of both families; -1: there is no IPv6 here. */
static int listen_on_both(uint16_t *port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	socklen_t len = sizeof(a);
	int no = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 4)) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin6_port);
	return fd;
}

static void assert_net(int listener, const void *wanted, uint8_t wanted_len)
{
	struct client_address address = {.net_len = 99};
	struct sockaddr_storage from = {0};
	socklen_t from_len = sizeof(from);
	int fd = accept(listener, (struct sockaddr *)&from, &from_len);

	assert_true(fd >= 0);
	acceptor_describe(fd, &from, from_len, &address);
	assert_int_equal(address.net_len, wanted_len);
	assert_memory_equal(address.net, wanted, wanted_len);
	close(fd);
}

static void test_one_source_is_an_ipv4_address_or_half_of_an_ipv6_one(void **state)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	uint16_t port = 0;
	int listener = listen_on_both(&port), v4, v6;

	(void)state;
	if (listener < 0)
		skip();
	v4 = connect_tcp(port);
	assert_net(listener, "\x7f\0\0\1", CLIENT_NET_V4); /* seen as ::ffff:127.0.0.1 */
	close(v4);
	v6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a.sin6_port = htons(port);
	if (connect(v6, (const struct sockaddr *)&a, sizeof(a)) == 0)
		assert_net(listener, "\0\0\0\0\0\0\0\0", CLIENT_NET_V6);
	close(v6);
	close(listener);
}

/* So the kernel does not say any more who it was, unless accept(2) is asked. */
static void test_a_client_that_is_gone_before_it_is_accepted_is_described_all_the_same(void **state)
{
	const struct linger reset = {.l_onoff = 1};
	char address[32], wanted[32];
	const struct handoff *h;
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	uint16_t port;
	int fd;

	(void)state;
	close(tcp_socket(&port, false));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	config.listen = address;
	assert_opens();
	fd = connect_tcp(port);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &len), 0);
	(void)snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", ntohs(local.sin_port));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	assert_int_equal(acceptor_start(&server.acceptor), 0);
	h = take();
	assert_non_null(h);
	assert_string_equal(h->address.peer, wanted);
	assert_true(h->address.is_loopback);
	stop();
}

static void test_a_port_in_use_is_refused(void **state)
{
	char address[32];
	uint16_t port;
	int other = tcp_socket(&port, true);

	(void)state;
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	config.listen = address;
	assert_refused(69, address);
	close(other);
}

static void test_all_addresses_of_a_host_are_listened_on_once(void **state)
{
	char address[32];
	uint16_t port;
	int fd;

	(void)state;
	close(tcp_socket(&port, false));
	(void)snprintf(address, sizeof(address), "localhost:%u", port);
	config.listen = address;
	start();
	fd = connect_tcp(port);
	assert_non_null(take());
	close(fd);
	stop();
}

/* ---- accepting ---- */

static void test_a_unix_client_is_described_by_its_credentials(void **state)
{
	const struct handoff *h;
	char wanted[160];
	int fd;

	(void)state;
	start();
	fd = connect_unix(path);
	h = take();
	assert_non_null(h);
	(void)snprintf(wanted, sizeof(wanted), "%s:0", path);
	assert_string_equal(h->address.peer, wanted);
	assert_string_equal(h->address.local, wanted);
	assert_int_equal(h->address.uid, geteuid());
	assert_int_equal(h->address.pid, getpid());
	assert_int_equal(fcntl(h->fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(h->fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	stop();
}

static void test_clients_beyond_the_limit_are_told_and_closed(void **state)
{
	static const char wanted[] = "-ERR max number of clients reached\r\n";
	char got[64];
	int first, second, third;

	(void)state;
	atomic_store(&config.max_clients, 1);
	start();
	first = connect_unix(path);
	assert_non_null(take());
	second = connect_unix(path);
	assert_int_equal(recv(second, got, sizeof(got), MSG_WAITALL), sizeof(wanted) - 1);
	assert_memory_equal(got, wanted, sizeof(wanted) - 1);
	assert_int_equal(atomic_load(&server.acceptor.refused), 1);
	/* The worker says that one has left. */
	for (size_t i = 0; i < WORKERS; i++)
		atomic_store(&workers[i].stats.peers, 0);
	third = connect_unix(path);
	assert_non_null(take());
	close(first);
	close(second);
	close(third);
	stop();
}

static void assert_told(int fd, const char *wanted)
{
	char got[128] = "";

	assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_WAITALL), strlen(wanted));
	assert_string_equal(got, wanted);
	close(fd);
}

/* On TCP: root and the daemon's own user are not limited on a Unix socket. */
static void test_clients_of_one_source_beyond_its_limit_take_none_of_all(void **state)
{
	char address[32];
	int fds[4];
	const struct handoff *h, *own;
	uint16_t port;

	(void)state;
	close(tcp_socket(&port, false));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	config.listen = address;
	atomic_store(&config.max_clients, 2);
	atomic_store(&config.max_source_clients, 1);
	start();
	fds[0] = connect_tcp(port);
	h = take();
	assert_non_null(h);
	assert_int_equal(h->source->clients, 1);
	assert_told(connect_tcp(port), "-ERR max number of clients reached by 127.0.0.1\r\n");
	assert_int_equal(atomic_load(&server.sources.refused), 1);
	assert_int_equal(atomic_load(&server.acceptor.refused), 0);
	/* One more has room among all, and then nobody has: who is refused for that counts nowhere. */
	fds[1] = connect_unix(path);
	own = take();
	assert_non_null(own);
	assert_told(connect_unix(path), "-ERR max number of clients reached\r\n");
	assert_int_equal(atomic_load(&server.acceptor.refused), 1);
	assert_int_equal(own->source->clients, 1);
	assert_int_equal(atomic_load(&server.sources.count), 2);
	/* The setting is asked each time. */
	atomic_store(&config.max_source_clients, 2);
	atomic_store(&config.max_clients, 4);
	fds[2] = connect_tcp(port);
	assert_non_null(take());
	assert_int_equal(h->source->clients, 2);
	/* A Unix socket is another source, and the daemon's own user not limited. */
	fds[3] = connect_unix(path);
	assert_non_null(take());
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	stop();
}

/* ---- stopping and leaving ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Connections in a queue, made before anybody accepts. */
enum { QUEUED = 3 };

static void test_a_stop_takes_everybody_who_has_connected(void **state)
{
	char address[32];
	uint16_t port;
	int fds[2 * QUEUED];

	(void)state;
	close(tcp_socket(&port, false));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	config.listen = address;
	assert_opens();
	for (int i = 0; i < QUEUED; i++) {
		fds[i] = connect_unix(path);
		fds[QUEUED + i] = connect_tcp(port);
	}
	assert_int_equal(acceptor_start(&server.acceptor), 0);
	stop();
	assert_int_equal(inbox.count, 2 * QUEUED);
	for (int i = 0; i < 2 * QUEUED; i++)
		close(fds[i]);
}

static void test_a_shut_door_refuses_and_keeps_the_queue_until_it_is_open_again(void **state)
{
	int before, after;
	struct stat first, second;

	(void)state;
	assert_opens();
	before = connect_unix(path);
	assert_int_equal(lstat(path, &first), 0);
	acceptor_shut(&server.acceptor);
	assert_int_equal(connect_unix(path), -ECONNREFUSED);
	close(accept(server.acceptor.listeners[0].fd, NULL, NULL));
	assert_int_equal(acceptor_reopen(&server.acceptor, why, sizeof(why)), 0);
	after = connect_unix(path);
	assert_true(after >= 0);
	assert_int_equal(lstat(path, &second), 0);
	assert_int_equal(second.st_mode & 07777, 0600);
	close(before);
	close(after);
	stop();
	assert_false(exists(path));
}

static void test_a_deaf_tcp_listener_keeps_its_queue_and_hears_again(void **state)
{
	char address[32];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint16_t port;
	int before, late, listener;

	(void)state;
	close(tcp_socket(&port, false));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	a.sin_port = htons(port);
	config.listen = address;
	assert_opens();
	listener = server.acceptor.listeners[1].fd;
	before = connect_tcp(port);
	acceptor_shut(&server.acceptor);
	late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(late, (const struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, EINPROGRESS);
	close(accept(listener, NULL, NULL));
	/* On the loopback interface whoever is heard is in the queue at once. */
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(acceptor_reopen(&server.acceptor, why, sizeof(why)), 0);
	close(connect_tcp(port));
	assert_true(accept(listener, NULL, NULL) >= 0);
	close(before);
	close(late);
	stop();
}

/* The time is over before it starts. */
static void open_idle(void)
{
	const struct timespec longer = {.tv_nsec = 2 * 1000 * 1000};

	config.idle_exit_ms = 1;
	assert_opens();
	nanosleep(&longer, NULL);
}

static void test_idle_long_enough_it_stops_the_server(void **state)
{
	(void)state;
	open_idle();
	assert_int_equal(acceptor_start(&server.acceptor), 0);
	assert_true(wait_for(&has_stopped));
	assert_non_null(strstr(atomic_load(&stopped), "idle-exit"));
	assert_int_equal(connect_unix(path), -ECONNREFUSED);
	stop();
	assert_false(exists(path));
}

static void test_whoever_connects_while_it_leaves_is_served_and_it_stays(void **state)
{
	int first, second;

	(void)state;
	open_idle();
	first = connect_unix(path);
	assert_int_equal(acceptor_start(&server.acceptor), 0);
	assert_non_null(take());
	/* The new socket may come a moment later. */
	while ((second = connect_unix(path)) < 0)
		assert_true(second == -ECONNREFUSED || second == -ENOENT);
	assert_non_null(take());
	assert_null(atomic_load(&stopped));
	/* The workers close both. */
	idle_close(&server.acceptor.idle, 0);
	idle_close(&server.acceptor.idle, 0);
	assert_true(wait_for(&has_stopped));
	close(first);
	close(second);
	stop();
}

static void test_when_its_socket_is_removed_it_leaves_with_the_last_connection(void **state)
{
	int fd;

	(void)state;
	config.idle_exit_ms = 1000 * 1000;
	start();
	fd = connect_unix(path);
	assert_non_null(take());
	assert_int_equal(unlink(path), 0);
	idle_close(&server.acceptor.idle, now_ms() * 1000000);
	assert_true(wait_for(&has_stopped));
	close(fd);
	stop();
}

static void test_without_its_place_it_leaves_with_the_last_connection(void **state)
{
	const int64_t limit_ms = 1000 * 1000;
	int first, other;

	(void)state;
	assert_opens();
	idle_init(&server.acceptor.idle, limit_ms, &server.acceptor.waker,
		  (now_ms() - limit_ms - 1) * 1000000);
	first = connect_unix(path);
	assert_int_equal(unlink(path), 0);
	other = unix_listener(path);
	assert_int_equal(acceptor_start(&server.acceptor), 0);
	assert_non_null(take());
	idle_close(&server.acceptor.idle, now_ms() * 1000000);
	assert_true(wait_for(&has_stopped));
	stop();
	assert_true(exists(path));
	close(first);
	close(other);
}

/* ---- in a child: descriptors 3 and up, and limits, are the process's ---- */

/* Runs fn there; its result is the exit status. 0: fine. */
static void assert_child(int (*fn)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(fn());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the child failed at step %d (status %#x)", WEXITSTATUS(status), (unsigned)status);
}

/* `fd` becomes descriptor 3, the only one passed. */
static void pass(int fd)
{
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (fd == 3)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, 3);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
}

static int child_inherits_unix(void)
{
	char name[128];
	int fd;

	pass(unix_listener(path));
	if (!acceptor_name_inherited(1, name, sizeof(name)) || strcmp(name, path) != 0)
		return 6;
	config.socket = NULL; /* not looked at */
	if (open_acceptor())
		return 1;
	if (!server.acceptor.is_inherited || server.acceptor.socket_path[0] ||
	    server.acceptor.listener_count != 1)
		return 2;
	if (acceptor_start(&server.acceptor))
		return 3;
	fd = connect_unix(path);
	if (fd < 0 || !take())
		return 4;
	stop();
	/* It is the service manager's. */
	return exists(path) ? 0 : 5;
}

static int child_inherits_tcp(void)
{
	uint16_t port;
	char address[] = "127.0.0.1:1"; /* would need root, and stands back */
	char name[128], wanted[32];

	pass(tcp_socket(&port, true));
	(void)snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", port);
	if (!acceptor_name_inherited(1, name, sizeof(name)) || strcmp(name, wanted) != 0)
		return 5;
	config.listen = address;
	if (open_acceptor())
		return 1;
	if (server.acceptor.tcp_port != port || server.acceptor.listener_count != 1)
		return 2;
	if (acceptor_start(&server.acceptor))
		return 3;
	close(connect_tcp(port));
	if (!take())
		return 4;
	stop();
	return 0;
}

static int child_inherits_open_tcp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 1))
		return 1;
	pass(fd);
	return open_acceptor() == 78 && strstr(why, "is on 0.0.0.0:") &&
			       strstr(why, ", not a loopback address")
		       ? 0
		       : 2;
}

static int child_inherits_what_does_not_listen(void)
{
	pass(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	return open_acceptor() == 78 && strstr(why, "no listening stream socket") ? 0 : 1;
}

static int child_inherits_datagrams(void)
{
	pass(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	return open_acceptor() == 78 ? 0 : 1;
}

static void test_inherited_sockets_are_served_and_left_in_place(void **state)
{
	(void)state;
	assert_child(child_inherits_unix);
}

static void test_an_inherited_tcp_socket_replaces_listen(void **state)
{
	(void)state;
	assert_child(child_inherits_tcp);
}

static void test_inherited_sockets_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	assert_child(child_inherits_open_tcp);
	assert_child(child_inherits_what_does_not_listen);
	assert_child(child_inherits_datagrams);
}

/* Goal: without descriptors the acceptor neither spins nor gives up. Method: a limit just above what is open.
 */
static int child_runs_out_of_descriptors(void)
{
	struct rlimit before, limit;
	int fd = -1, probe;
	int64_t begin_ms;

	if (open_acceptor() || acceptor_start(&server.acceptor) || getrlimit(RLIMIT_NOFILE, &before))
		return 1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	probe = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* the lowest that is free */
	close(probe);
	limit = (struct rlimit){.rlim_cur = (rlim_t)probe, .rlim_max = before.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 2;
	struct sockaddr_un a = unix_address(path);
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)))
		return 3;
	while (atomic_load(&server.acceptor.failures) < 1)
		sched_yield();
	begin_ms = now_ms();
	/* Still trying, but with pauses between. */
	while (atomic_load(&server.acceptor.failures) < 3)
		sched_yield();
	if (now_ms() - begin_ms < 100)
		return 4;
	if (setrlimit(RLIMIT_NOFILE, &before))
		return 5;
	if (!take())
		return 6;
	stop();
	return 0;
}

static void test_without_descriptors_it_waits_and_recovers(void **state)
{
	(void)state;
	assert_child(child_runs_out_of_descriptors);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_least_busy_worker_is_chosen),
		TEST(test_a_burst_of_connections_is_spread_evenly),
		TEST(test_a_busy_worker_is_spared),
		TEST(test_the_socket_has_the_mode_asked_for_whatever_the_umask),
		TEST(test_an_unknown_group_is_refused_and_leaves_nothing),
		TEST(test_a_stale_socket_is_replaced),
		TEST(test_a_live_socket_is_refused_and_kept),
		TEST(test_a_live_socket_whose_queue_is_full_is_kept),
		TEST(test_a_file_of_another_kind_is_refused_and_kept),
		TEST(test_a_path_that_is_too_long_is_refused),
		TEST(test_the_directory_is_made_but_no_tree),
		TEST(test_a_directory_that_root_has_made_lets_others_through),
		TEST(test_a_directory_that_others_may_write_is_refused_among_everybodys),
		TEST(test_stop_removes_the_socket_but_not_its_successor),
		TEST(test_a_failure_after_the_socket_was_made_removes_it),
		TEST(test_only_loopback_addresses_are_listened_on),
		TEST(test_a_tcp_client_is_described_and_gets_no_delay),
		TEST(test_one_source_is_an_ipv4_address_or_half_of_an_ipv6_one),
		TEST(test_a_client_that_is_gone_before_it_is_accepted_is_described_all_the_same),
		TEST(test_a_port_in_use_is_refused),
		TEST(test_all_addresses_of_a_host_are_listened_on_once),
		TEST(test_a_unix_client_is_described_by_its_credentials),
		TEST(test_clients_beyond_the_limit_are_told_and_closed),
		TEST(test_clients_of_one_source_beyond_its_limit_take_none_of_all),
		TEST(test_a_stop_takes_everybody_who_has_connected),
		TEST(test_a_shut_door_refuses_and_keeps_the_queue_until_it_is_open_again),
		TEST(test_a_deaf_tcp_listener_keeps_its_queue_and_hears_again),
		TEST(test_idle_long_enough_it_stops_the_server),
		TEST(test_whoever_connects_while_it_leaves_is_served_and_it_stays),
		TEST(test_when_its_socket_is_removed_it_leaves_with_the_last_connection),
		TEST(test_without_its_place_it_leaves_with_the_last_connection),
		TEST(test_inherited_sockets_are_served_and_left_in_place),
		TEST(test_an_inherited_tcp_socket_replaces_listen),
		TEST(test_inherited_sockets_that_make_no_sense_are_refused),
		TEST(test_without_descriptors_it_waits_and_recovers),
	};

	return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
