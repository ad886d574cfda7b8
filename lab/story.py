"""story PORT < "shop CLUSTER URL" lines: the table of the demo.

Sends a request into every replica of every cluster, asks the local program
what it sees, prints who answered, and exits 0 only if all of it was so.
"""
import json
import sys
import urllib.request

EXPECTED = {"variable": "east", "file": "east", "name": "east", "stock": "east"}


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)


def row(*cells):
    print("| " + " | ".join(str(c).ljust(w) for c, w in zip(cells, (36, 8, 26, 3))) + " |")


def cluster_of(kind, value):
    """Which cluster a thing the local program saw came from."""
    if kind == "file":
        return value.split(" of ")[1].split(",")[0] if " of " in value else value
    if kind == "name":
        return {"2": "east", "3": "west"}.get(value.split(".")[2] if value.count(".") == 3 else "", value)
    return value


def main():
    good = True
    row("request", "entered", "answered by", "ok")
    row("-" * 36, "-" * 8, "-" * 26, "---")
    for number, line in enumerate(sys.stdin.read().splitlines(), 1):
        _, cluster, url = line.split()
        for path in ("order-%d" % number, "order-%d-again" % number):
            reply = get(url + path)
            ok = reply["answered_by"] == "local" and reply["path"] == "/" + path
            good &= ok
            row("GET " + url.split("//")[1] + path, cluster, reply["answered_by"], "yes" if ok else "NO")
    seen = get("http://127.0.0.1:%s/inspect" % sys.argv[1])
    row("-" * 36, "-" * 8, "-" * 26, "---")
    for kind in ("variable", "file", "name", "stock"):
        origin = cluster_of(kind, seen[kind])
        ok = origin == EXPECTED[kind]
        good &= ok
        row("the local program's " + kind, origin, seen[kind], "yes" if ok else "NO")
    return 0 if good else 1


sys.exit(main())
