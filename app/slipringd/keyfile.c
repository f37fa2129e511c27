#include "keyfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE_MAX = 256 };

/* 64 hex digits and nothing else but white space around them. */
static bool
parse_hex(char *text, uint8_t key[KEYFILE_KEY_LEN])
{
	char *start = text + strspn(text, " \t\r\n");
	size_t digits = strspn(start, "0123456789abcdefABCDEF");

	if (digits != 2 * KEYFILE_KEY_LEN || start[digits + strspn(start + digits, " \t\r\n")])
		return false;
	for (int i = 0; i < KEYFILE_KEY_LEN; i++) {
		char pair[3] = { start[2 * i], start[2 * i + 1] };

		key[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return true;
}

static enum status
read_open(const char *name, int fd, const char *path, uint8_t key[KEYFILE_KEY_LEN], struct error *error)
{
	char text[FILE_SIZE_MAX + 1];
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return error_set(error, STATUS_INVALID, "%s %s: not a regular file", name, path);
	if (st.st_mode & 077)
		return error_set(error, STATUS_INVALID, "%s %s: others may read it (mode %04o): "
		    "chmod 600 %s", name, path, st.st_mode & 07777, path);
	ssize_t len = read(fd, text, FILE_SIZE_MAX);
	text[len > 0 ? len : 0] = '\0';
	bool good = len > 0 && parse_hex(text, key);
	explicit_bzero(text, sizeof text);
	return good ? STATUS_OK : error_set(error, STATUS_INVALID, "%s %s: must hold %d hex digits; "
	    "make one: head -c %d /dev/urandom | od -An -tx1 | tr -d ' \\n'", name, path, 2 * KEYFILE_KEY_LEN,
	    KEYFILE_KEY_LEN);
}

enum status
keyfile_read(const char *name, const char *path, uint8_t key[KEYFILE_KEY_LEN], struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_set(error, STATUS_INVALID, "%s %s: %s", name, path, strerror(errno));
	enum status status = read_open(name, fd, path, key, error);
	close(fd);
	return status;
}
