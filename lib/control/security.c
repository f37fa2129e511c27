#include "control/security.h"

#include <stdatomic.h>
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

static void
tokens_free(struct tokens *tokens)
{
	if (!tokens)
		return;
	explicit_bzero(tokens, sizeof *tokens);
	free(tokens);
}

static struct tokens *
load_tokens(const struct security_files *files, struct error *error)
{
	struct tokens *tokens = malloc(sizeof *tokens);

	if (!tokens) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane's tokens");
		return NULL;
	}
	if (tokens_load(tokens, files->tokens, error) == STATUS_OK)
		return tokens;
	tokens_free(tokens);
	return NULL;
}

enum status
security_reload(struct security *security, const struct security_files *files, struct error *error)
{
	struct tokens *tokens = load_tokens(files, error);

	if (!tokens)
		return error->status;
	tokens_free(atomic_exchange(&security->tokens_next, tokens)); /* nobody has looked since */
	return STATUS_OK;
}

const struct tokens *
security_tokens(struct security *security)
{
	struct tokens *next = atomic_exchange(&security->tokens_next, NULL);

	if (next) {
		tokens_free(security->tokens);
		security->tokens = next;
	}
	return security->tokens;
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
	security->tokens = load_tokens(files, error);
	if (security->tokens &&
	    read_optional("control.tls_cert", files->cert, false, &security->cert, error) &&
	    read_optional("control.tls_key", files->key, true, &security->key, error) &&
	    read_optional("control.tls_client_ca", files->client_ca, false, &security->client_ca, error) &&
	    (!security->cert || tls_check(security, error) == STATUS_OK))
		return security;
	security_free(security);
	return NULL;
}

uint32_t
security_check(const struct security_files *files, struct error errors[SECURITY_FILES])
{
	struct security *security = calloc(1, sizeof *security);
	uint32_t count = 0, tokens;

	if (!security || !seal_start()) {
		error_set(&errors[0], STATUS_UNAVAILABLE, "no memory or no random bytes for the control plane");
		free(security);
		return 1;
	}
	security->tokens = load_tokens(files, &errors[count]);
	tokens = count += !security->tokens;
	count += !read_optional("control.tls_cert", files->cert, false, &security->cert, &errors[count]);
	count += !read_optional("control.tls_key", files->key, true, &security->key, &errors[count]);
	count += !read_optional("control.tls_client_ca", files->client_ca, false, &security->client_ca, &errors[count]);
	if (security->cert && count == tokens) /* all of TLS's files could be read: do they belong together? */
		count += tls_check(security, &errors[count]) != STATUS_OK;
	security_free(security);
	return count;
}

void
security_free(struct security *security)
{
	if (!security)
		return;
	secret_file_free(security->cert);
	secret_file_free(security->key);
	secret_file_free(security->client_ca);
	tokens_free(security->tokens);
	tokens_free(atomic_load(&security->tokens_next));
	free(security);
}
