/*
 * usocket.h - UNIX stream sockets by path.
 *
 * Purpose: listening where a dead process may have left its socket behind.
 * Threads: main thread at start. Memory: none.
 */
#ifndef SLIPRINGD_USOCKET_H
#define SLIPRINGD_USOCKET_H

#include "base/status.h"

/* Whether somebody accepts connections there. */
bool usocket_is_listening(const char *path);

/* Removes a socket that nobody serves any more. In use, or no socket: *error. */
enum status usocket_clear(const char *path, struct error *error) MUST_USE;

/*
 * Listens on path with mode 0600, removing a socket that nobody serves any more.
 * Returns the descriptor, or -1 with *error: in use, not a socket, no such directory.
 */
int usocket_listen(const char *path, struct error *error) MUST_USE;

#endif
