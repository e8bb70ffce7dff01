/* SPDX-License-Identifier: MIT */
/*
 * acceptor_listen.c - makes the listeners and takes them away: inherited ones, the Unix socket, TCP, beyond
 * loopback only where the rules of access have a login. Main thread.
 */
#include <arpa/inet.h>
#include <bsd/string.h>
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "acceptor.h"
#include "config.h"
#include "config_value.h"
#include "../lib/log.h"
#include "../lib/loopback.h"
#include "../lib/way.h"
#include "server.h"

enum {
	STATUS_UNAVAILABLE = 69,
	STATUS_IO = 74,
	STATUS_NO_PERMISSION = 77,
	STATUS_CONFIG = 78,
	INHERITED_FIRST = 3, /* sd_listen_fds(3) */
};

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage storage;
};

/* Where the sentence goes. */
struct why {
	char *text;
	size_t size;
};

static int refuse(const struct why *why, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct why *why, int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->text, why->size, fmt, args);
	va_end(args);
	return status;
}

static int status_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM: return STATUS_NO_PERMISSION;
	case EADDRINUSE: return STATUS_UNAVAILABLE;
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case EROFS:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT: return STATUS_CONFIG;
	default: return STATUS_IO;
	}
}

static int refuse_errno(const struct why *why, const char *what, const char *doing)
{
	int error = errno;

	return refuse(why, status_of(error), "%s: cannot %s: %s", what, doing, strerror(error));
}

/* Takes the descriptor, also on failure. */
static int add_listener(struct acceptor *a, enum listener_kind kind, int fd, const struct why *why)
{
	if (a->listener_count == ACCEPTOR_LISTENERS_MAX) {
		close(fd);
		return refuse(why, STATUS_CONFIG, "more than %d addresses to listen on: give fewer",
			      ACCEPTOR_LISTENERS_MAX);
	}
	a->listeners[a->listener_count++] = (struct listener){.fd = fd, .kind = kind};
	return 0;
}

/* Strangers must have somebody to log in as. */
static bool may_listen(struct acceptor *a, const struct sockaddr *address)
{
	if (loopback_is(address))
		return true;
	a->is_exposed = true;
	return access_has_logins(a->server->access.set);
}

static uint16_t port_of(const union address *u)
{
	return ntohs(u->any.sa_family == AF_INET6 ? u->in6.sin6_port : u->in.sin_port);
}

/* Accepted sockets inherit it: a reply must not wait for the acknowledgement of the one before. */
static void set_no_delay(int fd)
{
	const int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* "127.0.0.1:5555", "[::1]:5555", "/path:0", as Redis writes them. */
static void format_address(const union address *address, socklen_t len, char *out, size_t out_size)
{
	char host[INET6_ADDRSTRLEN] = "";
	const size_t path_at = offsetof(struct sockaddr_un, sun_path);

	switch (address->any.sa_family) {
	case AF_UNIX: {
		size_t path_len = len > path_at ? strnlen(address->un.sun_path, len - path_at) : 0;

		snprintf(out, out_size, "%.*s:0", (int)path_len, address->un.sun_path);
		break;
	}
	case AF_INET:
		inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host));
		snprintf(out, out_size, "%s:%u", host, port_of(address));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof(host));
		snprintf(out, out_size, "[%s]:%u", host, port_of(address));
		break;
	default: strlcpy(out, "?:0", out_size); break;
	}
}

/* ---- inherited ---- */

/* Abstract ones as systemd writes them, "@name". */
static void name_unix(const struct sockaddr_un *address, socklen_t len, char *out, size_t size)
{
	size_t path_len = len - offsetof(struct sockaddr_un, sun_path);
	const char *path = address->sun_path;

	if (path[0])
		(void)snprintf(out, size, "%.*s", (int)strnlen(path, path_len), path);
	else
		(void)snprintf(out, size, "@%.*s", (int)path_len - 1, path + 1);
}

bool acceptor_name_inherited(int count, char *out, size_t size)
{
	bool is_named = false;

	for (int fd = INHERITED_FIRST; fd < INHERITED_FIRST + count; fd++) {
		union address address = {0};
		socklen_t len = sizeof(address);

		if (getsockname(fd, &address.any, &len))
			continue;
		if (address.any.sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path)) {
			name_unix(&address.un, len, out, size);
			return true;
		}
		if (!is_named)
			format_address(&address, len, out, size);
		is_named = true;
	}
	return is_named;
}

