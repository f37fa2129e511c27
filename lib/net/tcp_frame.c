#include "net/tcp_frame.h"

#include "base/bytes.h"
#include "base/check.h"
#include "net/l3.h"
#include "net/stages.h"

enum { CHECKSUM_AT = 16 };

static uint64_t
pseudo_sum(const uint8_t source[16], const uint8_t destination[16], uint16_t len)
{
	uint64_t sum = (uint64_t)be16(len) + be16(WIRE_PROTOCOL_TCP);

	if (endpoint_is_mapped(destination))
		return sum + l3_sum_ipv4(source + 12, destination + 12);
	return checksum_add(checksum_add(sum, source, 16), destination, 16);
}

bool
tcp_checksum_is_right(const struct tcp_segment *segment)
{
	uint64_t sum = pseudo_sum(segment->source, segment->destination, segment->len);

	return checksum_finish(checksum_add(sum, segment->header, segment->len)) == 0;
}

void
tcp_segment_input(struct net *net, struct pkt *pkt, uint8_t local, uint8_t *header, uint16_t len)
{
	struct tcp_segment *segment = &net->segments[net->segment_count];

	if (!net->config.tcp) {
		pkt_drop(pkt, net->counters, DROP_IP_PROTOCOL);
		return;
	}
	*segment = (struct tcp_segment){ .pkt = pkt, .header = header, .len = len, .local = local };
	memcpy(segment->mac, ethernet_of(pkt)->source, 6);
	if (local == ENDPOINT_IPV4) {
		endpoint_map_ipv4(segment->source, ipv4_of(pkt)->source);
		endpoint_map_ipv4(segment->destination, ipv4_of(pkt)->destination);
	} else {
		memcpy(segment->source, ipv6_of(pkt)->source, 16);
		memcpy(segment->destination, ipv6_of(pkt)->destination, 16);
	}
	if (net->config.verify_checksums && !tcp_checksum_is_right(segment))
		pkt_drop(pkt, net->counters, DROP_TCP_CHECKSUM);
	else
		net->segment_count++;
}

static void
output(struct net *net, const struct tcp_frame *frame)
{
	struct l3 l3 = { .vlan = net->config.vlan };
	struct pkt *pkt = frame->pkt;
	uint8_t *header = pkt->data + TCP_FRAME_OFFSET;
	uint16_t headers_len, here = (uint16_t)(frame->len - frame->tail.len);
	uint64_t sum;

	memcpy(l3.source_mac, net->config.mac, 6);
	memcpy(l3.destination_mac, frame->peer.mac, 6);
	net_address(net, frame->peer.local, l3.source);
	memcpy(l3.destination, frame->peer.ip, 16);
	headers_len = l3_len(l3_is_ipv6(&l3), l3.vlan);
	pkt->data = header - headers_len;
	pkt->room = (uint16_t)(pkt->room + headers_len - TCP_FRAME_OFFSET);
	pkt->len = (uint16_t)(headers_len + here);
	l3_write(pkt->data, &l3, WIRE_PROTOCOL_TCP, frame->len, net->next_id++, !net->config.tx_checksum_offload);
	sum = pseudo_sum(l3.source, l3.destination, frame->len);
	if (net->config.tx_checksum_offload) {
		/* The NIC adds the segment to the pseudo-header's sum that stands here. */
		store_le16(header + CHECKSUM_AT, (uint16_t)~checksum_finish(sum));
		pkt->tx_checksum = pkt->tcp = true;
		pkt->l2_len = (uint8_t)(ETHERNET_HEADER_LEN + (l3.vlan ? VLAN_TAG_LEN : 0));
		pkt->l3_len = (uint8_t)(headers_len - pkt->l2_len);
		pkt->ipv6 = l3_is_ipv6(&l3);
	} else {
		sum = checksum_add(sum, header, here);
		if (frame->tail.len)
			sum = checksum_add_at(sum, here, frame->tail.data, frame->tail.len);
		store_le16(header + CHECKSUM_AT, checksum_finish(sum));
	}
	pkt->disposition = PKT_SEND;
}

void
tcp_frames_output(struct net *net, const struct tcp_frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		output(net, &frames[i]);
}

void
tcp_errors_input(struct net *net, struct tcp *tcp, uint64_t now_ns)
{
	for (uint32_t i = 0; i < net->error_count; i++) {
		struct icmp_error *error = &net->errors[i];
		struct tcp_icmp icmp = { .source_port = error->local_port, .destination_port = error->peer_port,
			.seq = error->seq, .local = error->local, .hops = error->hops };

		/* A router of before RFC 1191 does not say what fits: the least that every way has to carry. */
		if (error->reason == ICMP_TOO_BIG)
			icmp.mtu = (uint16_t)(error->mtu == 0 ? 576 : error->mtu > UINT16_MAX ? UINT16_MAX : error->mtu);
		net_address(net, error->local, icmp.source);
		memcpy(icmp.destination, error->peer, 16);
		error->stray = !tcp_icmp(tcp, now_ns, &icmp);
	}
}
