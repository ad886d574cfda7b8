"""shop PORT: the service of the lab. Each answer says who answered.

Every replica runs one. It knows its cluster and its name from the
environment, as any service would; GET /stock asks the stock backend of its
own cluster.
"""
import http.server
import json
import os
import socket
import sys
import urllib.request


class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        data = json.dumps(body).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/stock":
            with urllib.request.urlopen(
                "http://stock.%s.internal:9000/" % os.environ["CLUSTER"], timeout=5
            ) as reply:
                self.answer(json.load(reply))
            return
        self.answer(
            {
                "answered_by": "replica",
                "cluster": os.environ.get("CLUSTER", "?"),
                "replica": os.environ.get("REPLICA", "?"),
                "path": self.path,
            }
        )

    def do_POST(self):
        size = int(self.headers.get("content-length", "0"))
        total = 0
        while total < size:
            piece = self.rfile.read(min(65536, size - total))
            if not piece:
                break
            total += len(piece)
        self.answer({"answered_by": "replica", "bytes": total})

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 256


Server(("::", int(sys.argv[1])), Shop).serve_forever()
