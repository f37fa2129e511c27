#include "io/telemetry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>

#include "base/check.h"

struct telemetry {
	struct rte_tel_data *data;
	struct telemetry *outer;
	char name[64]; /* of an inner one */
};

struct command {
	const char *name;
	telemetry_answer answer;
	void *context;
};

static struct command commands[TELEMETRY_COMMANDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* DPDK hands a command's name to its function, and nothing else. Under the lock. */
static struct command *
find(const char *name)
{
	for (int i = 0; i < TELEMETRY_COMMANDS_MAX; i++)
		if (commands[i].name && strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int
on_command(const char *name, const char *parameters, struct rte_tel_data *data)
{
	struct telemetry answer = { .data = data };
	struct command *command;

	(void)parameters;
	rte_tel_data_start_dict(data);
	pthread_mutex_lock(&lock);
	command = find(name);
	if (command && command->answer)
		command->answer(command->context, &answer);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* A name is registered once: DPDK cannot forget it. */
static void
take_place(const char *name, const char *help, telemetry_answer answer, void *context)
{
	for (int i = 0; i < TELEMETRY_COMMANDS_MAX; i++) {
		if (commands[i].name)
			continue;
		commands[i] = (struct command){ name, answer, context };
		(void)rte_telemetry_register_cmd(name, on_command, help);
		return;
	}
	CHECK(!"too many commands");
}

void
telemetry_set(const char *name, const char *help, telemetry_answer answer, void *context)
{
	struct command *command;

	pthread_mutex_lock(&lock);
	command = find(name);
	if (command)
		*command = (struct command){ name, answer, context };
	else
		take_place(name, help, answer, context);
	pthread_mutex_unlock(&lock);
}

void
telemetry_text(struct telemetry *to, const char *name, const char *text)
{
	char cut[TELEMETRY_TEXT_MAX + 1];

	if (!to)
		return;
	snprintf(cut, sizeof cut, "%s", text);
	(void)rte_tel_data_add_dict_string(to->data, name, cut);
}

void
telemetry_number(struct telemetry *to, const char *name, uint64_t number)
{
	if (to)
		(void)rte_tel_data_add_dict_u64(to->data, name, number);
}

struct telemetry *
telemetry_open(struct telemetry *to, const char *name)
{
	struct telemetry *inner = to ? malloc(sizeof *inner) : NULL;

	if (!inner)
		return NULL;
	inner->data = rte_tel_data_alloc();
	if (!inner->data) {
		free(inner);
		return NULL;
	}
	inner->outer = to;
	snprintf(inner->name, sizeof inner->name, "%s", name);
	rte_tel_data_start_dict(inner->data);
	return inner;
}

/* DPDK frees what it takes with the answer. */
void
telemetry_close(struct telemetry *inner)
{
	if (!inner)
		return;
	if (rte_tel_data_add_dict_container(inner->outer->data, inner->name, inner->data, 0) != 0)
		rte_tel_data_free(inner->data);
	free(inner);
}
