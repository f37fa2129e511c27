/*
 * io.h - the only layer that knows DPDK's devices: EAL, ports, mailboxes, clock.
 *
 * Purpose: frames as struct pkt, one port (device and queue) a worker; rings
 *   between workers; waiting for either.
 * Threads: io_start, port_open, port_close and io_stop on the main thread;
 *   port_rx/tx/take/give on the port's lcore; mailbox_send from any registered
 *   lcore, mailbox_receive on the receiving one.
 * Memory: one mbuf pool a port.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/now.h"
#include "base/outq.h"
#include "base/roles.h"
#include "base/pkt.h"
#include "base/status.h"

/* What a drivers-config profile says (drivers-config/README.md). */
struct io_profile {
	char name[32];        /* of the profile */
	char driver[32];      /* net_af_xdp, net_af_packet, net_virtio_user, net_vhost, net_ring, or "pci" */
	char arguments[160];  /* vdev arguments, "a=1,b=2"; {interface} and {queue} are filled in */
	char eal[160];        /* extra EAL arguments, blank-separated */
	uint16_t rx_descriptors, tx_descriptors;
	uint32_t mbufs;       /* of a port's pool, fill ring included */
	uint16_t queues;      /* per port; more than one only for PCI */
	bool checksum_offload;/* use the NIC's if it offers it */
	bool verify_checksums;/* verify in software on RX */
	bool external_tx;     /* refer to large values rather than copy them, where the port can */
};

struct io_config {
	uint32_t worker_count;
	uint32_t worker_cpus[WORKER_MAX]; /* cpu of each worker */
	uint32_t control_cpu;
	bool float_lcores;                /* lab: let lcores run on any cpu */
	bool shares;                      /* every page that items stand in goes through io_share() */
	bool no_huge;                     /* decided by the caller (io_huge_free_bytes) */
	uint32_t memory_mb;               /* EAL memory with no_huge: computed by io_memory_mb */
	char interfaces[WORKER_MAX][64];  /* device, PCI address or socket path of each worker's port */
	struct io_profile profile;
	char runtime_dir[96], name[64];   /* where DPDK's telemetry socket lies (telemetry.h); "": there is none */
};

struct port;

/* Which of its device's queues worker i serves: how many earlier workers share the device. */
uint32_t io_queue_of(const struct io_config *config, uint32_t worker);

/* Free huge page bytes of the machine now (/proc/meminfo). */
uint64_t io_huge_free_bytes(void);
/* EAL memory a configuration needs, MiB: pools, rings, tables of `table_bytes`. */
uint32_t io_memory_mb(const struct io_config *config, uint64_t table_bytes);

/* Starts EAL. Errors say what to run (huge pages, interface, permissions). */
enum status io_start(const struct io_config *config, struct error *error) MUST_USE ON_MAIN;
void io_stop(void) ON_MAIN;

/* Runs main(argument) on worker i's lcore; io_join waits for its end and returns its result. */
enum status io_launch(uint32_t worker, int (*main)(void *), void *argument) MUST_USE ON_MAIN;
int io_join(uint32_t worker) ON_MAIN;

/* Opens worker i's port, starts it; mac is filled with the port's address. */
struct port *port_open(const struct io_config *config, uint32_t worker, uint8_t mac[6],
    struct error *error) MUST_USE ON_MAIN;
/* Nothing is at the NIC any more: its driver has freed all frames. Of all ports, before any is closed: queues of one device have pools of their own. */
void port_stop(struct port *port) ON_MAIN;
void port_close(struct port *port) ON_MAIN;

/* At most n <= BURST_MAX received frames, contiguous, PKT_PENDING. */
uint32_t port_rx(struct port *port, struct pkt *pkts, uint32_t n, struct counters *counters) ON_WORKER;
/* Sends PKT_SEND, frees the rest; all n are consumed. A chain the port cannot send is refused. */
void port_tx(struct port *port, struct pkt *pkts, uint32_t n, struct counters *counters) ON_WORKER;
/* Refills spares: used ones are replaced by fresh packets; size shrinks when the pool is empty. */
void port_refill(struct port *port, struct spares *spares) ON_WORKER;
/* Frees all spares that are left. */
void port_release(struct port *port, struct spares *spares) ON_WORKER;

