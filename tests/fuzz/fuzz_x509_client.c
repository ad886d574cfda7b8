/* x-client-der: any bytes of a certificate, and any text of the header. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/x509_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Ed25519, made for this test; nobody has its key. */
static const char ca[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBMjCB5aADAgECAhQNvD6y+lLey/yBxlPH1pQFXaKyhzAFBgMrZXAwDzENMAsG\n"
    "A1UEAwwEZnV6ejAeFw0yNjExMjMxMzI1NDJaFw0zNjExMjAxMzI1NDJaMA8xDTAL\n"
    "BgNVBAMMBGZ1enowKjAFBgMrZXADIQB2VVkuu569+5YQ4nWbVUvlZo5x0/G+KVlo\n"
    "nnrk+KJLG6NTMFEwHQYDVR0OBBYEFEq37j9Li02EdM9l3xnP/x9o+/wOMB8GA1Ud\n"
    "IwQYMBaAFEq37j9Li02EdM9l3xnP/x9o+/wOMA8GA1UdEwEB/wQFMAMBAf8wBQYD\n"
    "K2VwA0EA2B9lvtavuQmFgWbJp2+5ANx3+uzPWLs9hJPSxtNW7a4KKN2J3AZ91lEi\n"
    "cfBTOutzT2MSWreBpsG6M61WZWWyCA==\n"
    "-----END CERTIFICATE-----\n";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct xc_identity id;
	struct buf text;
	struct err e;

	buf_init(&text, 0);
	if (str_base64_encode(&text, data, n, true) == 0 &&
	    xc_verify(buf_cstr(&text), ca, 0, &id, &e) == 0)
		abort(); /* a forgery */
	buf_clear(&text);
	if (memchr(data, 0, n) == NULL && buf_append(&text, data, n) == 0)
		(void)xc_verify(buf_cstr(&text), ca, 0, &id, &e);
	buf_free(&text);
	return 0;
}
