"""stock CLUSTER ADDRESS PORT: the backend that only its own cluster reaches."""
import http.server
import json
import sys

CLUSTER = sys.argv[1]


class Stock(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = json.dumps({"stock_of": CLUSTER, "host": self.headers.get("host", "")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Stock).serve_forever()
