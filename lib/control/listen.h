/*
 * listen.h - the control plane's TCP address.
 *
 * Threads: main thread at start. Memory: none.
 */
#ifndef CONTROL_LISTEN_H
#define CONTROL_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/status.h"

/* "127.0.0.1:7480" or "[::1]:7480"; names are not looked up. */
bool listen_parse(const char *text, struct sockaddr_storage *address);
/* Whether nobody but this machine can reach it. */
bool listen_is_loopback(const struct sockaddr_storage *address);
/* A listening socket, or -1 and *error. */
int listen_tcp(const char *text, struct error *error) MUST_USE;

#endif
