"""names ADDRESS NAME=IP...: a name server for one cluster of the lab.

Answers A questions for the names it was given, an empty answer for other
types of them, NXDOMAIN for the rest. UDP only; the lab's answers are small.
"""
import socket
import struct
import sys

NAMES = dict(pair.lower().split("=") for pair in sys.argv[2:])


def question(data):
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii"))
        at += 1 + data[at]
    kind, _ = struct.unpack("!HH", data[at + 1 : at + 5])
    return ".".join(labels).lower(), kind, data[12 : at + 5]


def answer(data):
    name, kind, raw = question(data)
    address = NAMES.get(name)
    rcode = 0 if address else 3
    records = b""
    if address and kind == 1:
        records = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(address)
    return (
        data[:2]
        + struct.pack("!HHHHH", 0x8580 | rcode, 1, 1 if records else 0, 0, 0)
        + raw
        + records
    )


def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((sys.argv[1], 53))
    while True:
        data, peer = sock.recvfrom(2048)
        try:
            sock.sendto(answer(data), peer)
        except (IndexError, struct.error, UnicodeDecodeError):
            continue


main()
