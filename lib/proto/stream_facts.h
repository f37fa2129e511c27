/*
 * stream_facts.h - what a pass may need to know of its connection and its node: for INFO, CLIENT, CLUSTER, AUTH.
 *
 * Purpose: protocols over streams know neither the store, nor the cluster, nor TCP. Whoever runs them fills this once,
 *   keeps what moves up to date, and hands it to every pass.
 * Threads: the owner lcore reads. The ring and `nodes` are read under RCU and do not change during a pass; counters are
 *   other workers' too, read relaxed.
 * Memory: the caller's. Names are NUL-terminated.
 */
#ifndef PROTO_STREAM_FACTS_H
#define PROTO_STREAM_FACTS_H

#include "base/counters.h"
#include "base/endpoint.h"
#include "base/limits.h"
#include "ring/table.h"

struct stream_state;

/* A connection, as CLIENT LIST tells of it. */
struct stream_client {
	const struct stream_client *next; /* another connection of this worker */
	uint64_t id;                      /* not 0; no other connection of this process has had it */
	uint64_t opened_ns, heard_ns;     /* mono_ns: of its first turn, and when it last sent something */
	struct endpoint peer;
	uint8_t ip[16];                   /* ours, that it came to */
	uint8_t service;                  /* enum service */
	const struct stream_state *state; /* its protocol's */
	uint32_t input_len, output_len;   /* unread bytes; bytes not acknowledged */
};

/* How clients reach a member of the ring over RESP. */
struct stream_node {
	const char *name; /* node id */
	uint8_t ip[16];   /* all zero: not known */
	uint16_t port;    /* 0: it does not serve RESP, or that is not known */
};

/* Figures of all shards together (store/figure.def). */
struct stream_store_figures {
	uint64_t items, item_bytes, active_bytes, table_bytes, budget_bytes;
	uint64_t evictions, expired_reclaimed, total_items;
};

struct stream_facts {
	/* the node; set once */
	const char *version;    /* of the release */
	const char *node_name;  /* node id */
	const char *password;   /* what AUTH and SASL ask for; NULL: nothing */
	uint64_t start_wall_ms;
	uint64_t process_id;
	uint64_t memory_bytes;  /* the store's budget */
	uint32_t worker, worker_count;
	uint32_t connections_max;    /* of the node */
	uint16_t resp_port, memcached_port; /* 0: not served */
	uint8_t ip[16];         /* of the node, as clients reach it */
	bool redirect;          /* another node's key is answered with MOVED instead of being asked for */
	const struct counters *counters[WORKER_MAX]; /* of every worker */
	/* what moves */
	uint32_t connections;        /* of the node */
	uint64_t connections_total;  /* ever accepted */
	uint64_t operations_per_second; /* of the node, lately */
	struct stream_store_figures store;
	const struct ring_snapshot *ring; /* NULL: a single node */
	const struct stream_node *nodes;  /* by position among the ring's members; NULL without a ring */
	uint16_t self;                    /* this node's position there; RING_NOBODY: not there yet */
	/* this pass's connection */
	const struct stream_client *client;
	const struct stream_client *clients; /* list of this worker's */
};

#endif
