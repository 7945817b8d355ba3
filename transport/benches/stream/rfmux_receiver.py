#!/usr/bin/env python3
"""The receiver inside rfmux, which is written in C++, at the benchmark's orders.

Usage: rfmux_receiver.py GROUP PORT BUFFER_BYTES SOURCE...

Orders on standard input, one a line, each answered by one line:
  open      joins the sources                        -> ready
  drain N   takes N packets that wait in the kernel  -> seconds, as a decimal
  close     leaves                                   -> packets lost
"""

import socket
import sys
import time

from rfmux.streamer import ReadoutPacketReceiver

IP_ADD_SOURCE_MEMBERSHIP = 39
SO_RCVBUFFORCE = 33


def open_socket(group, port, buffer_bytes, sources):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
    except PermissionError:
        pass
    sock.bind((group, port))
    for source in sources:
        addresses = (group, "127.0.0.1", source)
        member = b"".join(socket.inet_aton(address) for address in addresses)
        sock.setsockopt(socket.IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, member)
    return sock


def lost(receiver):
    queues = (queue for _, _, queue in receiver.get_all_queues())
    return sum(queue.get_stats().packets_missing for queue in queues)


def main(group, port, buffer_bytes, *sources):
    sock = receiver = None
    for order in sys.stdin:
        verb, *number = order.split()
        if verb == "open":
            sock = open_socket(group, int(port), int(buffer_bytes), sources)
            receiver = ReadoutPacketReceiver(sock, reorder_window=32)
            answer = "ready"
        elif verb == "drain":
            packets, began = int(number[0]), time.perf_counter()
            while packets > 0:
                taken = receiver.receive_batch(256, timeout_ms=10_000)
                if taken == 0:
                    raise SystemExit("packets were lost")
                packets -= taken
            answer = repr(time.perf_counter() - began)
            for _, _, queue in receiver.get_all_queues():
                queue.clear()
        else:
            answer = str(lost(receiver))
            receiver = None
            sock.close()
        print(answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
