/*
 * preflight.h - looks before it leaps: may and can the node take this interface?
 *
 * Purpose: everything that would make start-up fail in a driver's jargon, or
 *   take a machine off the network, is found here and told with the way out.
 * Threads: main thread, after the configuration, before EAL.
 * Memory: by value; holds sockets as locks until preflight_release().
 * Invariants: 1. After a refusal nothing was changed and nothing is held.
 */
#ifndef SLIPRINGD_PREFLIGHT_H
#define SLIPRINGD_PREFLIGHT_H

#include "config.h"
#include "io/io.h"

struct preflight {
	struct {
		int fd;
		const char *interface; /* config's */
	} locks[WORKER_MAX];           /* one a distinct interface */
	uint32_t lock_count;
	bool xdp;  /* the profile's driver attaches XDP programs */
	char note[VALUE_TEXT_SIZE + VALUE_NAME_SIZE + 8]; /* file of preflight_remember(), "" none */
};

/*
 * Checks rights and interfaces, and locks each interface against another
 * slipringd: an abstract UNIX socket, which the kernel scopes to the network
 * namespace as it does interfaces, and drops when the process dies.
 */
enum status preflight_run(struct preflight *preflight, const struct config *config,
    const struct io_profile *profile, struct error *error) MUST_USE;

/*
 * Gives the interfaces back: detaches what XDP programs are left on them (ours, since
 * none was when they were locked; libxdp does it on a clean stop, but not after a
 * failed start, and not without root), removes the note, drops the locks.
 */
void preflight_release(struct preflight *preflight);

/*
 * Notes in run_dir which XDP programs the node has attached, so that a start
 * after kill -9 knows them from a stranger's.
 */
void preflight_remember(struct preflight *preflight, const struct config *config);

/*
 * Decides between huge pages and none for a need of `bytes`, by what is free;
 * *no_huge is the answer. With huge_pages: yes and too few it is an error that
 * says what to run.
 */
enum status preflight_memory(const struct config *config, uint64_t bytes, uint64_t huge_free_bytes,
    bool *no_huge, struct error *error) MUST_USE;

#endif
