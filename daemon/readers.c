/* SPDX-License-Identifier: MIT */
/* readers.c - see readers.h. */
#include "readers.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Members of a group, or those that are in none. */
struct readers {
	bool is_group;
	gid_t gid;
};

/* `bit` is that of others. */
static bool may(const struct readers *r, const struct stat *st, mode_t bit)
{
	return (st->st_mode & (r->is_group && st->st_gid == r->gid ? bit << 3 : bit)) != 0;
}

/* Through all directories from "/" on. */
static bool can_reach(const struct readers *r, const char *file)
{
	char path[PATH_MAX];
	struct stat st;

	for (const char *slash = file; slash; slash = strchr(slash + 1, '/')) {
		snprintf(path, sizeof(path), "%.*s", slash == file ? 1 : (int)(slash - file), file);
		if (stat(path, &st) || !may(r, &st, S_IXOTH))
			return false;
	}
	return true;
}

static bool can_read(const struct readers *r, const char *file, const struct stat *st)
{
	return may(r, st, S_IROTH) && can_reach(r, file);
}

static void say(char why[READERS_WHY_SIZE], const char *who, char *file)
{
	char *slash = strrchr(file, '/');

	slash[slash == file ? 1 : 0] = '\0';
	snprintf(why, READERS_WHY_SIZE,
		 "%s can read all counters, sessions and tokens, and hold up commits: chmod 0700 %s", who,
		 file);
}

bool readers_find(const char *db, char why[READERS_WHY_SIZE])
{
	char file[PATH_MAX], who[128];
	const struct group *group;
	struct stat st;

	if (!realpath(db, file) || stat(file, &st))
		return false;
	if (can_read(&(struct readers){.is_group = false}, file, &st)) {
		say(why, "anybody", file);
		return true;
	}
	if (!can_read(&(struct readers){.is_group = true, .gid = st.st_gid}, file, &st))
		return false;
	group = getgrgid(st.st_gid);
	if (group)
		snprintf(who, sizeof(who), "whoever is in group %.64s", group->gr_name);
	else
		snprintf(who, sizeof(who), "whoever is in group %u", (unsigned)st.st_gid);
	say(why, who, file);
	return true;
}
