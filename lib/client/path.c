#include "client/path.h"

#include <unistd.h>

#include "base/now.h"
#include "client/handle.h"

bool
path_open(struct path *path, struct lane *lane, struct node *node, uint32_t worker)
{
	*path = (struct path){ .lane = lane, .node = node, .port = (uint16_t)(node->first_port + worker) };
	path->fd = socket_open(lane->handle, node, path->port);
	if (path->fd < 0)
		path->node = NULL;
	return path->fd >= 0;
}

void
path_close(struct path *path)
{
	if (path->fd >= 0)
		close(path->fd);
	path->fd = -1;
	path->node = NULL;
}

uint64_t
path_rto_ns(const struct slipring *handle, const struct path *path)
{
	uint64_t most = handle->options.try_timeout_us * NS_PER_US;
	uint64_t least = RTO_US_MIN * NS_PER_US;
	uint64_t rto = path->srtt_ns + 4 * path->rttvar_ns;

	if (path->srtt_ns == 0 || rto > most)
		return most;
	return rto > least ? rto : least < most ? least : most;
}

uint64_t
path_repeat_ns(struct slipring *handle, const struct path *path, uint32_t tries)
{
	uint64_t most = RTO_US_MAX * NS_PER_US, first = path_rto_ns(handle, path);
	uint64_t wait = first << (tries - 1 < 16 ? tries - 1 : 16);

	if (wait > most)
		wait = first > most ? first : most;
	return wait - wait / 4 + prng_below(&handle->prng, wait / 2 + 1);
}

void
path_measured(struct path *path, uint64_t rtt_ns)
{
	uint64_t gap;

	if (path->srtt_ns == 0) {
		path->srtt_ns = rtt_ns;
		path->rttvar_ns = rtt_ns / 2;
		return;
	}
	gap = rtt_ns > path->srtt_ns ? rtt_ns - path->srtt_ns : path->srtt_ns - rtt_ns;
	path->rttvar_ns += gap / 4 - path->rttvar_ns / 4;
	path->srtt_ns += rtt_ns / 8 - path->srtt_ns / 8;
	if (path->srtt_ns == 0)
		path->srtt_ns = 1;
}

bool
path_waited(struct slipring *handle, struct path *path, uint64_t now_ns)
{
	if (path->waits++ == 0)
		path->waiting_ns = now_ns;
	if (path->network_error == 0 && path->waits < PATH_SILENT_WAITS &&
	    (path->waits < PATH_SILENT_WAITS - 1 || now_ns - path->waiting_ns < PATH_SILENT_MS * NS_PER_MS))
		return false;
	/* Several lanes find out at once: the first tells, the others must not double the pause. */
	if (node_is_up(path->node) || now_ns >= path->node->retry_ns)
		node_failed(handle, path->node, now_ns);
	path->lane->restless = handle->node_count > 1 && !path->lane->own;
	return true;
}

void
path_heard(struct path *path)
{
	path->waits = 0;
	path->network_error = 0;
	node_heard(path->node);
}
