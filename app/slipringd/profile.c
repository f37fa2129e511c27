#include "profile.h"

#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SLIPRING_PREFIX
#define SLIPRING_PREFIX "/usr/local"
#endif

static const struct key keys[] = {
#define KEY(field, kind, preset, min, max, help) \
	{ #field, KIND_##kind, offsetof(struct io_profile, field), sizeof(((struct io_profile *)0)->field), \
	  min, max, NULL, preset, help },
#include "profile.def"
#undef KEY
};

enum { PROFILE_KEY_COUNT = sizeof keys / sizeof *keys };

struct schema
profile_schema(void)
{
	return (struct schema){ "profile", keys, PROFILE_KEY_COUNT, 0 };
}

static const char *const drivers[] = {
	"net_af_xdp", "net_af_packet", "net_virtio_user", "net_vhost", "net_ring", "pci",
};

static bool
is_driver(const char *name)
{
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
		if (strcmp(drivers[i], name) == 0)
			return true;
	return false;
}

/*
 * Packets that are never free: the worker's spares, the pool's per-core cache
 * (256, filled half as much again), and what the driver's queues hold.
 * Measured: AF_XDP's fill ring takes 2048 whatever rx_descriptors says.
 */
static uint32_t
mbufs_needed(const struct io_profile *profile)
{
	uint32_t queues = 0;

	if (strcmp(profile->driver, "net_af_xdp") == 0)
		queues = 2048;
	else if (strcmp(profile->driver, "pci") == 0)
		queues = (uint32_t)profile->rx_descriptors + profile->tx_descriptors;
	return SPARE_MAX + 384 + queues;
}

/* Rules that a range cannot say; each comes from a failure that is silent at run time. */
static void
verify(const struct io_profile *profile, const char *file, struct problems *problems)
{
	if (!is_driver(profile->driver))
		problems_add(problems, false, "%s: driver: '%s' is not known (allowed: net_af_xdp, net_af_packet, "
		    "net_virtio_user, net_vhost, net_ring, pci)", file, profile->driver);
	if (profile->queues > 1 && strcmp(profile->driver, "pci") != 0)
		problems_add(problems, false, "%s: queues: %u, but only driver pci has several queues a port; "
		    "list one interface for each worker instead", file, profile->queues);
	if (profile->mbufs < mbufs_needed(profile))
		problems_add(problems, false, "%s: mbufs: %u is too few for %s, whose queues, with the worker's spare "
		    "packets, take %u; a port without free ones receives nothing", file, profile->mbufs,
		    profile->driver, mbufs_needed(profile));
	if (strcmp(profile->driver, "net_af_xdp") == 0 && profile->external_tx)
		problems_add(problems, false, "%s: external_tx: net_af_xdp sends external buffers without their "
		    "bytes; say false", file);
}

static void
finish(struct io_profile *profile, const char *name, const char *file, struct problems *problems)
{
	snprintf(profile->name, sizeof profile->name, "%s", name);
	if (!problems->errors)
		verify(profile, file, problems);
}

void
profile_read(struct io_profile *profile, const char *name, const char *file, const void *bytes, size_t len,
    struct problems *problems)
{
	struct origin origins[PROFILE_KEY_COUNT] = { 0 };
	struct schema schema = profile_schema();

	memset(profile, 0, sizeof *profile);
	schema_defaults(&schema, profile);
	schema_read_yaml(&schema, file, bytes, len, profile, origins, problems);
	finish(profile, name, file, problems);
}

/* DIRECTORY/NAME.yaml, when it can be read. */
static bool
find_in(const char *directory, const char *name, char *path, size_t size)
{
	int len = snprintf(path, size, "%s/%s.yaml", directory, name);

	return len > 0 && (size_t)len < size && access(path, R_OK) == 0;
}

/* drivers-config beside or above the program: it runs from its source tree. */
static bool
find_in_tree(const char *name, char *path, size_t size)
{
	char program[PATH_MAX], directory[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);

	if (len < 0)
		return false;
	program[len] = '\0';
	for (int up = 0; up < 6; up++) {
		char *slash = strrchr(program, '/');

		if (!slash)
			return false;
		*slash = '\0';
		snprintf(directory, sizeof directory, "%s/drivers-config", program);
		if (find_in(directory, name, path, size))
			return true;
	}
	return false;
}

void
profile_load(struct io_profile *profile, const char *name, struct problems *problems)
{
	static const char installed[] = SLIPRING_PREFIX "/share/slipring/drivers-config";
	const char *given = getenv("SLIPRING_PROFILES");
	struct origin origins[PROFILE_KEY_COUNT] = { 0 };
	struct schema schema = profile_schema();
	char path[PATH_MAX];

	memset(profile, 0, sizeof *profile);
	schema_defaults(&schema, profile);
	/* A program run from its tree takes the tree's, whatever an older installation left. */
	if (!(given && find_in(given, name, path, sizeof path)) && !find_in_tree(name, path, sizeof path) &&
	    !find_in(installed, name, path, sizeof path)) {
		problems_add(problems, false, "profile: no file %s.yaml in %s%sdrivers-config near the program or %s; "
		    "set SLIPRING_PROFILES to the directory that has it", name, given ? given : "",
		    given ? ", " : "", installed);
		return;
	}
	schema_read_file(&schema, path, profile, origins, problems);
	finish(profile, name, path, problems);
}
