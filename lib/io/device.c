#include "io/device.h"

#include <stdio.h>
#include <string.h>

static bool
is_pci(const struct io_config *config)
{
	return strcmp(config->profile.driver, "pci") == 0;
}

uint32_t
io_queue_of(const struct io_config *config, uint32_t worker)
{
	uint32_t queue = 0;

	for (uint32_t i = 0; i < worker; i++)
		queue += strcmp(config->interfaces[i], config->interfaces[worker]) == 0;
	return queue;
}

bool
device_is_shared(const struct io_config *config, uint32_t worker)
{
	return is_pci(config) && io_queue_of(config, worker) > 0;
}

uint32_t
device_queues(const struct io_config *config, uint32_t worker)
{
	uint32_t queues = 0;

	if (!is_pci(config))
		return 1;
	for (uint32_t i = 0; i < config->worker_count; i++)
		queues += strcmp(config->interfaces[i], config->interfaces[worker]) == 0;
	return queues;
}

void
device_name(const struct io_config *config, uint32_t worker, char name[DEVICE_NAME_SIZE])
{
	if (is_pci(config))
		snprintf(name, DEVICE_NAME_SIZE, "%s", config->interfaces[worker]);
	else
		snprintf(name, DEVICE_NAME_SIZE, "%s%u", config->profile.driver, worker);
}

void
device_arguments(const struct io_config *config, uint32_t worker, char *out, size_t size)
{
	const char *from = config->profile.arguments;
	size_t at = 0;

	out[0] = '\0';
	while (*from && at + 1 < size) {
		int n = 1;

		if (strncmp(from, "{interface}", 11) == 0) {
			n = snprintf(out + at, size - at, "%s", config->interfaces[worker]);
			from += 11;
		} else if (strncmp(from, "{queue}", 7) == 0) {
			n = snprintf(out + at, size - at, "%u", io_queue_of(config, worker));
			from += 7;
		} else {
			out[at] = *from++;
			out[at + 1] = '\0';
		}
		at += (size_t)n;
	}
}
