/* Mailboxes between lcores, and sleeping on one together with a port. */
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include "base/check.h"
#include "io/port.h"

struct mailbox {
	struct rte_ring *ring;
	int event;
	struct mailbox *bell; /* whose sleeper wakes for mail in this one: itself, or what it is attached to */
	struct mailbox *attached[MAILBOX_ATTACHED_MAX];
	uint32_t attached_count;
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
	mailbox->bell = mailbox;
	mailbox->attached_count = 0;
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
mailbox_attach(struct mailbox *mailbox, struct mailbox *bell)
{
	CHECK(bell->attached_count < MAILBOX_ATTACHED_MAX && bell->bell == bell && mailbox->attached_count == 0);
	mailbox->bell = bell;
	bell->attached[bell->attached_count++] = mailbox;
}

void
mailbox_move(struct mailbox *bell, struct mailbox *to)
{
	CHECK(bell->bell == bell && to->bell == to && bell != to &&
	    to->attached_count + bell->attached_count < MAILBOX_ATTACHED_MAX);
	for (uint32_t i = 0; i < bell->attached_count; i++) {
		bell->attached[i]->bell = to;
		to->attached[to->attached_count++] = bell->attached[i];
	}
	bell->attached_count = 0;
	mailbox_attach(bell, to);
}

void
mailbox_kick(struct mailbox *mailbox)
{
	struct mailbox *bell = mailbox->bell;
	uint64_t one = 1;

	/* Orders the enqueue before the look at the flag; the sleeper's fence is its mirror. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&bell->sleeping, memory_order_relaxed)) {
		ssize_t written = write(bell->event, &one, sizeof one);

		(void)written; /* EAGAIN: the counter is at its maximum, the sleeper wakes anyway */
	}
}

bool
mailbox_send(struct mailbox *mailbox, void *mail)
{
	if (rte_ring_mp_enqueue(mailbox->ring, mail) != 0)
		return false;
	mailbox_kick(mailbox);
	return true;
}

uint32_t
mailbox_send_many(struct mailbox *mailbox, void *const *mails, uint32_t n)
{
	uint32_t sent = rte_ring_mp_enqueue_burst(mailbox->ring, mails, n, NULL);

	if (sent)
		mailbox_kick(mailbox);
	return sent;
}

uint32_t
mailbox_receive(struct mailbox *mailbox, void **mails, uint32_t n)
{
	if (rte_ring_empty(mailbox->ring)) /* most looks find nothing, and cost no more than this */
		return 0;
	return rte_ring_sc_dequeue_burst(mailbox->ring, mails, n, NULL);
}

/*
 * A device that cannot wake us is looked at again soon, and less often the longer
 * nothing came (a wake-up costs about 19 us of CPU on the reference machine: every
 * 50 us would be a quarter of a core). port_rx starts it over.
 */
static uint32_t
blind(struct port *port, uint32_t wait_us)
{
	uint32_t now_us = port->blind_us < PORT_BLIND_MIN_US ? PORT_BLIND_MIN_US : port->blind_us;

	port->blind_us = now_us * 2 < PORT_BLIND_MAX_US ? now_us * 2 : PORT_BLIND_MAX_US;
	return now_us < wait_us ? now_us : wait_us;
}

static void
drain(int event)
{
	uint64_t count;
	ssize_t got = read(event, &count, sizeof count);

	(void)got;
}

/*
 * Asks for an interrupt. A frame that came before this asks for none, so the queue is
 * looked at once more; a driver that cannot tell its length is not slept on for long.
 */
static uint32_t
arm(const struct port *port, uint32_t wait_us)
{
	int waiting;

	rte_eth_dev_rx_intr_enable(port->id, port->queue);
	waiting = rte_eth_rx_queue_count(port->id, port->queue);
	if (waiting > 0)
		return 0;
	return waiting == 0 || wait_us < PORT_BLIND_MAX_US ? wait_us : PORT_BLIND_MAX_US;
}

static void
sleep_on(struct port *port, int event, uint32_t wait_us)
{
	int fd = port ? port->fd : -1;
	struct pollfd fds[2] = { { event, POLLIN, 0 }, { fd, POLLIN, 0 } };
	struct timespec timeout;

	if (port && port->interrupts)
		wait_us = arm(port, wait_us);
	else if (port && fd < 0)
		wait_us = blind(port, wait_us);
	timeout = (struct timespec){ wait_us / 1000000, wait_us % 1000000 * 1000l };
	ppoll(fds, fd >= 0 ? 2 : 1, &timeout, NULL);
	if (fds[0].revents & POLLIN)
		drain(event);
	if (port && port->interrupts) {
		rte_eth_dev_rx_intr_disable(port->id, port->queue);
		if (fds[1].revents & POLLIN)
			drain(fd);
	}
}

static bool
any_mail(const struct mailbox *bell)
{
	bool any = !rte_ring_empty(bell->ring);

	for (uint32_t i = 0; i < bell->attached_count; i++)
		any |= !rte_ring_empty(bell->attached[i]->ring);
	return any;
}

static void
wait(struct port *port, struct mailbox *mailbox, uint32_t timeout_us)
{
	atomic_store_explicit(&mailbox->sleeping, true, memory_order_relaxed);
	/* Orders the flag before the last look at the rings: whoever enqueues after
	 * this look sees the flag and kicks. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!any_mail(mailbox))
		sleep_on(port, mailbox->event, timeout_us);
	atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
}

void
io_wait(struct port *port, struct mailbox *mailbox, int timeout_ms)
{
	wait(port, mailbox, (uint32_t)timeout_ms * 1000);
}

void
io_wait_us(struct port *port, struct mailbox *mailbox, uint32_t timeout_us)
{
	wait(port, mailbox, timeout_us);
}