static int take_inherited(struct acceptor *a, int fd, const struct why *why)
{
	union address address = {0};
	socklen_t len = sizeof(address), int_len = sizeof(int);
	int type = 0, is_listening = 0, flags;
	char name[128];

	if (getsockname(fd, &address.any, &len) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &int_len) || type != SOCK_STREAM ||
	    !is_listening)
		return refuse(
			why, STATUS_CONFIG,
			"LISTEN_FDS: descriptor %d is no listening stream socket (ListenStream=, Accept=no)",
			fd);
	if (address.any.sa_family != AF_UNIX) {
		if (!may_listen(a, &address.any)) {
			format_address(&address, len, name, sizeof(name));
			return refuse(why, STATUS_CONFIG, "LISTEN_FDS: descriptor %d is on %s, %s", fd, name,
				      config_value_not_loopback);
		}
		a->tcp_port = port_of(&address);
		set_no_delay(fd);
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return refuse_errno(why, "LISTEN_FDS", "make a socket non-blocking");
	return add_listener(a, LISTENER_INHERITED, fd, why);
}

static int listen_inherited(struct acceptor *a, int count, const struct why *why)
{
	int status = 0;

	for (int i = 0; i < count && !status; i++)
		status = take_inherited(a, INHERITED_FIRST + i, why);
	a->is_inherited = true;
	return status;
}

/* ---- the Unix socket ---- */

/* Who may take files away on the way there can put his own server in the place of ours. */
static int check_way(const char *path, const struct why *why, bool is_start)
{
	char sentence[WAY_WHY_SIZE];
	enum way way = way_look(path, WAY_FOR_SOCKET, sentence);

	if (way == WAY_OPEN)
		return refuse(why, STATUS_NO_PERMISSION,
			      "%s: not safe for a socket: %s, or choose another --socket", path, sentence);
	if (way == WAY_DOUBTFUL && is_start)
		log_warning("%s: %s: the socket is as safe as they are", path, sentence);
	return 0;
}

/* One that was just made: for a service's socket others must get through, whatever the umask; a user's own is
 * private. */
static int let_through(const char *dir, const struct why *why)
{
	int fd, rc = 0;

	if (geteuid() != 0)
		return 0;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755))
		rc = refuse_errno(why, dir, "open the socket's directory to others");
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The directory must be there, or be one that is only missing itself: a mistyped path must not grow a tree.
 */
static int ensure_directory(const char *path, const struct why *why)
{
	char copy[PATH_MAX];
	const char *dir;
	struct stat st;
	int status = 0;

	strlcpy(copy, path, sizeof(copy));
	dir = dirname(copy);
	if (mkdir(dir, 0700) == 0)
		status = let_through(dir, why);
	else if (errno != EEXIST && errno != EROFS && errno != EACCES)
		return refuse_errno(why, dir, "make the socket's directory");
	if (lstat(dir, &st))
		return refuse_errno(why, dir, "find the socket's directory, or make it");
	return status ? status : check_way(path, why, true);
}

static int make_socket(int family, const struct why *why, const char *what, int *fd)
{
	*fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *fd < 0 ? refuse_errno(why, what, "make a socket") : 0;
}

/* 0: nobody listens there. */
static int probe_socket(const char *path, const union address *address, const struct why *why)
{
	int fd, rc, error, status = make_socket(AF_UNIX, why, path, &fd);

	if (status)
		return status;
	rc = connect(fd, &address->any, sizeof(address->un));
	error = errno;
	close(fd);
	if (rc && (error == ECONNREFUSED || error == ENOENT))
		return 0;
	if (rc && (error == EACCES || error == EPERM))
		return refuse(why, STATUS_NO_PERMISSION,
			      "%s: there is a socket of somebody else's: %s; choose another --socket", path,
			      strerror(error));
	return refuse(why, STATUS_UNAVAILABLE,
		      "%s: another server answers there; stop it, or choose another --socket", path);
}

