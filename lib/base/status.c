#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

enum status
error_set(struct error *error, enum status status, const char *format, ...)
{
	va_list arguments;

	error->status = status;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof error->text, format, arguments);
	va_end(arguments);
	return status;
}
