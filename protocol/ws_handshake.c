/* The values of the WebSocket handshake, RFC 6455 §4. */
#include "config.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

#include "lib/str.h"
#include "protocol/http.h"
#include "protocol/ws.h"

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

bool
ws_key_valid(const char *key)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";

	/* 22 digits, the last one with 4 unused bits, then the padding. */
	return strlen(key) == 24 && strspn(key, alphabet) == 22 &&
	       strchr("AQgw", key[21]) != NULL && strcmp(key + 22, "==") == 0;
}

int
ws_accept_value(const char *key, char out[WS_ACCEPT_SIZE])
{
	char text[24 + sizeof(WS_GUID)];
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (!ws_key_valid(key))
		return -ERR_INVALID;
	memcpy(text, key, 24);
	memcpy(text + 24, WS_GUID, sizeof(WS_GUID));
	if (EVP_Digest(text, sizeof(text) - 1, md, &n, EVP_sha1(), NULL) != 1 ||
	    n != 20)
		return -ERR_INTERNAL;
	EVP_EncodeBlock((unsigned char *)out, md, (int)n);
	return 0;
}

int
ws_key_make(char out[WS_KEY_SIZE])
{
	unsigned char raw[16];

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return -ERR_INTERNAL;
	EVP_EncodeBlock((unsigned char *)out, raw, sizeof(raw));
	return 0;
}

int
ws_check_request(const struct http_head *h, const char *subprotocol,
    char accept[WS_ACCEPT_SIZE], int *code_r, struct err *e)
{
	const char *key = NULL, *version = NULL;
	int rc;

	*code_r = 400;
	if (strcmp(h->method, "GET") != 0 || h->minor < 1 ||
	    h->framing == HTTP_BODY_CHUNKED || h->length > 0)
		return err_set(e, ERR_INVALID,
		    "A WebSocket begins with a GET of HTTP/1.1 without a "
		    "body.");
	if (!h->upgrade || !http_has_token(h, "upgrade", "websocket"))
		return err_set(e, ERR_INVALID,
		    "This path is a WebSocket: send \"Connection: Upgrade\" "
		    "and \"Upgrade: websocket\".");
	rc = http_get_single(h, "sec-websocket-version", &version, e);
	if (rc < 0)
		return rc;
	if (version == NULL || strcmp(version, "13") != 0) {
		*code_r = version == NULL ? 400 : 426;
		return err_set(e, ERR_INVALID,
		    "Only version 13 of WebSocket is spoken here; send "
		    "\"Sec-WebSocket-Version: 13\".");
	}
	rc = http_get_single(h, "sec-websocket-key", &key, e);
	if (rc < 0)
		return rc;
	if (key == NULL || !ws_key_valid(key))
		return err_set(e, ERR_INVALID,
		    "Sec-WebSocket-Key is missing or is not base64 of 16 "
		    "bytes.");
	if (subprotocol != NULL &&
	    !http_has_token(h, "sec-websocket-protocol", subprotocol))
		return err_set(e, ERR_INVALID,
		    "The WebSocket subprotocol %s is needed here; offer it in "
		    "Sec-WebSocket-Protocol.",
		    subprotocol);
	rc = ws_accept_value(key, accept);
	return rc < 0 ? err_set(e, (enum err_code) - rc,
			    "The WebSocket accept value can't be computed.")
		      : 0;
}

int
ws_check_response(const struct http_head *h, const char *key,
    const char *subprotocol, struct err *e)
{
	char want[WS_ACCEPT_SIZE];
	const char *accept = http_get(h, "sec-websocket-accept");
	const char *proto = http_get(h, "sec-websocket-protocol");

	if (h->status != 101)
		return err_set(e, ERR_INVALID,
		    "The peer answered the WebSocket request with %d.",
		    h->status);
	if (!h->upgrade || !http_has_token(h, "upgrade", "websocket"))
		return err_set(e, ERR_INVALID,
		    "The peer's 101 does not upgrade to a WebSocket.");
	if (ws_accept_value(key, want) < 0 || accept == NULL ||
	    strcmp(accept, want) != 0)
		return err_set(e, ERR_INVALID,
		    "The peer's Sec-WebSocket-Accept does not match our key.");
	if (subprotocol != NULL
		? proto == NULL || strcmp(proto, subprotocol) != 0
		: proto != NULL)
		return err_set(e, ERR_INVALID,
		    "The peer chose the WebSocket subprotocol \"%s\" instead "
		    "of \"%s\".",
		    proto != NULL ? proto : "",
		    subprotocol != NULL ? subprotocol : "");
	if (http_get(h, "sec-websocket-extensions") != NULL)
		return err_set(e, ERR_INVALID,
		    "The peer chose a WebSocket extension that was not "
		    "offered.");
	return 0;
}
