#include "control/openapi.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "control/http.h"

/* Statuses that any route behind a scope may answer; of the rest, 401 and 403 do not apply. */
static const struct {
	const char *status, *text;
	bool guarded;
} common[] = {
	{ "400", "bad_host, bad_request: the request is malformed", false },
	{ "401", "unauthenticated, bad_token, no_certificate: who calls is not known", true },
	{ "403", "forbidden: the caller is known, and its scope does not suffice", true },
	{ "405", "bad_method: Allow lists the methods", false },
	{ "413", "too_large: the body is longer than the path takes", false },
	{ "421", "unknown_host: Host is not this node's", false },
};

static json_t *
error_response(const char *text)
{
	return json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", text, "content", "application/json", "schema", "$ref",
	    "#/components/schemas/Error");
}

/* The reply's members; all of them are always there. */
static json_t *
members(enum route_id route)
{
	json_t *properties = json_object(), *required = json_array();

	for (uint32_t i = 0; i < field_count; i++) {
		if (fields[i].route != route)
			continue;
		int len = (int)strcspn(fields[i].type, "?");
		json_t *schema = json_pack("{s:s%, s:s}", "type", fields[i].type, (size_t)len, "description", fields[i].text);

		if (fields[i].type[len])
			json_object_set_new(schema, "nullable", json_true());
		if (strcmp(fields[i].type, "array") == 0)
			json_object_set_new(schema, "items", json_object());
		json_object_set_new(properties, fields[i].name, schema);
		json_array_append_new(required, json_string(fields[i].name));
	}
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", properties, "required", required);
}

static json_t *
success_response(enum route_id id)
{
	const struct route *route = &routes[id];
	json_t *content;

	if (route->reply == REPLY_TEXT)
		content = json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string");
	else if (route->reply == REPLY_EVENTS)
		content = json_pack("{s:{s:o}}", "text/event-stream", "schema", members(id));
	else if (route->reply == REPLY_BYTES)
		content = json_pack("{s:{s:{s:s, s:s}}, s:{s:o}}", "application/octet-stream", "schema", "type", "string", "format",
		    "binary", "application/json", "schema", members(id));
	else if (route->reply == REPLY_LIST)
		content = json_pack("{s:{s:{s:s, s:o}}}", "application/json", "schema", "type", "array", "items", members(id));
	else
		content = json_pack("{s:{s:o}}", "application/json", "schema", members(id));
	return json_pack("{s:s, s:o}", "description", route->text, "content", content);
}

/* 200, 202 and, of the probes, 503 bear the route's own shape; the rest are errors. */
static json_t *
responses(enum route_id id)
{
	const struct route *route = &routes[id];
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		if (!common[i].guarded || route->scope != SCOPE_NONE)
			json_object_set_new(object, common[i].status, error_response(common[i].text));
	for (const char *at = route->statuses; *at; at += strspn(at, " ")) {
		char status[4] = { at[0], at[1], at[2] };
		bool own = status[0] == '2' || (strcmp(status, "503") == 0 && route->scope == SCOPE_NONE);

		json_object_set_new(object, status, own ? success_response(id) : error_response("see code and error"));
		at += 3;
	}
	return object;
}

static json_t *
parameter_list(enum route_id route)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < parameter_count; i++)
		if (parameters[i].route == route)
			json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:{s:s}}", "in", parameters[i].where, "name",
			    parameters[i].name, "required", parameters[i].required, "description", parameters[i].text,
			    "schema", "type", "string"));
	return list;
}

static json_t *
operation(enum route_id id)
{
	const struct route *route = &routes[id];
	json_t *object = json_pack("{s:s, s:s, s:o, s:o}", "summary", route->text, "x-scope", scope_name(route->scope),
	    "parameters", parameter_list(id), "responses", responses(id));

	if (route->scope == SCOPE_NONE)
		json_object_set_new(object, "security", json_array());
	if (route->body_max)
		json_object_set_new(object, "requestBody", json_pack("{s:b, s:{s:{s:{s:s, s:i}}}}", "required", 1, "content",
		    strcmp(route->method, "POST") == 0 ? "application/json" : "*/*", "schema", "type",
		    strcmp(route->method, "POST") == 0 ? "object" : "string", "maxLength", (int)route->body_max));
	return object;
}

static json_t *
paths(void)
{
	json_t *object = json_object();

	for (int i = 0; i < ROUTE_COUNT; i++) {
		json_t *path = json_object_get(object, routes[i].path);
		char method[16];
		size_t n = 0;

		for (; routes[i].method[n] && n < sizeof method - 1; n++)
			method[n] = (char)tolower((unsigned char)routes[i].method[n]);
		method[n] = '\0';
		if (!path) {
			path = json_object();
			json_object_set_new(object, routes[i].path, path);
		}
		json_object_set_new(path, method, operation((enum route_id)i));
	}
	return object;
}

json_t *
openapi_document(const char *version)
{
	json_t *error = json_pack("{s:s, s:{s:{s:s, s:s}, s:{s:s, s:s}}, s:[s, s]}", "type", "object", "properties",
	    "code", "type", "string", "description", "stable, for programs", "error", "type", "string", "description",
	    "for people", "required", "code", "error");
	json_t *bearer = json_pack("{s:s, s:s}", "type", "http", "scheme", "bearer");

	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:{s:o}, s:{s:o}}, s:[{s:[]}]}", "openapi", "3.0.3", "info", "title",
	    "Slipring control plane", "version", version, "paths", paths(), "components", "schemas", "Error", error,
	    "securitySchemes", "bearer", bearer, "security", "bearer");
}

