#include "control/route.h"

#include <stdio.h>
#include <string.h>

const struct route routes[ROUTE_COUNT] = {
#define ROUTE(suffix, method, path, scope, kind, body, statuses, text) \
	{ method, path, SCOPE_##scope, REPLY_##kind, body, statuses, text },
#include "control/routes.def"
#undef ROUTE
};

#define PARAMETER(suffix, where, name, required, text)
const struct field fields[] = {
#define FIELD(suffix, name, type, text) { ROUTE_##suffix, name, type, text },
#include "control/fields.def"
#undef FIELD
};
#undef PARAMETER
const uint32_t field_count = sizeof fields / sizeof *fields;

#define FIELD(suffix, name, type, text)
const struct parameter parameters[] = {
#define PARAMETER(suffix, where, name, required, text) { ROUTE_##suffix, where, name, required, text },
#include "control/fields.def"
#undef PARAMETER
};
#undef FIELD
const uint32_t parameter_count = sizeof parameters / sizeof *parameters;

static const char *const scopes[] = { "none", "read", "write", "admin" };

const char *
scope_name(enum control_scope scope)
{
	return scopes[scope];
}

bool
scope_parse(const char *text, enum control_scope *scope)
{
	for (int i = SCOPE_READ; i <= SCOPE_ADMIN; i++) {
		if (strcmp(text, scopes[i]) != 0)
			continue;
		*scope = (enum control_scope)i;
		return true;
	}
	return false;
}

static bool
is_path(const struct route *route, const char *path, const char **tail)
{
	const char *brace = strchr(route->path, '{');
	size_t len = brace ? (size_t)(brace - route->path) : 0;

	*tail = NULL;
	if (!brace)
		return strcmp(route->path, path) == 0;
	*tail = path + len;
	return strncmp(route->path, path, len) == 0 && path[len] && !strchr(path + len, '/');
}

enum route_id
route_find(const char *method, const char *path, const char **tail)
{
	enum route_id found = ROUTE_NOT_FOUND;

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (int i = 0; i < ROUTE_COUNT; i++) {
		if (!is_path(&routes[i], path, tail))
			continue;
		if (strcmp(routes[i].method, method) == 0)
			return (enum route_id)i;
		found = ROUTE_NOT_ALLOWED;
	}
	*tail = NULL;
	return found;
}

void
route_allowed(const char *path, char *text, uint32_t size)
{
	const char *tail;
	uint32_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < ROUTE_COUNT && at < size; i++)
		if (is_path(&routes[i], path, &tail) && !strstr(text, routes[i].method))
			at += (uint32_t)snprintf(text + at, size - at, "%s%s%s", at ? ", " : "", routes[i].method,
			    strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
}
