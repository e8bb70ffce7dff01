/* SPDX-License-Identifier: MIT */
/*
 * client.c - the least that a C program can do to increment a counter: what shcount is measured against.
 *
 * Usage: client SOCKET NAME
 *
 * Prints the answer as it comes. It checks nothing that a user would want to be told of. Built twice, client
 * and client-static: what it takes to load libc is most of what it takes.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[512];
	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 64;
	memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
	int size =
		snprintf(text, sizeof(text), "*2\r\n$4\r\nINCR\r\n$%zu\r\n%s\r\n", strlen(argv[2]), argv[2]);
	if (size < 0 || (size_t)size >= sizeof(text))
		return 64;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    write(fd, text, (size_t)size) != size)
		return 69;
	ssize_t len = read(fd, text, sizeof(text));
	if (len <= 0 || *text != ':')
		return 69;
	return write(STDOUT_FILENO, text, (size_t)len) == len ? 0 : 74;
}
