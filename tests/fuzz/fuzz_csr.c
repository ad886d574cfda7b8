/* A certificate request from the network: as PEM, and as bare DER. */
#include "config.h"

#include <stdint.h>
#include <string.h>

#include "lib/str.h"
#include "workers/secrets/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
as_pem(const uint8_t *data, size_t n)
{
	struct sec_csr csr;
	struct buf pem;
	struct err e;

	buf_init(&pem, 0);
	if (buf_printf(&pem, "-----BEGIN CERTIFICATE REQUEST-----\n") == 0 &&
	    str_base64_encode(&pem, data, n, true) == 0 &&
	    buf_printf(&pem, "\n-----END CERTIFICATE REQUEST-----\n") == 0 &&
	    sec_csr_parse(buf_span(&pem), &csr, &e) == 0)
		sec_csr_free(&csr);
	buf_free(&pem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sec_csr csr;
	struct err e;

	if (sec_csr_parse((struct span){data, n}, &csr, &e) == 0)
		sec_csr_free(&csr);
	as_pem(data, n);
	return 0;
}
