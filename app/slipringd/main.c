/* slipringd: start-up and stop; the work is in worker.c. */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "slipringd/node.h"

static int
fail(const char *what)
{
	fprintf(stderr, "slipringd: %s\n", what);
	return 1;
}

static bool
parse_options(int argc, char **argv, struct node_config *config)
{
	static const struct option longs[] = { { "interface", 1, 0, 'i' }, { "ipv4", 1, 0, 'a' },
		{ "echo-port", 1, 0, 'e' }, { "no-huge", 0, 0, 'n' }, { "busy", 0, 0, 'b' },
		{ "float-lcores", 0, 0, 'f' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'i': snprintf(config->io.interfaces[0], sizeof config->io.interfaces[0], "%s", optarg); break;
		case 'a': if (inet_pton(AF_INET, optarg, config->ipv4) != 1) return false; break;
		case 'e': config->echo_port = (uint16_t)atoi(optarg); break;
		case 'n': config->io.no_huge = true; break;
		case 'b': config->idle = WORKER_BUSY; break;
		case 'f': config->io.float_lcores = true; break;
		default: return false;
		}
	return config->io.interfaces[0][0] && config->ipv4[0];
}

static void
wait_for_stop(const char *device)
{
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	fprintf(stderr, "slipringd: ready on %s\n", device);
	sigwait(&set, &signal);
}

int
main(int argc, char **argv)
{
	struct node_config config = { .io = { .worker_count = 1, .worker_cpus = { 1 }, .profile = {
		.driver = "net_af_xdp", .arguments = "iface={interface},start_queue={queue},busy_budget=0",
		.rx_descriptors = 2048, .tx_descriptors = 2048, .mbufs = 8192, .queues = 1,
		.verify_checksums = true } },
		.idle = WORKER_ADAPTIVE, .echo_port = 7, .store = { .memory_bytes = 64 << 20,
		.expected_item_size = 256 }, .serve = { .native_port = 7411, .version = SLIPRING_VERSION,
		.start_wall_ms = (uint64_t)time(NULL) * 1000 } };
	struct node *node;
	struct error error;
	sigset_t set;

	if (!parse_options(argc, argv, &config))
		return fail("usage: slipringd --interface DEV --ipv4 ADDRESS [--echo-port N] [--no-huge] [--busy] [--float-lcores]");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	config.store.shard_count = config.io.worker_count;
	config.io.memory_mb = io_memory_mb(&config.io, store_table_bytes(&config.store));
	node = node_start(&config, &error);
	if (!node)
		return fail(error.text);
	wait_for_stop(config.io.interfaces[0]);
	node_stop(node);
	return 0;
}