/* --- YAML -------------------------------------------------------------------------------- */

/* Mappings as blocks; keys, scalars and lists as JSON, which is YAML too (YAML 1.2, 1.3). */
static void
print_yaml(json_t *value, int depth, FILE *out)
{
	const char *key;
	json_t *member;

	if (!json_is_object(value) || json_object_size(value) == 0) {
		fputc(' ', out);
		json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
		fputc('\n', out);
		return;
	}
	if (depth > 0)
		fputc('\n', out);
	json_object_foreach(value, key, member) {
		fprintf(out, "%*s\"%s\":", 2 * depth, "", key); /* of routes and fields: nothing to escape */
		print_yaml(member, depth + 1, out);
	}
}

char *
openapi_yaml(const char *version, size_t *len)
{
	json_t *document = openapi_document(version);
	char *text = NULL;
	FILE *out = document ? open_memstream(&text, len) : NULL;

	if (out) {
		print_yaml(document, 0, out);
		if (fclose(out) != 0) {
			free(text);
			text = NULL;
		}
	}
	json_decref(document);
	return text;
}

/* --- doc/HTTP.md -------------------------------------------------------------------------- */

static void
print_route(enum route_id id, FILE *out)
{
	const struct route *route = &routes[id];
	bool headed = false;

	fprintf(out, "\n## %s %s\n\n%s\n\nScope: %s. Answers %s", route->method, route->path, route->text,
	    scope_name(route->scope), route->reply == REPLY_TEXT ? "text" :
	    route->reply == REPLY_BYTES ? "bytes, or a JSON object" :
	    route->reply == REPLY_EVENTS ? "server-sent events, each a JSON object" :
	    route->reply == REPLY_LIST ? "a JSON list of objects" : "a JSON object");
	if (route->body_max)
		fprintf(out, "; takes a body of at most %u bytes", route->body_max);
	fprintf(out, ". Status: %s.\n", route->statuses);
	for (uint32_t i = 0; i < parameter_count; i++) {
		if (parameters[i].route != id)
			continue;
		fprintf(out, "%s| `%s` | %s%s | %s |\n", headed ? "" : "\n| parameter | where | meaning |\n|---|---|---|\n",
		    parameters[i].name, parameters[i].where, parameters[i].required ? ", required" : "", parameters[i].text);
		headed = true;
	}
	headed = false;
	for (uint32_t i = 0; i < field_count; i++) {
		if (fields[i].route != id)
			continue;
		int len = (int)strcspn(fields[i].type, "?");

		fprintf(out, "%s| `%s` | %.*s%s | %s |\n", headed ? "" : "\n| member | type | meaning |\n|---|---|---|\n",
		    fields[i].name, len, fields[i].type, fields[i].type[len] ? " or null" : "", fields[i].text);
		headed = true;
	}
}

static void
print_limits(FILE *out)
{
	fprintf(out, "| limit | value |\n|---|---|\n");
	fprintf(out, "| connections on the UNIX socket | %d |\n", HTTP_UNIX_MAX);
	fprintf(out, "| connections on TCP, of one address | %d, %d |\n", HTTP_TCP_MAX, HTTP_TCP_PER_ADDRESS_MAX);
	fprintf(out, "| bytes of request line and header fields | about %d |\n", HTTP_CONNECTION_BYTES);
	fprintf(out, "| seconds without a byte | %d |\n", HTTP_IDLE_S);
	fprintf(out, "| seconds from connecting, or the last reply, to the end of the next | %d |\n", HTTP_DEADLINE_S);
}

void
openapi_reference(FILE *out)
{
	fprintf(out,
	    "# The control plane over HTTP\n\n"
	    "<!-- Written by `slipringd --dump-http-md` from lib/control/routes.def and fields.def; a test compares them. -->\n\n"
	    "HTTP/1.1 on the UNIX socket `run_dir/node_id.sock`, and on TCP where `control.listen` says so. A path is\n"
	    "matched as it is sent; `GET` also answers `HEAD`. `GET /openapi.json` is this page for programs.\n\n"
	    "**Who may.** Each path asks for a scope: none, read, write or admin; each includes the one before. The UNIX\n"
	    "socket (mode 0600; the kernel says who connects) gives its owner and root admin. Over TCP a caller sends\n"
	    "`Authorization: Bearer TOKEN`, and `control.tokens_file` says what it may do, one line a caller:\n"
	    "`NAME SCOPE TOKEN`. With `control.tls_client_ca` every caller also needs a client certificate of that\n"
	    "authority; the line `NAME SCOPE -` lets the certificate with the common name NAME do without a token.\n"
	    "The file is read at the start.\n\n"
	    "**Errors** are `{\"code\": \"forbidden\", \"error\": \"this needs scope admin\"}`: the code is stable and for\n"
	    "programs, the text for people. Any path may answer:\n\n"
	    "| status | code and meaning |\n|---|---|\n");
	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		fprintf(out, "| %s | %s |\n", common[i].status, common[i].text);
	fprintf(out, "| 404 | unknown_path: no such path |\n\n**Host.** Over TCP the request's `Host` must be an address, "
	    "`localhost`, the node's name or one of\n`control.host_names`: a web page elsewhere whose name was made to lead here "
	    "is refused.\n\n**Limits.**\n\n");
	print_limits(out);
	for (int i = 0; i < ROUTE_COUNT; i++)
		print_route((enum route_id)i, out);
}
