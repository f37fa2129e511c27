/*
 * api.h - the control plane of a node: what lib/control/routes.def promises, answered.
 *
 * Purpose: HTTP on a UNIX socket, and on TCP when configured; doc/HTTP.md lists the paths.
 *   Kernel networking and a thread of its own, so that it answers even when the
 *   data plane is saturated, and never on a worker's time.
 * Threads: api_security, api_start and api_stop on the main thread; requests on the
 *   server's thread, which reads relaxed counters and what is fixed after start.
 * Memory: bounded by lib/control/http.h.
 */
#ifndef SLIPRINGD_API_H
#define SLIPRINGD_API_H

#include "control/security.h"
#include "slipringd/config.h"
#include "slipringd/faults.h"
#include "slipringd/node.h"

struct api_config {
	const struct config *config;     /* node_id, control_* and, for /config, the rest */
	const struct node *node;
	const struct faults *faults;     /* of the workers */
	struct security *security;       /* api_security's; NULL without control.listen */
};

struct api;

/*
 * Reads what control.listen needs, before anything else is started. *security is NULL
 * without it, else to be freed by security_free after api_stop.
 */
enum status api_security(const struct config *config, struct security **security, struct error *error) MUST_USE;
/* The same for --check-config: keeps nothing, and tells every file that is wrong. Returns errors filled. */
uint32_t api_security_check(const struct config *config, struct error errors[SECURITY_FILES]);
/* Reads the tokens file again, if there is one; the former list stays in force when it is not what it should be. Main thread. */
enum status api_reload(const struct config *config, struct security *security, struct error *error) MUST_USE;
struct api *api_start(const struct api_config *config, struct error *error) MUST_USE;
void api_stop(struct api *api); /* removes the socket; NULL is nothing */

#endif
