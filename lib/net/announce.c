/*
 * What a node tells the network at its start, once a second:
 *
 *   second  IPv4                          IPv6
 *   0       gratuitous ARP (RFC 5227 3)   listener report (RFC 3810 6.1), probes for duplicates (RFC 4862 5.4.2)
 *   1       the same                      addresses are usable; report again, now from one; advertisements
 *   2       the same                      advertisements (RFC 4861 7.2.6: three in all)
 *   3                                     advertisements
 *
 * The random delay before the first probe (RFC 4862 5.4.2) is left out: it keeps nodes apart that boot
 * from the same switch of power, and those are not waited for by anybody.
 */
#include "base/check.h"
#include "net/stages.h"

enum { LAST_STEP = 4, ARP_STEPS = 3, REPORT_STEPS = 2, FRAMES_MAX = 2 + NET_IPV6_MAX };

static void
say(struct net *net, struct spares *spares, uint16_t len)
{
	struct pkt *pkt = &spares->pkts[spares->used - 1];

	CHECK(len <= pkt->room);
	pkt->len = len;
	pkt->disposition = PKT_SEND;
	note(net, COUNTER_ANNOUNCED);
}

static void
say_addresses(struct net *net, struct spares *spares)
{
	for (uint8_t local = 1; local <= net->config.ipv6_count; local++) {
		if (net->step == 0)
			say(net, spares, nd_probe(net, local, spares_take(spares)->data));
		else if (nd_is_usable(net, local))
			say(net, spares, nd_advertisement(net, local, spares_take(spares)->data));
	}
}

static void
announce(struct net *net, struct spares *spares)
{
	if (net->step < ARP_STEPS)
		say(net, spares, arp_announcement(net, spares_take(spares)->data));
	if (net->config.ipv6_count == 0)
		return;
	if (net->step < REPORT_STEPS)
		say(net, spares, nd_report(net, WIRE_MLD_TO_EXCLUDE, spares_take(spares)->data));
	say_addresses(net, spares);
}

static void
next_step(struct net *net, uint64_t now_ns)
{
	if (net->step == 0)
		net->start_ns = now_ns;
	net->step++;
}

/* When the next step, or the next report, is due. */
static uint64_t
due(const struct net *net)
{
	uint64_t due_ns = net->config.announces && net->step < LAST_STEP ? net->start_ns + net->step * NS_PER_SEC : UINT64_MAX;

	return net->report_ns && net->report_ns < due_ns ? net->report_ns : due_ns;
}

static bool
step_is_due(const struct net *net, uint64_t now_ns)
{
	return net->config.announces && net->step < LAST_STEP && (net->step == 0 || now_ns >= net->start_ns + net->step * NS_PER_SEC);
}

void
net_timers(struct net *net, uint64_t now_ns, struct spares *spares)
{
	if (__builtin_expect(now_ns < net->due_ns, 1))
		return;
	if (spares->size - spares->used < FRAMES_MAX)
		return; /* a worker's first round has none yet */
	net->now_ns = now_ns;
	if (step_is_due(net, now_ns)) {
		if (net->step == 1)
			atomic_store_explicit(&net->config.shared->ipv6_usable, true, memory_order_relaxed);
		announce(net, spares);
		next_step(net, now_ns);
	}
	if (net->report_ns && now_ns >= net->report_ns) {
		say(net, spares, nd_report(net, WIRE_MLD_IS_EXCLUDE, spares_take(spares)->data));
		net->report_ns = 0;
	}
	net->due_ns = due(net);
}
