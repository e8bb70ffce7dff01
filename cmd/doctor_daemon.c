/* SPDX-License-Identifier: MIT */
/*
 * doctor_daemon.c - the socket and who may use it, and what a shcounterd says of itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../lib/info.h"
#include "doctor.h"
#include "place.h"

enum {
	NAME_BYTES = 64,
	TEXT_BYTES = 400,
	DISK_BAD_MIB = 64,	 /* as much as the committer may have to write at once */
	DISK_LOW_PERCENT = 10,	 /* warned of below it */
	JOURNAL_HIGH_MIB = 1024, /* not folded yet: folding does not keep up */
	FULL_PERCENT = 90,	 /* of max-clients, max-sessions, max-tokens */
	LAG_HIGH_MS = 60000,
};

/* ---- the socket ---- */

static void name_user(uid_t uid, char out[NAME_BYTES])
{
	const struct passwd *entry = getpwuid(uid);
	if (entry)
		snprintf(out, NAME_BYTES, "%s", entry->pw_name);
	else
		snprintf(out, NAME_BYTES, "uid %u", (unsigned)uid);
}

static void name_group(gid_t gid, char out[NAME_BYTES])
{
	const struct group *entry = getgrgid(gid);
	if (entry)
		snprintf(out, NAME_BYTES, "%s", entry->gr_name);
	else
		snprintf(out, NAME_BYTES, "gid %u", (unsigned)gid);
}

/* What its mode asks of who is refused. */
static void say_refused(struct doctor *d, const char *path, const struct stat *st)
{
	char user[NAME_BYTES], group[NAME_BYTES], owner[NAME_BYTES], change[TEXT_BYTES];
	name_user(geteuid(), user);
	name_user(st->st_uid, owner);
	name_group(st->st_gid, group);
	if (st->st_mode & S_IWGRP)
		snprintf(change, sizeof(change), "as root: usermod -aG %s %s, then log in again", group,
			 user);
	else
		snprintf(change, sizeof(change),
			 "it is for its owner alone: socket-mode = 0660 and socket-group of the daemon let "
			 "others in");
	doctor_say(d, DOCTOR_BAD, "socket", change,
		   "%s is %s:%s with mode %04o, and you are %s: you may not connect", path, owner, group,
		   (unsigned)st->st_mode & 07777, user);
}

/* The first directory on the way that cannot be entered. */
static void say_closed_way(struct doctor *d, const char *path, int error)
{
	char dir[PATH_MAX];
	place_directory_of(path, dir);
	if (error == EACCES)
		doctor_say(
			d, DOCTOR_BAD, "socket",
			"whoever is to connect must be allowed to enter it: chmod or chgrp it, or join its group",
			"%s cannot be reached: you may not enter %s, or a directory above it", path,
			*dir ? dir : ".");
	else if (error == ENOENT)
		doctor_say(
			d, DOCTOR_BAD, "socket",
			"start the daemon: systemctl start shcounterd, or shcounterd --socket PATH --db FILE",
			"there is no %s", path);
	else
		doctor_say(d, DOCTOR_BAD, "socket", NULL, "%s cannot be reached: %s", path, strerror(error));
}

bool doctor_socket(struct doctor *d, const char *path)
{
	struct stat st;
	if (stat(path, &st)) {
		say_closed_way(d, path, errno);
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		doctor_say(d, DOCTOR_BAD, "socket", "give the path that the daemon's socket setting has",
			   "%s is not a socket", path);
		return false;
	}
	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS)) {
		say_refused(d, path, &st);
		return false;
	}
	return true;
}

void doctor_socket_mode(struct doctor *d, const char *path, bool has_rules)
{
	struct stat st;
	char owner[NAME_BYTES], group[NAME_BYTES];
	if (stat(path, &st))
		return say_closed_way(d, path, errno);
	name_user(st.st_uid, owner);
	name_group(st.st_gid, group);
	bool is_open = (st.st_mode & S_IWOTH) != 0;
	doctor_say(
		d, is_open && !has_rules ? DOCTOR_WARN : DOCTOR_OK, "socket",
		is_open && !has_rules
			? "every user of this machine may connect: socket-mode = 0660 allows the group only, "
			  "and rules of access say who may do what (shcounterd(8), ACCESS)"
			: NULL,
		"%s, %s:%s with mode %04o, you may connect%s", path, owner, group,
		(unsigned)st.st_mode & 07777,
		is_open && has_rules ? "; rules of access say what each may do" : "");
}

/* ---- what it says of itself ---- */

