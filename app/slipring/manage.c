/* Commands that change the cluster: join, leave, drain, probe. The node acts later; the answer says where to look. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control.h"

static int
order(struct cli *cli, const char *path, json_t *body, const char *what)
{
	struct control_answer answer;
	int code = control_ask(cli, "POST", path, body, &answer);

	if (code != EXIT_OK)
		return code;
	if (cli->json)
		json_print(json_incref(answer.json));
	else
		printf("%s\n", what);
	control_free(&answer);
	return EXIT_OK;
}

/* A node takes addresses only: names are looked up here. */
static bool
resolve(struct cli *cli, const char *given, char *text, size_t size)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM };
	const char *at = strchr(given, '@'), *host = at ? at + 1 : given, *colon = strchr(host, ':');
	char name[256], address[INET_ADDRSTRLEN];
	struct addrinfo *found;
	int failed;

	snprintf(name, sizeof name, "%.*s", (int)(colon ? colon - host : (long)strlen(host)), host);
	failed = getaddrinfo(name, NULL, &hints, &found);
	if (failed) {
		cli_fail(cli, EXIT_USAGE, "%s: %s", name, gai_strerror(failed));
		return false;
	}
	inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, address, sizeof address);
	freeaddrinfo(found);
	snprintf(text, size, "%s%s", address, colon ? colon : "");
	return true;
}

int
command_join(struct cli *cli, int argc, char **argv)
{
	char address[300], what[400];

	(void)argc;
	if (!resolve(cli, argv[0], address, sizeof address))
		return EXIT_USAGE;
	snprintf(what, sizeof what, "the node asks %s to be taken in; slipring status shows what comes of it", address);
	return order(cli, "/cluster/join", json_pack("{s:s}", "address", address), what);
}

int
command_leave(struct cli *cli, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return order(cli, "/cluster/leave", NULL, "the node gives its slots away and leaves; slipring events tells when it has");
}

int
command_drain(struct cli *cli, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return order(cli, "/cluster/drain", NULL, "the node gives its slots away and stays; slipring ring shows it");
}

int
command_probe(struct cli *cli, int argc, char **argv)
{
	char what[200];

	(void)argc;
	snprintf(what, sizeof what, "%.80s is pinged; slipring events tells of its answer", argv[0]);
	return order(cli, "/cluster/probe", json_pack("{s:s}", "node_id", argv[0]), what);
}
