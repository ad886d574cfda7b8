#include "config.h"

#include "agent/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/str.h"
#include "net/tls_conn.h"

static int
name_text(const GENERAL_NAME *n, char *out, size_t cap)
{
	const ASN1_STRING *s =
	    n->type == GEN_DNS ? n->d.dNSName : n->d.iPAddress;
	int len = ASN1_STRING_length(s);
	const unsigned char *p = ASN1_STRING_get0_data(s);

	if (n->type == GEN_DNS) {
		if (memchr(p, '\0', (size_t)len) != NULL)
			return -1;
		return str_fmt(out, cap, "%.*s", len, (const char *)p);
	}
	return inet_ntop(len == 4 ? AF_INET : AF_INET6, p, out,
		   (socklen_t)cap) == NULL
		   ? -1
		   : 0;
}

static void
first_name(X509 *cert, char *out, size_t cap)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type != GEN_DNS && n->type != GEN_IPADD)
			continue;
		if (name_text(n, out, cap) < 0)
			out[0] = '\0';
		break;
	}
	GENERAL_NAMES_free(names);
}

static X509 *
first_cert(const char *pem)
{
	size_t n = strlen(pem);
	BIO *bio;
	X509 *cert;

	if (n > INT_MAX)
		return NULL;
	bio = BIO_new_mem_buf(pem, (int)n);
	cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return cert;
}

struct tls_ctx *
agent_tls_new(const char *pem, char *name, size_t name_cap, struct err *e)
{
	struct tls_client_opts opts = {.verify = TLS_VERIFY_PIN};
	struct tls_ctx *ctx = NULL;
	X509 *cert = first_cert(pem);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	if (cert == NULL || bio == NULL || PEM_write_bio_X509(bio, cert) != 1) {
		err_set(e, ERR_INVALID,
		    "AGENT_OPERATOR_CERT_ENV holds no certificate in PEM; "
		    "give the operator's certificate or unset it.");
	} else {
		first_name(cert, name, name_cap);
		n = BIO_get_mem_data(bio, &text);
		opts.pin_pem = (struct span){(uint8_t *)text, (size_t)n};
		ctx = tls_ctx_client_new(&opts, e);
	}
	BIO_free(bio);
	X509_free(cert);
	return ctx;
}
