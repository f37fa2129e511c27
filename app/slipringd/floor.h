/*
 * floor.h - the highest epoch this node knows of, kept over a restart.
 *
 * Purpose: a cluster that was wholly down must not give an epoch's number twice. One small
 *   file a node, replaced as a whole: after kill -9 or a power cut it holds the former
 *   number or the new one.
 * Threads: main thread at start, then the control core. Memory: none.
 */
#ifndef SLIPRINGD_FLOOR_H
#define SLIPRINGD_FLOOR_H

#include <stdint.h>

#include "base/status.h"

/* 0 when there is no file yet. An error when what is there cannot be read or is no number. */
enum status floor_read(const char *path, uint64_t *epoch, struct error *error) MUST_USE;
/* On disk when it returns STATUS_OK. */
enum status floor_write(const char *path, uint64_t epoch, struct error *error) MUST_USE;

#endif
