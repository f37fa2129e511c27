/* The table and the effective values as text: --print-config, --help, the manual. */
#include <string.h>

#include "config.h"

/* Group of a path ("native" of "native.port"), "" at the top. */
static void
group_of(const char *path, char group[SCHEMA_PATH_SIZE])
{
	const char *dot = strchr(path, '.');

	snprintf(group, SCHEMA_PATH_SIZE, "%.*s", dot ? (int)(dot - path) : 0, path);
}

void
config_print(const struct config *config, FILE *out)
{
	const struct schema schema = config_schema(0);
	char group[SCHEMA_PATH_SIZE], last[SCHEMA_PATH_SIZE] = "", place[PLACE_SIZE], value[CONFIG_VALUE_SIZE];
	char line[CONFIG_VALUE_SIZE + SCHEMA_PATH_SIZE];

	for (uint32_t i = 0; i < schema.count; i++) {
		const char *path = schema.keys[i].path;

		group_of(path, group);
		if (*group && strcmp(group, last) != 0)
			fprintf(out, "%s:\n", group);
		memcpy(last, group, sizeof last);
		schema_print_value(&schema.keys[i], config, value, sizeof value);
		config_place(config, &schema, i, place, sizeof place);
		snprintf(line, sizeof line, "%s%s: %s", *group ? "  " : "", *group ? path + strlen(group) + 1 : path,
		    value);
		fprintf(out, "%-40s # %s\n", line, place);
	}
}

/* Text in lines of at most width characters, each after `indent` blanks. */
static void
print_wrapped(const char *text, int indent, int width, FILE *out)
{
	int column = 0;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column == 0)
			column = fprintf(out, "%*s", indent, "");
		else if (column + 1 + len > width)
			column = fprintf(out, "\n%*s", indent, "") - 1;
		else
			column += fprintf(out, " ");
		column += fprintf(out, "%.*s", len, text);
		text += len;
		text += strspn(text, " ");
	}
	fprintf(out, "\n");
}

void
config_print_help(FILE *out)
{
	const struct schema schema = config_schema(0);
	char flag[2 * SCHEMA_PATH_SIZE], allowed[160];

	fprintf(out,
	    "slipringd - in-memory cache that answers from its own network card\n\n"
	    "usage: slipringd [--config FILE] [--KEY VALUE]...\n\n"
	    "  -c, --config FILE   YAML file (else $SLIPRING_CONFIG, else %s if it exists)\n"
	    "  --check-config      read everything, key and password files too, tell what is wrong, exit 0 or 2\n"
	    "  --print-config      print the effective configuration and where each value is from\n"
	    "  --version, --help\n\n"
	    "Keys, as flags. Each may also stand in the file (native: port:) or in the environment\n"
	    "(SLIPRING_NATIVE__PORT); a flag wins over the environment, that over the file.\n"
	    "Flags of true or false need no value; --no-KEY is false; --no-huge is --huge-pages no.\n"
	    "--join NODE is --cluster.enabled --cluster.seed-nodes NODE, and may be given again;\n"
	    "--advertise-addr is --cluster.gossip-addr, --gossip-interval is --cluster.gossip-interval.\n\n",
	    CONFIG_FILE_DEFAULT);
	for (uint32_t i = 0; i < schema.count; i++) {
		const struct key *key = &schema.keys[i];

		config_flag_name(key->path, flag, sizeof flag);
		schema_allowed(key, allowed, sizeof allowed);
		fprintf(out, "  %s  (%s; default %s)\n", flag, allowed, *key->preset ? key->preset : "none");
		print_wrapped(key->help, 6, 96, out);
	}
	fprintf(out, "\nExit status: 0 stopped as asked, 2 bad configuration, 3 cannot start,\n"
	    "130 a second signal forced the end.\n");
}

/* scdoc takes _ and * and \ as markup. */
static void
print_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (strchr("_*\\<>#[]", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void
print_manual_key(const struct key *key, FILE *out)
{
	char name[2 * SCHEMA_PATH_SIZE], allowed[160];

	fprintf(out, "*");
	print_escaped(key->path, out);
	fprintf(out, "*\n\t");
	print_escaped(key->help, out);
	schema_allowed(key, allowed, sizeof allowed);
	fprintf(out, "\n\n\tAllowed: ");
	print_escaped(allowed, out);
	fprintf(out, ". Default: ");
	print_escaped(*key->preset ? key->preset : "none", out);
	config_flag_name(key->path, name, sizeof name);
	fprintf(out, ".\n\n\tFlag ");
	print_escaped(name, out);
	config_environment_name(key->path, name, sizeof name);
	fprintf(out, ", environment ");
	print_escaped(name, out);
	fprintf(out, ".\n\n");
}

void
config_print_manual(FILE *out)
{
	const struct schema schema = config_schema(0);

	fprintf(out,
	    "slipring.yaml(5)\n\n# NAME\n\nslipring.yaml - configuration of slipringd\n\n# DESCRIPTION\n\n"
	    "*slipringd*(8) reads one YAML file. Every key may be left out, but _ipv4_ and, for most\n"
	    "profiles, _interfaces_. Unknown keys, keys given twice and values out of range are refused\n"
	    "with their line. Keys with a dot are written as groups:\n\n"
	    "```\nnative:\n  port: 7411\n```\n\n"
	    "Environment variables override the file, and flags override both. In the environment and in\n"
	    "flags lists are cut at commas. Sizes are bytes or have a unit (64M, 2G; powers of 1024),\n"
	    "durations always have one (10ms, 5s).\n\n# KEYS\n\n");
	for (uint32_t i = 0; i < schema.count; i++)
		print_manual_key(&schema.keys[i], out);
	fprintf(out,
	    "# EXAMPLE\n\n```\nnode_id: n1\nipv4: 10.9.0.1/24\ninterfaces: [eth1]\nworkers: 1\nmemory: 2G\n```\n\n"
	    "# SEE ALSO\n\n*slipringd*(8), *slipring*(1)\n");
}
