/*
 * A reply that goes on: bytes are pulled from its source as they come, and while there are
 * none the connection is suspended; the server's step wakes it to ask again.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "control/server.h"

struct stream {
	struct http *http;
	struct link *link;
	struct MHD_Connection *connection;
	struct http_stream source;
	bool asleep, gone; /* gone: the caller hung up, or the server stops */
};

static ssize_t
pull(void *context, uint64_t at, char *out, size_t size)
{
	struct stream *stream = context;
	size_t len = stream->gone ? HTTP_STREAM_END : stream->source.pull(stream->source.context, out, size);

	(void)at;
	if (len == HTTP_STREAM_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (stream->link)
		stream->link->since_ms = server_now_ms(); /* it takes what there is: not overdue */
	if (len == 0) {
		stream->asleep = true;
		MHD_suspend_connection(stream->connection);
	}
	return (ssize_t)len;
}

static void
end(void *context)
{
	struct stream *stream = context;

	stream->source.end(stream->source.context);
	if (stream->link && stream->link->stream == stream)
		stream->link->stream = NULL;
	free(stream);
}

struct MHD_Response *
stream_response(struct http *http, struct MHD_Connection *connection, const struct http_stream *source)
{
	struct stream *stream = calloc(1, sizeof *stream);
	struct MHD_Response *response = NULL;

	if (!stream) {
		source->end(source->context);
		return NULL;
	}
	*stream = (struct stream){ .http = http, .connection = connection, .source = *source };
	stream->link = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_STREAM_BLOCK, pull, stream, end);
	if (!response)
		end(stream);
	else if (stream->link)
		stream->link->stream = stream;
	return response;
}

/* A caller that hangs up is not heard while its connection is suspended. */
static bool
hung_up(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool
stream_wake(struct http *http, bool stop)
{
	bool any = false;

	for (int i = 0; i < LINKS_MAX; i++) {
		struct stream *stream = http->links[i].used ? http->links[i].stream : NULL;

		if (!stream)
			continue;
		any = true;
		stream->gone |= stop || hung_up(http->links[i].fd);
		if (!stream->asleep)
			continue;
		stream->asleep = false;
		MHD_resume_connection(stream->connection);
	}
	return any;
}
