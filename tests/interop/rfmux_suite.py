#!/usr/bin/env python3
"""Run the tests that the client of CRS boards brings for boards, on a simulated board.

Usage: rfmux_suite.py spotcheck|qc SERIAL=HOST:PORT FOLDER

The files of the tests are those of the client, unchanged. Only the host name of
the board leads to the simulated one (retarget.py). `spotcheck` is in the source
package, whose folder is FOLDER. `qc` is in the installed package, runs as
`rfmux qc` does, and writes its report into FOLDER.

Prints one JSON object: {"passed": [names], "failed": {name: reason}}
What the tests print goes to stderr.
"""

import contextlib
import json
import os
import pathlib
import sys
import types

import pytest


class Outcomes:
    """What became of each test."""

    def __init__(self):
        self.passed = []
        self.failed = {}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)[-1000:]
        elif report.passed and report.when == "call":
            self.passed.append(report.nodeid)


def spotcheck(folder):
    yield [f"{folder}/test/core/test_spotcheck.py"]


def qc(folder):
    os.environ.setdefault("USER", "nobody")
    # The report is not what is tested, and printing it needs libraries of the system.
    printer = types.ModuleType("weasyprint")
    printer.HTML = lambda *_, **__: types.SimpleNamespace(write_pdf=lambda *_, **__: None)
    printer.CSS = lambda *_, **__: None
    sys.modules["weasyprint"] = printer
    import rfmux.tools.qc

    home = pathlib.Path(rfmux.tools.qc.__file__).parent
    common = [str(home), "-c", str(home / "pytest.ini"), "--directory", folder]
    # This one needs filters in the cables of modules 2 and 3, one for each Nyquist zone.
    common += ["-k", "not mixmodes"]
    yield [*common, "-m", "qc_stage1"]
    yield [*common, "-m", "qc_stage2", "--low-bank"]
    yield [*common, "-m", "qc_stage2", "--high-bank"]


def main(suite, board, folder):
    serial, address = board.split("=")
    os.environ["BOARDS"] = f"rfmux{serial}.local={address}"
    outcomes = Outcomes()
    with contextlib.redirect_stdout(sys.stderr):
        for arguments in {"spotcheck": spotcheck, "qc": qc}[suite](folder):
            common = ["-p", "retarget", "-p", "no:cacheprovider", f"--serial={serial}"]
            pytest.main([*arguments, *common], plugins=[outcomes])
    print(json.dumps({"passed": outcomes.passed, "failed": outcomes.failed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
