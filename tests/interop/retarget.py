"""A pytest plugin that leads host names to simulated boards.

The environment variable BOARDS is a list of name=address:port, separated by
commas. A name that is in it is looked up there, in place of in the network, and
the port of every connection to it is the port of the board.
"""

import os
import socket

BOARDS = {
    name: (address.split(":")[0], int(address.split(":")[1]))
    for name, address in (
        entry.split("=") for entry in os.environ.get("BOARDS", "").split(",") if entry
    )
}


def place(host, port):
    name = host.decode() if isinstance(host, bytes) else host
    return BOARDS.get(name, (host, port))


def retarget():
    look_up, look_up_one = socket.getaddrinfo, socket.gethostbyname
    connect = socket.socket.connect
    socket.getaddrinfo = lambda host, port, *rest, **named: look_up(
        *place(host, port), *rest, **named
    )
    socket.gethostbyname = lambda host: look_up_one(place(host, 0)[0])
    socket.socket.connect = lambda self, address: connect(
        self, place(*address) if isinstance(address, tuple) and len(address) == 2 else address
    )


retarget()
