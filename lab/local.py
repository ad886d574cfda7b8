"""local PORT: the developer's program. It answers what the clusters' shops
would, and GET /inspect tells what it sees of its environment."""
import http.server
import json
import os
import socket
import sys
import urllib.request


def inspect():
    with urllib.request.urlopen(
        "http://127.0.0.1:%s/" % os.environ["STOCK_PORT"], timeout=10
    ) as reply:
        stock = json.load(reply)
    with open(os.environ["SHOP_FILE"], encoding="utf-8") as f:
        text = f.read().strip()
    return {
        "variable": os.environ.get("CLUSTER", "?"),
        "file": text,
        "name": os.environ.get("STOCK_ADDRESS", "?"),
        "stock": stock["stock_of"],
    }


PORT = int(sys.argv[1])


class Local(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/inspect":
            body = inspect()
        else:
            body = {"answered_by": "local", "path": self.path, "port": PORT}
        data = json.dumps(body).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 256


Server(("::", PORT), Local).serve_forever()
