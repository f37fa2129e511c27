/*
 * bench_openloop - latency under load through kernel UDP sockets, for any server.
 *
 * How: one spinning thread. Requests arrive by a Poisson process at a fixed rate
 *   and a latency counts from the moment a request was due, so that a server (or
 *   this client) that falls behind cannot hide it. sendmmsg and recvmmsg carry
 *   up to 32 datagrams a call. Every value is compared with what its key implies.
 *   A request unanswered for 200 ms is lost, and reported as such.
 * Protocols: memcached's text over UDP (Slipring and memcached alike), the native
 *   protocol, and echo, which tells what this client and the link cost by themselves.
 * Headroom: the share of the client's time in rounds in which nothing was due and
 *   nothing came. Near zero, the client is the limit and the figures are its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/now.h"
#include "bench/frames.h"
#include "bench/report.h"
#include "proto/memcached.h"

enum {
	BATCH = 32,
	FLIGHTS = 1 << 16, /* memcached's request id has 16 bits */
	IN_FLIGHT_MAX = FLIGHTS / 2,
	PRELOAD_WINDOW = 64,
	RATES_MAX = 32,
	SOCKET_BUFFER = 4 << 20,
};
static const uint64_t loss_ns = 200 * NS_PER_MS;

enum protocol { PROTOCOL_MEMCACHED, PROTOCOL_NATIVE, PROTOCOL_ECHO };
static const char *const protocol_names[] = { "memcached", "native", "echo" };

struct options {
	enum protocol protocol;
	const char *server;
	uint16_t port, value_len;
	uint32_t keys, set_percent, rate_count;
	uint64_t seed; /* of keys and arrivals */
	double rates[RATES_MAX], theta, seconds, warm_seconds;
	bool loaded;
};

struct flight {
	uint64_t due_ns;
	uint32_t key;
	bool waiting, set;
};

struct stats {
	uint64_t sent, answered, lost, wrong, not_found, refused, overrun;
	uint64_t in_time; /* answered before the interval ended */
	uint64_t busy_ns; /* in rounds that sent or received */
};

struct client {
	struct options options;
	int fd;
	struct template get, set;
	uint16_t *slots;
	uint32_t *trace, trace_at;
	struct flight *flights;
	uint64_t next, oldest;
	uint32_t in_flight;
	uint64_t cookie;
	bool measuring;
	struct stats stats;
	struct histogram latencies;
	struct prng prng;
	uint8_t *stored; /* preload: keys acknowledged */
	uint8_t out[BATCH][2048], in[BATCH][2048];
};

