/* The commands and their help. */
#include <limits.h>
#include <string.h>

#include "cli.h"

const struct command commands[] = {
	{ "get", command_get, 1, 1, WAY_NODE, "xr", "KEY", "Print the value of a key",
	  "Writes the value's bytes to standard output, with a newline behind them only on a\n"
	  "terminal. Exit status 1 when there is no such key." },
	{ "set", command_set, 2, 2, WAY_NODE, "xTFcaR", "KEY VALUE|-|@FILE", "Store a value",
	  "VALUE is the text itself; - reads it from standard input, @FILE from a file. A value\n"
	  "that starts with @ is written @@..., one that is - comes by standard input.\n"
	  "Values have up to 1 MiB, keys 1 to 250 bytes. With --cas, --add or --replace exit\n"
	  "status 1 says that nothing was stored. Exit status 5: the answer was lost, and the\n"
	  "value may or may not be there.\n\n"
	  "  slipring set --ttl 15m session:1 @session.bin" },
	{ "del", command_del, 1, 1, WAY_NODE, "xc", "KEY", "Delete a key", "" },
	{ "incr", command_incr, 1, 2, WAY_NODE, "xTC", "KEY [N]", "Add N (1) to a number, print the sum",
	  "The value must be an unsigned decimal number; sums wrap at 2^64. Executed at most\n"
	  "once, however often the network makes it send again." },
	{ "decr", command_decr, 1, 2, WAY_NODE, "xTC", "KEY [N]", "Subtract N (1) from a number, print the rest",
	  "Stops at 0." },
	{ "touch", command_touch, 1, 1, WAY_NODE, "xT", "KEY", "Give a key a new TTL; without --ttl it never expires", "" },
	{ "meta", command_meta, 1, 1, WAY_NODE, "x", "KEY", "Print version, TTL, flags and size, not the value",
	  "Does not count as a read, so it does not keep a key from being evicted." },
	{ "mget", command_mget, 1, INT_MAX, WAY_NODE, "x", "KEY...", "Print the values of many keys",
	  "For each key found: the key, a blank, the length of the value, a newline, the\n"
	  "value's bytes and a newline. Keys not found are named on standard error, and the\n"
	  "exit status is then 1." },
	{ "import", command_import, 1, 1, WAY_NODE, "fwa", "FILE|-", "Store many keys from a file of JSON lines",
	  "Each line is an object: key or key_base64, value or value_base64, and if wanted flags\n"
	  "and ttl_ms, as `slipring export` writes them. --window of them are in flight at once.\n"
	  "With --add keys that are there are left alone. It stops at the first line that cannot\n"
	  "be read or stored and says with which --from to go on: all lines before were stored.\n\n"
	  "  slipring export keys | slipring -H n2 import -" },
	{ "export", command_export, 1, 1, WAY_NODE, "fx", "KEYFILE|-", "Print many keys with their values as JSON lines",
	  "KEYFILE has one key a line (hexadecimal with --hex); empty lines are skipped. Lines\n"
	  "come out in the order of the keys, with the TTL that was left. Keys not found are\n"
	  "named on standard error, and the exit status is then 1." },
	{ "top", command_top, 0, 0, WAY_NODE, "iO", "", "Watch a node: workers, operations, hits, memory, drops",
	  "On a terminal it redraws the screen until q or Ctrl-C; elsewhere it prints one table\n"
	  "after the other. --json prints one object a line. Rates are of the last interval." },
	{ "stats", command_stats, 0, 1, WAY_NODE, "", "[GROUP]", "Print the node's counters",
	  "Groups: none for everything, drops, store, workers, memcached." },
	{ "ping", command_ping, 0, 1, WAY_NODE, "", "[COUNT]", "Measure round trips to each worker", "" },
	{ "workers", command_workers, 0, 0, WAY_NODE, "", "", "List the workers: lcore, port, queue, load", "" },
	{ "sockets", command_sockets, 0, 0, WAY_NODE, "", "", "List what listens on the node's NIC",
	  "The node takes frames from its NIC past the kernel, so ss(8) cannot know." },
	{ "status", command_status, 0, 0, WAY_CONTROL, "", "", "Tell of the cluster as a node sees it", "" },
	{ "members", command_members, 0, 0, WAY_CONTROL, "", "", "List the cluster's nodes with their addresses", "" },
	{ "ring", command_ring, 0, 0, WAY_CONTROL, "", "", "Show which node owns how much", "" },
	{ "owners", command_owners, 1, 1, WAY_CONTROL, "x", "KEY", "Name the nodes that own a key, the first one first",
	  "Says who would hold the key, whether or not it is there." },
	{ "events", command_events, 0, 0, WAY_CONTROL, "L", "", "Tell what has happened in the cluster",
	  "The last 1024 events of the node that is asked; with --follow those to come as well,\n"
	  "until Ctrl-C. --json prints one object a line." },
	{ "metrics", command_metrics, 0, 0, WAY_CONTROL, "", "", "Print what is counted, as Prometheus reads it",
	  "With --json what the cluster's part of the node has counted." },
	{ "keys", command_keys, 0, 1, WAY_CONTROL, "xm", "[PREFIX]", "List the cluster's keys, in no order",
	  "One key a line, as `slipring export` reads them. A key that is there all the time is\n"
	  "told at least once. Nodes that do not answer are named on standard error, and the exit\n"
	  "status is then 1." },
	{ "join", command_join, 1, 1, WAY_CONTROL, "", "HOST[:PORT]", "Have a node join the cluster of another one",
	  "The node asks the other one to take it in; its seeds do that by themselves." },
	{ "leave", command_leave, 0, 0, WAY_CONTROL, "", "", "Have a node give its keys away and leave for good", "" },
	{ "drain", command_drain, 0, 0, WAY_CONTROL, "", "", "Have a node give its keys away and stay", "" },
	{ "probe", command_probe, 1, 1, WAY_CONTROL, "", "NODE", "Have a node ping another one now", "" },
	{ "bench", command_bench, 0, 0, WAY_NODE, "qdnvbgoPNS", "", "Measure latency and throughput from here",
	  "Stores --keys values, then measures: a closed loop of one operation at a time, a\n"
	  "closed loop of --batch in flight, and an open loop, whose operations start at Poisson\n"
	  "times and whose latency counts from the time intended, so that a stall shows. With\n"
	  "--pcap no node is needed: the file holds request frames of --batch operations (at\n"
	  "most as many as fit) for packet generators, to be addressed by them." },
	{ "completion", command_completion, 1, 1, WAY_NOBODY, "", "bash|zsh", "Print a script by which a shell completes",
	  "  source <(slipring completion bash)\n"
	  "`make install` puts both where the shells look." },
	{ "help", command_help, 0, 1, WAY_NOBODY, "", "[COMMAND]", "Explain a command", "" },
	{ 0 },
};

const struct command *
command_find(const char *name)
{
	for (const struct command *command = commands; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}
