/*
 * slipring completion: scripts for bash and zsh, made from the tables of commands and
 * options, so that they know what this program knows. A command whose synopsis speaks
 * of a FILE gets file names.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* Arguments that are one of a few words. */
static const struct {
	const char *command, *words;
} choices[] = { { "stats", "drops store workers sockets memcached" }, { "completion", "bash zsh" } };

static const char *
words_of(const struct command *command)
{
	for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
		if (strcmp(choices[i].command, command->name) == 0)
			return choices[i].words;
	return NULL;
}

static bool
takes_file(const char *synopsis)
{
	return synopsis && strstr(synopsis, "FILE") != NULL;
}

static void
each_option(const struct command *command, void (*each)(const struct option_spec *spec))
{
	options_each(command->options, each);
	options_each(OPTIONS_GENERAL, each);
	options_each(options_of_way(command->way), each);
}

/* --- bash ---------------------------------------------------------------------------- */

static void
bash_option(const struct option_spec *spec)
{
	printf(" --%s", spec->name);
}

static void
bash_argument(const struct option_spec *spec)
{
	if (spec->argument)
		printf("|-%c|--%s", spec->flag, spec->name);
}

static void
bash_file_argument(const struct option_spec *spec)
{
	if (takes_file(spec->argument))
		printf("|-%c|--%s", spec->flag, spec->name);
}

static void
all_options(void (*each)(const struct option_spec *spec))
{
	char letters[256] = "";
	size_t count = 0;

	for (int letter = '0'; letter <= 'z'; letter++)
		if (isalnum(letter))
			letters[count++] = (char)letter;
	letters[count] = '\0';
	options_each(letters, each);
}

static void
bash_command(const struct command *command)
{
	printf("\t%s)\n\t\toptions='", command->name);
	each_option(command, bash_option);
	printf("'\n");
	if (words_of(command))
		printf("\t\twords='%s'\n", words_of(command));
	if (command->run == command_help)
		printf("\t\twords=$commands\n");
	if (takes_file(command->synopsis))
		printf("\t\tfiles=1\n");
	printf("\t\t;;\n");
}

static void
bash(void)
{
	printf("# Completion of slipring(1) for bash; made by `slipring completion bash`.\n"
	    "_slipring()\n{\n"
	    "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= options words= files= at\n"
	    "\tlocal commands='");
	for (const struct command *command = commands; command->name; command++)
		printf("%s%s", command == commands ? "" : " ", command->name);
	printf("'\n\tCOMPREPLY=()\n"
	    "\tfor ((at = 1; at < COMP_CWORD; at++)); do\n"
	    "\t\tcase ${COMP_WORDS[at]} in\n"
	    "\t\t--nothing");
	all_options(bash_argument);
	printf(") ((at++)) ;;\n"
	    "\t\t-*) ;;\n"
	    "\t\t*) command=${COMP_WORDS[at]}; break ;;\n"
	    "\t\tesac\n\tdone\n"
	    "\tcase $before in\n"
	    "\t-H|--host) mapfile -t COMPREPLY < <(compgen -A hostname -- \"$word\"); return ;;\n"
	    "\t--nothing");
	all_options(bash_file_argument);
	printf(") mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n"
	    "\t--nothing");
	all_options(bash_argument);
	printf(") return ;;\n\tesac\n\tcase $command in\n\t'')\n\t\twords=$commands\n\t\toptions='");
	options_each(OPTIONS_GENERAL OPTIONS_NODE, bash_option);
	printf("'\n\t\t;;\n");
	for (const struct command *command = commands; command->name; command++)
		bash_command(command);
	printf("\tesac\n"
	    "\tif [[ $word == -* ]]; then\n"
	    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
	    "\telif [[ $files && $word == @* ]]; then\n"
	    "\t\tmapfile -t COMPREPLY < <(compgen -P @ -f -- \"${word#@}\")\n"
	    "\telif [[ $files ]]; then\n"
	    "\t\tcompopt -o filenames 2>/dev/null\n"
	    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	    "\telse\n"
	    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	    "\tfi\n}\n"
	    "complete -F _slipring slipring\n");
}

/* --- zsh ----------------------------------------------------------------------------- */

/* Within single quotes, and within a specification of _arguments: \ before what means something there. */
static void
zsh_text(const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", stdout);
		else if (strchr(special, *text))
			putchar('\\');
		putchar(*text);
	}
}

static void
zsh_option(const struct option_spec *spec)
{
	printf(" \\\n\t\t\t'(-%c --%s)'{-%c%s,--%s%s}'[", spec->flag, spec->name, spec->flag, spec->argument ? "+" : "",
	    spec->name, spec->argument ? "=" : "");
	zsh_text(spec->text, "[]\\");
	putchar(']');
	if (spec->argument) {
		putchar(':');
		zsh_text(spec->argument, ":\\");
		printf(":%s", takes_file(spec->argument) ? "_files" : spec->flag == 'H' ? "_hosts" : " ");
	}
	putchar('\'');
}

static void
zsh_command(const struct command *command)
{
	printf("\t%s)\n\t\t_arguments", command->name);
	each_option(command, zsh_option);
	if (words_of(command))
		printf(" \\\n\t\t\t'*:word:(%s)'", words_of(command));
	else if (command->run == command_help)
		printf(" \\\n\t\t\t'*:command:->command'");
	else if (takes_file(command->synopsis))
		printf(" \\\n\t\t\t'*:file:_files -P \"${(M)PREFIX#@}\"'");
	else
		printf(" \\\n\t\t\t'*: : '");
	printf("\n\t\t;;\n");
}

static void
zsh(void)
{
	printf("#compdef slipring\n# Completion of slipring(1) for zsh; made by `slipring completion zsh`.\n"
	    "_slipring()\n{\n\tlocal curcontext=$curcontext state line\n\tlocal -a commands\n\tcommands=(\n");
	for (const struct command *command = commands; command->name; command++) {
		printf("\t\t'%s:", command->name);
		zsh_text(command->summary, ":\\");
		printf("'\n");
	}
	printf("\t)\n\t_arguments -C -A '-*'");
	options_each(OPTIONS_GENERAL OPTIONS_NODE, zsh_option);
	printf(" \\\n\t\t\t'1:command:->command' '*::argument:->argument'\n"
	    "\t[[ $state == command ]] && _describe command commands && return\n"
	    "\t[[ $state == argument ]] || return\n"
	    "\tcase $words[1] in\n");
	for (const struct command *command = commands; command->name; command++)
		zsh_command(command);
	printf("\tesac\n\t[[ $state == command ]] && _describe command commands\n}\n"
	    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n\t_slipring \"$@\"\nelse\n\tcompdef _slipring slipring\nfi\n");
}

int
command_completion(struct cli *cli, int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[0], "bash") == 0)
		bash();
	else if (strcmp(argv[0], "zsh") == 0)
		zsh();
	else
		return cli_fail(cli, EXIT_USAGE, "%s: no script for this shell; there are bash and zsh", argv[0]);
	return EXIT_OK;
}
