/*
 * foreign_log.h - messages of the libraries below us become lines of our log.
 *
 * Purpose: DPDK, libbpf and libxdp print to standard error in their own ways, much
 *   of it harmless. DPDK's errors become WARN, its warnings INFO; all else DEBUG.
 * Threads: foreign_log_route() on the main thread after log_open(), before EAL
 *   starts; the libraries may then log from any thread.
 */
#ifndef SLIPRINGD_FOREIGN_LOG_H
#define SLIPRINGD_FOREIGN_LOG_H

void foreign_log_route(void);

#endif
