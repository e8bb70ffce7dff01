/* SPDX-License-Identifier: MIT */
/*
 * tiny_client.c - the least that a dynamic C program does to increment a counter: what `shcount incr` is
 * measured beside in start.sh.
 *
 * Usage: tiny_client SOCKET NAME
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char request[400], reply[64];
	if (argc != 3 || strlen(argv[1]) >= sizeof(addr.sun_path) || strlen(argv[2]) > 255)
		return 64;
	memcpy(addr.sun_path, argv[1], strlen(argv[1]));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return 69;
	int len = snprintf(request, sizeof(request), "*2\r\n$4\r\nINCR\r\n$%zu\r\n%s\r\n", strlen(argv[2]),
			   argv[2]);
	if (write(fd, request, (size_t)len) != len)
		return 74;
	ssize_t got = read(fd, reply, sizeof(reply));
	return got > 0 && reply[0] == ':' && write(STDOUT_FILENO, reply, (size_t)got) == got ? 0 : 74;
}
