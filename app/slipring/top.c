/* slipring top: looks at a node again and again, and keeps the terminal as it was found. */
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"
#include "top_nodes.h"

enum { INTERVAL_MS = 1000 };

struct screen {
	sigset_t waiting;   /* signals blocked while we wait; elsewhere ours are, so that none is missed */
	bool on;            /* redraw in place */
	bool keys;          /* standard input is a terminal in our mode */
	struct termios was;
};

/* Only so that a wait ends and the next drawing asks for the new size. */
static void
on_resize(int number)
{
	(void)number;
}

/* From here on signals come while we wait, and only then: one that came between a look and a wait would be lost. */
static void
hold_signals(struct screen *screen)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };
	sigset_t ours;

	sigemptyset(&ours);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		sigaddset(&ours, numbers[i]);
	sigprocmask(SIG_BLOCK, &ours, &screen->waiting);
}

/* The other screen, no cursor, keys at once and unseen. Ctrl-Z is off: it would leave the terminal so. */
static void
screen_open(struct screen *screen)
{
	struct sigaction action;
	struct termios mode;

	memset(&action, 0, sizeof action);
	action.sa_handler = on_resize;
	sigaction(SIGWINCH, &action, NULL);
	screen->on = true;
	screen->keys = tcgetattr(STDIN_FILENO, &screen->was) == 0;
	if (screen->keys) {
		mode = screen->was;
		mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		mode.c_cc[VSUSP] = _POSIX_VDISABLE;
		tcsetattr(STDIN_FILENO, TCSANOW, &mode);
	}
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
}

static void
screen_close(struct screen *screen)
{
	if (!screen->on)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (screen->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen->was);
}

/* Waits for the next look. False: the user wants to end. *resized: draw again at once. */
static bool
wait_until(const struct screen *screen, uint64_t until_ms, bool *resized)
{
	struct pollfd key = { screen->keys ? STDIN_FILENO : -1, POLLIN, 0 };
	char byte = 0;

	*resized = false;
	for (uint64_t now = clock_ns() / NS_PER_MS; now < until_ms && !interrupted(); now = clock_ns() / NS_PER_MS) {
		const struct timespec wait = { (time_t)((until_ms - now) / MS_PER_SEC),
			(long)((until_ms - now) % MS_PER_SEC * NS_PER_MS) };
		int ready = ppoll(&key, 1, &wait, &screen->waiting);

		if (ready < 0 && errno == EINTR && !interrupted()) {
			*resized = screen->on;
			return true;
		}
		if (ready > 0 && (read(STDIN_FILENO, &byte, 1) != 1 || byte == 'q' || byte == 'Q'))
			return false;
	}
	return !interrupted();
}

static void
show(const struct cli *cli, const struct screen *screen, const json_t *figures, const char *why)
{
	struct winsize size = { 0 };
	char where[300];

	if (cli->json) {
		json_dumpf(figures, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		putchar('\n');
	}
	cli_print_place(where, sizeof where, cli->host, cli->port ? cli->port : SLIPRING_PORT);
	if (!cli->json && !screen->on) {
		top_draw(stdout, where, figures, 0, 0);
	} else if (screen->on) {
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
			size = (struct winsize){ .ws_col = 80, .ws_row = 24 };
		fputs("\033[H", stdout);
		if (figures)
			top_draw(stdout, where, figures, size.ws_col, size.ws_row);
		if (why[0])
			printf("%s\033[7m%.*s\033[0m\033[K", figures ? "\033[H" : "", size.ws_col, why);
		fputs("\033[J", stdout);
	}
	fflush(stdout);
}

/* A node that does not answer is said on the screen and looked at again; elsewhere it is the end. */
static int
watch(struct cli *cli, struct top_nodes *nodes, const struct screen *screen)
{
	uint32_t interval_ms = cli->interval_ms ? cli->interval_ms : INTERVAL_MS;
	struct look before = look_take(cli, nodes), now = { .node = NULL };
	/* Nobody wants to look at nothing: the first figures come soon, however long the interval. */
	uint64_t next_ms = clock_ns() / NS_PER_MS + (screen->on && interval_ms > INTERVAL_MS ? INTERVAL_MS : interval_ms);
	json_t *figures = NULL, *fresh;
	enum slipring_status status = before.status;
	bool resized;

	while ((status == SLIPRING_OK || screen->on) && !ferror(stdout) && wait_until(screen, next_ms, &resized)) {
		if (!resized) {
			now = look_take(cli, nodes);
			status = now.status;
			next_ms = clock_ns() / NS_PER_MS + interval_ms;
			fresh = nodes ? top_cluster_figures(&before, &now) : top_figures(&before, &now);
			if (fresh) {
				json_decref(figures);
				figures = fresh;
			}
			look_free(&before);
			before = now;
			if (status != SLIPRING_OK && !screen->on)
				break;
		}
		if (figures || screen->on)
			show(cli, screen, figures, before.why);
		if (cli->once && !resized)
			break;
	}
	json_decref(figures);
	look_free(&before);
	return status == SLIPRING_OK || screen->on ? EXIT_OK : cli_fail_status(cli, status);
}

int
command_top(struct cli *cli, int argc, char **argv)
{
	struct screen screen = { .on = false };
	struct slipring_topology topology;
	struct top_nodes *nodes = NULL;
	int code;

	(void)argc;
	(void)argv;
	interrupt_catch();
	hold_signals(&screen);
	if (!cli->json && !cli->once && isatty(STDOUT_FILENO))
		screen_open(&screen);
	if (slipring_topology(cli->cache, &topology) == SLIPRING_OK)
		nodes = top_nodes_open(cli);
	code = watch(cli, nodes, &screen);
	screen_close(&screen);
	top_nodes_close(nodes);
	return code;
}
