#!/usr/bin/env python3
"""Compare imported dirfiles with captures of the same packets.

Usage: imported_dirfile.py SERIAL=ADDRESS --twotone PROGRAM --map MAP --out DIR --date DATE

While a capture of the program runs, the parser of the unmodified Python client
writes a dirfile of the same packets. The program imports it. Every imported
sample must be a sample of the capture, with the same time. Then the capture is
exported as a dirfile and imported again, and must be the same.

Prints one JSON object:
  {"failures": [text], "measured": {name: value}}
Exits with 0 if there are no failures.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from shared import Findings

ATTEMPTS = 3
FRAMES = 900
CHANNELS = [1, 2, 3, 7]
PARSER = "import sys; from rfmux.tools.parser import main; main(*sys.argv[1:])"
COLUMNS = ["time", "time_source", "sequence", "lost_before", "stage", "overrange", "overvoltage"]


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", metavar="SERIAL=ADDRESS")
    for name in ("--twotone", "--map", "--out", "--date"):
        parser.add_argument(name, required=True)
    return parser.parse_args(argv)


def table_of(run):
    import pyarrow

    (path,) = Path(run).glob("samples/*/module-1.arrow")
    with pyarrow.ipc.open_file(path) as file:
        return file.read_all()


def samples(table):
    """The samples of each row, by channel."""
    import numpy as np

    channels = json.loads(table.schema.field("i").metadata[b"channels"])
    parts = [table[name].combine_chunks().flatten().to_numpy() for name in ("i", "q")]
    return channels, [np.asarray(part).reshape(-1, len(channels)) for part in parts]


class Program:
    def __init__(self, path, folder):
        self.path = path
        self.folder = folder

    def run(self, *args, status=0):
        """Runs the program, and returns the object that it prints and what it says."""
        words = [self.path, *map(str, args), "--json"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.folder)
        if done.returncode != status:
            raise RuntimeError(f"{args} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout else None, done.stderr


def parsed(arguments, program, folder):
    """Captures packets and parses the same packets at the same time."""
    serial, _, address = arguments.board.partition("=")
    dirfile = folder / "parsed"
    capture = subprocess.Popen(
        [arguments.twotone, "capture", arguments.map, "--board", f"crs{serial}"]
        + ["--seconds", "60", "--out", folder / "run"],
        stdout=sys.stderr,
    )
    while not list(folder.glob(".run.*/samples/*/module-1.arrow")):
        if capture.poll() is not None:
            raise RuntimeError("the capture ended by itself")
        time.sleep(0.05)
    options = ["-H", address.partition(":")[0], "-d", str(dirfile), "-s", str(int(serial))]
    options += ["-m", "1", "-c", "1-3,7", "-n", str(FRAMES)]
    subprocess.run([sys.executable, "-c", PARSER, *options], check=True, stdout=sys.stderr)
    # The last packets that were parsed are in the capture too.
    time.sleep(0.5)
    capture.terminate()
    capture.wait()
    return dirfile, folder / "run"


def compare(imported, captured, findings):
    """Finds each imported sample in the capture. Returns what is wrong with them."""
    import numpy as np

    channels, theirs = samples(imported)
    own, ours = samples(captured)
    findings.expect(channels == CHANNELS, f"channels {channels}")
    findings.expect(len(imported) == FRAMES, f"{len(imported)} frames")
    absent = {"sequence", "lost_before", "overrange", "overvoltage"} & set(imported.schema.names)
    findings.expect(not absent, f"{absent} are invented")
    times = captured["time"].cast("int64").to_numpy()
    stamped = imported["time"].cast("int64").to_numpy()
    rows = np.minimum(np.searchsorted(times, stamped), len(times) - 1)
    found = times[rows] == stamped
    findings.measured["times that the capture has"] = int(found.sum())
    findings.measured["first times"] = [int(stamped[0]), int(times[rows[0]])]
    if not found.all():
        return [f"{int((~found).sum())} times are not those of the capture"]
    wrong = []
    for at, channel in enumerate(channels):
        column = own.index(channel)
        for name, part, wanted in zip("iq", theirs, ours):
            if not np.array_equal(part[:, at], wanted[rows, column]):
                wrong.append(f"{name} of channel {channel} differs")
    same = np.array_equal(imported["stage"].to_numpy(), captured["stage"].to_numpy()[rows])
    findings.expect(same, "the stages differ")
    origins = set(imported["time_source"].to_pylist())
    findings.expect(origins == {0}, f"the times are of {origins}")
    return wrong


def again(program, run, findings):
    """Exports a capture, imports it, and compares all that a dirfile has."""
    program.run("export", run, "--to", "dirfile", "--out", "again.dirfile")
    report, _ = program.run("import", "again.dirfile", "--out", "again")
    before, after = table_of(run), table_of(program.folder / "again")
    findings.expect(report["boards"][0]["modules"][0]["samples"] == len(before), f"{report}")
    for name in COLUMNS:
        findings.expect(before[name].equals(after[name]), f"{name} changes on the way")
    first, second = samples(before), samples(after)
    findings.expect(first[0] == second[0], "the channels change on the way")
    for name, one, other in zip("iq", first[1], second[1]):
        findings.expect((one == other).all(), f"{name} changes on the way")
    findings.measured["samples that come back"] = len(after)


def run(arguments, findings):
    for attempt in range(1, ATTEMPTS + 1):
        folder = Path(arguments.out) / f"attempt-{attempt}"
        folder.mkdir()
        program = Program(arguments.twotone, folder)
        dirfile, capture = parsed(arguments, program, folder)
        report, said = program.run("import", dirfile, "--out", "imported", "--date", arguments.date)
        # A socket of the client may get packets of other boards, some with the same serial number,
        # until it has joined its group.
        wrong = compare(table_of(folder / "imported"), table_of(capture), findings)
        findings.measured["attempts"] = attempt
        if not wrong:
            break
    findings.failures += wrong
    serial = arguments.board.partition("=")[0]
    findings.measured["report"] = report
    findings.expect(report["boards"][0]["serial"] == serial, f"serial of {report}")
    findings.expect("sequence numbers" in said, f"it says nothing of losses: {said}")
    # The clock of the board does not show the time at which the files were written.
    _, said = program.run("import", dirfile, "--out", "none", status=2)
    findings.expect("--date" in said and not (folder / "none").exists(), f"no date: {said}")
    program.run("import", dirfile, "--out", "unknown", "--date", "unknown")
    times = table_of(folder / "unknown")["time"]
    findings.expect(times.null_count == len(times) == FRAMES, "times without a date")
    again(program, capture, findings)


def main(argv):
    arguments = parse(argv)
    findings = Findings()
    return findings.of(lambda: run(arguments, findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