static void look_at_version(struct doctor *d, struct slice info)
{
	struct slice version = slice_str("?");
	info_find(info, "shcounterd_version", &version);
	bool is_same = slice_equal(version, slice_str(shc_version()));
	doctor_say(d, is_same ? DOCTOR_OK : DOCTOR_WARN, "version",
		   is_same ? NULL
			   : "install the same version of both, and restart the daemon (systemctl restart "
			     "shcounterd) after an upgrade",
		   "shcounterd %.*s, shcount %s", (int)version.len, version.data, shc_version());
}

static void look_at_backend(struct doctor *d, struct slice info)
{
	struct slice backend;
	if (!info_find(info, "io_backend", &backend))
		return;
	bool is_ring = slice_equal(backend, slice_str("io_uring"));
	doctor_say(
		d, is_ring ? DOCTOR_OK : DOCTOR_WARN, "sockets of the daemon",
		is_ring ? NULL
			: "either was io = epoll asked for, or io_uring was refused where the daemon runs: its "
			  "log says by whom",
		"%.*s, %" PRId64 " workers", (int)backend.len, backend.data, info_number(info, "workers", 0));
}

static void look_at_durability(struct doctor *d, struct slice info)
{
	struct slice mode = slice_str("?"), status;
	info_find(info, "durability", &mode);
	if (!info_find(info, "store_status", &status) || slice_equal(status, slice_str("ok")))
		doctor_say(d, DOCTOR_OK, "durability", NULL,
			   "%.*s; epoch %" PRId64 " is on disk, %" PRId64 " is open; %" PRId64 " commits",
			   (int)mode.len, mode.data, info_number(info, "durable_epoch", 0),
			   info_number(info, "open_epoch", 0), info_number(info, "commits", 0));
	else
		doctor_say(
			d, DOCTOR_BAD, "durability",
			"its log says why; what is acknowledged since is not on disk. Free some space, or put "
			"its files back",
			"the disk refuses what is to be written: %.*s", (int)status.len, status.data);
}

static void look_at_journal(struct doctor *d, struct slice info)
{
	int64_t mib = info_number(info, "journal_bytes", 0) >> 20;
	if (mib >= JOURNAL_HIGH_MIB)
		doctor_say(d, DOCTOR_WARN, "journal",
			   "folding does not keep up: raise fold-cpu, or give it a faster disk",
			   "%" PRId64 " MiB are not in the snapshot yet", mib);
}

static void look_at_room(struct doctor *d, struct slice info, const char *what, const char *now_key,
			 const char *max_key, const char *change)
{
	int64_t now = info_number(info, now_key, 0), max = info_number(info, max_key, 0);
	bool is_full = max > 0 && now >= max - max * (100 - FULL_PERCENT) / 100;
	if (max > 0)
		doctor_say(d, is_full ? DOCTOR_WARN : DOCTOR_OK, what, is_full ? change : NULL,
			   "%" PRId64 " of %" PRId64, now, max);
}

static void look_at_uplink(struct doctor *d, struct slice info)
{
	if (info_number(info, "uplink_up", -1) < 0)
		return;
	int64_t lag_ms = info_number(info, "uplink_lag_ms", 0);
	if (info_number(info, "uplink_restored", 0) > 0)
		doctor_say(
			d, DOCTOR_BAD, "uplink",
			"look at shcount uplink status; shcount uplink accept allows sessions and tokens again",
			"this state is a copy of an older one");
	else if (info_number(info, "uplink_up", 0) == 0)
		doctor_say(d, DOCTOR_BAD, "uplink",
			   "shcount uplink status has the reason; shcount -u URL doctor looks at the cluster",
			   "the cluster does not answer; %" PRId64 " names wait",
			   info_number(info, "uplink_due", 0));
	else if (info_number(info, "uplink_refused", 0) > 0 || lag_ms > LAG_HIGH_MS)
		doctor_say(d, DOCTOR_WARN, "uplink", "shcount uplink status has the reason, node by node",
			   "%" PRId64 " names are refused, the oldest change waits for %" PRId64 " s",
			   info_number(info, "uplink_refused", 0), lag_ms / 1000);
	else
		doctor_say(d, DOCTOR_OK, "uplink", NULL, "up; %" PRId64 " names wait",
			   info_number(info, "uplink_due", 0));
}

/* ---- where it keeps its state ---- */

/* The value of a setting. SHC_MISSING: the server has none of that name. */
static enum shc_status setting(struct shc *shc, const char *name, char *out, size_t size)
{
	const char *argv[] = {"CONFIG", "GET", name};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 3, argv, NULL, false, &reply);
	if (status)
		return status;
	if (reply->count != 2 || reply->elements[1].type != SHC_T_STRING || reply->elements[1].len >= size)
		return SHC_MISSING;
	memcpy(out, reply->elements[1].data, reply->elements[1].len);
	out[reply->elements[1].len] = '\0';
	return SHC_OK;
}

