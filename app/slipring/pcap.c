#include "pcap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "wire/checksum.h"
#include "wire/wire.h"

enum { HEADERS_LEN = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + UDP_HEADER_LEN, CLIENT_PORT = 40000 };

/* The file's header: magic of nanosecond files, version 2.4, link type 1 (Ethernet). */
static void
write_file_header(FILE *file)
{
	uint8_t header[24] = { 0 };

	store_le32(header, 0xa1b23c4d);
	store_le16(header + 4, 2);
	store_le16(header + 6, 4);
	store_le32(header + 16, FRAME_LEN_MAX);
	store_le32(header + 20, 1);
	fwrite(header, 1, sizeof header, file);
}

/* Frames stand a microsecond apart. */
static void
write_frame(FILE *file, const uint8_t *frame, uint32_t len, uint32_t index)
{
	uint8_t record[16];

	store_le32(record, index / 1000000);
	store_le32(record + 4, index % 1000000 * 1000);
	store_le32(record + 8, len);
	store_le32(record + 12, len);
	fwrite(record, 1, sizeof record, file);
	fwrite(frame, 1, len, file);
}

/* Ethernet, IPv4 and UDP headers before a payload of len bytes. */
static void
write_headers(uint8_t *frame, uint16_t len, uint16_t port)
{
	static const struct wire_ethernet ethernet = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 }, 0 };
	uint16_t udp_len = (uint16_t)(UDP_HEADER_LEN + len), checksum;
	struct wire_ethernet *eth = (struct wire_ethernet *)frame;
	struct wire_ipv4 *ip = (struct wire_ipv4 *)(eth + 1);
	struct wire_udp *udp = (struct wire_udp *)(ip + 1);

	*eth = ethernet;
	eth->type = be16(WIRE_ETHERTYPE_IPV4);
	*ip = (struct wire_ipv4){ .version_ihl = 0x45, .total_len = be16((uint16_t)(IPV4_HEADER_LEN + udp_len)),
		.fragment = be16(WIRE_IPV4_DF), .ttl = 64, .protocol = WIRE_PROTOCOL_UDP, .source = { 192, 0, 2, 2 },
		.destination = { 192, 0, 2, 1 } };
	ip->checksum = checksum_finish(checksum_add(0, ip, sizeof *ip));
	*udp = (struct wire_udp){ be16(CLIENT_PORT), be16(port), be16(udp_len), 0 };
	checksum = checksum_finish(checksum_add(checksum_pseudo_ipv4(ip, udp_len), udp, udp_len));
	udp->checksum = checksum ? checksum : 0xffff;
}

/* Operations of one frame: key number `first` on as sets, or drawn from the mix. Returns how many. */
static uint32_t
draw(struct load *load, uint32_t first, struct slipring_request *requests, char (*keys)[LOAD_KEY_SIZE])
{
	uint32_t count = load->batch < FRAME_OPS_MAX ? load->batch : FRAME_OPS_MAX;

	for (uint32_t i = 0; i < count; i++) {
		bool fill = first + i < load->keys;
		bool read = !fill && prng_below(&load->prng, 100) < load->reads;

		requests[i] = (struct slipring_request){ .op = read ? SLIPRING_OP_GET : SLIPRING_OP_SET, .key = keys[i],
			.value = load->value, .value_len = read ? 0 : load->value_len };
		requests[i].key_len = load_key(fill ? first + i : (uint32_t)prng_below(&load->prng, load->keys), keys[i]);
	}
	return count;
}

/* One frame of as many operations as fit. Returns the payload's length and how many they were. */
static uint16_t
compose(struct load *load, uint32_t first, uint8_t *payload, uint32_t *count)
{
	struct slipring_request requests[FRAME_OPS_MAX];
	char keys[FRAME_OPS_MAX][LOAD_KEY_SIZE];
	size_t len = 0;

	*count = draw(load, first, requests, keys);
	while (*count > 0 && (len = slipring_compose_frame(requests, *count, prng_next(&load->prng) | 1, 0, payload,
	    UDP_PAYLOAD_MAX)) == 0)
		--*count;
	return (uint16_t)len;
}

static bool
write_all(struct cli *cli, struct load *load, FILE *file, uint64_t *operations)
{
	uint16_t port = cli->port ? cli->port : SLIPRING_PORT;
	uint8_t frame[FRAME_LEN_MAX];
	uint32_t count;

	write_file_header(file);
	for (uint32_t i = 0; i < cli->frames; i++) {
		uint32_t first = *operations < load->keys ? (uint32_t)*operations : load->keys;
		uint16_t len = compose(load, first, frame + HEADERS_LEN, &count);

		if (len == 0)
			return false;
		write_headers(frame, len, port);
		write_frame(file, frame, HEADERS_LEN + len, i);
		*operations += count;
	}
	return true;
}

int
pcap_write(struct cli *cli, struct load *load)
{
	FILE *file = fopen(cli->pcap, "wb");
	uint64_t operations = 0;
	bool fits;

	if (!file)
		return cli_fail(cli, EXIT_USAGE, "--pcap %s: %s", cli->pcap, strerror(errno));
	fits = write_all(cli, load, file, &operations);
	if (!fits)
		cli_fail(cli, EXIT_USAGE, "--value-size %u: a set does not fit a frame", load->value_len);
	else if (ferror(file))
		fits = cli_fail(cli, EXIT_USAGE, "--pcap %s: %s", cli->pcap, strerror(errno)) == EXIT_OK;
	if (fclose(file) != 0 && fits)
		fits = cli_fail(cli, EXIT_USAGE, "--pcap %s: %s", cli->pcap, strerror(errno)) == EXIT_OK;
	if (!fits)
		return EXIT_USAGE;
	if (!cli->json)
		printf("%u frames with %llu operations in %s\n", cli->frames, (unsigned long long)operations, cli->pcap);
	return cli->json ? json_print(json_pack("{s:i,s:I}", "frames", (int)cli->frames, "operations",
	    (json_int_t)operations)) : EXIT_OK;
}
