/* SPDX-License-Identifier: MIT */
/* check.c - see check.h. Main thread. */
#include "check.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "acceptor.h"
#include "access.h"
#include "../lib/num.h"
#include "../lib/way.h"
#include "readers.h"
#include "server.h"
#include "store.h"

enum {
	STATUS_FINDINGS = 65,
	STATUS_IO = 74,
	STATUS_NO_PERMISSION = 77,
	WORDS_BYTES = 64,
	/* A fold and a commit that is large find room in as much as the database has, and this. */
	SPARE_BYTES = 64 << 20,
};

struct check {
	const struct config *config;
	char db[PATH_MAX];  /* what its path leads to: the lock lies beside that */
	char dir[PATH_MAX]; /* of that */
	int status;	    /* of the first thing that is wrong */
};

static void say(void *arg, const char *line)
{
	(void)arg;
	puts(line);
}

__attribute__((format(printf, 3, 4))) static void find(struct check *c, int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	if (c->status == 0)
		c->status = status;
}

/* ---- where the state is ---- */

static void name_owner(const struct stat *st, char user[WORDS_BYTES], char group[WORDS_BYTES])
{
	const struct passwd *u = getpwuid(st->st_uid);
	const struct group *g = getgrgid(st->st_gid);

	if (u)
		strlcpy(user, u->pw_name, WORDS_BYTES);
	else
		snprintf(user, WORDS_BYTES, "uid %u", (unsigned)st->st_uid);
	if (g)
		strlcpy(group, g->gr_name, WORDS_BYTES);
	else
		snprintf(group, WORDS_BYTES, "gid %u", (unsigned)st->st_gid);
}

/* Whether there is one to look at. */
static bool check_directory(struct check *c)
{
	char user[WORDS_BYTES], group[WORDS_BYTES], why[WAY_WHY_SIZE];
	enum way way = way_look(c->config->db, WAY_FOR_STATE, why);
	struct stat st;

	if (stat(c->dir, &st)) {
		find(c, server_status_of(-errno), "state: %s: %s; make it, for the user that the daemon has",
		     c->dir, strerror(errno));
		return false;
	}
	name_owner(&st, user, group);
	if (faccessat(AT_FDCWD, c->dir, W_OK | X_OK, AT_EACCESS))
		find(c, STATUS_NO_PERMISSION,
		     "state: %s is %s:%s with mode %04o: this user may not write there; chown it, or run the "
		     "daemon as %s",
		     c->dir, user, group, (unsigned)st.st_mode & 07777, user);
	else if (way == WAY_OPEN)
		find(c, STATUS_NO_PERMISSION, "state: %s is %s:%s with mode %04o: not safe for counters: %s",
		     c->dir, user, group, (unsigned)st.st_mode & 07777, why);
	else
		printf("state: %s is %s:%s with mode %04o%s%s\n", c->dir, user, group,
		       (unsigned)st.st_mode & 07777, way == WAY_DOUBTFUL ? "; " : "",
		       way == WAY_DOUBTFUL ? why : "");
	return true;
}

static void check_disk(struct check *c, const struct stat *db)
{
	uint64_t wanted = SPARE_BYTES + (uint64_t)db->st_size, available;
	struct statvfs fs;

	if (statvfs(c->dir, &fs))
		return;
	available = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (fs.f_flag & ST_RDONLY)
		find(c, STATUS_IO, "disk: %s is mounted read-only; dmesg says why", c->dir);
	else if (available < wanted)
		find(c, STATUS_IO,
		     "disk: %" PRIu64 " MiB are free, and folding and commits may need %" PRIu64
		     "; free some space",
		     available >> 20, wanted >> 20);
	else
		printf("disk: %" PRIu64 " MiB are free\n", available >> 20);
}

/* ---- who has it ---- */

struct holder {
	long pid; /* what stands in the lock */
	char socket[PATH_MAX], phase[32];
};

/* Whether that process has the lock. Not by trying: a daemon that starts in that moment would be refused. Not
 * by the device, which is told differently of some file systems. */
static bool has_lock(const struct holder *holder, ino_t inode)
{
	char line[256];
	bool has = false;
	FILE *locks = fopen("/proc/locks", "re");

	while (locks && !has && fgets(line, sizeof(line), locks)) {
		unsigned long long locked;
		long pid;

		has = sscanf(line, "%*d: FLOCK %*s WRITE %ld %*x:%*x:%llu", &pid, &locked) == 2 &&
		      locked == inode && pid == holder->pid;
	}
	if (locks)
		fclose(locks);
	return has;
}

