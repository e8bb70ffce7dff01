/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "screen.h"

#define HIDE	    "\033[?25l"
#define SHOW	    "\033[?25h"
#define ERASE_ECHO  "\r\033[K" /* of "^C", which stands in the line of the cursor */
#define NS_A_SECOND 1000000000

static const int ENDS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2};
enum { ENDS_COUNT = sizeof(ENDS) / sizeof(ENDS[0]) };

static struct {
	int fd;
	bool is_begun;
	sigset_t mask;	      /* as it was */
	struct termios modes; /* as they were, while is_silent */
	int keys_fd;	      /* -1: none are read */
	char key;
} screen = {.keys_fd = -1};

static volatile sig_atomic_t is_resized, is_resumed, is_hidden, is_silent;

static void put(const char *text)
{
	ssize_t ignored = write(screen.fd, text, strlen(text));
	(void)ignored; /* the terminal may be gone */
}

/* A line that somebody types would move the picture. */
static void silence(void)
{
	struct termios modes;
	if (is_silent || tcgetattr(screen.fd, &screen.modes))
		return;
	modes = screen.modes;
	modes.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	if (screen.keys_fd >= 0) { /* by key, not by line; a read waits for none */
		modes.c_lflag &= ~(tcflag_t)ICANON;
		modes.c_cc[VMIN] = modes.c_cc[VTIME] = 0;
	}
	is_silent = tcsetattr(screen.fd, TCSANOW, &modes) == 0;
}

/* From the background SIGTTOU would stop us, and the modes are somebody else's by then. */
static void unsilence(void)
{
	if (is_silent && tcgetpgrp(screen.fd) == getpgrp())
		tcsetattr(screen.fd, TCSANOW, &screen.modes);
	is_silent = 0;
}

/* What is in the line of the cursor is ours only while we have hidden it. */
static void show_cursor(const char *text)
{
	unsilence();
	if (is_hidden)
		put(text);
	is_hidden = 0;
}

bool screen_take(void)
{
	pid_t foreground = tcgetpgrp(screen.fd); /* -1: not the terminal of our session */
	if (foreground > 0 && foreground != getpgrp())
		return false;
	if (is_hidden)
		return true;
	sigset_t all, before; /* a handler finds both done, or neither */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (foreground > 0)
		silence();
	put(HIDE);
	is_hidden = 1;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return true;
}

/* ---- signals ---- handlers call what signal-safety(7) lists */

/* The disposition is the default one by now (SA_RESETHAND): a shell sees what has ended us. */
static void on_end(int sig)
{
	show_cursor(ERASE_ECHO SHOW);
	raise(sig);
}

static void on_stop(int sig);

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;
	sigaction(sig, NULL, &before);
	if (before.sa_handler != SIG_IGN)
		sigaction(sig, &action, NULL);
}

static void on_stop(int sig)
{
	int saved_errno = errno;
	sigset_t stop, before;
	show_cursor(ERASE_ECHO SHOW);
	handle(sig, SIG_DFL, 0);
	raise(sig);
	sigemptyset(&stop);
	sigaddset(&stop, sig);
	sigaddset(&stop, SIGCONT);		  /* or it would be noted a second time when we wait */
	sigprocmask(SIG_UNBLOCK, &stop, &before); /* stops here */
	sigprocmask(SIG_SETMASK, &before, NULL);
	handle(sig, on_stop, SA_RESTART);
	is_resumed = 1; /* also where nobody could have continued us, and nothing stopped */
	errno = saved_errno;
}

static void on_resize(int sig)
{
	(void)sig;
	is_resized = 1;
}

static void on_continue(int sig)
{
	(void)sig;
	is_resumed = 1;
}

/* What is only noted comes while screen_wait waits, so that it cannot be missed between a look and the wait.
 */
void screen_begin(int fd)
{
	sigset_t noted;
	sigemptyset(&noted);
	sigaddset(&noted, SIGWINCH);
	sigaddset(&noted, SIGCONT);
	sigprocmask(SIG_BLOCK, &noted, &screen.mask);
	screen.fd = fd;
	screen.is_begun = true;
	handle(SIGWINCH, on_resize, 0);
	handle(SIGCONT, on_continue, 0);
	handle(SIGTSTP, on_stop, SA_RESTART);
	for (int i = 0; i < ENDS_COUNT; i++)
		handle(ENDS[i], on_end, (int)(SA_RESETHAND | SA_NODEFER));
}

void screen_end(void)
{
	if (!screen.is_begun)
		return;
	screen.is_begun = false;
	screen.keys_fd = -1;
	show_cursor(SHOW);
	for (int i = 0; i < ENDS_COUNT; i++)
		handle(ENDS[i], SIG_DFL, 0);
	handle(SIGTSTP, SIG_DFL, 0);
	handle(SIGCONT, SIG_DFL, 0);
	handle(SIGWINCH, SIG_DFL, 0);
	sigprocmask(SIG_SETMASK, &screen.mask, NULL);
}

void screen_read_keys(int fd)
{
	struct stat keys, drawn_on;
	bool is_same = isatty(fd) && fstat(fd, &keys) == 0 && fstat(screen.fd, &drawn_on) == 0 &&
		       keys.st_rdev == drawn_on.st_rdev;
	screen.keys_fd = is_same ? fd : -1;
}

/* ---- waiting ---- */

static bool take_event(enum screen_event *event)
{
	if (!is_resized && !is_resumed)
		return false;
	*event = is_resumed ? SCREEN_RESUMED : SCREEN_RESIZED;
	is_resized = is_resumed = 0;
	return true;
}

static bool take_key(void)
{
	if (read(screen.keys_fd, &screen.key, 1) == 1)
		return true;
	screen.keys_fd = -1; /* the terminal is gone */
	return false;
}

char screen_key(void)
{
	return screen.key;
}

/* Of `fd` nothing is asked for: only an error or the end of the other side is told. Keys are asked for while
 * the terminal is ours; from the background a read would stop us. */
enum screen_event screen_wait(int fd, int64_t until_ns)
{
	enum screen_event event;
	while (!take_event(&event)) {
		struct pollfd p[] = {{.fd = fd}, {.fd = is_silent ? screen.keys_fd : -1, .events = POLLIN}};
		int64_t left_ns = until_ns - conn_now_ns();
		if (left_ns < 0)
			left_ns = 0;
		struct timespec left = {left_ns / NS_A_SECOND, left_ns % NS_A_SECOND};
		int n = ppoll(p, 2, &left, screen.is_begun ? &screen.mask : NULL);
		if (n == 0)
			return SCREEN_TIME;
		if (n > 0 && p[0].revents)
			return SCREEN_GONE;
		if (n > 0 && take_key())
			return SCREEN_KEY;
	}
	return event;
}
