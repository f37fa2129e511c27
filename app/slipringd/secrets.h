/*
 * secrets.h - keys and passwords that the configuration names files of.
 *
 * Purpose: each is read here, by the start and by --check-config alike, so that both tell the same mistakes in
 *   the same words: key, file, what is wrong, what mends it. The control plane's tokens and certificates are read
 *   by control/security.h; the check asks for them too.
 * Threads: main thread at start. Memory: the caller's; texts of files are overwritten before they are given back.
 * Invariants: 1. A file that others may read is refused. 2. Nothing is read that a start would not read.
 */
#ifndef SLIPRINGD_SECRETS_H
#define SLIPRINGD_SECRETS_H

#include "cluster/cluster.h"
#include "config.h"
#include "serve/serve.h"

/* native.shared_key_file, resp.password_file, memcached.password_file. */
enum status secrets_native(const struct config *config, struct serve_config *serve, struct error *error) MUST_USE;
enum status secrets_resp(const struct config *config, struct serve_config *serve, struct error *error) MUST_USE;
enum status secrets_memcached(const struct config *config, struct serve_config *serve, struct error *error) MUST_USE;
/* cluster.key_file and cluster.previous_key_file. */
enum status secrets_cluster(const struct config *config, struct cluster_config *cluster, struct error *error) MUST_USE;

/* Reads all that a start with this configuration would read, keeps nothing, and tells every file that is wrong. */
void secrets_check(const struct config *config, struct problems *problems);

#endif
