/* EAL start-up: from a configuration to an argument vector. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "base/check.h"
#include "io/device.h"
#include "io/io.h"
#include "io/pool.h"
#include "io/tail.h"

enum { ARGUMENTS_MAX = 64, ARGUMENT_SIZE = 256 };

static char telemetry_folder[sizeof((struct io_config *)0)->runtime_dir + sizeof((struct io_config *)0)->name + 8];

struct arguments {
	char text[ARGUMENTS_MAX][ARGUMENT_SIZE];
	char *vector[ARGUMENTS_MAX + 1];
	int count;
};

static void __attribute__((format(printf, 2, 3)))
add(struct arguments *a, const char *format, ...)
{
	va_list list;

	CHECK(a->count < ARGUMENTS_MAX);
	va_start(list, format);
	vsnprintf(a->text[a->count], ARGUMENT_SIZE, format, list);
	va_end(list);
	a->vector[a->count] = a->text[a->count];
	a->count++;
}

/* lcore 0 is the control core and runs main; lcore i + 1 is worker i. */
static void
add_lcores(struct arguments *a, const struct io_config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char text[ARGUMENT_SIZE];
	int at = 0;

	for (uint32_t lcore = 0; lcore <= config->worker_count; lcore++) {
		uint32_t cpu = lcore ? config->worker_cpus[lcore - 1] : config->control_cpu;

		if (config->float_lcores)
			at += snprintf(text + at, sizeof text - (size_t)at, "%s%u@(0-%ld)",
			    lcore ? "," : "", lcore, cpus - 1);
		else
			at += snprintf(text + at, sizeof text - (size_t)at, "%s%u@%u",
			    lcore ? "," : "", lcore, cpu);
	}
	add(a, "--lcores");
	add(a, "%s", text);
}

/* Why each: --in-memory leaves nothing behind after kill -9, but needs huge pages;
 * VA addresses need no physical ones. */
static void
add_memory(struct arguments *a, const struct io_config *config)
{
	add(a, "--iova-mode=va");
	if (config->no_huge) {
		add(a, "--no-huge");
		add(a, "--no-shconf");
		add(a, "-m");
		add(a, "%u", config->memory_mb);
	} else {
		add(a, "--in-memory");
	}
}

/* EAL puts its folder where systemd's variable says; the name tells nodes of one machine apart. */
static void
add_telemetry(struct arguments *a, const struct io_config *config)
{
	telemetry_folder[0] = '\0';
	if (!config->runtime_dir[0]) {
		add(a, "--no-telemetry");
		return;
	}
	snprintf(telemetry_folder, sizeof telemetry_folder, "%s/dpdk/%s", config->runtime_dir, config->name);
	setenv("RUNTIME_DIRECTORY", config->runtime_dir, 1);
	add(a, "--file-prefix=%s", config->name);
}

/* For its owner and root only, as the control socket is: DPDK leaves it to the umask. */
static void
protect_telemetry(void)
{
	char socket[sizeof telemetry_folder + 32];

	if (!telemetry_folder[0])
		return;
	snprintf(socket, sizeof socket, "%s/dpdk_telemetry.v2", telemetry_folder);
	chmod(socket, 0600);
}

/* EAL leaves its folders and the socket behind; folders in which others are at home stay. */
static void
remove_telemetry(void)
{
	char socket[sizeof telemetry_folder + 32];

	if (!telemetry_folder[0])
		return;
	snprintf(socket, sizeof socket, "%s/dpdk_telemetry.v2", telemetry_folder);
	unlink(socket);
	rmdir(telemetry_folder);
	*strrchr(telemetry_folder, '/') = '\0';
	rmdir(telemetry_folder);
}

static void
add_devices(struct arguments *a, const struct io_config *config)
{
	char name[DEVICE_NAME_SIZE], vdev[ARGUMENT_SIZE];

	if (strcmp(config->profile.driver, "pci") != 0)
		add(a, "--no-pci");
	for (uint32_t i = 0; i < config->worker_count; i++) {
		if (device_is_shared(config, i))
			continue;
		device_name(config, i, name);
		if (strcmp(config->profile.driver, "pci") == 0) {
			add(a, "-a");
			add(a, "%s", name);
		} else {
			device_arguments(config, i, vdev, sizeof vdev);
			add(a, "--vdev=%s%s%s", name, vdev[0] ? "," : "", vdev);
		}
	}
}

static void
add_extra(struct arguments *a, const char *extra)
{
	char text[sizeof((struct io_profile *)0)->eal];
	char *save = NULL;

	snprintf(text, sizeof text, "%s", extra);
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		add(a, "%s", word);
}

enum status
io_start(const struct io_config *config, struct error *error)
{
	static struct arguments arguments; /* EAL keeps pointers into it */

	CHECK(config->worker_count >= 1 && config->worker_count <= WORKER_MAX);
	arguments.count = 0;
	add(&arguments, "slipringd");
	add_lcores(&arguments, config);
	add_memory(&arguments, config);
	add_telemetry(&arguments, config);
	add_devices(&arguments, config);
	add(&arguments, "--log-level=lib.*:error");
	add(&arguments, "--log-level=pmd.*:error");
	add_extra(&arguments, config->profile.eal);
	if (rte_eal_init(arguments.count, arguments.vector) < 0)
		return error_set(error, STATUS_UNAVAILABLE,
		    "DPDK did not start (%s): its own message stands above; check the interface name, "
		    "root rights, and free huge pages (grep Huge /proc/meminfo)",
		    rte_strerror(rte_errno));
	protect_telemetry();
	return STATUS_OK;
}

void
io_stop(void)
{
	rte_eal_cleanup();
	remove_telemetry();
}

enum status
io_launch(uint32_t worker, int (*main)(void *), void *argument)
{
	return rte_eal_remote_launch(main, argument, worker + 1) == 0 ? STATUS_OK : STATUS_UNAVAILABLE;
}

int
io_join(uint32_t worker)
{
	return rte_eal_wait_lcore(worker + 1);
}

uint64_t
io_huge_free_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long long pages = 0, size_kb = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof line, file)) {
		sscanf(line, "HugePages_Free: %llu", &pages);
		sscanf(line, "Hugepagesize: %llu kB", &size_kb);
	}
	fclose(file);
	return pages * size_kb * 1024;
}

uint32_t
io_memory_mb(const struct io_config *config, uint64_t table_bytes)
{
	uint64_t pools = config->worker_count * ((uint64_t)config->profile.mbufs * pool_buffer_bytes(config->profile.driver) +
	    tail_pool_bytes(&config->profile));
	uint64_t fixed = 12ull << 20; /* EAL's own, rings, mempool caches: measured 9 MiB */

	return (uint32_t)((pools + table_bytes + table_bytes / 8 + fixed + (1 << 20) - 1) >> 20);
}
