#include <string.h>

#include "net/stages.h"

enum { UNREACHABLE_MTU = 576 /* RFC 1812 4.3.2.3: an error is at most so long */ };

void
icmp_error_note(struct net *net, struct pkt *pkt, struct icmp_error *error, uint8_t protocol, const uint8_t *l4)
{
	uint16_t ports[2];
	uint32_t seq;

	note(net, COUNTER_ICMP_ERRORS);
	pkt->disposition = PKT_DONE;
	if (protocol != WIRE_PROTOCOL_TCP)
		return; /* UDP's are asked again, or not, by who asked */
	memcpy(ports, l4, sizeof ports);
	memcpy(&seq, l4 + sizeof ports, sizeof seq);
	error->local_port = be16(ports[0]);
	error->peer_port = be16(ports[1]);
	error->seq = be32(seq);
	error->pkt = pkt;
	net->errors[net->error_count++] = *error;
}

/* RFC 1122 3.2.2, 4.2.3.9. RFC 6633: source quench is not listened to. 0: nothing that TCP could use. */
static enum icmp_reason
reason_of(uint8_t type, uint8_t code)
{
	switch (type) {
	case WIRE_ICMP_UNREACHABLE:
		if (code == WIRE_ICMP_CODE_FRAGMENTATION)
			return ICMP_TOO_BIG;
		return code == WIRE_ICMP_CODE_PORT || code == WIRE_ICMP_CODE_PROTOCOL ? ICMP_REFUSED : ICMP_UNREACHABLE;
	case WIRE_ICMP_TIME_EXCEEDED:
		return ICMP_EXPIRED;
	case WIRE_ICMP_PARAMETER_PROBLEM:
		return ICMP_MISUNDERSTOOD;
	default:
		return 0;
	}
}

/* The packet it quotes must be one of ours, its header whole, and 8 bytes behind it (RFC 792). */
static void
error_input(struct net *net, struct pkt *pkt, const struct wire_icmp_error *icmp, uint16_t len)
{
	const struct wire_ipv4 *quoted = (const struct wire_ipv4 *)(icmp + 1);
	struct icmp_error error = { .reason = reason_of(icmp->icmp.type, icmp->icmp.code), .type = icmp->icmp.type,
		.code = icmp->icmp.code, .local = ENDPOINT_IPV4 };
	uint16_t header_len;

	if (len < sizeof *icmp + sizeof *quoted) {
		pkt_drop(pkt, net->counters, DROP_RUNT);
		return;
	}
	header_len = (uint16_t)((quoted->version_ihl & 15) * 4);
	if (!error.reason || quoted->version_ihl >> 4 != 4 || header_len < sizeof *quoted ||
	    len < sizeof *icmp + header_len + 8 || memcmp(quoted->source, net->config.ipv4, 4) != 0 ||
	    quoted->fragment & be16(WIRE_IPV4_OFFSET_MASK)) {
		pkt_drop(pkt, net->counters, DROP_ICMP_TYPE);
		return;
	}
	endpoint_map_ipv4(error.peer, quoted->destination);
	if (error.reason == ICMP_TOO_BIG)
		error.mtu = be16(icmp->mtu);
	icmp_error_note(net, pkt, &error, quoted->protocol, (const uint8_t *)quoted + header_len);
}

static void
echo(struct net *net, struct pkt *pkt, struct wire_icmp *icmp, uint16_t len)
{
	struct wire_ethernet *ethernet = ethernet_of(pkt);
	struct wire_ipv4 *ip = ipv4_of(pkt);

	if (!pace_allows(&net->echo, net->now_ns)) {
		pkt_drop(pkt, net->counters, DROP_ICMP_RATE);
		return;
	}
	icmp->type = WIRE_ICMP_ECHO_REPLY;
	icmp->checksum = 0;
	icmp->checksum = checksum_finish(checksum_add(0, icmp, len));
	memcpy(ethernet->destination, ethernet->source, 6);
	memcpy(ethernet->source, net->config.mac, 6);
	memcpy(ip->destination, ip->source, 4);
	memcpy(ip->source, net->config.ipv4, 4);
	ip->ttl = L3_TTL;
	ip->checksum = 0;
	ip->checksum = checksum_finish(checksum_add(0, ip, sizeof *ip));
	settle_answer(net, pkt, (uint16_t)(L3_LEN_MIN + len)); /* without Ethernet padding */
	note(net, COUNTER_ICMP_REPLIES);
}

void
icmp_input(struct net *net, struct pkt *pkt)
{
	struct wire_ipv4 *ip = ipv4_of(pkt);
	struct wire_icmp *icmp = (struct wire_icmp *)(ip + 1);
	uint16_t len = (uint16_t)(be16(ip->total_len) - sizeof *ip);

	if (len < 8)
		pkt_drop(pkt, net->counters, DROP_RUNT);
	else if (checksum_finish(checksum_add(0, icmp, len)) != 0)
		pkt_drop(pkt, net->counters, DROP_ICMP_CHECKSUM);
	else if (icmp->type == WIRE_ICMP_ECHO_REQUEST && icmp->code == 0)
		echo(net, pkt, icmp, len);
	else if (reason_of(icmp->type, icmp->code))
		error_input(net, pkt, (const struct wire_icmp_error *)icmp, len);
	else
		pkt_drop(pkt, net->counters, DROP_ICMP_TYPE);
}

/* RFC 1122 3.2.2: neither to a broadcast nor because of one, nor for a fragment; such packets do not come here. */
void
icmp_refuse(struct net *net, struct pkt *pkt)
{
	enum { AROUND = IPV4_HEADER_LEN + sizeof(struct wire_icmp_error) };
	struct wire_ipv4 *ip = ipv4_of(pkt);
	struct wire_icmp_error *icmp;
	uint8_t peer_mac[6], peer[4];
	uint16_t quote = be16(ip->total_len);

	if (quote > UNREACHABLE_MTU - AROUND)
		quote = UNREACHABLE_MTU - AROUND;
	if (ETHERNET_HEADER_LEN + AROUND + quote > pkt->room ||
	    !pace_allows(&net->unreachable, net->now_ns)) {
		pkt_drop(pkt, net->counters, DROP_UDP_PORT);
		return;
	}
	memcpy(peer_mac, ethernet_of(pkt)->source, 6);
	memcpy(peer, ip->source, 4);
	memmove((uint8_t *)ip + AROUND, ip, quote);
	l3_write_ethernet(pkt->data, net->config.mac, peer_mac, 0, WIRE_ETHERTYPE_IPV4);
	icmp = (struct wire_icmp_error *)l3_write_ipv4((uint8_t *)ip, net->config.ipv4, peer,
	    l3_sum_ipv4(net->config.ipv4, peer), WIRE_PROTOCOL_ICMP, (uint16_t)(sizeof *icmp + quote), net->next_id++, true);
	*icmp = (struct wire_icmp_error){ .icmp = { WIRE_ICMP_UNREACHABLE, WIRE_ICMP_CODE_PORT, 0 } };
	icmp->icmp.checksum = checksum_finish(checksum_add(0, icmp, (uint32_t)sizeof *icmp + quote));
	counters_bump(&net->counters->drops[DROP_UDP_PORT], 1);
	note(net, COUNTER_ICMP_UNREACHABLE);
	settle_answer(net, pkt, (uint16_t)(ETHERNET_HEADER_LEN + AROUND + quote));
}
