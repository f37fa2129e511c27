/* ICMP errors about our segments: RFC 5927 (what to believe), RFC 1191 and RFC 8201 (size of the way). */
#include "net/tcp_state.h"

enum { MTU_MIN = 576, MTU_MIN_IPV6 = 1280 };

static struct tcp_conn *
conn_about(struct tcp *tcp, const struct tcp_icmp *error)
{
	struct endpoint peer = { .port = error->destination_port, .local_port = error->source_port, .local = error->local };
	uint32_t ref;

	memcpy(peer.ip, error->destination, 16);
	if (error->local == ENDPOINT_IPV4 && !endpoint_is_mapped(error->destination))
		peer.local = ENDPOINT_IPV4 + 1;
	ref = tcp_table_find(tcp, &peer, tcp_hash(tcp, &peer));
	return tcp_ref_kind(ref) == TCP_KIND_CONN ? &tcp->conns[tcp_ref_index(ref)] : NULL;
}

void
tcp_icmp(struct tcp *tcp, uint64_t now_ns, const struct tcp_icmp *error)
{
	struct tcp_conn *conn = conn_about(tcp, error);
	uint32_t headers, mtu = error->mtu;
	bool ipv6;

	tcp_now(tcp, now_ns);
	/* RFC 5927 4.1: "the TCP sequence number contained in the payload of the ICMP error message ... SND.UNA =< SEG.SEQ < SND.NXT" */
	if (!conn || seq_lt(error->seq, conn->snd_una) || !seq_lt(error->seq, conn->snd_nxt)) {
		counter_add(tcp->counters, COUNTER_TCP_ICMP_IGNORED, 1);
		return;
	}
	/* RFC 9293 MUST-54 to MUST-56: unreachable is a soft error; the connection goes on trying. Source quench is not heard. */
	if (mtu == 0) {
		counter_add(tcp->counters, COUNTER_TCP_ICMP_SOFT, 1);
		return;
	}
	ipv6 = conn_is(conn, CONN_IPV6);
	headers = (ipv6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN) + TCP_HEADER_LEN;
	mtu = most(mtu, ipv6 ? MTU_MIN_IPV6 : MTU_MIN);
	if (mtu - headers >= conn->mss) /* only ever down */
		return;
	conn->mss = (uint16_t)(mtu - headers);
	counter_add(tcp->counters, COUNTER_TCP_PATH_MTU, 1);
	/* RFC 8201 5.4: what was too big goes again, in pieces, and is no sign of congestion. */
	tcp_rtx_too_big(tcp, conn);
}