/*
 * Appends the tail's bytes to the frame: by reference where the port may (port_info.tails), else, or when the port
 * has as many under way as it can, as a copy behind pkt->len, where there is room. The tail's pin is this function's:
 * it is given back when the NIC has sent the frame, on whatever thread frees it then, or at once when the bytes were copied.
 */
void port_append(struct port *port, struct pkt *pkt, const struct pkt_tail *tail) ON_WORKER;
enum { PORT_TAIL_MIN = 1024 }; /* what is shorter is as cheaply copied (measured: ../doc/BENCHMARKS.md, tails) */

/*
 * A PCI card reads bytes where they stand only if the IOMMU lets it: io_can_share() tells, after io_start(), whether
 * the profile asks for that and it can be had; io_share() makes pages known to all cards, for as long as the process lives.
 */
bool io_can_share(const struct io_profile *profile) ON_MAIN;
bool io_share(void *memory, uint64_t len);

/* Whether a port sends bytes from where they stand, and why it does not. */
enum port_tails {
	PORT_TAILS_REFERRED,
	PORT_TAILS_OFF,    /* the profile's external_tx says so */
	PORT_TAILS_DRIVER, /* the driver sends no chains */
	PORT_TAILS_MEMORY, /* the device reaches packet buffers only, not the cache's memory */
};

struct port_info {
	char device[64], driver[32], interface[64];
	uint16_t port, queue;
	int numa_node;
	bool tx_checksum;      /* what the port offers and the profile allows */
	enum port_tails tails;
	uint64_t rx_missed, rx_nombuf, tx_errors;
};
void port_info(const struct port *port, struct port_info *info);

/* Mailboxes: one a worker, many producers. A mail is a pointer. */
struct mailbox;
struct mailbox *mailbox_create(const char *name, uint32_t size, struct error *error) MUST_USE;
void mailbox_destroy(struct mailbox *mailbox);
bool mailbox_send(struct mailbox *mailbox, void *mail); /* false: full; wakes a sleeper */
void mailbox_kick(struct mailbox *mailbox);              /* wakes a sleeper without mail */
/* Returns how many went in, from the first on; one wake-up for all. */
uint32_t mailbox_send_many(struct mailbox *mailbox, void *const *mails, uint32_t n);
uint32_t mailbox_receive(struct mailbox *mailbox, void **mails, uint32_t n); /* its owner's thread only */
/*
 * Whoever sleeps on `bell` wakes for mail in this one too. Before any thread sends to it;
 * both have one owner. At most MAILBOX_ATTACHED_MAX to a bell.
 */
enum { MAILBOX_ATTACHED_MAX = 8 };
void mailbox_attach(struct mailbox *mailbox, struct mailbox *bell);
/* `bell` and what is attached to it are attached to `to` instead: their owner is to be that one's, and sleeps on it. */
void mailbox_move(struct mailbox *bell, struct mailbox *to);

/*
 * Sleeps until the port has a frame, the mailbox or one attached to it has mail, or timeout_ms passed;
 * without a port (NULL), until one of the latter two.
 * Sleeper: set flag, full fence, look at every ring again, poll(2). Producer:
 * enqueue, full fence, read flag, kick the eventfd.
 */
void io_wait(struct port *port, struct mailbox *mailbox, int timeout_ms) ON_WORKER;
/* The same to the microsecond. */
void io_wait_us(struct port *port, struct mailbox *mailbox, uint32_t timeout_us);

/* Clock: TSC-based, refreshed once a poll. */
uint64_t io_cycles(void);
uint64_t io_cycles_hz(void);
void io_now(struct now *now);

#endif
