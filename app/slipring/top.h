/* top.h - two looks at a node's statistics, and what they mean. */
#ifndef SLIPRING_TOP_H
#define SLIPRING_TOP_H

#include <stdio.h>

#include "cli.h"

/* One look: the node's counters and each worker's. */
struct look {
	json_t *node;    /* object; NULL: no answer, and `why` says why */
	json_t *workers; /* array of objects */
	json_t *nodes;   /* of a cluster, instead of both: as top_nodes_look() has them */
	uint64_t taken_ns;
	enum slipring_status status;
	char why[256];
};

struct top_nodes; /* top_nodes.h */

/* nodes: NULL for a single node. */
struct look look_take(struct cli *cli, struct top_nodes *nodes);
void look_free(struct look *look);

/* What happened from one look to the next, as --json prints it. NULL without two answers. */
json_t *top_figures(const struct look *before, const struct look *now);
/* The same of several nodes: their sum, and each one's in `nodes`. */
json_t *top_cluster_figures(const struct look *before, const struct look *now);

/* Draws figures as text for people, each line at most `columns` wide, at most `rows` lines; 0: any number. */
void top_draw(FILE *to, const char *where, const json_t *figures, unsigned columns, unsigned rows);

#endif