static int refuse_no_socket(const char *path, const struct why *why)
{
	return refuse(why, STATUS_CONFIG,
		      "%s: there is a file that is no socket; it is kept, choose another --socket", path);
}

/* Makes place: a socket that nobody listens on is left from a crash. */
static int remove_stale(const char *path, const union address *address, const struct why *why)
{
	struct stat st;
	int status;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : refuse_errno(why, path, "look for an old socket");
	if (!S_ISSOCK(st.st_mode))
		return refuse_no_socket(path, why);
	status = probe_socket(path, address, why);
	if (status)
		return status;
	if (unlink(path) && errno != ENOENT)
		return refuse_errno(why, path, "remove the socket of a server that is gone");
	log_info("%s: removed the socket of a server that is gone", path);
	return 0;
}

/* 0, with -1 for "leave it"; or a status. */
static int find_group(const char *name, gid_t *gid, const struct why *why)
{
	const struct group *group;
	char *end;
	unsigned long number;

	*gid = (gid_t)-1;
	if (!name)
		return 0;
	group = getgrnam(name);
	number = strtoul(name, &end, 10);
	if (!group && (*end || end == name))
		return refuse(why, STATUS_CONFIG, "socket-group: there is no group '%s'", name);
	*gid = group ? group->gr_gid : (gid_t)number;
	return 0;
}

/* From here on there is a file to remove. Workers may be reading the path of an earlier one, which is the
 * same. */
static bool remember_socket(struct acceptor *a, const char *path)
{
	struct stat st;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	a->socket_dev = st.st_dev;
	a->socket_ino = st.st_ino;
	return a->socket_path[0] ||
	       strlcpy(a->socket_path, path, sizeof(a->socket_path)) < sizeof(a->socket_path);
}

bool acceptor_has_place(const struct acceptor *a)
{
	struct stat st;

	return a->socket_path[0] && !lstat(a->socket_path, &st) && st.st_dev == a->socket_dev &&
	       st.st_ino == a->socket_ino;
}

/* Unless it is somebody else's by now. */
static void remove_socket(const struct acceptor *a)
{
	if (acceptor_has_place(a) && unlink(a->socket_path))
		log_warning("%s: cannot be removed: %s", a->socket_path, strerror(errno));
}

/* A descriptor with O_PATH has no fchmod(2), but a name; where /proc is missing, the socket's own must do. */
static int set_mode(int fd, const char *path, mode_t mode)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (chmod(name, mode) == 0)
		return 0;
	return errno == ENOENT ? chmod(path, mode) : -1;
}

/* Gives it to the group and sets its mode, by a descriptor that was seen to be our socket: what its name
 * leads to by now may be another file, also through a link. */
static int open_up(const struct acceptor *a, const char *path, gid_t gid, const struct why *why)
{
	struct stat st;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), status = 0;

	if (fd < 0 || fstat(fd, &st) || st.st_dev != a->socket_dev || st.st_ino != a->socket_ino)
		status = refuse(why, STATUS_IO, "%s: the socket was taken away while it was made", path);
	else if (gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH))
		status = refuse_errno(why, path, "give the socket to the group (socket-group)");
	else if (set_mode(fd, path, a->server->config->socket_mode))
		status = refuse_errno(why, path, "set the socket's mode");
	if (fd >= 0)
		close(fd);
	return status;
}

/* Binds so that the file is at no moment more open than asked for: on Linux its mode is that of the
 * descriptor. */
static int bind_private(struct acceptor *a, int fd, const union address *address, const struct why *why)
{
	const struct config *config = a->server->config;
	const char *path = config->socket;
	gid_t gid;
	int status = find_group(config->socket_group, &gid, why);

	if (status)
		return status;
	if (fchmod(fd, config->socket_mode & 0600))
		return refuse_errno(why, path, "set the socket's mode");
	if (bind(fd, &address->any, sizeof(address->un)))
		return refuse_errno(why, path, "bind the socket");
	if (!remember_socket(a, path))
		return refuse(why, STATUS_IO, "%s: the socket was taken away while it was made", path);
	return open_up(a, path, gid, why);
}

