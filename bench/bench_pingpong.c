/*
 * bench_pingpong - what the client library and the server add to a bare round trip.
 *
 * How: blocks of round trips in turn, over the same link to the same node in the
 *   same process: bare datagrams to the node's echo port and synchronous GETs of
 *   the client library, each with a spinning and with a blocking client. Turns are
 *   short, so whatever slows the machine slows all four.
 * One line of JSON on stdout; every value that comes back is compared.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/histogram.h"
#include "base/limits.h"
#include "base/now.h"
#include "bench/workload.h"
#include "client/slipring.h"

enum {
	BLOCK = 200,      /* round trips in a turn */
	WARM_TURNS = 5,   /* not counted */
	KEYS = 4096,
	VALUE_LEN = 64,
	REQUEST_LEN = 68, /* payload of a GET of a 16-byte key */
	TIMEOUT_MS = 200,
};

enum trip { BARE_SPIN, GET_SPIN, BARE_BLOCK, GET_BLOCK, TRIPS };
static const struct {
	const char *name, *beside;
} trips[TRIPS] = {
	{ "bare, spinning", "bare, spinning" },
	{ "GET, spinning", "bare, spinning" },
	{ "bare, blocking", "bare, blocking" },
	{ "GET, blocking", "bare, blocking" },
};

struct bench {
	const char *server;
	uint16_t port, echo_port;
	double seconds;
	int fd;
	struct slipring *handles[2]; /* blocking, spinning */
	struct histogram times[TRIPS];
	uint64_t failed, number;
	struct prng prng;
};

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "bench_pingpong: %s: %s\n", what, why);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* ---- bare round trips ---- */

static void
open_echo(struct bench *b)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(b->echo_port) };
	struct timeval timeout = { 0, TIMEOUT_MS * 1000 };

	if (inet_pton(AF_INET, b->server, &to.sin_addr) != 1)
		fail(b->server, "not an IPv4 address");
	b->fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (b->fd < 0 || connect(b->fd, (struct sockaddr *)&to, sizeof to) ||
	    setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout))
		fail("echo socket", strerror(errno));
}

/* One datagram there and back; false: lost. */
static bool
bare(struct bench *b, bool spin)
{
	uint8_t out[REQUEST_LEN] = { 0 }, in[REQUEST_LEN + 1];
	uint64_t give_up = now_ns() + TIMEOUT_MS * NS_PER_MS;
	ssize_t got;

	b->number++;
	memcpy(out, &b->number, sizeof b->number);
	if (send(b->fd, out, sizeof out, 0) != sizeof out)
		return false;
	do {
		got = recv(b->fd, in, sizeof in, spin ? MSG_DONTWAIT : 0);
		/* An answer to an earlier one, given up on, is not this one's. */
		if (got == sizeof out && memcmp(in, out, sizeof out) == 0)
			return true;
	} while (now_ns() < give_up);
	return false;
}

/* ---- the library ---- */

static struct slipring *
open_handle(const struct bench *b, bool spin)
{
	struct slipring_options options;
	struct slipring *handle;

	slipring_options_init(&options);
	options.port = b->port;
	options.spin = spin;
	handle = slipring_open(b->server, &options);
	if (!handle || slipring_ready(handle) != SLIPRING_OK)
		fail("client library", handle ? slipring_error(handle) : "no memory");
	return handle;
}

static void
preload(struct bench *b)
{
	uint8_t key[WORKLOAD_KEY_LEN], value[VALUE_LEN];

	for (uint32_t i = 0; i < KEYS; i++) {
		workload_key(key, i);
		workload_value(value, sizeof value, i);
		if (slipring_set(b->handles[1], key, sizeof key, value, sizeof value, 0, 0, NULL) != SLIPRING_OK)
			fail("set", slipring_error(b->handles[1]));
	}
}

static bool
get(struct bench *b, bool spin)
{
	uint32_t index = (uint32_t)prng_below(&b->prng, KEYS);
	uint8_t key[WORKLOAD_KEY_LEN];
	struct slipring_result result;

	workload_key(key, index);
	if (slipring_get(b->handles[spin], key, sizeof key, &result) != SLIPRING_OK)
		return false;
	if (result.value_len != VALUE_LEN || !workload_value_is(result.value, VALUE_LEN, index))
		fail("get", "a wrong value came back");
	return true;
}

/* ---- the run ---- */

static bool
travel(struct bench *b, enum trip trip)
{
	bool spin = trip == BARE_SPIN || trip == GET_SPIN;

	return trip == BARE_SPIN || trip == BARE_BLOCK ? bare(b, spin) : get(b, spin);
}

static void
turn(struct bench *b, bool counted)
{
	for (enum trip trip = 0; trip < TRIPS; trip++) {
		for (int i = 0; i < BLOCK; i++) {
			uint64_t start = now_ns();
			bool back = travel(b, trip);

			if (!counted)
				continue;
			b->failed += !back;
			histogram_record(&b->times[trip], now_ns() - start);
		}
	}
}

static void
print_report(const struct bench *b)
{
	printf("{\"bench\":\"pingpong\",\"server\":\"%s\",\"request_len\":%d,\"value_len\":%d,\"failed\":%lu,"
	    "\"round_trips_us\":{", b->server, REQUEST_LEN, VALUE_LEN, b->failed);
	for (int i = 0; i < TRIPS; i++) {
		const struct histogram *h = &b->times[i];

		printf("%s\"%s\":{\"beside\":\"%s\",\"samples\":%lu,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,"
		    "\"p99.9\":%.2f,\"max\":%.2f}", i ? "," : "", trips[i].name, trips[i].beside, h->count,
		    (double)histogram_percentile(h, 50) / 1e3, (double)histogram_percentile(h, 90) / 1e3,
		    (double)histogram_percentile(h, 99) / 1e3, (double)histogram_percentile(h, 99.9) / 1e3,
		    (double)h->max / 1e3);
	}
	printf("}}\n");
}

static const char usage[] =
    "usage: bench_pingpong --server IP [--port N] [--echo-port N] [--seconds S]\n";

static void
parse_options(struct bench *b, int argc, char **argv)
{
	static const struct option longs[] = { { "server", 1, 0, 'S' }, { "port", 1, 0, 'p' },
		{ "echo-port", 1, 0, 'e' }, { "seconds", 1, 0, 't' }, { 0 } };

	for (int letter; (letter = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (letter) {
		case 'S': b->server = optarg; break;
		case 'p': b->port = (uint16_t)atoi(optarg); break;
		case 'e': b->echo_port = (uint16_t)atoi(optarg); break;
		case 't': b->seconds = atof(optarg); break;
		default: b->server = NULL; break;
		}
	}
	if (!b->server || b->seconds <= 0) {
		fputs(usage, stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static struct bench bench = { .port = SLIPRING_PORT, .echo_port = 7, .seconds = 2 };
	struct bench *b = &bench;
	uint64_t end;

	parse_options(b, argc, argv);
	b->prng.state = now_ns();
	for (int i = 0; i < TRIPS; i++)
		histogram_init(&b->times[i]);
	open_echo(b);
	b->handles[0] = open_handle(b, false);
	b->handles[1] = open_handle(b, true);
	preload(b);
	for (int i = 0; i < WARM_TURNS; i++)
		turn(b, false);
	end = now_ns() + (uint64_t)(b->seconds * 1e9);
	while (now_ns() < end)
		turn(b, true);
	print_report(b);
	slipring_close(b->handles[0]);
	slipring_close(b->handles[1]);
	close(b->fd);
	return 0;
}
