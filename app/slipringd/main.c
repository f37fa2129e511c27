/* slipringd: start-up and stop; the work is in worker.c. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/openapi.h"
#include "slipringd/api.h"
#include "slipringd/api_telemetry.h"
#include "slipringd/compose.h"
#include "slipringd/config.h"
#include "slipringd/control.h"
#include "slipringd/foreign_log.h"
#include "slipringd/log.h"
#include "slipringd/notify.h"
#include "slipringd/preflight.h"
#include "slipringd/profile.h"
#include "slipringd/secrets.h"

/* slipringd(8) documents them. 130: a second signal (control.c). */
enum { EXIT_STOPPED = 0, EXIT_BAD_CONFIG = 2, EXIT_CANNOT_START = 3, EXIT_REFUSED = 4 };

struct daemon {
	struct config config;
	struct io_profile profile;
	struct node_config node_config;
	struct preflight preflight;
	struct node *node;
	struct security *security;
	struct api *api;
	struct api_telemetry *telemetry;
	struct faults faults;
};

/* The ladder up; stop() is the same ladder down, from wherever this got to. */
static ON_MAIN enum status
start(struct daemon *d, struct error *error)
{
	if (log_open(d->config.node_id, (enum log_level)d->config.log_level, d->config.log_format == LOG_FORMAT_JSON,
	    d->config.log_file, error) != STATUS_OK)
		return error->status;
	foreign_log_route();
	log_info("slipringd %s starting, profile %s%s%s", SLIPRING_VERSION, d->profile.name,
	    *d->config.file ? ", configuration " : "", d->config.file);
	if (api_security(&d->config, &d->security, error) != STATUS_OK ||
	    preflight_run(&d->preflight, &d->config, &d->profile, error) != STATUS_OK ||
	    compose_node(&d->config, &d->profile, &d->node_config, error) != STATUS_OK)
		return error->status;
	d->node = node_start(&d->node_config, error);
	if (!d->node)
		return error->status;
	preflight_remember(&d->preflight, &d->config);
	const struct api_config api = { &d->config, d->node, &d->faults, d->security };
	d->api = api_start(&api, error);
	if (!d->api)
		return error->status;
	d->telemetry = api_telemetry_start(&api);
	return d->telemetry ? STATUS_OK : error_set(error, STATUS_NO_MEMORY, "no memory for the telemetry commands");
}

/* A profile that asks for what a port cannot do is no error, but nobody should believe that it is done. */
static void
tell_copied(const struct daemon *d)
{
	struct port_info info;

	for (uint32_t i = 0; i < d->config.workers && d->profile.external_tx; i++) {
		node_port_info(d->node, i, &info);
		if (info.tails != PORT_TAILS_REFERRED)
			log_warn("worker %u: large values are copied into frames although external_tx is set (%s)", i,
			    info.tails == PORT_TAILS_DRIVER ? "the driver sends no frames of several parts" :
			    "the device reaches packet buffers only, not the cache's memory");
		else
			log_info("worker %u: large values are sent from where they stand", i);
	}
}

static ON_MAIN void
stop(struct daemon *d)
{
	api_telemetry_stop(d->telemetry);
	api_stop(d->api);
	if (d->node)
		node_stop(d->node);
	preflight_release(&d->preflight);
	security_free(d->security);
	log_close();
}

static void
tell_ready(const struct daemon *d)
{
	const struct config *c = &d->config;
	char address[32];

	value_ipv4_prefix_print(&c->ipv4, address, sizeof address);
	log_info("ready: %s, native port %u, %u worker%s", address, c->native_port, c->workers,
	    c->workers == 1 ? "" : "s");
	notify_send("READY=1\nSTATUS=serving on %s with %u worker%s", address, c->workers,
	    c->workers == 1 ? "" : "s");
}

/* SIGHUP: the tokens file was changed. */
static void
reload(void *context)
{
	struct daemon *d = context;
	struct error error;

	if (api_reload(&d->config, d->security, &error) != STATUS_OK)
		log_error("reload: %s; the former tokens stay in force", error.text);
	else if (d->security)
		log_info("reload: %s read again", d->config.control_tokens_file);
	else
		log_info("reload: there is nothing to read again (control.listen is not set)");
}

static ON_MAIN int
run(struct daemon *d)
{
	struct error error;
	int status = EXIT_STOPPED;

	control_block_signals();
	if (start(d, &error) == STATUS_OK) {
		tell_copied(d);
		tell_ready(d);
		if (control_run(&(struct control){ d->node, &d->faults, reload, d }) == 0)
			status = EXIT_REFUSED;
		else
			node_leave(d->node);
	} else {
		log_error("%s", error.text);
		status = EXIT_CANNOT_START;
	}
	stop(d);
	return status;
}

/* What needs no configuration. */
static bool
informed(enum config_action action)
{
	if (action == CONFIG_HELP)
		config_print_help(stdout);
	else if (action == CONFIG_VERSION)
		printf("slipringd %s\n", SLIPRING_VERSION);
	else if (action == CONFIG_MANUAL)
		config_print_manual(stdout);
	else if (action == CONFIG_HTTP)
		openapi_reference(stdout);
	else
		return false;
	return true;
}

int
main(int argc, char **argv)
{
	static struct daemon daemon;
	static struct problems problems;
	enum config_action action;

	role_main_begin();
	config_load(&daemon.config, argc, argv, environ, &action, &problems);
	if (informed(action))
		return EXIT_STOPPED;
	if (!problems.errors)
		profile_load(&daemon.profile, daemon.config.profile, &problems);
	if (!problems.errors && action == CONFIG_CHECK)
		secrets_check(&daemon.config, &problems);
	for (uint32_t i = 0; i < problems.count; i++)
		fprintf(stderr, "slipringd: %s%s\n", problems.list[i].warning ? "warning: " : "", problems.list[i].text);
	if (problems.errors)
		return EXIT_BAD_CONFIG;
	if (action == CONFIG_PRINT)
		config_print(&daemon.config, stdout);
	else if (action == CONFIG_CHECK)
		printf("the configuration is valid\n");
	else
		return run(&daemon);
	return EXIT_STOPPED;
}