/* Nothing is at its place. *fd is -1 on failure. */
static int make_listener(struct acceptor *a, const union address *address, const struct why *why, int *fd)
{
	const char *path = a->server->config->socket;
	int status = make_socket(AF_UNIX, why, path, fd);

	if (!status)
		status = bind_private(a, *fd, address, why);
	if (!status && listen(*fd, ACCEPTOR_BACKLOG))
		status = refuse_errno(why, path, "listen");
	if (status && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return status;
}

/* One that is missing is made, in the one above it. */
static int look_at_directory(const char *path, const struct why *why)
{
	char copy[PATH_MAX], above[PATH_MAX];
	const char *dir;
	struct stat st;

	strlcpy(copy, path, sizeof(copy));
	dir = dirname(copy);
	if (lstat(dir, &st) == 0)
		return check_way(path, why, false);
	strlcpy(above, dir, sizeof(above));
	if (errno != ENOENT || faccessat(AT_FDCWD, dirname(above), W_OK | X_OK, AT_EACCESS))
		return refuse_errno(why, dir, "find the socket's directory, or make it");
	return 0;
}

int acceptor_look(const struct config *config, char *text, size_t size)
{
	const struct why why = {text, size};
	struct stat st;
	gid_t gid;
	int status = look_at_directory(config->socket, &why);

	if (!status && lstat(config->socket, &st) == 0 && !S_ISSOCK(st.st_mode))
		status = refuse_no_socket(config->socket, &why);
	return status ? status : find_group(config->socket_group, &gid, &why);
}

static int listen_unix(struct acceptor *a, const struct why *why)
{
	const char *path = a->server->config->socket;
	union address address = {.un = {.sun_family = AF_UNIX}};
	int fd, status;

	if (strlen(path) >= sizeof(address.un.sun_path))
		return refuse(why, STATUS_CONFIG,
			      "%s: a socket's path can have %zu bytes: give a shorter one", path,
			      sizeof(address.un.sun_path) - 1);
	strlcpy(address.un.sun_path, path, sizeof(address.un.sun_path));
	status = ensure_directory(path, why);
	if (!status)
		status = remove_stale(path, &address, why);
	if (!status)
		status = make_listener(a, &address, why, &fd);
	return status ? status : add_listener(a, LISTENER_UNIX, fd, why);
}

int acceptor_listen_again(struct acceptor *a, struct listener *l, char *text, size_t size)
{
	const struct why why = {.text = text, .size = size};
	union address address = {.un = {.sun_family = AF_UNIX}};
	int fd, status;

	strlcpy(address.un.sun_path, a->socket_path, sizeof(address.un.sun_path));
	remove_socket(a);
	status = make_listener(a, &address, &why, &fd);
	close(l->fd);
	l->fd = fd;
	return status;
}

/* ---- TCP ---- */

static bool split_address(const char *text, char *host, size_t host_size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= host_size)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}

static int bind_tcp(const struct addrinfo *ai, const char *what, const struct why *why, int *fd)
{
	const int one = 1;
	int status = make_socket(ai->ai_family, why, what, fd);

	if (status)
		return status;
	(void)setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	set_no_delay(*fd);
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(*fd, ai->ai_addr, ai->ai_addrlen))
		status = refuse_errno(why, what, "bind (listen)");
	else if (listen(*fd, ACCEPTOR_BACKLOG))
		status = refuse_errno(why, what, "listen");
	if (status)
		close(*fd);
	return status;
}

/* Resolvers tell an address twice when /etc/hosts has it twice. */
static bool is_repeated(const struct addrinfo *all, const struct addrinfo *ai)
{
	for (; all != ai; all = all->ai_next)
		if (all->ai_addrlen == ai->ai_addrlen &&
		    memcmp(all->ai_addr, ai->ai_addr, ai->ai_addrlen) == 0)
			return true;
	return false;
}

