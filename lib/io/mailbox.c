/* Mailboxes between lcores, and sleeping on one together with a port. */
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include "io/port.h"

struct mailbox {
	struct rte_ring *ring;
	int event;
	_Alignas(64) atomic_bool sleeping;
};

struct mailbox *
mailbox_create(const char *name, uint32_t size, struct error *error)
{
	struct mailbox *mailbox = aligned_alloc(64, sizeof *mailbox);

	if (!mailbox) {
		error_set(error, STATUS_NO_MEMORY, "no memory for mailbox %s", name);
		return NULL;
	}
	mailbox->ring = rte_ring_create(name, size, SOCKET_ID_ANY, RING_F_SC_DEQ);
	mailbox->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	atomic_init(&mailbox->sleeping, false);
	if (!mailbox->ring || mailbox->event < 0) {
		error_set(error, STATUS_NO_MEMORY, "mailbox %s: %s", name, rte_strerror(rte_errno));
		mailbox_destroy(mailbox);
		return NULL;
	}
	return mailbox;
}

void
mailbox_destroy(struct mailbox *mailbox)
{
	rte_ring_free(mailbox->ring);
	if (mailbox->event >= 0)
		close(mailbox->event);
	free(mailbox);
}

void
mailbox_kick(struct mailbox *mailbox)
{
	uint64_t one = 1;

	/* Orders the enqueue before the look at the flag; the sleeper's fence is its mirror. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&mailbox->sleeping, memory_order_relaxed)) {
		ssize_t written = write(mailbox->event, &one, sizeof one);

		(void)written; /* EAGAIN: the counter is at its maximum, the sleeper wakes anyway */
	}
}

bool
mailbox_send(struct mailbox *mailbox, void *mail)
{
	if (rte_ring_enqueue(mailbox->ring, mail) != 0)
		return false;
	mailbox_kick(mailbox);
	return true;
}

uint32_t
mailbox_receive(struct mailbox *mailbox, void **mails, uint32_t n)
{
	return rte_ring_dequeue_burst(mailbox->ring, mails, n, NULL);
}

enum { BLIND_WAIT_US = 50 };

static void
sleep_on(const struct port *port, int event, int timeout_ms)
{
	int fd = port ? port->fd : -1;
	struct pollfd fds[2] = { { event, POLLIN, 0 }, { fd, POLLIN, 0 } };
	/* A device without a socket cannot wake us: look again soon. */
	struct timespec blind = { 0, BLIND_WAIT_US * 1000 };
	struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000l };
	uint64_t count;

	ppoll(fds, fd >= 0 ? 2 : 1, port && fd < 0 ? &blind : &timeout, NULL);
	if (fds[0].revents & POLLIN) {
		ssize_t got = read(event, &count, sizeof count);

		(void)got;
	}
}

void
io_wait(struct port *port, struct mailbox *mailbox, int timeout_ms)
{
	atomic_store_explicit(&mailbox->sleeping, true, memory_order_relaxed);
	/* Orders the flag before the last look at the ring: whoever enqueues after
	 * this look sees the flag and kicks. */
	atomic_thread_fence(memory_order_seq_cst);
	if (rte_ring_empty(mailbox->ring))
		sleep_on(port, mailbox->event, timeout_ms);
	atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
}
