/* Compiled twice (scripts/tcp.mk): the table of the build that it is linked with. */
#include "tests/tcp/api.h"

#ifdef TCP_NO_FASTPATH
#define TABLE tcp_slow_api
#define NAME "without the fast path"
#else
#define TABLE tcp_fast_api
#define NAME "with the fast path"
#endif

const struct tcp_api TABLE = { .name = NAME,
	.defaults = tcp_defaults, .create = tcp_create, .destroy = tcp_destroy, .blocks = tcp_blocks, .input = tcp_input,
	.timers = tcp_timers, .deadline = tcp_deadline, .turns = tcp_turns, .apply = tcp_apply, .resume = tcp_resume,
	.abort = tcp_abort, .output = tcp_output, .icmp = tcp_icmp, .figures = tcp_figures, .check = tcp_check };
