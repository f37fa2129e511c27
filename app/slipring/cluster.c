/* Commands that tell of the cluster: status, members, ring, owners, metrics. */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

enum { PATH_SIZE = 1024, BAR_WIDTH = 40 };

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

static long long
number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static double
real_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* Asks; with --json the answer is printed as it is, and nothing is left to do. */
static int
look(struct cli *cli, const char *path, struct control_answer *answer)
{
	int code = control_ask(cli, "GET", path, NULL, answer);

	if (code == EXIT_OK && cli->json) {
		json_print(json_incref(answer->json));
		control_free(answer);
	}
	return code;
}

/* --- status and members ----------------------------------------------------------------- */

static void
print_status(const json_t *status)
{
	json_t *peers = json_object_get(status, "peers"), *peer;
	size_t index;

	printf("node               %s\nnodes              %lld\nepoch              %lld\nreplication factor %lld\n"
	    "ring size          %lld\nread repair        %s\n", text_of(status, "node_id"), number_of(status, "node_count"),
	    number_of(status, "epoch"), number_of(status, "replication_factor"), number_of(status, "ring_size"),
	    json_is_true(json_object_get(status, "read_repair_enabled")) ? "on" : "off");
	if (json_array_size(peers) > 0)
		printf("\n%-16s %-10s %-22s %8s %12s\n", "PEER", "STATUS", "API", "PHI", "INCARNATION");
	json_array_foreach(peers, index, peer)
		printf("%-16s %-10s %-22s %8.2f %12lld\n", text_of(peer, "node_id"), text_of(peer, "status"),
		    text_of(peer, "api_addr"), real_of(peer, "phi"), number_of(peer, "incarnation"));
}

int
command_status(struct cli *cli, int argc, char **argv)
{
	struct control_answer answer;
	int code = look(cli, "/cluster/status", &answer);

	(void)argc;
	(void)argv;
	if (code != EXIT_OK || cli->json)
		return code;
	print_status(answer.json);
	control_free(&answer);
	return EXIT_OK;
}

int
command_members(struct cli *cli, int argc, char **argv)
{
	struct control_answer answer;
	int code = look(cli, "/cluster/members", &answer);
	json_t *member;
	size_t index;

	(void)argc;
	(void)argv;
	if (code != EXIT_OK || cli->json)
		return code;
	printf("%-16s %-10s %-22s %-22s %6s %8s %12s\n", "NODE", "STATUS", "GOSSIP", "API", "WEIGHT", "PHI", "INCARNATION");
	json_array_foreach(json_object_get(answer.json, "members"), index, member)
		printf("%-16s %-10s %-22s %-22s %6lld %8.2f %12lld%s\n", text_of(member, "node_id"), text_of(member, "status"),
		    text_of(member, "address"), text_of(member, "api_addr"), number_of(member, "weight"), real_of(member, "phi"),
		    number_of(member, "incarnation"), json_is_true(json_object_get(member, "self")) ? "  (asked)" : "");
	printf("\nmembership version %lld, epoch %lld\n", number_of(answer.json, "version"), number_of(answer.json, "epoch"));
	control_free(&answer);
	return EXIT_OK;
}

/* --- the ring --------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return strverscmp(text_of(*(json_t *const *)a, "node_id"), text_of(*(json_t *const *)b, "node_id"));
}

/* Blocks where the terminal has them; a whole bar is the largest share. */
static void
print_bar(double share, double largest)
{
	bool blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	int filled = largest > 0 ? (int)(share / largest * BAR_WIDTH + 0.5) : 0;

	for (int i = 0; i < BAR_WIDTH; i++)
		fputs(i >= filled ? " " : blocks ? "\u2588" : "#", stdout);
}

static void
print_ring(const json_t *ring)
{
	json_t *list = json_object_get(ring, "members"), *member;
	size_t count = json_array_size(list), index;
	json_t **members = calloc(count + 1, sizeof *members);
	double largest = 0;

	if (!members)
		abort();
	setlocale(LC_CTYPE, ""); /* what the terminal can show */
	json_array_foreach(list, index, member) {
		members[index] = member;
		if (real_of(member, "share") > largest)
			largest = real_of(member, "share");
	}
	qsort(members, count, sizeof *members, by_name);
	printf("epoch %lld, %lld slots, %lld owner%s each, topology %s\n\n", number_of(ring, "epoch"),
	    number_of(ring, "slot_count"), number_of(ring, "owners"), number_of(ring, "owners") == 1 ? "" : "s",
	    text_of(ring, "digest"));
	printf("%-16s %-10s %6s  %-*s %7s %11s %11s\n", "NODE", "STATUS", "WEIGHT", BAR_WIDTH, "KEYS OWNED FIRST", "SHARE",
	    "FIRST SLOTS", "ALL SLOTS");
	for (index = 0; index < count; index++) {
		printf("%-16s %-10s %6lld  ", text_of(members[index], "node_id"), text_of(members[index], "status"),
		    number_of(members[index], "weight"));
		print_bar(real_of(members[index], "share"), largest);
		printf(" %5.1f %% %11lld %11lld\n", 100 * real_of(members[index], "share"),
		    number_of(members[index], "first_slots"), number_of(members[index], "slots"));
	}
	free(members);
}

int
command_ring(struct cli *cli, int argc, char **argv)
{
	struct control_answer answer;
	int code = look(cli, "/cluster/ring", &answer);

	(void)argc;
	(void)argv;
	if (code != EXIT_OK || cli->json)
		return code;
	print_ring(answer.json);
	control_free(&answer);
	return EXIT_OK;
}

/* --- owners ----------------------------------------------------------------------------- */

int
command_owners(struct cli *cli, int argc, char **argv)
{
	struct control_answer answer;
	char path[PATH_SIZE] = "/v1/owners/";
	struct bytes key;
	json_t *owner;
	size_t index;
	int code;

	(void)argc;
	if (!key_parse(cli, argv[0], &key) || !control_escape(path, sizeof path, key.data, key.len))
		return EXIT_USAGE;
	code = look(cli, path, &answer);
	if (code != EXIT_OK || cli->json)
		return code;
	printf("slot %lld, epoch %lld\n", number_of(answer.json, "slot"), number_of(answer.json, "epoch"));
	json_array_foreach(json_object_get(answer.json, "owners"), index, owner)
		printf("%zu  %-16s %-22s %s\n", index + 1, text_of(owner, "node_id"), text_of(owner, "api_addr"),
		    text_of(owner, "status"));
	control_free(&answer);
	return EXIT_OK;
}

/* --- metrics ---------------------------------------------------------------------------- */

/* As Prometheus reads them; with --json those of the cluster. */
int
command_metrics(struct cli *cli, int argc, char **argv)
{
	struct control_answer answer;
	int code = look(cli, cli->json ? "/dist/metrics" : "/metrics", &answer);

	(void)argc;
	(void)argv;
	if (code != EXIT_OK || cli->json)
		return code;
	fwrite(answer.text, 1, answer.len, stdout);
	control_free(&answer);
	return EXIT_OK;
}
