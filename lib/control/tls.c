/* TLS by GnuTLS through libmicrohttpd: what is checked before the start, and the client's name. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#include "control/server.h"

static gnutls_datum_t
datum(const char *text)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)text, (unsigned)strlen(text) };
}

static enum status
load(gnutls_certificate_credentials_t credentials, const struct security *security, struct error *error)
{
	gnutls_datum_t cert = datum(security->cert), key = datum(security->key), ca;
	int result = gnutls_certificate_set_x509_key_mem(credentials, &cert, &key, GNUTLS_X509_FMT_PEM);

	if (result < 0)
		return error_set(error, STATUS_INVALID, "control.tls_cert and control.tls_key: %s", gnutls_strerror(result));
	if (!security->client_ca)
		return STATUS_OK;
	ca = datum(security->client_ca);
	result = gnutls_certificate_set_x509_trust_mem(credentials, &ca, GNUTLS_X509_FMT_PEM);
	if (result <= 0)
		return error_set(error, STATUS_INVALID, "control.tls_client_ca: %s",
		    result < 0 ? gnutls_strerror(result) : "no certificate in it");
	return STATUS_OK;
}

enum status
tls_check(const struct security *security, struct error *error)
{
	gnutls_certificate_credentials_t credentials;
	enum status status;

	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		return error_set(error, STATUS_NO_MEMORY, "no memory for TLS");
	status = load(credentials, security, error);
	gnutls_certificate_free_credentials(credentials);
	return status;
}

/* Signed by the authority, in its time, and meant for clients. */
static bool
is_verified(gnutls_session_t session)
{
	char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
	gnutls_typed_vdata_st wanted = { GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0 };
	unsigned flaws = 1;

	return gnutls_certificate_verify_peers(session, &wanted, 1, &flaws) == GNUTLS_E_SUCCESS && flaws == 0;
}

bool
tls_peer_name(struct MHD_Connection *connection, char *name, size_t size)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	const gnutls_datum_t *chain;
	gnutls_x509_crt_t certificate;
	unsigned count = 0;
	bool named;

	if (!info || !is_verified(info->tls_session))
		return false;
	chain = gnutls_certificate_get_peers(info->tls_session, &count);
	if (!chain || !count || gnutls_x509_crt_init(&certificate) < 0)
		return false;
	named = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) == 0;
	gnutls_x509_crt_deinit(certificate);
	return named && strlen(name) == size;
}
