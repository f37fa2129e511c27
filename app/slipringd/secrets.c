#include "slipringd/secrets.h"

#include <stdio.h>
#include <string.h>

#include "control/secret_file.h"
#include "slipringd/api.h"
#include "slipringd/keyfile.h"

enum status
secrets_native(const struct config *config, struct serve_config *serve, struct error *error)
{
	if (!*config->native_shared_key_file)
		return STATUS_OK;
	return keyfile_read("native.shared_key_file", config->native_shared_key_file, serve->shared_key, error);
}

/* One line, without what ends it. */
static enum status
read_password(const char *name, const char *path, char *password, size_t size, struct error *error)
{
	char *text;
	size_t len;

	if (!*path)
		return STATUS_OK;
	text = secret_file_read(name, path, true, error);
	if (!text)
		return error->status;
	len = strcspn(text, "\r\n");
	if (len == 0 || len >= size || text[len + strspn(text + len, "\r\n")] != '\0') {
		secret_file_free(text);
		return error_set(error, STATUS_INVALID, "%s %s: must hold one line of 1 to %zu characters", name, path, size - 1);
	}
	memcpy(password, text, len);
	password[len] = '\0';
	secret_file_free(text);
	return STATUS_OK;
}

enum status
secrets_resp(const struct config *config, struct serve_config *serve, struct error *error)
{
	return read_password("resp.password_file", config->resp_password_file, serve->resp_password,
	    sizeof serve->resp_password, error);
}

enum status
secrets_memcached(const struct config *config, struct serve_config *serve, struct error *error)
{
	const char *path = config->memcached_password_file;

	if (read_password("memcached.password_file", path, serve->memcached_password, sizeof serve->memcached_password,
	    error) != STATUS_OK)
		return error->status;
	if (*serve->memcached_password && !strchr(serve->memcached_password, ':'))
		return error_set(error, STATUS_INVALID, "memcached.password_file %s: must hold USER:PASSWORD", path);
	return STATUS_OK;
}

enum status
secrets_cluster(const struct config *config, struct cluster_config *cluster, struct error *error)
{
	const char *files[] = { config->cluster_key_file, config->cluster_previous_key_file };

	cluster->insecure = config->cluster_insecure;
	for (int i = 0; i < 2 && !cluster->insecure; i++)
		if (*files[i] && keyfile_read(i ? "cluster.previous_key_file" : "cluster.key_file", files[i],
		    cluster->keys[cluster->key_count++], error) != STATUS_OK)
			return error->status;
	return STATUS_OK;
}

static void
tell(struct problems *problems, enum status status, const struct error *error)
{
	if (status != STATUS_OK)
		problems_add(problems, false, "%s", error->text);
}

static void
check_control(const struct config *config, struct problems *problems)
{
	struct error errors[SECURITY_FILES];
	uint32_t count = api_security_check(config, errors);

	for (uint32_t i = 0; i < count; i++)
		problems_add(problems, false, "%s", errors[i].text);
}

/* Each of the cluster's two keys by itself: the first that is wrong would hide the other. */
static void
check_cluster(const struct config *config, struct problems *problems)
{
	static struct cluster_config cluster;
	struct config one = *config;
	struct error error;

	for (int i = 0; i < 2; i++) {
		*one.cluster_key_file = *one.cluster_previous_key_file = '\0';
		if (i == 0)
			memcpy(one.cluster_key_file, config->cluster_key_file, sizeof one.cluster_key_file);
		else
			memcpy(one.cluster_previous_key_file, config->cluster_previous_key_file, sizeof one.cluster_previous_key_file);
		cluster.key_count = 0;
		tell(problems, secrets_cluster(&one, &cluster, &error), &error);
	}
	explicit_bzero(&cluster, sizeof cluster);
}

void
secrets_check(const struct config *config, struct problems *problems)
{
	static struct serve_config serve;
	struct error error;

	tell(problems, secrets_native(config, &serve, &error), &error);
	tell(problems, secrets_resp(config, &serve, &error), &error);
	tell(problems, secrets_memcached(config, &serve, &error), &error);
	explicit_bzero(&serve, sizeof serve);
	if (config->cluster_enabled)
		check_cluster(config, problems);
	check_control(config, problems);
}
