#include "control/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t
read_all(int fd, char *text)
{
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, text + len, SECRET_FILE_MAX + 1 - len)) > 0)
		len += (size_t)got;
	return got < 0 ? got : (ssize_t)len;
}

static char *
read_open(int fd, const char *key, const char *path, bool secret, struct error *error)
{
	struct stat st;
	char *text;
	ssize_t len;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		error_set(error, STATUS_INVALID, "%s %s: not a regular file", key, path);
		return NULL;
	}
	if (secret && st.st_mode & 077) {
		error_set(error, STATUS_INVALID, "%s %s: others may read it (mode %04o): chmod 600 %s", key, path,
		    st.st_mode & 07777, path);
		return NULL;
	}
	text = calloc(1, SECRET_FILE_MAX + 2);
	len = text ? read_all(fd, text) : -1;
	if (len >= 0 && len <= SECRET_FILE_MAX && strlen(text) == (size_t)len)
		return text;
	error_set(error, STATUS_INVALID, "%s %s: %s", key, path, len < 0 ? "cannot be read" :
	    len > SECRET_FILE_MAX ? "longer than 64 KiB" : "not a text");
	secret_file_free(text);
	return NULL;
}

char *
secret_file_read(const char *key, const char *path, bool secret, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0) {
		error_set(error, STATUS_INVALID, "%s %s: %s", key, path, strerror(errno));
		return NULL;
	}
	text = read_open(fd, key, path, secret, error);
	close(fd);
	return text;
}

void
secret_file_free(char *text)
{
	if (text)
		explicit_bzero(text, SECRET_FILE_MAX + 2);
	free(text);
}
