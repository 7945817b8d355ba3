#!/usr/bin/env python3
"""A board whose server is the real one, of any version since 0.14.

Usage: tuberd_board.py ADDRESS [PACKAGES]

Every call of its object `Dfmux` is passed on to the simulated board at ADDRESS
(host:port). The server is that of the folder PACKAGES, or of this Python. It
listens on every address of this computer, so that clients reach it at the
address from which the simulated board streams.

Prints one JSON object when the server listens: {"port": number, "version": text}
It ends when standard input ends.
"""

import os
import sys
import sysconfig
from pathlib import Path

from shared import free_port

REGISTRY = Path(__file__).with_name("board_registry.py")
MAIN = "from tuber.server import main; main()"


def main(address, packages=None):
    port = free_port()
    paths = [path for path in (packages, sysconfig.get_path("purelib")) if path]
    environment = dict(
        os.environ,
        BOARD_ADDRESS=address,
        BOARD_PORT=str(port),
        PYTHONPATH=os.pathsep.join(paths),
        # For servers that embed Python.
        LD_LIBRARY_PATH=sysconfig.get_config_var("LIBDIR") or "",
    )
    options = ["--registry", str(REGISTRY), "--port", str(port)]
    program = Path(packages or "", "bin", "tuberd")
    if packages and program.read_bytes().startswith(b"\x7fELF"):
        os.execve(program, [str(program), *options], environment)
    os.execve(sys.executable, [sys.executable, "-c", MAIN, *options], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
