/* Signals that end a long command raise a flag, so that it can report and tidy up. */
#include <signal.h>
#include <string.h>

#include "cli.h"

static volatile sig_atomic_t raised;

static void
on_signal(int number)
{
	(void)number;
	raised = 1;
}

/* Without SA_RESTART, so that whoever reads or waits learns at once; the second time they kill. */
void
interrupt_catch(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESETHAND;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		sigaction(numbers[i], &action, NULL);
}

bool
interrupted(void)
{
	return raised;
}
