/*
 * pingpong.c - what the library adds to a round trip.
 *
 * Usage: pingpong HOST NATIVE_PORT ECHO_PORT [ROUNDS [spin]]
 * Purpose: compares slipring_get (16-byte key, 64-byte value) with a bare UDP
 *   ping-pong of as many bytes over the same link: send(2) and recv(2) on a connected
 *   socket, to an echo service. Rounds of both alternate, so that a machine
 *   that changes its pace changes it for both; medians of all round trips.
 *   Prints {"echo_p50_us":..., "get_p50_us":..., "ratio":...}.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "base/check.h"
#include "base/histogram.h"
#include "client/slipring.h"

enum { TRIPS = 200, WARM = 20, VALUE_LEN = 64, ECHO_LEN = 128 /* the answer of a GET */ };

static uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int
open_echo(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM };
	const struct timeval timeout = { 0, 200000 };
	struct addrinfo *found;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(getaddrinfo(host, port, &hints, &found) == 0);
	CHECK(fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0);
	freeaddrinfo(found);
	return fd;
}

static void
echo_trips(int fd, bool spin, struct histogram *latency)
{
	uint8_t bytes[2048] = { 0 };

	for (int i = 0; i < TRIPS + WARM; i++) {
		uint64_t start = clock_ns();
		ssize_t len;

		CHECK(send(fd, bytes, ECHO_LEN, 0) == ECHO_LEN);
		do
			len = recv(fd, bytes, sizeof bytes, spin ? MSG_DONTWAIT : 0);
		while (len < 0 && spin && clock_ns() - start < 200000000);
		if (len == ECHO_LEN && i >= WARM)
			histogram_record(latency, clock_ns() - start);
	}
}

static void
get_trips(struct slipring *cache, struct histogram *latency)
{
	struct slipring_result result;

	for (int i = 0; i < TRIPS + WARM; i++) {
		uint64_t start = clock_ns();

		CHECK(slipring_get(cache, "pingpong-16bytes", 16, &result) == SLIPRING_OK);
		CHECK(result.value_len == VALUE_LEN);
		if (i >= WARM)
			histogram_record(latency, clock_ns() - start);
	}
}

int
main(int argc, char **argv)
{
	static struct histogram echo, get;
	struct slipring_options options;
	uint8_t value[VALUE_LEN] = { 1 };
	struct slipring *cache;
	double echo_p50, get_p50;
	int fd, rounds;

	if (argc < 4) {
		fprintf(stderr, "usage: pingpong HOST NATIVE_PORT ECHO_PORT [ROUNDS [spin]]\n");
		return 2;
	}
	slipring_options_init(&options);
	options.port = (uint16_t)atoi(argv[2]);
	options.spin = argc > 5;
	rounds = argc > 4 ? atoi(argv[4]) : 50;
	cache = slipring_open(argv[1], &options);
	CHECK(cache && slipring_set(cache, "pingpong-16bytes", 16, value, sizeof value, 0, 0, NULL) == SLIPRING_OK);
	fd = open_echo(argv[1], argv[3]);
	histogram_init(&echo);
	histogram_init(&get);
	for (int i = 0; i < rounds; i++) {
		echo_trips(fd, options.spin, &echo);
		get_trips(cache, &get);
	}
	echo_p50 = (double)histogram_percentile(&echo, 50) / 1e3;
	get_p50 = (double)histogram_percentile(&get, 50) / 1e3;
	CHECK(echo.count > 0);
	printf("{\"echo_p50_us\": %.2f, \"get_p50_us\": %.2f, \"ratio\": %.3f}\n", echo_p50, get_p50, get_p50 / echo_p50);
	slipring_close(cache);
	return 0;
}
