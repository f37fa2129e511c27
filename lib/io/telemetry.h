/*
 * telemetry.h - commands of DPDK's telemetry socket, beside those that DPDK brings itself.
 *
 * Purpose: "/slipring/ring" and the like, for dpdk-telemetry.py and what reads it. Where the socket
 *   lies: RUNTIME_DIR/dpdk/NAME/dpdk_telemetry.v2 (struct io_config, runtime_dir and name).
 * How: an answer is a dictionary of texts, numbers and dictionaries.
 * Threads: telemetry_set on any; an answer is made on a thread of DPDK's, one at a time for all commands.
 * Bounds: TELEMETRY_COMMANDS_MAX commands, TELEMETRY_ENTRIES_MAX entries a dictionary, 16 KiB an answer:
 *   what is beyond is left out.
 */
#ifndef IO_TELEMETRY_H
#define IO_TELEMETRY_H

#include <stdint.h>

enum { TELEMETRY_COMMANDS_MAX = 8, TELEMETRY_ENTRIES_MAX = 256, TELEMETRY_TEXT_MAX = 127 };

struct telemetry; /* a dictionary in the making */

typedef void (*telemetry_answer)(void *context, struct telemetry *answer);

/*
 * Answers a command from now on; answer NULL: no more. When it returns, the former answer is
 * not at work and will not be called again. command and help must live on.
 */
void telemetry_set(const char *command, const char *help, telemetry_answer answer, void *context);

void telemetry_text(struct telemetry *to, const char *name, const char *text);
void telemetry_number(struct telemetry *to, const char *name, uint64_t number);
/* A dictionary inside; to be closed before anything else is added to `to`. NULL: no memory, and then nothing is added. */
struct telemetry *telemetry_open(struct telemetry *to, const char *name);
void telemetry_close(struct telemetry *inner);

#endif
