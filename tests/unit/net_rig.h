/*
 * net_rig.h - one struct net, its counters, and a frame in: for unit tests of lib/net below TCP.
 *
 * Purpose: the addresses are frames.h's; what else the node is, a test's reset says.
 */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/net.h"
#include "tests/unit/frames.h"

/* Not every test needs all of it. */
#define RIG static __attribute__((unused))

RIG struct net net;
RIG struct counters counters;
RIG struct datagram datagram; /* of the last input() */

/* A node made anew; its addresses are added to what `config` says. */
RIG void
rig_init(struct net_config config)
{
	memcpy(config.mac, frame_our_mac, 6);
	memcpy(config.ipv4, frame_our_ip, 4);
	config.ipv4_len = 24;
	config.verify_checksums = true;
	if (config.ipv6_count) {
		net_link_local(config.mac, config.ipv6[0]);
		memcpy(config.ipv6[1], frame_our_ip6, 16);
	}
	memset(&counters, 0, sizeof counters);
	net_init(&net, &config, &counters);
}

/* Two seconds after the start. True: it is a datagram. */
RIG bool
input(struct test_frame *f)
{
	return net_input(&net, 2 * NS_PER_SEC, &f->pkt, 1, &datagram) == 1;
}

RIG void
expect_drop(struct test_frame *f, enum drop why)
{
	uint64_t before = drop_read(&counters, why);

	assert_false(input(f));
	assert_int_equal(f->pkt.disposition, PKT_DROP);
	assert_string_equal(drop_name(f->pkt.drop), drop_name(why));
	assert_int_equal(drop_read(&counters, why), before + 1);
}

#endif
