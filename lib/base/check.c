#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void
check_fail(const char *file, int line, const char *condition)
{
	dprintf(2, "%s:%d: CHECK failed: %s\n", file, line, condition);
	abort();
}
