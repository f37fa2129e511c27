/*
 * notify.h - tells the service manager how the node is (sd_notify's datagram).
 *
 * Purpose: READY, STATUS, STOPPING and WATCHDOG for a systemd unit of
 *   Type=notify, without libsystemd: the protocol is one datagram to
 *   $NOTIFY_SOCKET (sd_notify(3)).
 * Threads: main thread. Memory: none.
 */
#ifndef SLIPRINGD_NOTIFY_H
#define SLIPRINGD_NOTIFY_H

#include <stdint.h>

/*
 * Sends one or more "NAME=value" lines. Does nothing without a service manager;
 * a manager that does not listen is no reason to stop serving.
 */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the service manager wants WATCHDOG=1 at the latest, ns; 0 when it does not. */
uint64_t notify_watchdog_ns(void);

#endif
