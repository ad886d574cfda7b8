/* OpenSSL's errors as sentences that say what to do. */
#include "config.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "net/tls_int.h"

/* What the peer's alert or its bytes mean, by OpenSSL's reason. */
static const struct {
	int reason;
	enum err_code code;
	const char *text;
} REASONS[] = {
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, ERR_DENIED,
	"The peer does not trust the CA of the certificate that was shown to "
	"it; give it that CA, or use a certificate it trusts."},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, ERR_DENIED,
	"The peer says that the certificate shown to it has expired; renew "
	"it."},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, ERR_DENIED,
	"The peer says that the certificate shown to it is revoked; get a new "
	"one."},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, ERR_DENIED,
	"The peer does not accept the certificate shown to it: check that its "
	"name and CA are the ones the peer expects."},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, ERR_DENIED,
	"The peer does not accept the certificate shown to it: check that its "
	"name and CA are the ones the peer expects."},
    {SSL_R_TLSV1_ALERT_DECRYPT_ERROR, ERR_DENIED,
	"The peer can't verify the certificate shown to it; give it the CA "
	"that signed it."},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, ERR_DENIED,
	"The peer refuses the certificate shown to it; ask its administrator "
	"for access."},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, ERR_DENIED,
	"The peer wants a client certificate; configure one."},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, ERR_UNSUPPORTED,
	"The peer does not speak TLS 1.2 or 1.3; upgrade it."},
    {SSL_R_UNSUPPORTED_PROTOCOL, ERR_UNSUPPORTED,
	"The peer does not speak TLS 1.2 or 1.3; upgrade it."},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, ERR_UNSUPPORTED,
	"The peer does not speak HTTP/1.1."},
    {SSL_R_NO_APPLICATION_PROTOCOL, ERR_UNSUPPORTED,
	"The peer does not speak HTTP/1.1."},
    {SSL_R_NO_SHARED_CIPHER, ERR_UNSUPPORTED,
	"The peer shares no cipher with this side; upgrade it."},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, ERR_UNSUPPORTED,
	"The peer found no common TLS parameters; upgrade it."},
    {SSL_R_HTTP_REQUEST, ERR_INVALID,
	"The peer speaks plain HTTP to a TLS port; use https://."},
    {SSL_R_WRONG_VERSION_NUMBER, ERR_INVALID,
	"The peer does not speak TLS on this port; check the address."},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, ERR_CLOSED,
	"The peer closed the connection."},
};

static void
date_text(const ASN1_TIME *t, char *out, size_t cap)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		snprintf(out, cap, "?");
	else
		snprintf(out, cap, "%04d-%02d-%02d", tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday);
}

static int
verify_date(struct err *e, X509 *cert, bool expired, bool server)
{
	char date[40];

	date_text(
	    expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert),
	    date, sizeof(date));
	return err_set(e, ERR_UNAUTHENTICATED,
	    "The %s's certificate is valid %s %s (UTC): %s.",
	    server ? "client" : "server", expired ? "only until" : "only from",
	    date,
	    !expired ? "check the clocks of both machines"
	    : server ? "get a new one, for instance by `tributary "
		       "kubeconfig`"
		     : "renew it on the server");
}

static int
verify_name(struct err *e, SSL *ssl, X509 *cert)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
	char *ip = X509_VERIFY_PARAM_get1_ip_asc(param);
	char subject[128] = "";
	int rc;

	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName,
	    subject, sizeof(subject));
	rc = err_set(e, ERR_UNAUTHENTICATED,
	    "The server's certificate (subject \"%s\") is not for %s: connect "
	    "to a name it was issued for, or issue it for this one.",
	    subject,
	    host != NULL ? host
	    : ip != NULL ? ip
			 : "this server");
	OPENSSL_free(ip);
	return rc;
}

int
tls_err_verify(struct err *e, SSL *ssl)
{
	const struct tls_verdict *v = tls_conn_verdict(ssl);
	bool server = SSL_is_server(ssl);
	const char *who = server ? "client" : "server";

	switch (v->cert != NULL ? v->error : X509_V_ERR_UNSPECIFIED) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return verify_date(e, v->cert,
		    v->error == X509_V_ERR_CERT_HAS_EXPIRED, server);
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return verify_name(e, ssl, v->cert);
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return err_set(e, ERR_UNAUTHENTICATED,
		    "The %s's certificate is signed by a CA that is not "
		    "trusted here: %s.",
		    who,
		    server ? "use the credentials this server gave out"
			   : "configure the server's own CA");
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return err_set(e, ERR_UNAUTHENTICATED,
		    "The server's certificate is not the pinned one: if it was "
		    "renewed, pin the new one.");
	default:
		break;
	}
	return err_set(e, ERR_UNAUTHENTICATED,
	    "The %s's certificate is not valid (%s): get a new one.", who,
	    X509_verify_cert_error_string(v->error));
}

static int
err_from_queue(struct err *e, const char *what)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);
	char text[160];

	for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++) {
		if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
		    REASONS[i].reason == reason)
			return err_set(
			    e, REASONS[i].code, "%s", REASONS[i].text);
	}
	if (ERR_reason_error_string(code) != NULL)
		snprintf(
		    text, sizeof(text), "%s", ERR_reason_error_string(code));
	else
		ERR_error_string_n(code, text, sizeof(text));
	return err_set(e, ERR_INVALID, "The TLS %s failed: %s.", what, text);
}

int
tls_err_set(
    struct err *e, SSL *ssl, int ssl_error, int sys_errno, const char *what)
{
	int rc;

	if (ssl_error == SSL_ERROR_SSL && !SSL_is_server(ssl) &&
	    tls_conn_verdict(ssl)->error != X509_V_OK)
		rc = tls_err_verify(e, ssl);
	else if (ssl_error == SSL_ERROR_SSL)
		rc = err_from_queue(e, what);
	else if (ssl_error == SSL_ERROR_SYSCALL && sys_errno != 0)
		rc = err_set(e, ERR_CLOSED, "The connection broke: %s.",
		    strerror(sys_errno));
	else
		rc = err_set(e, ERR_CLOSED,
		    "The peer closed the connection in the middle of TLS.");
	ERR_clear_error();
	return rc;
}

int
tls_err_load(struct err *e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	int rc = err_set(e, ERR_INVALID,
	    "The %s can't be used (%s): give it as PEM, without a password, "
	    "and matching its certificate.",
	    what, reason != NULL ? reason : "nothing is there");

	ERR_clear_error();
	return rc;
}
