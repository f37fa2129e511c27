#include "usocket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool
fill_address(const char *path, struct sockaddr_un *address)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof address->sun_path)
		return false;
	memcpy(address->sun_path, path, len + 1);
	return true;
}

bool
usocket_is_listening(const char *path)
{
	struct sockaddr_un address;
	bool listening = false;

	if (!fill_address(path, &address))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	/* EAGAIN: somebody listens, and the queue of who wants in is full. */
	listening = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
	close(fd);
	return listening;
}

enum status
usocket_clear(const char *path, struct error *error)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return STATUS_OK;
	if (!S_ISSOCK(st.st_mode))
		return error_set(error, STATUS_UNAVAILABLE, "%s is in the way of the socket and is none itself; "
		    "remove it or give another path", path);
	if (usocket_is_listening(path))
		return error_set(error, STATUS_UNAVAILABLE, "another process listens on %s; stop it or give another "
		    "path or node_id", path);
	if (unlink(path) != 0)
		return error_set(error, STATUS_IO, "cannot remove the stale socket %s: %s", path, strerror(errno));
	return STATUS_OK;
}

int
usocket_listen(const char *path, struct error *error)
{
	struct sockaddr_un address;

	if (usocket_clear(path, error) != STATUS_OK)
		return -1;
	int fd = fill_address(path, &address) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	/* bind(2) makes the file with 0777 less the umask, and nobody may slip in before chmod(2). */
	mode_t mask = umask(0177);
	bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
	umask(mask);
	if (bound && listen(fd, 64) == 0)
		return fd;
	error_set(error, STATUS_IO, "cannot listen on %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
