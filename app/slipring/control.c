#include "control.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_MS = 5000, PORT = 7480, PATH_SIZE = 1024, TOKEN_SIZE = 512 };

struct control {
	CURL *curl;
	char socket[108], url[PATH_SIZE]; /* url: up to the path */
	char token[TOKEN_SIZE];           /* "Authorization: Bearer ..." */
	char error[CURL_ERROR_SIZE];
};

/* --- where ------------------------------------------------------------------------------ */

static const char *
run_dir(void)
{
	const char *folder = getenv("SLIPRING_RUN_DIR");

	return folder && folder[0] ? folder : "/run/slipring";
}

static bool
is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* The one socket of this machine, when there is one only. */
static bool
only_socket(char *path, size_t size)
{
	DIR *folder = opendir(run_dir());
	struct dirent *entry;
	int count = 0;

	while (folder && (entry = readdir(folder))) {
		const char *dot = strrchr(entry->d_name, '.');
		char one[PATH_SIZE];

		if (!dot || strcmp(dot, ".sock") != 0)
			continue;
		snprintf(one, sizeof one, "%s/%s", run_dir(), entry->d_name);
		if (is_socket(one) && ++count == 1)
			snprintf(path, size, "%s", one);
	}
	if (folder)
		closedir(folder);
	return count == 1;
}

/* A path, or a URL without a path. */
static int
at_place(struct cli *cli, struct control *control, const char *where)
{
	size_t len = strlen(where);

	if (strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0) {
		while (len > 0 && where[len - 1] == '/')
			len--;
		snprintf(control->url, sizeof control->url, "%.*s", (int)len, where);
		return EXIT_OK;
	}
	if (len >= sizeof control->socket)
		return cli_fail(cli, EXIT_USAGE, "%s: too long for a socket's path", where);
	if (!is_socket(where))
		return cli_fail(cli, errno == EACCES ? EXIT_USAGE : EXIT_UNREACHABLE, "%s: no socket, and no URL that begins with "
		    "http:// or https://", where);
	memcpy(control->socket, where, len + 1);
	snprintf(control->url, sizeof control->url, "http://localhost");
	return EXIT_OK;
}

static int
at_host(struct cli *cli, struct control *control, const char *host)
{
	const char *end = host + strlen(host);
	bool bare = host[0] != '[' && strchr(host, ':') != strrchr(host, ':'); /* an IPv6 address */
	bool has_port = !bare && (host[0] == '[' ? end[-1] != ']' : strchr(host, ':') != NULL);
	char path[PATH_SIZE], url[PATH_SIZE];

	snprintf(path, sizeof path, "%s/%s.sock", run_dir(), host);
	if (!strchr(host, '/') && is_socket(path))
		return at_place(cli, control, path);
	snprintf(url, sizeof url, "http://%s%s%s%s", bare ? "[" : "", host, bare ? "]" : "", has_port ? "" : ":7480");
	return at_place(cli, control, url);
}

static int
find_place(struct cli *cli, struct control *control)
{
	const char *where = cli->control_at ? cli->control_at : getenv("SLIPRING_CONTROL");
	const char *host = cli->host ? cli->host : getenv("SLIPRING_HOST");
	char path[PATH_SIZE];

	if (where && where[0] && (cli->control_at || !cli->host))
		return at_place(cli, control, where);
	if (host && host[0])
		return at_host(cli, control, host);
	if (only_socket(path, sizeof path))
		return at_place(cli, control, path);
	snprintf(path, sizeof path, "%s/n1.sock", run_dir());
	if (is_socket(path))
		return at_place(cli, control, path);
	return cli_fail(cli, EXIT_USAGE, "no node named: say -H NODE for the one whose socket is %s/NODE.sock, or --control "
	    "SOCKET|URL", run_dir());
}

/* The first word of the file, or of $SLIPRING_TOKEN. */
static int
find_token(struct cli *cli, struct control *control)
{
	const char *given = getenv("SLIPRING_TOKEN");
	char word[TOKEN_SIZE - 32] = "";
	FILE *file = cli->token_file ? fopen(cli->token_file, "re") : NULL;

	if (cli->token_file && !file)
		return cli_fail(cli, EXIT_USAGE, "--token-file %s: %s", cli->token_file, strerror(errno));
	if (file && fscanf(file, "%479s", word) != 1)
		word[0] = '\0';
	if (file)
		fclose(file);
	else if (given)
		snprintf(word, sizeof word, "%s", given);
	if (word[0])
		snprintf(control->token, sizeof control->token, "Authorization: Bearer %s", word);
	return EXIT_OK;
}