/* Without rules nothing is refused to anybody. */
bool doctor_has_rules(struct shc *shc)
{
	char access[PATH_MAX];
	enum shc_status status = setting(shc, "access", access, sizeof(access));
	return status == SHC_DENIED || (status == SHC_OK && access[0]);
}

static void look_at_disk(struct doctor *d, struct shc *shc)
{
	char db[PATH_MAX], dir[PATH_MAX];
	struct statvfs fs;
	enum shc_status status = setting(shc, "db", db, sizeof(db));
	if (status == SHC_DENIED)
		return doctor_say(
			d, DOCTOR_WARN, "disk",
			"ask as one who has role admin on all names there, as root and the daemon's own user have",
			"not looked at: the daemon's rules of access do not tell you where its state is (NOPERM)");
	if (status)
		return doctor_say(d, DOCTOR_WARN, "disk", NULL,
				  "the daemon does not tell where its state is: %s", shc_error(shc));
	place_directory_of(db, dir);
	if (db[0] != '/' || statvfs(dir, &fs))
		return doctor_say(d, DOCTOR_OK, "disk", NULL, "%s: its file system cannot be seen from here",
				  db);
	uint64_t free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	uint64_t all_mib = (uint64_t)fs.f_blocks * fs.f_frsize >> 20;
	bool is_low = free_mib * 100 < all_mib * DISK_LOW_PERCENT;
	doctor_say(d,
		   free_mib < DISK_BAD_MIB ? DOCTOR_BAD
		   : is_low		   ? DOCTOR_WARN
					   : DOCTOR_OK,
		   "disk",
		   free_mib < DISK_BAD_MIB || is_low
			   ? "free some space, or move the state to a larger disk: a full "
			     "one holds up commits"
			   : NULL,
		   "%s: %" PRIu64 " of %" PRIu64 " MiB free", db, free_mib, all_mib);
	if (fs.f_flag & ST_RDONLY)
		doctor_say(d, DOCTOR_BAD, "disk",
			   "its log (dmesg) says why: mount -o remount,rw when it is well",
			   "%s: its file system is mounted read-only", db);
}

/* The limits that the process itself has; for root and its own user. */
static void look_at_process(struct doctor *d, struct slice info)
{
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/%" PRId64 "/limits", info_number(info, "process_id", 0));
	FILE *file = fopen(path, "re");
	unsigned long long files = 0;
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Max open files %llu", &files) == 1)
			break;
	if (file)
		fclose(file);
	unsigned long long wanted = (unsigned long long)info_number(info, "maxclients", 0);
	if (files > 0 && files < wanted)
		doctor_say(d, DOCTOR_WARN, "open files of the daemon",
			   "raise LimitNOFILE= of its unit, or lower max-clients",
			   "%llu, for %llu connections that max-clients allows", files, wanted);
}

const char *doctor_change_of(enum shc_status status, const char *error)
{
	if (status == SHC_DENIED)
		return "log in by $SHCOUNT_AUTH (USER:PASSWORD) or the URL as one whom the daemon's rules of access "
		       "know, or have a rule added (shcounterd(8), ACCESS)";
	if (status == SHC_UNREACHABLE && strstr(error, "no answer"))
		return "its process is there but does not answer: systemctl status shcounterd and its log; state T in ps "
		       "is one that was stopped (kill -CONT), D one that waits for its disk; else it is very busy "
		       "(--timeout)";
	return NULL;
}

void doctor_daemon(struct doctor *d, struct shc *shc, bool is_here)
{
	const char *argv[] = {"INFO"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 1, argv, NULL, false, &reply);
	if (status) {
		doctor_say(d, DOCTOR_BAD, "daemon", doctor_change_of(status, shc_error(shc)),
			   "it does not tell how it is: %s", shc_error(shc));
		return;
	}
	/* The handle's, until its next call. */
	char *copy = strndup(reply->len ? reply->data : "", reply->len);
	struct slice info = slice_str(copy ? copy : "");
	look_at_version(d, info);
	look_at_backend(d, info);
	look_at_durability(d, info);
	look_at_journal(d, info);
	look_at_room(d, info, "connections", "connected_clients", "maxclients",
		     "raise max-clients, or find who leaves connections open: CLIENT LIST");
	look_at_room(d, info, "sessions", "sessions", "max_sessions",
		     "new ones are refused when it is full: raise max-sessions, or lower session-ttl");
	look_at_room(d, info, "tokens", "tokens", "max_tokens",
		     "new ones are refused when it is full: raise max-tokens, or lower token-ttl");
	look_at_room(d, info, "memory", "used_memory", "maxmemory",
		     "new counters are refused when it is full: raise max-memory, or delete some");
	look_at_uplink(d, info);
	if (is_here) {
		look_at_process(d, info);
		look_at_disk(d, shc);
	}
	free(copy);
}
