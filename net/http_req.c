#include "config.h"

#include "net/http_req.h"

#include <string.h>

static int
put_upgrade(struct buf *out, const char *ws_key)
{
	static const struct http_pair fields[] = {
	    {"Connection", "Upgrade"},
	    {"Upgrade", "websocket"},
	    {"Sec-WebSocket-Version", "13"},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(fields) / sizeof(fields[0]);
	     i++)
		rc = http_put_field(out, fields[i].name, fields[i].value);
	return rc == 0 ? http_put_field(out, "Sec-WebSocket-Key", ws_key) : rc;
}

int
http_req_put(struct buf *out, const struct http_req *req, const char *ws_key,
    struct err *e)
{
	bool has_body = req->body.n > 0 || strcmp(req->method, "POST") == 0 ||
			strcmp(req->method, "PUT") == 0 ||
			strcmp(req->method, "PATCH") == 0;
	int rc = http_put_request(out, req->method, req->target);

	if (rc == 0)
		rc = http_put_field(out, "Host", req->host);
	if (rc == 0 && ws_key != NULL)
		rc = put_upgrade(out, ws_key);
	for (const struct http_pair *f = req->fields;
	     rc == 0 && f != NULL && f->name != NULL; f++)
		rc = http_put_field(out, f->name, f->value);
	if (rc == 0 && has_body && req->content_type != NULL)
		rc = http_put_field(out, "Content-Type", req->content_type);
	if (rc == 0 && has_body)
		rc = http_put_fieldf(out, "Content-Length", "%zu", req->body.n);
	if (rc == 0)
		rc = http_put_end(out);
	if (rc == 0)
		rc = buf_append(out, req->body.p, req->body.n);
	if (rc == 0)
		return 0;
	return err_set(e, (enum err_code) - rc,
	    "A request can't be written (%s): check the method, the path and "
	    "the headers for characters that may not be there.",
	    err_code_name((enum err_code) - rc));
}