/* Each address of the host; of several one may be of a family that this machine does not have. */
static int listen_addresses(struct acceptor *a, const struct addrinfo *all, const char *what,
			    const struct why *why)
{
	size_t before = a->listener_count;
	int status = 0, fd;

	for (const struct addrinfo *ai = all; ai; ai = ai->ai_next)
		if (!may_listen(a, ai->ai_addr))
			return refuse(why, STATUS_CONFIG, "%s: %s", what, config_value_not_loopback);
	for (const struct addrinfo *ai = all; ai; ai = ai->ai_next) {
		if (is_repeated(all, ai))
			continue;
		status = bind_tcp(ai, what, why, &fd);
		if (!status) {
			if (!a->tcp_port)
				a->tcp_port = port_of((const union address *)(const void *)ai->ai_addr);
			status = add_listener(a, LISTENER_TCP, fd, why);
		}
		if (status && status != STATUS_CONFIG)
			return status;
	}
	return a->listener_count > before ? 0 : status;
}

static int listen_tcp(struct acceptor *a, const char *what, const struct why *why)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *all = NULL;
	char host[256];
	const char *port;
	int rc, status;

	if (!split_address(what, host, sizeof(host), &port))
		return refuse(why, STATUS_CONFIG, "%s: no HOST:PORT to listen on", what);
	rc = getaddrinfo(host, port, &hints, &all);
	if (rc)
		return refuse(why, STATUS_CONFIG, "%s: cannot be resolved: %s", what, gai_strerror(rc));
	status = listen_addresses(a, all, what, why);
	freeaddrinfo(all);
	return status;
}

/* ---- all of them ---- */

int acceptor_listen(struct acceptor *a, char *text, size_t size)
{
	const struct config *config = a->server->config;
	const struct why why = {.text = text, .size = size};
	int inherited = a->server->inherited;
	int status;

	if (inherited < 0)
		return refuse(&why, STATUS_CONFIG, "LISTEN_FDS or LISTEN_PID makes no sense: %s",
			      strerror(-inherited));
	if (inherited > 0)
		status = listen_inherited(a, inherited, &why);
	else
		status = listen_unix(a, &why);
	/* An inherited TCP socket is there instead of ours. */
	if (!status && config->listen && !a->tcp_port)
		status = listen_tcp(a, config->listen, &why);
	return status;
}

void acceptor_unlisten(struct acceptor *a)
{
	/* The file first: who comes now finds no server instead of a dead one. */
	remove_socket(a);
	for (size_t i = 0; i < a->listener_count; i++)
		close(a->listeners[i].fd);
	if (a->watch_fd >= 0)
		close(a->watch_fd);
	a->watch_fd = -1;
	a->listener_count = 0;
}

/* ---- who is at the other end ---- */

/* What is one source. An IPv4 address in an IPv6 one's clothes is that address. */
static void take_net(const union address *address, struct client_address *out)
{
	const uint8_t *v6 = address->in6.sin6_addr.s6_addr;

	if (address->any.sa_family == AF_INET) {
		out->net_len = CLIENT_NET_V4;
		memcpy(out->net, &address->in.sin_addr, CLIENT_NET_V4);
	} else if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) {
		out->net_len = CLIENT_NET_V4;
		memcpy(out->net, v6 + sizeof(address->in6.sin6_addr) - CLIENT_NET_V4, CLIENT_NET_V4);
	} else if (address->any.sa_family == AF_INET6) {
		out->net_len = CLIENT_NET_V6;
		memcpy(out->net, v6, CLIENT_NET_V6);
	}
}

void acceptor_describe(int fd, const struct sockaddr_storage *from, socklen_t from_len,
		       struct client_address *out)
{
	union address address = {0};
	socklen_t len = sizeof(address), cred_len = sizeof(struct ucred);
	struct ucred cred;

	out->uid = (uid_t)-1;
	out->gid = (gid_t)-1;
	out->pid = 0;
	out->is_loopback = false;
	out->net_len = 0;
	if (!getsockname(fd, &address.any, &len))
		format_address(&address, len, out->local, sizeof(out->local));
	if (address.any.sa_family == AF_UNIX) {
		/* The other end has no name: Redis shows ours. */
		strlcpy(out->peer, out->local, sizeof(out->peer));
		if (getpeereid(fd, &out->uid, &out->gid))
			out->uid = (uid_t)-1;
		if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len))
			out->pid = cred.pid;
		return;
	}
	/* Not by getpeername(2): of a connection that was reset meanwhile it tells nothing. */
	address.storage = *from;
	out->is_loopback = loopback_is(&address.any);
	take_net(&address, out);
	format_address(&address, from_len, out->peer, sizeof(out->peer));
}
