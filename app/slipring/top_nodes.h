/*
 * top_nodes.h - looks at every node of a cluster; private to slipring top.
 *
 * How: each node is asked by a handle of its own. A handle goes to another node when its own is
 *   silent, so each look makes sure whose answers these are: by the addresses that listen there.
 */
#ifndef SLIPRING_TOP_NODES_H
#define SLIPRING_TOP_NODES_H

#include "top.h"

struct top_nodes;

/* The nodes that the handle of cli knows, when they are several; NULL: it is one. */
struct top_nodes *top_nodes_open(struct cli *cli);
void top_nodes_close(struct top_nodes *nodes); /* NULL is nothing */
/* [{node, status, rtt_us, taken_ns, stats, workers}], without the last four when it does not answer, with `error` then. */
json_t *top_nodes_look(struct top_nodes *nodes);

#endif
