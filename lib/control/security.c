#include "control/security.h"

#include <stdlib.h>
#include <string.h>

#include "control/secret_file.h"
#include "control/server.h"

static bool
read_optional(const char *key, const char *path, bool secret, char **text, struct error *error)
{
	if (!*path)
		return true;
	*text = secret_file_read(key, path, secret, error);
	return *text;
}

struct security *
security_load(const struct security_files *files, struct error *error)
{
	struct security *security = calloc(1, sizeof *security);

	if (!security || !seal_start()) {
		error_set(error, STATUS_UNAVAILABLE, "no memory or no random bytes for the control plane");
		free(security);
		return NULL;
	}
	if (tokens_load(&security->tokens, files->tokens, error) == STATUS_OK &&
	    read_optional("control.tls_cert", files->cert, false, &security->cert, error) &&
	    read_optional("control.tls_key", files->key, true, &security->key, error) &&
	    read_optional("control.tls_client_ca", files->client_ca, false, &security->client_ca, error) &&
	    (!security->cert || tls_check(security, error) == STATUS_OK))
		return security;
	security_free(security);
	return NULL;
}

void
security_free(struct security *security)
{
	if (!security)
		return;
	secret_file_free(security->cert);
	secret_file_free(security->key);
	secret_file_free(security->client_ca);
	explicit_bzero(&security->tokens, sizeof security->tokens);
	free(security);
}
