"""What the servers of tuberd_board.py serve. They execute this file."""

import http.client
import importlib.metadata
import json
import os
import socket
import sys
import threading
import time


class Board:
    """The simulated board. Each thread has a connection of its own."""

    def __init__(self, address):
        self.address = address
        self.threads = threading.local()

    def ask(self, request):
        connection = getattr(self.threads, "connection", None)
        for attempt in range(2):
            if connection is None:
                connection = http.client.HTTPConnection(self.address, timeout=60)
                self.threads.connection = connection
            try:
                connection.request("POST", "/tuber", json.dumps(request))
                answer = json.loads(connection.getresponse().read())
                break
            except (http.client.HTTPException, ConnectionError):
                # The board closes connections that are not used.
                connection.close()
                connection = None
                if attempt:
                    raise
        if "error" in answer:
            raise ValueError(answer["error"]["message"])
        return answer["result"]


def method_of(board, name):
    def method(self, *args, **kwargs):
        request = {"object": "Dfmux", "method": name, "args": args, "kwargs": kwargs}
        return board.ask(request)

    method.__name__ = name
    return method


def registry_of(board):
    described = board.ask({"object": "Dfmux", "resolve": True})
    members = {name: method_of(board, name) for name in described["methods"]}
    members.update(described["properties"])
    return {"Dfmux": type("Dfmux", (), members)()}


def announce(port):
    """Tell the test when the server listens, and end with it."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.01)
    version = importlib.metadata.version("tuberd")
    print(json.dumps({"port": port, "version": version}), flush=True)
    sys.stdin.read()
    os._exit(0)


registry = registry_of(Board(os.environ["BOARD_ADDRESS"]))
threading.Thread(target=announce, args=[int(os.environ["BOARD_PORT"])], daemon=True).start()
