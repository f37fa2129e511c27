/* ICMP errors about our segments: RFC 5927 (what to believe), RFC 1191 and RFC 8201 (size of the way). */
#include "net/tcp_state.h"

enum { MTU_MIN = 576, MTU_MIN_IPV6 = 1280 };

/* Where the quoted segment's addresses and ports lead here (tcp_ref). */
static uint32_t
find_quoted(const struct tcp *tcp, const struct tcp_icmp *error)
{
	struct endpoint peer = { .port = error->destination_port, .local_port = error->source_port, .local = error->local };

	memcpy(peer.ip, error->destination, 16);
	if (error->local == ENDPOINT_IPV4 && !endpoint_is_mapped(error->destination))
		peer.local = ENDPOINT_IPV4 + 1;
	return tcp_table_find(tcp, &peer, tcp_hash(tcp, &peer));
}

/* What is to be believed of an error about a connection, or a record, of this worker's. */
static void
hear(struct tcp *tcp, const struct tcp_icmp *error, uint32_t ref)
{
	struct tcp_conn *conn = tcp_ref_kind(ref) == TCP_KIND_CONN ? &tcp->conns[tcp_ref_index(ref)] : NULL;
	uint32_t headers, mtu = error->mtu;
	bool ipv6;

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

bool
tcp_icmp(struct tcp *tcp, uint64_t now_ns, const struct tcp_icmp *error)
{
	uint32_t ref = find_quoted(tcp, error);

	/* The NIC spreads errors by who sent them, a router often: any worker may have the connection. */
	if (tcp_ref_kind(ref) == TCP_KIND_NONE && error->hops < tcp->config.hops_max &&
	    tcp_open_service(tcp, error->source_port) != SERVICE_NONE)
		return false;
	tcp_now(tcp, now_ns);
	hear(tcp, error, ref);
	return true;
}
