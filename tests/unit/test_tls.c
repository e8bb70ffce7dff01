/* SPDX-License-Identifier: MIT */
/*
 * A connection with TLS, as a caller with a poll(2) of its own drives it. The other end is OpenSSL in the
 * same thread, so that who has sent and received how much is the test's to say; tests/system/tls.bats has
 * real servers and what they refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/conn.h"
#include "../../lib/shcount.h"
#include "../../lib/tls.h"

enum { BIG = 4 << 20, TOO_LONG_MS = 20000 };

static char dir[] = "/tmp/test_tls.XXXXXX";
static char ca_path[64];
static SSL_CTX *server_ctx;
static char *big; /* BIG bytes without a pattern */

static int64_t in_ms(int64_t ms)
{
	return conn_now_ns() + ms * 1000000;
}

/* ---- the other end ---- */

static void add_names(X509 *cert, const char *names)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* A certificate that is its own CA, for server_ctx and, as a file, for the client. */
static void make_certificate(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	add_names(cert, "DNS:localhost,IP:127.0.0.1,IP:fe80::1");
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(server_ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
	FILE *f = fopen(ca_path, "w");
	assert_int_equal(PEM_write_X509(f, cert), 1);
	assert_int_equal(fclose(f), 0);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", dir);
	server_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_mode(server_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	make_certificate();
	big = malloc(BIG);
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < BIG; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		big[i] = (char)x;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(big);
	SSL_CTX_free(server_ctx);
	unlink(ca_path);
	return rmdir(dir);
}

static int listen_tcp(struct sockaddr_in *addr)
{
	*addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

/* A client, what it needs, and the server's end of its connection. */
struct pair {
	struct tls_context *context;
	struct conn c;
	int listener, fd;
	SSL *server;
};

/* Both ends as far as TCP goes, the client by steps that do not wait. */
static void begin_pair(struct pair *p, const char *host)
{
	char why[320];
	struct sockaddr_in addr;
	const struct tls_config config = {.ca = ca_path};
	*p = (struct pair){.c = CONN_INIT};
	assert_int_equal(tls_context_new(&p->context, &config, why, sizeof(why)), 0);
	p->listener = listen_tcp(&addr);
	assert_int_equal(conn_begin(&p->c, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(conn_wait(&p->c, POLLOUT, in_ms(TOO_LONG_MS)) > 0);
	assert_int_equal(conn_finish(&p->c), 0);
	p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(p->fd >= 0);
	p->server = SSL_new(server_ctx);
	SSL_set_fd(p->server, p->fd);
	SSL_set_accept_state(p->server);
	assert_int_equal(conn_secure(&p->c, p->context, host), 0);
}

static void open_pair(struct pair *p, const char *host)
{
	begin_pair(p, host);
	char why[320];
	int client = -EAGAIN, server = 0;
	for (int64_t end_ns = in_ms(TOO_LONG_MS); client || server != 1;) {
		assert_true(conn_now_ns() < end_ns);
		assert_int_equal(conn_events(&p->c, client != 0) & POLLIN, POLLIN);
		if (client)
			client = conn_handshake(&p->c, why, sizeof(why));
		if (client && client != -EAGAIN)
			fail_msg("%s", why);
		if (server != 1)
			server = SSL_do_handshake(p->server);
	}
}

static void close_pair(struct pair *p)
{
	conn_close(&p->c);
	tls_context_free(p->context);
	SSL_free(p->server);
	close(p->fd);
	close(p->listener);
}

/* All of what the client was sent, up to an -EAGAIN behind `len` bytes. */
static void receive_all(struct conn *c, char *data, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = conn_recv_some(c, data + got, len - got);
		if (n == -EAGAIN)
			n = conn_wait(c, POLLIN, in_ms(TOO_LONG_MS)) > 0 ? 0 : -1;
		assert_true(n >= 0);
		got += (size_t)n;
	}
}

/* ---- tests ---- */

static void test_names_and_addresses_are_looked_for_in_the_certificate(void **state)
{
	(void)state;
	static const char *const hosts[] = {"localhost", "localhost.", "127.0.0.1", "fe80::1%lo"};
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct pair p;
		open_pair(&p, hosts[i]);
		const char *asked = SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name);
		if (i < 2)
			assert_string_equal(asked, "localhost");
		else
			assert_null(asked);
		char got[8];
		assert_int_equal(conn_send_some(&p.c, "hello", 5), 5);
		assert_int_equal(SSL_read(p.server, got, sizeof(got)), 5);
		assert_int_equal(SSL_write(p.server, "world", 5), 5);
		receive_all(&p.c, got, 5);
		assert_memory_equal(got, "world", 5);
		close_pair(&p);
	}
}

static void test_another_name_is_final_and_stays_so(void **state)
{
	(void)state;
	struct pair p;
	begin_pair(&p, "localhost.example");
	char why[320] = "", byte;
	int rc = -EAGAIN;
	for (int64_t end_ns = in_ms(TOO_LONG_MS); rc == -EAGAIN && conn_now_ns() < end_ns;) {
		rc = conn_handshake(&p.c, why, sizeof(why));
		SSL_do_handshake(p.server);
	}
	assert_int_equal(rc, -EKEYREJECTED);
	assert_string_equal(why, "the server's certificate is not for localhost.example: it names localhost, "
				 "127.0.0.1, fe80::1");
	assert_string_equal(conn_why(&p.c), why);
	assert_int_equal(conn_handshake(&p.c, why, sizeof(why)), -EKEYREJECTED);
	assert_int_equal(conn_recv_some(&p.c, &byte, 1), -EKEYREJECTED);
	assert_false(conn_has_input(&p.c));
	close_pair(&p);
}

static void test_a_host_that_no_certificate_can_have_is_told_before(void **state)
{
	(void)state;
	char longer[300], why[320];
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	const struct tls_config config = {.ca = ca_path};
	struct tls_context *context;
	assert_int_equal(tls_context_new(&context, &config, why, sizeof(why)), 0);
	struct conn c = {.fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
	assert_int_equal(conn_secure(&c, context, longer), -EINVAL);
	conn_close(&c);
	tls_context_free(context);
}

/* Records that came in one piece: poll(2) knows of none of them once the first is read. */
static void test_bytes_that_wait_inside_are_told(void **state)
{
	(void)state;
	struct pair p;
	open_pair(&p, "127.0.0.1");
	char got[16];
	assert_int_equal(conn_recv_some(&p.c, got, sizeof(got)), -EAGAIN); /* tickets */
	assert_false(conn_has_input(&p.c));
	for (int i = 0; i < 3; i++)
		assert_int_equal(SSL_write(p.server, "ab", 2), 2);
	assert_true(conn_wait(&p.c, POLLIN, in_ms(TOO_LONG_MS)) & POLLIN);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(conn_wait(&p.c, POLLIN | POLLOUT, in_ms(TOO_LONG_MS)) & POLLIN, POLLIN);
		assert_int_equal(conn_recv_some(&p.c, got, 1), 1);
		assert_int_equal(got[0], "ab"[i % 2]);
		assert_true(conn_has_input(&p.c));
	}
	assert_int_equal(conn_recv_some(&p.c, got, 1), -EAGAIN);
	assert_false(conn_has_input(&p.c));
	assert_int_equal(conn_wait(&p.c, POLLIN, in_ms(10)), -ETIMEDOUT);
	close_pair(&p);
}

/* Sends from `data` until the kernel takes no more: the bytes that were counted. */
static size_t stuff(struct conn *c, const char *data)
{
	for (size_t sent = 0;;) {
		assert_true(sent < BIG);
		ssize_t n = conn_send_some(c, data + sent, BIG - sent);
		if (n == -EAGAIN)
			return sent;
		assert_true(n > 0);
		sent += (size_t)n;
	}
}

static void keep_buffers_small(const struct pair *p)
{
	const int size = 64 << 10;
	setsockopt(p->c.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static void test_the_peer_understands_what_was_counted_and_no_more(void **state)
{
	(void)state;
	struct pair p;
	open_pair(&p, "127.0.0.1");
	keep_buffers_small(&p);
	char byte;
	size_t counted = stuff(&p.c, big), got = 0;
	/* With tickets unread the kernel would throw away what it has taken. */
	assert_int_equal(conn_recv_some(&p.c, &byte, 1), -EAGAIN);
	conn_close(&p.c);
	char *data = malloc(BIG);
	int flags = fcntl(p.fd, F_GETFL);
	fcntl(p.fd, F_SETFL, flags & ~O_NONBLOCK);
	for (int n; (n = SSL_read(p.server, data + got, BIG - (int)got)) > 0;)
		got += (size_t)n;
	assert_int_equal(got, counted);
	assert_memory_equal(data, big, got);
	free(data);
	close_pair(&p);
}

/* Both ends send at once, and the client's bytes are elsewhere at every call. */
static void test_megabytes_both_ways_are_what_they_were(void **state)
{
	(void)state;
	struct pair p;
	open_pair(&p, "127.0.0.1");
	keep_buffers_small(&p);
	char *to_client = malloc(BIG), *to_server = malloc(BIG);
	size_t client_sent = 0, client_got = 0, server_sent = 0, server_got = 0;
	const int64_t end_ns = in_ms(TOO_LONG_MS);
	while (client_got < BIG || server_got < BIG) {
		assert_true(conn_now_ns() < end_ns);
		if (client_sent < BIG) {
			size_t len = BIG - client_sent < 50000 ? BIG - client_sent : 50000;
			char *elsewhere = malloc(len);
			memcpy(elsewhere, big + client_sent, len);
			ssize_t n = conn_send_some(&p.c, elsewhere, len);
			free(elsewhere);
			assert_true(n > 0 || n == -EAGAIN);
			client_sent += n > 0 ? (size_t)n : 0;
		}
		ssize_t n = conn_recv_some(&p.c, to_client + client_got, BIG - client_got + 1);
		assert_true(n > 0 || n == -EAGAIN);
		client_got += n > 0 ? (size_t)n : 0;
		if (server_sent < BIG) {
			int written = SSL_write(p.server, big + server_sent, (int)(BIG - server_sent));
			server_sent += written > 0 ? (size_t)written : 0;
		}
		if (server_sent == BIG / 2) /* new keys in the middle, and the client's too */
			SSL_key_update(p.server, SSL_KEY_UPDATE_REQUESTED);
		int read = server_got < BIG
				   ? SSL_read(p.server, to_server + server_got, (int)(BIG - server_got))
				   : 0;
		server_got += read > 0 ? (size_t)read : 0;
	}
	assert_memory_equal(to_client, big, BIG);
	assert_memory_equal(to_server, big, BIG);
	free(to_client);
	free(to_server);
	close_pair(&p);
}

static void test_an_idle_connection_is_stale_when_something_came(void **state)
{
	(void)state;
	struct pair p;
	open_pair(&p, "127.0.0.1");
	assert_false(conn_is_stale(&p.c)); /* tickets are no answers */
	assert_int_equal(SSL_write(p.server, "x", 1), 1);
	assert_true(conn_wait(&p.c, POLLIN, in_ms(TOO_LONG_MS)) > 0);
	assert_true(conn_is_stale(&p.c));
	char byte;
	assert_int_equal(conn_recv_some(&p.c, &byte, 1), 1);
	assert_false(conn_is_stale(&p.c));
	SSL_shutdown(p.server);
	assert_true(conn_wait(&p.c, POLLIN, in_ms(TOO_LONG_MS)) > 0);
	assert_true(conn_is_stale(&p.c));
	assert_int_equal(conn_recv_some(&p.c, &byte, 1), 0);
	close_pair(&p);
}

static void test_a_peer_that_is_gone_raises_no_signal(void **state)
{
	(void)state;
	struct pair p;
	open_pair(&p, "127.0.0.1");
	const struct linger at_once = {.l_onoff = 1};
	setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(p.fd);
	p.fd = -1;
	assert_true(conn_wait(&p.c, POLLIN, in_ms(TOO_LONG_MS)) > 0);
	ssize_t first = conn_send_some(&p.c, "x", 1), second = conn_send_some(&p.c, "x", 1);
	assert_true(first == -ECONNRESET || first == -EPIPE);
	assert_true(second == -EPIPE);
	close_pair(&p);
}

static void test_a_child_that_closes_is_not_noticed(void **state)
{
	(void)state;
	struct pair p;
	open_pair(&p, "127.0.0.1");
	pid_t child = fork();
	if (child == 0) {
		conn_close(&p.c);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	char got[8];
	assert_int_equal(conn_send_some(&p.c, "hello", 5), 5);
	assert_int_equal(SSL_read(p.server, got, sizeof(got)), 5);
	close_pair(&p);
}

/* ---- the library ---- */

struct refused {
	int listener;
	atomic_int connections;
};

/* A server whose certificate nobody knows, until the listener is shut down. */
static void *serve(void *arg)
{
	struct refused *r = arg;
	for (int fd; (fd = accept(r->listener, NULL, NULL)) >= 0; close(fd)) {
		r->connections++;
		SSL *ssl = SSL_new(server_ctx);
		SSL_set_fd(ssl, fd);
		SSL_accept(ssl);
		SSL_free(ssl);
	}
	return NULL;
}

static void test_a_certificate_that_is_not_trusted_is_not_asked_for_again(void **state)
{
	(void)state;
	struct sockaddr_in addr;
	struct refused r = {.listener = listen_tcp(&addr)};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, serve, &r), 0);
	char url[64];
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", (unsigned)ntohs(addr.sin_port));
	unsetenv("SHCOUNT_TLS_CA");
	struct shc *shc;
	assert_int_equal(shc_open(&shc, url, TOO_LONG_MS), SHC_OK);
	assert_int_equal(shc_once(shc, "t", 1, "n", 1, 1, false, NULL, NULL), SHC_UNREACHABLE);
	assert_non_null(strstr(shc_error(shc), "not trusted"));
	assert_int_equal(r.connections, 1);
	shc_close(shc);
	shutdown(r.listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(r.listener);
}

enum { THREADS = 8, TURNS = 3, CALLS = 40, CALL_BYTES_MAX = 512 };

/* One connection of a server that has nothing but a counter: each call adds one, and is sent alone. */
static void *count_calls(void *arg)
{
	int fd = (int)(intptr_t)arg;
	int64_t calls = 0;
	char request[CALL_BYTES_MAX], reply[32];
	SSL *ssl = SSL_new(server_ctx);
	SSL_set_fd(ssl, fd);
	for (int n = SSL_accept(ssl); n > 0;) {
		n = SSL_read(ssl, request, sizeof(request));
		if (n > 0) {
			int len = snprintf(reply, sizeof(reply), ":%jd\r\n", (intmax_t)++calls);
			n = SSL_write(ssl, reply, len);
		}
	}
	SSL_free(ssl);
	close(fd);
	return NULL;
}

struct counting_server {
	int listener;
	pthread_t connections[THREADS * TURNS];
	size_t count;
};

static void *accept_all(void *arg)
{
	struct counting_server *s = arg;
	for (int fd; s->count < THREADS * TURNS && (fd = accept(s->listener, NULL, NULL)) >= 0; s->count++)
		if (pthread_create(&s->connections[s->count], NULL, count_calls, (void *)(intptr_t)fd))
			abort();
	return NULL;
}

/* True: each handle had all its answers. */
static void *use_tls(void *url)
{
	bool is_right = true;
	for (int turn = 0; turn < TURNS; turn++) {
		struct shc *shc;
		int64_t value = 0;
		is_right = is_right && shc_open(&shc, url, TOO_LONG_MS) == SHC_OK;
		for (int i = 1; is_right && i <= CALLS; i++)
			is_right = shc_incr(shc, "n", 1, 1, &value) == SHC_OK && value >= i;
		if (!is_right)
			fprintf(stderr, "%s\n", shc_error(shc));
		shc_close(shc);
	}
	return (void *)(intptr_t)is_right;
}

/* Each handle loads the library, reads the CA and makes its connection, while others do and others close. */
static void test_threads_with_a_handle_each_use_openssl_at_the_same_time(void **state)
{
	(void)state;
	struct sockaddr_in addr;
	struct counting_server server = {.listener = listen_tcp(&addr)};
	pthread_t acceptor, threads[THREADS];
	char url[64];
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", (unsigned)ntohs(addr.sin_port));
	setenv("SHCOUNT_TLS_CA", ca_path, 1);
	assert_int_equal(pthread_create(&acceptor, NULL, accept_all, &server), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_tls, url), 0);
	bool is_right = true;
	for (int i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		is_right = is_right && result;
	}
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(acceptor, NULL);
	for (size_t i = 0; i < server.count; i++)
		pthread_join(server.connections[i], NULL);
	close(server.listener);
	unsetenv("SHCOUNT_TLS_CA");
	assert_true(is_right);
	assert_int_equal(server.count, THREADS * TURNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_addresses_are_looked_for_in_the_certificate),
		cmocka_unit_test(test_another_name_is_final_and_stays_so),
		cmocka_unit_test(test_a_host_that_no_certificate_can_have_is_told_before),
		cmocka_unit_test(test_bytes_that_wait_inside_are_told),
		cmocka_unit_test(test_the_peer_understands_what_was_counted_and_no_more),
		cmocka_unit_test(test_megabytes_both_ways_are_what_they_were),
		cmocka_unit_test(test_an_idle_connection_is_stale_when_something_came),
		cmocka_unit_test(test_a_peer_that_is_gone_raises_no_signal),
		cmocka_unit_test(test_a_child_that_closes_is_not_noticed),
		cmocka_unit_test(test_a_certificate_that_is_not_trusted_is_not_asked_for_again),
		cmocka_unit_test(test_threads_with_a_handle_each_use_openssl_at_the_same_time),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
