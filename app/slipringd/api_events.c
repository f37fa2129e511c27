#include "slipringd/api_events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "slipringd/api_json.h"

enum { EVENT_SIZE = 1024, BATCH = 32 };

struct listener {
	struct api_events *events;
	uint64_t sequence; /* of the last event told */
	uint64_t told_ms;
	bool follow, begun;
	bool reset;        /* the numbers it knows are of a former life of this process */
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- as text --------------------------------------------------------------------------- */

static const char *
event_name(const struct core_event *event)
{
	return event->news ? cluster_news_name(event->news) : "epoch";
}

static json_t *
state_json(uint8_t state)
{
	return state ? json_string(member_state_name(state)) : json_null();
}

static json_t *
event_object(const struct core_event *event)
{
	return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:f}", "sequence", (json_int_t)event->sequence, "time_ms",
	    (json_int_t)event->wall_ms, "event", event_name(event), "node_id",
	    *event->id ? json_string(event->id) : json_null(), "status", state_json(event->state), "status_before",
	    state_json(event->state_before), "incarnation", (json_int_t)event->incarnation, "epoch",
	    (json_int_t)event->epoch, "duration_ms", (double)event->ns / 1e6);
}

/* Where the text goes. */
struct page {
	char *out;
	size_t len, size;
};

static void __attribute__((format(printf, 2, 3)))
add(struct page *page, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int len = vsnprintf(page->out + page->len, page->size - page->len, format, arguments);
	va_end(arguments);
	if (len > 0 && (size_t)len < page->size - page->len)
		page->len += (size_t)len;
}

static void
add_event(struct page *page, const struct core_event *event)
{
	json_t *object = event_object(event);
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));

	if (text)
		add(page, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)event->sequence, event_name(event), text);
	free(text);
	json_decref(object);
}

/* --- the stream ------------------------------------------------------------------------ */

/* What a listener must know before the next event: that some are lost to it. */
static void
add_gap(struct listener *listener, struct page *page, uint64_t next)
{
	if (listener->reset)
		add(page, "event: reset\ndata: {\"next\":%llu}\n\n", (unsigned long long)next);
	else if (listener->sequence && next > listener->sequence + 1)
		add(page, "event: missed\ndata: {\"from\":%llu,\"to\":%llu}\n\n", (unsigned long long)listener->sequence + 1,
		    (unsigned long long)next - 1);
	listener->reset = false;
}

static void
add_events(struct listener *listener, struct page *page)
{
	struct core_event event;
	uint64_t sequence = listener->sequence;

	while (page->size - page->len >= EVENT_SIZE + 128 && core_events(listener->events->core, &sequence, &event, 1) == 1) {
		add_gap(listener, page, event.sequence);
		add_event(page, &event);
		listener->sequence = sequence = event.sequence;
	}
}

static size_t
pull(void *context, char *out, size_t size)
{
	struct listener *listener = context;
	struct page page = { .out = out, .size = size };
	uint64_t now = now_ms();

	if (!listener->begun)
		add(&page, "retry: 1000\n\n");
	listener->begun = true;
	add_events(listener, &page);
	if (page.len == 0 && !listener->follow)
		return HTTP_STREAM_END;
	if (page.len == 0 && now - listener->told_ms >= API_EVENTS_COMMENT_MS)
		add(&page, ": still here\n\n");
	if (page.len)
		listener->told_ms = now;
	return page.len;
}

static void
end(void *context)
{
	struct listener *listener = context;

	listener->events->listeners--;
	free(listener);
}

/* --- who listens, and from where on ---------------------------------------------------- */

static uint64_t
newest(struct core *core)
{
	struct core_event events[BATCH];
	uint64_t sequence = 0;

	while (core_events(core, &sequence, events, BATCH) > 0)
		;
	return sequence;
}

/* Last-Event-ID, else ?since=, else what happens from now on. */
static bool
read_start(const struct http_request *request, struct listener *listener)
{
	const char *last = http_header(request, "Last-Event-ID");
	uint64_t end_of_list = newest(listener->events->core);
	char since[24];

	if (!last)
		last = http_query(request, "since", since, sizeof since);
	listener->sequence = end_of_list;
	if (!last)
		return !http_has_query(request, "since");
	if (!api_parse_number(last, UINT64_MAX, &listener->sequence))
		return false;
	if (listener->sequence > end_of_list) {
		listener->reset = true;
		listener->sequence = 0;
	}
	return true;
}

static bool
read_follow(const struct http_request *request, bool *follow)
{
	char text[8] = "true";

	if (!http_query(request, "follow", text, sizeof text) && http_has_query(request, "follow"))
		return false;
	*follow = strcmp(text, "true") == 0;
	return *follow || strcmp(text, "false") == 0;
}

void
api_events_get(struct api_events *events, const struct http_request *request, struct http_reply *reply)
{
	struct listener *listener;
	bool follow;

	if (!events->core) {
		http_refuse(reply, 409, "not_clustered", "this node runs by itself; cluster.enabled makes it one of several");
		return;
	}
	if (events->listeners == API_LISTENERS_MAX) {
		http_refuse(reply, 503, "too_many_listeners", "as many listen as may; come back when one has gone");
		return;
	}
	listener = calloc(1, sizeof *listener);
	if (!listener) {
		http_refuse(reply, 507, "out_of_memory", "no memory for a listener");
		return;
	}
	listener->events = events;
	if (!read_start(request, listener) || !read_follow(request, &follow)) {
		free(listener);
		http_refuse(reply, 400, "bad_event_id", "Last-Event-ID and since must be numbers of events, follow true or false");
		return;
	}
	listener->follow = follow;
	events->listeners++;
	reply->type = "text/event-stream";
	reply->stream = (struct http_stream){ pull, end, listener };
}
