/* slipringd: start-up and stop; the work is in worker.c. */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "slipringd/worker.h"

struct options {
	struct io_config io;
	struct worker_config worker;
	uint16_t echo_port;
};

static int
fail(const char *what)
{
	fprintf(stderr, "slipringd: %s\n", what);
	return 1;
}

static bool
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = { { "interface", 1, 0, 'i' }, { "ipv4", 1, 0, 'a' },
		{ "echo-port", 1, 0, 'e' }, { "no-huge", 0, 0, 'n' }, { "busy", 0, 0, 'b' },
		{ "float-lcores", 0, 0, 'f' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'i': snprintf(options->io.interfaces[0], sizeof options->io.interfaces[0], "%s", optarg); break;
		case 'a': if (inet_pton(AF_INET, optarg, options->worker.net.ipv4) != 1) return false; break;
		case 'e': options->echo_port = (uint16_t)atoi(optarg); break;
		case 'n': options->io.no_huge = true; break;
		case 'b': options->worker.busy = true; break;
		case 'f': options->io.float_lcores = true; break;
		default: return false;
		}
	return options->io.interfaces[0][0] && options->worker.net.ipv4[0];
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

static int
run(struct options *options)
{
	struct error error;
	struct worker *worker;
	struct port *port = port_open(&options->io, 0, options->worker.net.mac, &error);

	if (!port)
		return fail(error.text);
	options->worker.net.verify_checksums = true;
	options->worker.net.ports[0].port = options->echo_port;
	options->worker.net.ports[0].service = SERVICE_ECHO;
	options->worker.net.port_count = 1;
	worker = worker_create(&options->worker, port, &error);
	if (!worker || io_launch(0, worker_main, worker) != STATUS_OK)
		return fail(error.text);
	wait_for_stop(options->io.interfaces[0]);
	worker_stop(worker);
	io_join(0);
	worker_destroy(worker);
	port_close(port);
	return 0;
}

int
main(int argc, char **argv)
{
	static struct options options = { .io = { .worker_count = 1, .worker_cpus = { 1 }, .profile = {
		.driver = "net_af_xdp", .arguments = "iface={interface},start_queue={queue},busy_budget=0",
		.rx_descriptors = 2048, .tx_descriptors = 2048, .mbufs = 8192, .queues = 1 } },
		.echo_port = 7 };
	struct error error;
	sigset_t set;
	int status;

	if (!parse_options(argc, argv, &options))
		return fail("usage: slipringd --interface DEV --ipv4 ADDRESS [--echo-port N] [--no-huge] [--busy] [--float-lcores]");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	options.io.memory_mb = io_memory_mb(&options.io, 0);
	if (io_start(&options.io, &error) != STATUS_OK)
		return fail(error.text);
	status = run(&options);
	io_stop();
	return status;
}