int
control_open(struct cli *cli)
{
	struct control *control = cli_alloc(cli, sizeof *control);
	int code = find_place(cli, control);

	if (code == EXIT_OK)
		code = find_token(cli, control);
	if (code != EXIT_OK)
		return code;
	control->curl = curl_easy_init();
	if (!control->curl)
		return cli_fail(cli, EXIT_REFUSED, "out of memory");
	cli->control = control;
	return EXIT_OK;
}

void
control_close(struct cli *cli)
{
	if (cli->control)
		curl_easy_cleanup(cli->control->curl);
	cli->control = NULL;
}

/* --- one transfer ------------------------------------------------------------------------ */

static size_t
gather(char *data, size_t size, size_t count, void *context)
{
	struct control_answer *answer = context;
	size_t len = size * count;
	char *text = realloc(answer->text, answer->len + len + 1);

	if (!text)
		return 0;
	memcpy(text + answer->len, data, len);
	answer->text = text;
	answer->len += len;
	answer->text[answer->len] = '\0';
	return len;
}

static void
prepare(struct cli *cli, const char *method, const char *path, struct curl_slist *fields)
{
	struct control *control = cli->control;
	char url[2 * PATH_SIZE];

	curl_easy_reset(control->curl);
	snprintf(url, sizeof url, "%s%s", control->url, path);
	control->error[0] = '\0';
	curl_easy_setopt(control->curl, CURLOPT_URL, url);
	curl_easy_setopt(control->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(control->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(control->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(control->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(control->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(control->curl, CURLOPT_ERRORBUFFER, control->error);
	curl_easy_setopt(control->curl, CURLOPT_HTTPHEADER, fields);
	if (control->socket[0])
		curl_easy_setopt(control->curl, CURLOPT_UNIX_SOCKET_PATH, control->socket);
	if (cli->ca_file)
		curl_easy_setopt(control->curl, CURLOPT_CAINFO, cli->ca_file);
}

static int
unreached(struct cli *cli, CURLcode failed)
{
	const struct control *control = cli->control;
	const char *why = control->error[0] ? control->error : curl_easy_strerror(failed);

	return cli_fail(cli, EXIT_UNREACHABLE, "%s: %s", control->socket[0] ? control->socket : control->url, why);
}

static struct curl_slist *
fields_of(const struct control *control, bool body)
{
	struct curl_slist *fields = NULL;

	if (control->token[0])
		fields = curl_slist_append(fields, control->token);
	if (body)
		fields = curl_slist_append(fields, "Content-Type: application/json");
	return fields;
}

int
control_try(struct cli *cli, const char *method, const char *path, json_t *body, struct control_answer *answer)
{
	struct curl_slist *fields = fields_of(cli->control, body != NULL);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	CURLcode failed;

	*answer = (struct control_answer){ 0 };
	prepare(cli, method, path, fields);
	if (strcmp(method, "POST") == 0)
		curl_easy_setopt(cli->control->curl, CURLOPT_POSTFIELDS, text ? text : "");
	curl_easy_setopt(cli->control->curl, CURLOPT_TIMEOUT_MS, (long)(cli->timeout_ms ? cli->timeout_ms : TIMEOUT_MS));
	curl_easy_setopt(cli->control->curl, CURLOPT_WRITEFUNCTION, gather);
	curl_easy_setopt(cli->control->curl, CURLOPT_WRITEDATA, answer);
	failed = curl_easy_perform(cli->control->curl);
	curl_slist_free_all(fields);
	json_decref(body);
	free(text);
	if (failed != CURLE_OK) {
		control_free(answer);
		return unreached(cli, failed);
	}
	curl_easy_getinfo(cli->control->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	if (answer->text)
		answer->json = json_loadb(answer->text, answer->len, JSON_ALLOW_NUL, NULL);
	return EXIT_OK;
}

int
control_refused(struct cli *cli, const struct control_answer *answer)
{
	const char *code = json_string_value(json_object_get(answer->json, "code"));
	const char *error = json_string_value(json_object_get(answer->json, "error"));

	if (cli->json && json_is_object(answer->json)) {
		json_dumpf(answer->json, stdout, JSON_COMPACT);
		putchar('\n');
		return EXIT_REFUSED;
	}
	return cli_fail(cli, EXIT_REFUSED, "%s (%s, HTTP %ld)", error ? error : "the node refuses", code ? code : "no code",
	    answer->status);
}

int
control_ask(struct cli *cli, const char *method, const char *path, json_t *body, struct control_answer *answer)
{
	int code = control_try(cli, method, path, body, answer);

	if (code == EXIT_OK && answer->status / 100 != 2) {
		code = control_refused(cli, answer);
		control_free(answer);
	}
	return code;
}

void
control_free(struct control_answer *answer)
{
	free(answer->text);
	json_decref(answer->json);
	*answer = (struct control_answer){ 0 };
}

/* --- lines as they come ------------------------------------------------------------------- */

struct lines {
	struct cli *cli;
	bool (*line)(void *context, const char *text);
	void *context;
	struct control_answer kept; /* the line that has begun, or an error's body */
	bool ended;
};

static size_t
split(char *data, size_t size, size_t count, void *context)
{
	struct lines *lines = context;
	long status = 0;
	char *newline;

	if (gather(data, size, count, &lines->kept) == 0)
		return 0;
	curl_easy_getinfo(lines->cli->control->curl, CURLINFO_RESPONSE_CODE, &status);
	while (status == 200 && !lines->ended && (newline = memchr(lines->kept.text, '\n', lines->kept.len))) {
		size_t used = (size_t)(newline + 1 - lines->kept.text);

		*newline = '\0';
		lines->ended = !lines->line(lines->context, lines->kept.text);
		memmove(lines->kept.text, newline + 1, lines->kept.len - used + 1);
		lines->kept.len -= used;
	}
	return lines->ended ? 0 : size * count;
}

/* Called several times a second: a signal ends the transfer. */
static int
look_up(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)context;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return interrupted();
}

int
control_lines(struct cli *cli, const char *path, uint32_t idle_ms, bool (*line)(void *context, const char *text),
    void *context)
{
	struct lines lines = { .cli = cli, .line = line, .context = context };
	struct curl_slist *fields = fields_of(cli->control, false);
	CURLcode failed;
	int code = EXIT_OK;

	prepare(cli, "GET", path, fields);
	curl_easy_setopt(cli->control->curl, CURLOPT_WRITEFUNCTION, split);
	curl_easy_setopt(cli->control->curl, CURLOPT_WRITEDATA, &lines);
	curl_easy_setopt(cli->control->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(cli->control->curl, CURLOPT_XFERINFOFUNCTION, look_up);
	curl_easy_setopt(cli->control->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(cli->control->curl, CURLOPT_LOW_SPEED_TIME, (long)(idle_ms / 1000));
	failed = curl_easy_perform(cli->control->curl);
	curl_slist_free_all(fields);
	curl_easy_getinfo(cli->control->curl, CURLINFO_RESPONSE_CODE, &lines.kept.status);
	if (failed != CURLE_OK && !lines.ended && !interrupted()) {
		code = unreached(cli, failed);
	} else if (!lines.ended && lines.kept.status != 200 && lines.kept.text) {
		lines.kept.json = json_loadb(lines.kept.text, lines.kept.len, 0, NULL);
		code = control_refused(cli, &lines.kept);
	}
	control_free(&lines.kept);
	return code;
}

/* --- queries ------------------------------------------------------------------------------ */

/* Whatever the locale says of letters. */
static bool
is_plain(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

bool
control_escape(char *path, size_t size, const void *value, size_t len)
{
	const uint8_t *bytes = value;
	size_t at = strlen(path);

	for (size_t i = 0; i < len; i++) {
		if (at + 4 > size)
			return false;
		if (is_plain(bytes[i]) || (bytes[i] && strchr("-._~", bytes[i])))
			path[at++] = (char)bytes[i];
		else
			at += (size_t)snprintf(path + at, size - at, "%%%02X", bytes[i]);
		path[at] = '\0';
	}
	return true;
}

bool
control_query(char *path, size_t size, const char *name, const void *value, size_t len)
{
	size_t at = strlen(path);

	if (at + strlen(name) + 3 > size)
		return false;
	snprintf(path + at, size - at, "%c%s=", strchr(path, '?') ? '&' : '?', name);
	return control_escape(path, size, value, len);
}
