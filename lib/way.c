/* SPDX-License-Identifier: MIT */
/* way.c - see way.h. */
#include "way.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 /* as the kernel */, NAME_SIZE = 64 };

struct walk {
	enum way_use use;
	char *why;
	enum way found;
	uid_t top_uid;	     /* who has "/" */
	gid_t top_gid;	     /* ... and its group */
	char at[PATH_MAX];   /* a directory that was looked at, without links; "" is "/" */
	char rest[PATH_MAX]; /* of the way, from there */
	unsigned links;
	bool is_anybodys, is_groups; /* may put something into `at` */
	char group[NAME_SIZE];	     /* that one, or the one that was asked for last */
};

/* ---- who ---- */

static bool is_trusted(const struct walk *w, uid_t uid)
{
	return uid == 0 || uid == geteuid() || uid == w->top_uid;
}

static void name_owner(uid_t uid, char out[NAME_SIZE])
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(out, NAME_SIZE, "%s", user->pw_name);
	else
		snprintf(out, NAME_SIZE, "uid %u", (unsigned)uid);
}

/* That of which it is known that nobody else is in it: of the user's name, as many systems make one for each
 * user; or without any name, as in a container. */
static bool is_own_group(gid_t gid)
{
	const struct passwd *user = getpwuid(geteuid());
	const struct group *group = getgrgid(gid);

	if (gid != getegid() && !(user && user->pw_gid == gid))
		return false;
	if (!group)
		return true;
	if (!user || strcmp(group->gr_name, user->pw_name) != 0)
		return false;
	for (char **member = group->gr_mem; *member; member++)
		if (strcmp(*member, user->pw_name) != 0)
			return false;
	return true;
}

static bool may_group_write(struct walk *w, const struct stat *st)
{
	const struct group *group;

	if (!(st->st_mode & S_IWGRP) || st->st_gid == 0 || st->st_gid == w->top_gid ||
	    is_own_group(st->st_gid))
		return false;
	group = getgrgid(st->st_gid);
	if (group)
		snprintf(w->group, NAME_SIZE, "group %s", group->gr_name);
	else
		snprintf(w->group, NAME_SIZE, "gid %u", (unsigned)st->st_gid);
	return true;
}

/* ---- a directory ---- */

static const char *here(const struct walk *w)
{
	return w->at[0] ? w->at : "/";
}

static const char *who(const struct walk *w)
{
	return w->is_anybodys ? "anybody" : w->group;
}

/* Whose right to write is to be taken away. */
static char mode(const struct walk *w)
{
	return w->is_anybodys ? 'o' : 'g';
}

/* Does only the file come behind it? */
static bool is_near(const struct walk *w)
{
	const char *name = w->rest + strspn(w->rest, "/");
	const char *end = name + strcspn(name, "/");

	return end[strspn(end, "/")] == '\0';
}

/* Is it to be told? What is doubtful is once, of the directory highest up. */
static bool is_news(const struct walk *w, bool is_open)
{
	return is_open || w->found == WAY_SAFE;
}

/* Is more to be looked at? */
static bool found(struct walk *w, bool is_open)
{
	w->found = is_open ? WAY_OPEN : WAY_DOUBTFUL;
	return !is_open;
}

static bool found_writable(struct walk *w, bool is_among_anybodys)
{
	bool is_open = is_near(w) && (w->is_anybodys || is_among_anybodys);

	if (is_news(w, is_open))
		snprintf(
			w->why, WAY_WHY_SIZE,
			"%s may write to %s, and so put another thing in the place of what is there (chmod %c-w %s)",
			who(w), here(w), mode(w), here(w));
	return found(w, is_open);
}

static bool found_owned(struct walk *w, const struct stat *st, bool is_among_anybodys)
{
	char owner[NAME_SIZE];

	name_owner(st->st_uid, owner);
	if (is_news(w, is_among_anybodys))
		snprintf(w->why, WAY_WHY_SIZE,
			 "%s belongs to %s, who can put another thing in the place of what is there", here(w),
			 owner);
	return found(w, is_among_anybodys);
}

