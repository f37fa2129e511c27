#include "slipringd/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 256, TEXT_SIZE = 32 };

enum status
floor_read(const char *path, uint64_t *epoch, struct error *error)
{
	char text[TEXT_SIZE] = "", *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	*epoch = 0;
	if (fd < 0)
		return errno == ENOENT ? STATUS_OK : error_set(error, STATUS_IO, "state_dir: %s: %s", path, strerror(errno));
	len = read(fd, text, sizeof text - 1);
	close(fd);
	errno = 0;
	*epoch = strtoull(text, &end, 10);
	if (len <= 0 || text[0] < '0' || text[0] > '9' || *end != '\n' || errno != 0)
		return error_set(error, STATUS_INVALID, "state_dir: %s does not hold an epoch's number; remove it if no other "
		    "node of the cluster is older than this one", path);
	return STATUS_OK;
}

static bool
write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	return write(fd, text, len) == (ssize_t)len && fdatasync(fd) == 0;
}

/* The directory's entry must be on disk too. */
static bool
sync_directory(const char *path)
{
	char copy[PATH_SIZE];
	bool good;
	int fd;

	snprintf(copy, sizeof copy, "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	good = fsync(fd) == 0;
	close(fd);
	return good;
}

enum status
floor_write(const char *path, uint64_t epoch, struct error *error)
{
	char fresh[PATH_SIZE], text[TEXT_SIZE];
	bool good;
	int fd;

	snprintf(fresh, sizeof fresh, "%s.new", path);
	snprintf(text, sizeof text, "%" PRIu64 "\n", epoch);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	good = fd >= 0 && write_all(fd, text);
	if (fd >= 0)
		close(fd);
	if (!good || rename(fresh, path) != 0 || !sync_directory(path))
		return error_set(error, STATUS_IO, "state_dir: %s: %s", path, strerror(errno));
	return STATUS_OK;
}
