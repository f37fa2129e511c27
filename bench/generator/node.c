#include "bench/generator/generator.h"

static void
arp_request(const struct link *link, uint8_t frame[42])
{
	memset(frame, 0, 42);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, link->mac, 6);
	store_be16(frame + 12, 0x0806);
	store_be16(frame + 14, 1);
	store_be16(frame + 16, 0x0800);
	frame[18] = 6;
	frame[19] = 4;
	store_be16(frame + 20, 1);
	memcpy(frame + 22, link->mac, 6);
	memcpy(frame + 28, link->ip, 4);
	memcpy(frame + 38, link->peer_ip, 4);
}

static bool
is_arp_answer(const uint8_t *frame, uint32_t len, const struct link *link)
{
	return len >= 42 && load_be16(frame + 12) == 0x0806 && load_be16(frame + 20) == 2
	    && memcmp(frame + 28, link->peer_ip, 4) == 0;
}

static bool
take_mac(struct generator *g, const uint8_t *frame, uint32_t len)
{
	if (!is_arp_answer(frame, len, &g->options.link))
		return false;
	memcpy(g->options.link.peer_mac, frame + 22, 6);
	return true;
}

static bool
take_cookie(struct generator *g, const uint8_t *frame, uint32_t len)
{
	struct native_header header;

	if (len < TEMPLATE_OPS || load_be16(frame + 12) != 0x0800
	    || !native_header_parse(view_of(frame + TEMPLATE_NATIVE, len - TEMPLATE_NATIVE), &header)
	    || header.cookie == 0)
		return false;
	g->cookie = header.cookie;
	return true;
}

void
node_meet(struct generator *g)
{
	struct template get;
	const uint32_t key = 0;
	uint8_t frame[FRAME_LEN_MAX];

	arp_request(&g->options.link, frame);
	nic_ask(g, frame, 42, take_mac, "the server does not answer ARP");
	if (g->options.foreign)
		return;
	CHECK(template_init(&get, &g->options.link, g->client, OP_GET, 1, 0));
	template_write(&get, frame, 0, 0, &key, g->slots);
	if (g->options.checksums)
		frame_checksum(frame, get.len);
	nic_ask(g, frame, get.len, take_cookie, "the server gives no cookie");
}

struct stats_page {
	struct server_counters *into;
	uint32_t line, lines;
};

static struct stats_page page; /* being filled; `ask` has no argument for it */

static void
take_line(struct server_counters *c, const char *name, uint64_t value)
{
	static const struct {
		const char *name;
		size_t offset;
	} wanted[] = {
		{ "rx_frames", offsetof(struct server_counters, rx_frames) },
		{ "busy_cycles", offsetof(struct server_counters, busy_cycles) },
		{ "polls_busy", offsetof(struct server_counters, polls_busy) },
		{ "get_hits", offsetof(struct server_counters, get_hits) },
		{ "cmd_set", offsetof(struct server_counters, cmd_set) },
	};

	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
		if (strcmp(name, wanted[i].name) == 0)
			*(uint64_t *)((char *)c + wanted[i].offset) = value;
}

static void
take_lines(struct view text)
{
	char copy[UDP_PAYLOAD_MAX + 1], *line, *rest = copy;

	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL && *line) {
		char *value = strpbrk(line, " \t=:");

		if (value) {
			*value++ = '\0';
			take_line(page.into, line, strtoull(value, NULL, 10));
		}
		page.line++;
	}
}

static bool
take_stats(struct generator *g, const uint8_t *frame, uint32_t len)
{
	struct view payload = view_of(frame + TEMPLATE_NATIVE, len - TEMPLATE_NATIVE);
	struct native_header header;
	struct native_result result;
	struct reader in;

	if (len < TEMPLATE_OPS || load_be16(frame + 12) != 0x0800 || !native_header_parse(payload, &header)
	    || header.sequence != g->sequence)
		return false;
	in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	if (header.error || !native_result_parse(&in, &result) || result.status != OP_STATUS_OK)
		generator_fail("the server refuses STATS");
	page.lines = result.total_len;
	take_lines(result.value);
	return true;
}

static uint16_t
stats_frame(struct generator *g, uint8_t *frame, uint32_t line)
{
	struct native_header header = { .version = NATIVE_VERSION, .op_count = 1, .client = g->client,
		.sequence = g->sequence, .cookie = g->cookie };
	struct request request = { .op = OP_STATS, .offset = line };
	struct writer out = writer_of(frame + TEMPLATE_OPS, UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN);
	uint16_t len;

	native_header_compose(&header, frame + TEMPLATE_NATIVE);
	native_request_compose(&out, &request);
	len = (uint16_t)(out.at - frame);
	link_headers(&g->options.link, frame, (uint16_t)(len - TEMPLATE_NATIVE));
	if (g->options.checksums)
		frame_checksum(frame, len);
	return len;
}

struct server_counters
node_counters(struct generator *g)
{
	struct server_counters counters = { 0 };
	uint8_t frame[FRAME_LEN_MAX];

	page = (struct stats_page){ .into = &counters };
	do {
		uint32_t line = page.line;

		g->sequence = 1ull << 62 | (g->sequence + 1);
		nic_ask(g, frame, stats_frame(g, frame, line), take_stats, "the server does not answer STATS");
		if (page.line == line)
			break;
	} while (page.line < page.lines);
	return counters;
}