static bool read_holder(FILE *file, struct holder *out)
{
	char pid[32];

	if (!fgets(pid, sizeof(pid), file) || !fgets(out->socket, sizeof(out->socket), file) ||
	    !fgets(out->phase, sizeof(out->phase), file))
		return false;
	out->pid = strtol(pid, NULL, 10);
	out->socket[strcspn(out->socket, "\n")] = '\0';
	out->phase[strcspn(out->phase, "\n")] = '\0';
	return true;
}

static void check_holder(struct check *c)
{
	char path[PATH_MAX + 8];
	struct holder holder;
	struct stat st;
	FILE *file;

	snprintf(path, sizeof(path), "%s.lock", c->db);
	file = fopen(path, "re");
	if (file && fstat(fileno(file), &st) == 0 && read_holder(file, &holder) &&
	    has_lock(&holder, st.st_ino))
		printf("holder: process %ld has this state, %s on %s; another that is started is refused\n",
		       holder.pid, holder.phase, holder.socket);
	else
		puts("holder: no daemon has this state");
	if (file)
		fclose(file);
}

/* ---- all of it ---- */

/* The user of the unit is not known here, and root can read everything. */
static void say_who_reads(const char *path, size_t rules)
{
	char user[WORDS_BYTES], group[WORDS_BYTES];
	struct stat st;

	if (stat(path, &st))
		return;
	name_owner(&st, user, group);
	printf("access: %zu rule%s in %s, which ", rules, num_plural(rules), path);
	if (st.st_mode & S_IROTH)
		puts("everybody can read");
	else if (st.st_mode & S_IRGRP)
		printf("%s and group %s can read; the daemon's user must be able to\n", user, group);
	else
		printf("%s alone can read; the daemon's user must be able to, too: chgrp, and chmod 0640\n",
		       user);
}

/* What a start reads, too. 0 or an exit status, with a sentence said. */
static int check_access(const struct config *config)
{
	char why[GUARDED_WHY_SIZE], readers[READERS_WHY_SIZE];
	struct access *access = NULL;

	if (!config->access)
		return 0;
	if (access_read(&access, config->access, why)) {
		fprintf(stderr, "shcounterd: access: %s\n", why);
		return CONFIG_BAD;
	}
	if (config->config_path)
		say_who_reads(config->access, access->rule_count);
	if (readers_find(config->db, readers))
		printf("access: beside the rules, %s\n", readers);
	access_unref(access);
	return 0;
}

static void check_socket(struct check *c)
{
	char why[512], doubt[WAY_WHY_SIZE];
	int status = acceptor_look(c->config, why, sizeof(why));
	bool is_doubtful = way_look(c->config->socket, WAY_FOR_SOCKET, doubt) == WAY_DOUBTFUL;

	if (status)
		find(c, status, "socket: %s", why);
	else
		printf("socket: %s has its place%s%s\n", c->config->socket, is_doubtful ? "; " : "",
		       is_doubtful ? doubt : "");
}

static void check_database(struct check *c)
{
	int rc = store_check(c->config->db, say, NULL);
	int status = rc == 0 ? 0 : rc > 0 ? STATUS_FINDINGS : server_status_of(rc);

	if (status)
		c->status = status;
}

int check_run(const struct config *config)
{
	struct check c = {.config = config};
	char copy[PATH_MAX];
	struct stat db = {0};
	bool has_file = stat(config->db, &db) == 0 || errno != ENOENT;

	if (config->config_path)
		printf("configuration: %s is right\n", config->config_path);
	c.status = check_access(config);
	if (c.status)
		return c.status;
	if (config->config_path) {
		if (!realpath(config->db, c.db))
			strlcpy(c.db, config->db, sizeof(c.db));
		strlcpy(copy, c.db, sizeof(copy));
		strlcpy(c.dir, dirname(copy), sizeof(c.dir));
		if (check_directory(&c)) {
			check_disk(&c, &db);
			check_holder(&c);
		}
		check_socket(&c);
	}
	if (config->config_path && !has_file)
		printf("%s: does not exist yet; the first start makes it\n", config->db);
	else
		check_database(&c);
	return c.status;
}
