#include "slipringd/foreign_log.h"

#include <bpf/libbpf.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "slipringd/log.h"

/* One message without its newline, if there is anything in it. */
static void
tell(enum log_level level, const char *prefix, const char *text, size_t len)
{
	while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	if (len)
		log_write(level, "%s%.*s", prefix, (int)len, text);
}

static ssize_t
dpdk_write(void *cookie, const char *text, size_t len)
{
	int theirs = rte_log_cur_msg_loglevel();
	enum log_level ours = theirs <= 0 ? LOG_LEVEL_INFO : theirs <= (int)RTE_LOG_ERR ? LOG_LEVEL_WARN :
	    theirs == (int)RTE_LOG_WARNING ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;

	(void)cookie;
	tell(ours, "dpdk: ", text, len);
	return (ssize_t)len;
}

/*
 * libbpf and libxdp name themselves. They warn of much that is expected: a failure
 * of theirs is told by who asked them. Their debugging is of no use to anybody here.
 */
static int
print(bool wanted, const char *format, va_list arguments)
{
	char text[LOG_LINE_MAX];
	int len;

	if (!wanted || !log_wanted(LOG_LEVEL_DEBUG))
		return 0;
	len = vsnprintf(text, sizeof text, format, arguments);
	if (len > 0)
		tell(LOG_LEVEL_DEBUG, "", text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
	return len;
}

static int
libbpf_line(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return print(level <= LIBBPF_INFO, format, arguments);
}

static int
libxdp_line(enum libxdp_print_level level, const char *format, va_list arguments)
{
	return print(level <= LIBXDP_INFO, format, arguments);
}

void
foreign_log_route(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = dpdk_write });

	libbpf_set_print(libbpf_line);
	libxdp_set_print(libxdp_line);
	if (!stream)
		return; /* DPDK goes on printing to standard error */
	setvbuf(stream, NULL, _IOLBF, LOG_LINE_MAX);
	rte_openlog_stream(stream);
}
