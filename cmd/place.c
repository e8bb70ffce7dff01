/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/string.h>

#include "../lib/url.h"
#include "../lib/way.h"
#include "command.h"
#include "place.h"

enum { STATE_NAME_MAX = 32 }; /* the longest name below the state's directory */

int place_exit_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
	case EROFS: return EX_NOPERM;
	case ENOENT:
	case ENOTDIR:
	case EEXIST:
	case ELOOP:
	case ENAMETOOLONG: return EX_CONFIG;
	default: return EX_IOERR;
	}
}

void place_directory_of(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	snprintf(out, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 0, path);
}

/* ---- the socket ---- */

/* Relative paths do not count, says the XDG base directory specification. */
bool place_socket(char path[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;
	if (runtime && runtime[0] == '/')
		len = snprintf(path, PATH_MAX, "%s/shcounterd/shcounterd.sock", runtime);
	else
		len = snprintf(path, PATH_MAX, "/tmp/shcounterd-%u/shcounterd.sock", (unsigned)geteuid());
	return len <= URL_PATH_MAX;
}

static enum place look(const char *directory, struct stat *st)
{
	if (lstat(directory, st))
		return errno == ENOENT || errno == ENOTDIR ? PLACE_NONE : PLACE_OTHERS;
	if (st->st_uid != geteuid())
		return PLACE_OTHERS;
	return S_ISDIR(st->st_mode) && (st->st_mode & 077) == 0 ? PLACE_OURS : PLACE_OPEN;
}

enum place place_look(const char *socket)
{
	char directory[PATH_MAX];
	struct stat st;
	place_directory_of(socket, directory);
	return look(directory, &st);
}

static void name_owner(uid_t uid, char *out, size_t size)
{
	const struct passwd *user = getpwuid(uid);
	if (user)
		strlcpy(out, user->pw_name, size);
	else
		snprintf(out, size, "user %u", (unsigned)uid);
}

static int complain_others(const char *directory, uid_t uid)
{
	char owner[64];
	name_owner(uid, owner, sizeof(owner));
	return command_fail(
		EX_NOPERM,
		"%s: not safe for your daemon's socket: it belongs to %s; set XDG_RUNTIME_DIR to a "
		"directory of yours",
		directory, owner);
}

int place_complain(const char *socket)
{
	char directory[PATH_MAX];
	struct stat st = {.st_uid = 0};
	place_directory_of(socket, directory);
	if (lstat(directory, &st))
		return command_fail(
			EX_NOPERM,
			"%s: %s: XDG_RUNTIME_DIR is not a directory of yours; unset it, or give one "
			"that is",
			directory, strerror(errno));
	if (st.st_uid != geteuid())
		return complain_others(directory, st.st_uid);
	if (!S_ISDIR(st.st_mode))
		return command_fail(EX_NOPERM,
				    "%s: not safe for your daemon's socket: it is no directory, be it only a "
				    "symbolic link to one; remove it",
				    directory);
	return command_fail(
		EX_NOPERM,
		"%s: not safe for your daemon's socket: others may enter it; close it: chmod 700 %s",
		directory, directory);
}

/* Ours, or as /tmp: with `sudo -E` it is another user's, who could not use what we make there. */
static bool is_parent(const char *path)
{
	struct stat st;
	return stat(path, &st) || st.st_uid == geteuid() || (st.st_mode & S_ISVTX);
}

int place_make_for_socket(const char *socket)
{
	char path[PATH_MAX], parent[PATH_MAX];
	place_directory_of(socket, path);
	place_directory_of(path, parent);
	if (!is_parent(parent))
		return command_fail(EX_NOPERM,
				    "%s: somebody else's directory, so your daemon's socket cannot be in it; "
				    "give an XDG_RUNTIME_DIR that is yours, or unset it",
				    parent);
	if (mkdir(path, 0700) && errno != EEXIST)
		return command_fail(place_exit_of(errno),
				    "%s: cannot make the directory of your daemon's socket: %s; give an "
				    "XDG_RUNTIME_DIR that is yours, or unset it",
				    path, strerror(errno));
	return place_look(socket) == PLACE_OURS ? EX_OK : place_complain(socket);
}

/* ---- the state ---- */

/* Makes `path` and what is missing above it, for the user alone. 0 or an errno. */
static int make_directories(const char *path)
{
	char part[PATH_MAX];
	strlcpy(part, path, sizeof(part));
	for (char *p = part + 1;; p++) {
		char c = *p;
		if (c && c != '/')
			continue;
		*p = '\0';
		/* It may be there, whatever is said: EEXIST, or EROFS. */
		int error = mkdir(part, 0700) ? errno : 0;
		if (error && access(part, F_OK))
			return error;
		*p = c;
		if (!c)
			return 0;
	}
}

/* Of the XDG base directory specification: a path that is not absolute is ignored. */
static int find_state(char out[PATH_MAX])
{
	const char *base = getenv("XDG_STATE_HOME"), *below = "/shcounterd";
	if (!base || base[0] != '/') {
		base = getenv("HOME");
		below = "/.local/state/shcounterd";
	}
	if (!base || base[0] != '/') {
		const struct passwd *user = getpwuid(geteuid());
		base = user ? user->pw_dir : "";
	}
	if (base[0] != '/')
		return command_fail(EX_CONFIG,
				    "there is no place for your counters: set HOME or XDG_STATE_HOME");
	if (snprintf(out, PATH_MAX, "%s%s", base, below) >= PATH_MAX - STATE_NAME_MAX)
		return command_fail(
			EX_CONFIG,
			"the path of your counters is too long (%zu bytes): set XDG_STATE_HOME to a "
			"shorter one",
			strlen(base) + strlen(below));
	return EX_OK;
}

static int make_state(const char *path)
{
	struct stat st;
	int error = make_directories(path);
	if (!error && stat(path, &st))
		error = errno;
	if (!error && !S_ISDIR(st.st_mode))
		error = ENOTDIR;
	if (error)
		return command_fail(place_exit_of(error),
				    "%s: cannot make the directory of your counters: %s; set XDG_STATE_HOME "
				    "to one that can be written",
				    path, strerror(error));
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return command_fail(EX_NOPERM,
				    "%s: not safe for your counters: it must be yours, and nobody else may "
				    "write to it (chmod go-w)",
				    path);
	return EX_OK;
}

int place_make_for_state(char db[PATH_MAX], char log[PATH_MAX])
{
	char path[PATH_MAX], why[WAY_WHY_SIZE];
	int exit_status = find_state(path);
	if (!exit_status)
		exit_status = make_state(path);
	if (exit_status)
		return exit_status;
	snprintf(db, PATH_MAX, "%.*s/counters.db", PATH_MAX - STATE_NAME_MAX, path);
	snprintf(log, PATH_MAX, "%.*s/shcounterd.log", PATH_MAX - STATE_NAME_MAX, path);
	/* As the daemon will: here it can be told. */
	if (way_look(db, WAY_FOR_STATE, why) == WAY_OPEN)
		return command_fail(EX_NOPERM, "%s: not safe for your counters: %s", path, why);
	return EX_OK;
}
