/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <bsd/string.h>

#include "holder.h"

static enum holder_phase phase_of(const char *word)
{
	static const char *const words[] = {
		[HOLDER_LOADING] = "loading", [HOLDER_SERVING] = "serving", [HOLDER_LEAVING] = "leaving"};
	for (int i = HOLDER_LOADING; word && i <= HOLDER_LEAVING; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum holder_phase)i;
	return HOLDER_UNKNOWN;
}

/* A line each: its process id, its socket, what it is about. */
static void read_text(int fd, struct holder *out)
{
	char text[PATH_MAX + 64], *rest = text;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	const char *pid = strsep(&rest, "\n");
	const char *socket = rest ? strsep(&rest, "\n") : NULL;
	out->pid = strtol(pid, NULL, 10);
	if (socket && socket[0] == '/')
		strlcpy(out->socket, socket, sizeof(out->socket));
	out->phase = phase_of(rest ? strsep(&rest, "\n") : NULL);
}

bool holder_look(const char *path, struct holder *out)
{
	*out = (struct holder){.phase = HOLDER_UNKNOWN};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	bool is_held = flock(fd, LOCK_SH | LOCK_NB) != 0;
	if (is_held)
		read_text(fd, out);
	close(fd);
	return is_held;
}

void holder_write(int lock_fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	(void)!(ftruncate(lock_fd, 0) || pwrite(lock_fd, text, (size_t)len, 0));
}