/* Into what `at` is now. False: the answer is found. */
static bool enter(struct walk *w, const struct stat *st)
{
	bool is_among_anybodys = w->is_anybodys;

	w->is_groups = may_group_write(w, st);
	w->is_anybodys = (st->st_mode & S_IWOTH) != 0;
	if ((w->is_anybodys || w->is_groups) && !(st->st_mode & S_ISVTX) &&
	    !found_writable(w, is_among_anybodys))
		return false;
	return is_trusted(w, st->st_uid) || found_owned(w, st, is_among_anybodys);
}

/* ---- a link ---- */

static bool refuse_link(struct walk *w)
{
	char link[PATH_MAX];

	snprintf(link, sizeof(link), "%s", here(w));
	snprintf(
		w->why, WAY_WHY_SIZE,
		"%s is a symbolic link in a directory that anybody may write to (give the path that it leads to)",
		link);
	w->found = WAY_OPEN;
	return false;
}

static void leave(struct walk *w)
{
	char *slash = strrchr(w->at, '/');
	struct stat st;

	if (slash)
		*slash = '\0';
	if (stat(here(w), &st))
		return;
	w->is_groups = may_group_write(w, &st);
	w->is_anybodys = (st.st_mode & S_IWOTH) != 0;
}

/* `at` is one: goes on where it leads to. */
static bool follow(struct walk *w)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t len = readlink(w->at, target, sizeof(target) - 1);

	if (w->is_anybodys)
		return refuse_link(w);
	if (len < 0 || ++w->links > LINKS_MAX)
		return false;
	target[len] = '\0';
	if (snprintf(rest, sizeof(rest), "%s/%s", target, w->rest) >= PATH_MAX)
		return false;
	memcpy(w->rest, rest, sizeof(rest));
	if (target[0] == '/')
		w->at[0] = '\0';
	leave(w);
	return true;
}

/* ---- the way ---- */

/* The first name of the rest; false: there is none. */
static bool take_name(struct walk *w, char name[PATH_MAX])
{
	size_t skip = strspn(w->rest, "/"), len = strcspn(w->rest + skip, "/");

	memcpy(name, w->rest + skip, len);
	name[len] = '\0';
	memmove(w->rest, w->rest + skip + len, strlen(w->rest + skip + len) + 1);
	return len > 0;
}

static bool is_at_end(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == '\0';
}

static bool found_files(struct walk *w)
{
	if (is_news(w, w->is_anybodys))
		snprintf(w->why, WAY_WHY_SIZE,
			 "%s may make files in %s, of which SQLite believes some (chmod %c-w %s, or give a "
			 "directory of its own: mkdir -m 700)",
			 who(w), here(w), mode(w), here(w));
	return found(w, w->is_anybodys);
}

/* Goes on by one name. False: the answer is found, or the way ends. */
static bool step(struct walk *w, const char *name)
{
	struct stat st;
	bool is_last = is_at_end(w);
	size_t len = strlen(w->at);

	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		leave(w);
		return true;
	}
	if (is_last && w->use == WAY_FOR_STATE && (w->is_anybodys || w->is_groups) && !found_files(w))
		return false;
	if ((size_t)snprintf(w->at + len, sizeof(w->at) - len, "/%s", name) >= sizeof(w->at) - len)
		return false;
	if (lstat(w->at, &st))
		return false;
	if (S_ISLNK(st.st_mode))
		return !(is_last && w->use == WAY_FOR_SOCKET) && follow(w);
	return !is_last && S_ISDIR(st.st_mode) && enter(w, &st);
}

/* False: too long, or "." is gone. */
static bool begin(struct walk *w, const char *path)
{
	char here_now[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(here_now, sizeof(here_now)))
		return false;
	return snprintf(w->rest, sizeof(w->rest), "%s/%s", here_now, path) < PATH_MAX;
}

enum way way_look(const char *path, enum way_use use, char why[WAY_WHY_SIZE])
{
	struct walk w = {.use = use, .why = why, .found = WAY_SAFE};
	char name[PATH_MAX];
	struct stat top;

	if (!begin(&w, path) || stat("/", &top))
		return WAY_SAFE;
	w.top_uid = top.st_uid;
	w.top_gid = top.st_gid;
	if (!enter(&w, &top))
		return w.found;
	while (take_name(&w, name) && step(&w, name))
		;
	return w.found;
}