static void
fail(const char *text)
{
	fprintf(stderr, "bench_openloop: %s\n", text);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* ---- protocols: composing ---- */

static uint32_t
compose_memcached(const struct client *c, uint8_t *out, uint64_t number, uint32_t key, bool set)
{
	struct writer w = writer_of(out, 2048);
	uint8_t name[WORKLOAD_KEY_LEN], value[UDP_PAYLOAD_MAX];
	char line[64];

	workload_key(name, key);
	store_be16(writer_take(&w, 2), (uint16_t)number);
	writer_bytes(&w, "\0\0\0\1\0\0", 6); /* datagram 0 of 1 */
	writer_text(&w, set ? "set " : "get ");
	writer_bytes(&w, name, sizeof name);
	if (set) {
		workload_value(value, c->options.value_len, key);
		snprintf(line, sizeof line, " 0 0 %u\r\n", c->options.value_len);
		writer_text(&w, line);
		writer_bytes(&w, value, c->options.value_len);
	}
	writer_text(&w, "\r\n");
	return (uint32_t)(w.at - out);
}

/* The template composes whole frames; the kernel wants the payload: the headers go before `out`. */
static uint32_t
compose_native(const struct client *c, uint8_t *out, uint64_t number, uint32_t key, bool set)
{
	const struct template *t = set ? &c->set : &c->get;
	uint8_t frame[FRAME_LEN_MAX];

	template_write(t, frame, number + 1, c->cookie, &key, c->slots);
	memcpy(out, frame + TEMPLATE_NATIVE, t->len - TEMPLATE_NATIVE);
	return t->len - TEMPLATE_NATIVE;
}

static uint32_t
compose(const struct client *c, uint8_t *out, uint64_t number, uint32_t key, bool set)
{
	if (c->options.protocol == PROTOCOL_MEMCACHED)
		return compose_memcached(c, out, number, key, set);
	return compose_native(c, out, number, key, set); /* echo: the same bytes */
}

/* ---- protocols: checking ---- */

enum outcome { OUTCOME_OK, OUTCOME_NOT_FOUND, OUTCOME_WRONG, OUTCOME_REFUSED };

static enum outcome
check_memcached(const struct client *c, const uint8_t *text, uint32_t len, uint32_t key, bool set)
{
	char expected[64];
	uint8_t name[WORKLOAD_KEY_LEN];
	int head;

	if (set)
		return len >= 6 && memcmp(text, "STORED", 6) == 0 ? OUTCOME_OK : OUTCOME_REFUSED;
	if (len == 5 && memcmp(text, "END\r\n", 5) == 0)
		return OUTCOME_NOT_FOUND;
	workload_key(name, key);
	head = snprintf(expected, sizeof expected, "VALUE %.16s 0 %u\r\n", name, c->options.value_len);
	if (len != (uint32_t)head + c->options.value_len + 7 || memcmp(text, expected, (size_t)head))
		return len >= 6 && memcmp(text, "VALUE ", 6) == 0 ? OUTCOME_WRONG : OUTCOME_REFUSED;
	return workload_value_is(text + head, c->options.value_len, key) ? OUTCOME_OK : OUTCOME_WRONG;
}

static enum outcome
check_native(const struct client *c, struct view payload, uint32_t key, bool set)
{
	struct reader in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	struct native_result result;

	if (!native_result_parse(&in, &result))
		return OUTCOME_REFUSED;
	if (result.status == OP_STATUS_NOT_FOUND)
		return OUTCOME_NOT_FOUND;
	if (result.status != OP_STATUS_OK)
		return OUTCOME_REFUSED;
	if (set)
		return OUTCOME_OK;
	return result.value.len == c->options.value_len
	    && workload_value_is(result.value.data, result.value.len, key) ? OUTCOME_OK : OUTCOME_WRONG;
}

/* The flight a datagram answers, or NULL. */
static struct flight *
flight_of(struct client *c, struct view payload)
{
	struct native_header header;
	struct flight *flight;

	if (c->options.protocol == PROTOCOL_MEMCACHED) {
		if (payload.len < MEMCACHED_UDP_HEADER_LEN)
			return NULL;
		flight = &c->flights[load_be16(payload.data)];
	} else if (c->options.protocol == PROTOCOL_ECHO) {
		if (payload.len < NATIVE_HEADER_LEN)
			return NULL;
		flight = &c->flights[(load_le64(payload.data + 16) - 1) % FLIGHTS];
	} else {
		if (!native_header_parse(payload, &header) || header.error)
			return NULL;
		flight = &c->flights[(header.sequence - 1) % FLIGHTS];
	}
	return flight->waiting ? flight : NULL;
}

static enum outcome
check(struct client *c, struct view payload, const struct flight *flight)
{
	switch (c->options.protocol) {
	case PROTOCOL_MEMCACHED:
		return check_memcached(c, payload.data + MEMCACHED_UDP_HEADER_LEN,
		    payload.len - MEMCACHED_UDP_HEADER_LEN, flight->key, flight->set);
	case PROTOCOL_NATIVE:
		return check_native(c, payload, flight->key, flight->set);
	default:
		return OUTCOME_OK;
	}
}

static void
take_reply(struct client *c, struct view payload, uint64_t now)
{
	struct flight *flight = flight_of(c, payload);

	if (!flight)
		return;
	switch (check(c, payload, flight)) {
	case OUTCOME_OK:
		if (c->stored)
			c->stored[flight->key] = 1;
		break;
	case OUTCOME_NOT_FOUND: c->stats.not_found++; break;
	case OUTCOME_WRONG: c->stats.wrong++; break;
	case OUTCOME_REFUSED: c->stats.refused++; break;
	}
	flight->waiting = false;
	c->in_flight--;
	c->stats.answered++;
	if (c->measuring)
		histogram_record(&c->latencies, now - flight->due_ns);
}

/* ---- sockets ---- */

static uint32_t
receive(struct client *c)
{
	struct mmsghdr messages[BATCH];
	struct iovec iovecs[BATCH];
	uint64_t now;
	int n;

	memset(messages, 0, sizeof messages);
	for (int i = 0; i < BATCH; i++) {
		iovecs[i] = (struct iovec){ c->in[i], sizeof c->in[i] };
		messages[i].msg_hdr.msg_iov = &iovecs[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(c->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	now = now_ns();
	for (int i = 0; i < n; i++)
		take_reply(c, view_of(c->in[i], messages[i].msg_len), now);
	return n > 0 ? (uint32_t)n : 0;
}

/* Sends n requests composed in c->out; what the socket refuses counts as lost by and by. */
static void
transmit(struct client *c, const uint32_t *lens, int n)
{
	struct mmsghdr messages[BATCH];
	struct iovec iovecs[BATCH];

	memset(messages, 0, sizeof messages);
	for (int i = 0; i < n; i++) {
		iovecs[i] = (struct iovec){ c->out[i], lens[i] };
		messages[i].msg_hdr.msg_iov = &iovecs[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (int sent = 0, tries = 0; sent < n && tries < 1000; tries++) {
		int done = sendmmsg(c->fd, messages + sent, (unsigned)(n - sent), 0);

		sent += done > 0 ? done : 0;
	}
}

static void
expire(struct client *c, uint64_t now)
{
	for (; c->oldest < c->next; c->oldest++) {
		struct flight *flight = &c->flights[c->oldest % FLIGHTS];

		if (flight->waiting && now - flight->due_ns < loss_ns)
			return;
		if (flight->waiting) {
			flight->waiting = false;
			c->in_flight--;
			c->stats.lost++;
		}
	}
}

/* Composes the next request in c->out[at]; returns its length. */
static uint32_t
request(struct client *c, int at, uint32_t key, bool set, uint64_t due_ns)
{
	c->flights[c->next % FLIGHTS] = (struct flight){ due_ns, key, true, set };
	c->in_flight++;
	c->stats.sent++;
	return compose(c, c->out[at], c->next++, key, set);
}

/* ---- phases ---- */

static void
begin(struct client *c, bool measuring)
{
	c->measuring = measuring;
	memset(&c->stats, 0, sizeof c->stats);
	histogram_init(&c->latencies);
}

static void
drain(struct client *c)
{
	while (c->in_flight) {
		receive(c);
		expire(c, now_ns());
	}
}

static uint32_t
next_key(struct client *c)
{
	return c->trace[c->trace_at++ % TRACE_LEN];
}

/* Sends what is due, at most a batch; returns how many. */
static int
send_due(struct client *c, double *due, double rate, uint64_t now)
{
	uint32_t lens[BATCH];
	int n = 0;

	while (n < BATCH && *due <= (double)now) {
		if (c->next - c->oldest < IN_FLIGHT_MAX) {
			bool set = c->options.set_percent && prng_below(&c->prng, 100) < c->options.set_percent;

			lens[n] = request(c, n, next_key(c), set, (uint64_t)*due);
			n++;
		} else {
			c->stats.overrun++;
		}
		*due += poisson_gap_ns(rate, &c->prng);
	}
	if (n)
		transmit(c, lens, n);
	return n;
}

static void
run_for(struct client *c, double rate, double seconds)
{
	uint64_t now = now_ns(), end = now + (uint64_t)(seconds * 1e9), after;
	double due = (double)now;

	while (now < end) {
		bool busy = send_due(c, &due, rate, now) > 0;

		busy |= receive(c) > 0;
		expire(c, now);
		after = now_ns();
		if (busy)
			c->stats.busy_ns += after - now;
		now = after;
	}
	c->stats.in_time = c->stats.answered;
}

/* Stores every key not yet acknowledged; returns how many there were. */
static uint32_t
preload_pass(struct client *c)
{
	uint32_t lens[BATCH], wanting = 0;
	int n = 0;

	for (uint32_t key = 0; key < c->options.keys; key++) {
		if (c->stored[key])
			continue;
		wanting++;
		lens[n] = request(c, n, key, true, now_ns());
		if (++n == BATCH) {
			transmit(c, lens, n);
			n = 0;
		}
		while (c->in_flight >= PRELOAD_WINDOW) {
			receive(c);
			expire(c, now_ns());
		}
	}
	transmit(c, lens, n);
	drain(c);
	return wanting;
}

static void
preload(struct client *c)
{
	int tries = 0;

	c->stored = calloc(c->options.keys, 1);
	CHECK(c->stored);
	begin(c, false);
	while (preload_pass(c))
		if (++tries == 10)
			fail("not all keys can be stored");
	free(c->stored);
	c->stored = NULL;
}

static void
print_report(const struct client *c, double rate)
{
	const struct options *o = &c->options;
	const struct stats *s = &c->stats;

	printf("{\"bench\":\"openloop\",\"protocol\":\"%s\",\"server\":\"%s:%u\",\"keys\":%u,\"value_len\":%u,"
	    "\"set_percent\":%u,\"theta\":%.2f,\"seed\":%lu,\"seconds\":%.2f,\"offered_per_s\":%.0f,\"achieved_per_s\":%.0f,"
	    "\"sent\":%lu,\"lost\":%lu,\"overrun\":%lu,\"wrong\":%lu,\"not_found\":%lu,\"refused\":%lu,"
	    "\"client_headroom\":%.3f,", protocol_names[o->protocol], o->server, o->port, o->keys, o->value_len,
	    o->set_percent, o->theta, o->seed, o->seconds, rate, (double)s->in_time / o->seconds, s->sent, s->lost,
	    s->overrun, s->wrong, s->not_found, s->refused, 1 - (double)s->busy_ns / (o->seconds * 1e9));
	report_latencies(&c->latencies);
	printf("}\n");
	fflush(stdout);
}

/* ---- start ---- */

static void
open_socket(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(c->options.port) };
	int size = SOCKET_BUFFER;

	if (inet_pton(AF_INET, c->options.server, &to.sin_addr) != 1)
		fail("--server wants an IPv4 address");
	c->fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to))
		fail("no UDP socket to the server");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
}

/* Takes the cookie that the native protocol wants before any long reply. */
static void
meet(struct client *c)
{
	struct native_header header;

	for (int tries = 0; tries < 50; tries++) {
		uint32_t len = compose_native(c, c->out[0], 0, 0, false);
		ssize_t got;

		if (send(c->fd, c->out[0], len, 0) < 0)
			fail("nobody listens there");
		usleep(100000);
		got = recv(c->fd, c->in[0], sizeof c->in[0], MSG_DONTWAIT);
		if (got > 0 && native_header_parse(view_of(c->in[0], (uint32_t)got), &header) && header.cookie) {
			c->cookie = header.cookie;
			return;
		}
	}
	fail("the server gives no cookie");
}

static const char usage[] =
    "usage: bench_openloop --server IP [--port N] [--protocol memcached|native|echo]\n"
    "                      [--rates A,B,...] [--seconds S] [--warm S] [--keys N] [--value BYTES]\n"
    "                      [--set PERCENT] [--zipf THETA] [--seed N] [--loaded]\n"
    "One line of JSON a rate on stdout.\n";

static void
bad_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static void
parse_rates(struct options *o, char *text)
{
	o->rate_count = 0;
	for (char *rate; (rate = strsep(&text, ",")) != NULL && o->rate_count < RATES_MAX;)
		o->rates[o->rate_count++] = atof(rate);
}

static enum protocol
parse_protocol(const char *text)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(text, protocol_names[i]) == 0)
			return (enum protocol)i;
	bad_usage();
	return PROTOCOL_ECHO;
}

static void
parse_option(struct options *o, int letter)
{
	switch (letter) {
	case 'S': o->server = optarg; break;
	case 'p': o->port = (uint16_t)atoi(optarg); break;
	case 'P': o->protocol = parse_protocol(optarg); break;
	case 'r': parse_rates(o, optarg); break;
	case 't': o->seconds = atof(optarg); break;
	case 'W': o->warm_seconds = atof(optarg); break;
	case 'k': o->keys = (uint32_t)atoi(optarg); break;
	case 'v': o->value_len = (uint16_t)atoi(optarg); break;
	case 's': o->set_percent = (uint32_t)atoi(optarg); break;
	case 'z': o->theta = atof(optarg); break;
	case 'L': o->loaded = true; break;
	case 'd': o->seed = strtoull(optarg, NULL, 10); break;
	default: bad_usage();
	}
}

static struct options
parse_options(int argc, char **argv)
{
	static const struct option longs[] = { { "server", 1, 0, 'S' }, { "port", 1, 0, 'p' },
		{ "protocol", 1, 0, 'P' }, { "rates", 1, 0, 'r' }, { "seconds", 1, 0, 't' }, { "warm", 1, 0, 'W' },
		{ "keys", 1, 0, 'k' }, { "value", 1, 0, 'v' }, { "set", 1, 0, 's' }, { "zipf", 1, 0, 'z' },
		{ "loaded", 0, 0, 'L' }, { "seed", 1, 0, 'd' }, { 0 } };
	struct options o = { .protocol = PROTOCOL_MEMCACHED, .keys = 100000, .value_len = 64, .seconds = 2,
		.warm_seconds = 0.3, .seed = 42, .rates = { 50000 }, .rate_count = 1 };

	for (int letter; (letter = getopt_long(argc, argv, "", longs, NULL)) != -1;)
		parse_option(&o, letter);
	if (!o.server || o.keys < 1024 || o.value_len > 1024 || o.seconds <= 0)
		bad_usage();
	if (o.port == 0)
		o.port = o.protocol == PROTOCOL_MEMCACHED ? 11211 : 7411;
	return o;
}

static void
start(struct client *c)
{
	const struct link link = { 0 };

	c->prng.state = c->options.seed;
	c->flights = calloc(FLIGHTS, sizeof *c->flights);
	CHECK(c->flights);
	c->slots = slots_create(c->options.keys);
	c->trace = trace_create(c->options.keys, c->options.theta, c->options.seed);
	CHECK(template_init(&c->get, &link, now_ns() | 1, OP_GET, 1, c->options.value_len));
	CHECK(template_init(&c->set, &link, now_ns() | 1, OP_SET, 1, c->options.value_len));
	open_socket(c);
}

int
main(int argc, char **argv)
{
	static struct client client;
	struct client *c = &client;

	c->options = parse_options(argc, argv);
	start(c);
	if (c->options.protocol == PROTOCOL_NATIVE)
		meet(c);
	if (c->options.protocol != PROTOCOL_ECHO && !c->options.loaded)
		preload(c);
	for (uint32_t i = 0; i < c->options.rate_count; i++) {
		begin(c, false);
		run_for(c, c->options.rates[i], c->options.warm_seconds);
		drain(c);
		begin(c, true);
		run_for(c, c->options.rates[i], c->options.seconds);
		drain(c);
		print_report(c, c->options.rates[i]);
	}
	return 0;
}
