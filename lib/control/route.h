/*
 * route.h - the control plane's paths: which there are, and which one a request means.
 *
 * Purpose: routes.def as a table. A path is compared byte by byte as it came, not
 *   decoded: no path has two spellings. A route that ends in "/{name}" takes one
 *   more segment, which may hold percent-encoded bytes.
 * Threads: any. Memory: read-only tables.
 * Invariants: 1. no two routes have the same method and path.
 */
#ifndef CONTROL_ROUTE_H
#define CONTROL_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

/* What a caller may do; each includes the ones before it. */
enum control_scope { SCOPE_NONE = 0, SCOPE_READ, SCOPE_WRITE, SCOPE_ADMIN };

enum reply_kind { REPLY_OBJECT, REPLY_LIST, REPLY_TEXT, REPLY_BYTES, REPLY_EVENTS };

enum route_id {
#define ROUTE(suffix, method, path, scope, kind, body, statuses, text) ROUTE_##suffix,
#include "control/routes.def"
#undef ROUTE
	ROUTE_COUNT,
	ROUTE_NOT_FOUND,  /* no such path */
	ROUTE_NOT_ALLOWED /* the path is there, and does not take the method */
};

struct route {
	const char *method, *path;
	enum control_scope scope;
	enum reply_kind reply;
	uint32_t body_max; /* bytes; 0: none is read */
	const char *statuses, *text;
};

struct field {
	enum route_id route;
	const char *name, *type, *text;
};

struct parameter {
	enum route_id route;
	const char *where, *name;
	bool required;
	const char *text;
};

extern const struct route routes[ROUTE_COUNT];
extern const struct field fields[];
extern const uint32_t field_count;
extern const struct parameter parameters[];
extern const uint32_t parameter_count;

const char *scope_name(enum control_scope scope); /* "none", "read", "write", "admin" */
bool scope_parse(const char *text, enum control_scope *scope); /* read, write, admin */

/* *tail is what stands for "{name}", undecoded; NULL without one. */
enum route_id route_find(const char *method, const char *path, const char **tail);
/* The methods a path takes, "GET, HEAD, PUT"; "" when there is no such path. */
void route_allowed(const char *path, char *text, uint32_t size);

#endif
