#!/usr/bin/env python3
"""Compare an exported dirfile with its capture, by the Python client and GetData.

Usage: exported_dirfile.py RUN DIRFILE

Every sample, time, number and flag of each module is read through the client's
load_dirfile, and compared with the Arrow files of the run.

Prints one JSON object:
  {"failures": [text], "measured": {name: value}}
Exits with 0 if there are no failures.
"""

import json
import sys
import urllib.parse
from pathlib import Path

from shared import Findings

NANOSECONDS = 10**9
DAY_S = 86400


def lists(table, name, width):
    import numpy as np

    values = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(-1, width)


def module(dirfile, path, findings):
    """Compares a module, and returns the ids of its detectors."""
    import numpy as np
    import pyarrow

    with pyarrow.ipc.open_file(path) as file:
        table = file.read_all()
    notes = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    serial, number = notes["serial"], int(notes["module"])
    field = f"serial_{serial}.m{number:02d}"
    what = f"{serial}/{number}"

    def same(name, wanted):
        read = dirfile.getdata(f"{field}_{name}")
        equal = read.shape == wanted.shape and np.array_equal(read, wanted, equal_nan=True)
        findings.expect(equal, f"{what}: {name}: {read[:3]} {read.shape}, {wanted[:3]} {wanted.shape}")

    about = table.schema.field("i").metadata
    channels = json.loads(about[b"channels"])
    rows = [lists(table, name, len(channels)).astype(float) / 256 for name in ("i", "q")]
    for at, channel in enumerate(channels):
        read = dirfile.get_samples(serial, module=number, channel=channel)
        wanted = rows[0][:, at] + 1j * rows[1][:, at]
        findings.expect(np.array_equal(read, wanted), f"{what}: other samples of {channel}")

    is_null = table["time"].is_null().to_numpy()
    times = table["time"].cast("int64").fill_null(-(2**63)).to_numpy()
    same("time_ns", times)
    seconds = np.where(is_null, np.nan, times / NANOSECONDS)
    read = dirfile.getdata(f"{field}_time")
    apart = np.abs(read - seconds)
    findings.expect(np.array_equal(np.isnan(read), is_null), f"{what}: other times are unknown")
    findings.expect(np.all(apart[~is_null] < 3e-7), f"{what}: time off by {np.nanmax(apart)} s")
    # The times of the Python client count from midnight; a stamp that is later than its
    # sample may already be of the next day.
    of_day = np.where(is_null, np.nan, (times % (DAY_S * NANOSECONDS)) / NANOSECONDS)
    read = dirfile.getdata(f"{field}_timebase")
    apart = np.abs((read - of_day + DAY_S / 2) % DAY_S - DAY_S / 2)
    findings.expect(np.array_equal(np.isnan(read), is_null), f"{what}: the timebase knows others")
    # Times of the capture are cut off to nanoseconds.
    findings.expect(np.all(apart[~is_null] < 1.1e-9), f"{what}: timebase off by {np.nanmax(apart)} s")
    findings.measured[f"{what}: timebase, largest difference, s"] = float(np.max(apart[~is_null], initial=0))

    same("time_source", table["time_source"].fill_null(255).to_numpy())
    for name in ("sequence", "lost_before"):
        same(name, table[name].to_numpy())
    if "rate_hz" in notes:
        rate = dirfile.get_constant(f"{field}_rate_hz")
        findings.expect(rate == float(notes["rate_hz"]), f"{what}: rate {rate}")
    else:
        same("dec_stage", table["stage"].to_numpy())
        for name in ("overrange", "overvoltage"):
            same(name, table[name].to_numpy(zero_copy_only=False).astype(np.uint8))
    calibrated = []
    if "df_hz" in table.schema.names:
        calibrated = json.loads(table.schema.field("df_hz").metadata[b"channels"])
        for name in ("df_hz", "dqi_inv"):
            values = lists(table, name, len(calibrated)).astype(float)
            for at, channel in enumerate(calibrated):
                same(f"c{channel:04d}_{name}", values[:, at])
    for name in ("board", "serial", "started", "twotone_version", "map_sha256"):
        read = dirfile.get_string(f"serial_{serial}.{name}").decode()
        findings.expect(read == notes[name], f"{what}: {name} is {read!r}")
    findings.measured[f"{what}: samples, lost, channels, calibrated"] = [
        len(table),
        int(table["lost_before"].to_numpy().sum()),
        len(channels),
        len(calibrated),
    ]
    detectors = json.loads(about.get(b"detectors", b"[]"))
    return detected(dirfile, field, zip(channels, detectors), calibrated, findings)


def name_of(detector):
    """The name that docs/exchange.md gives to the id of a detector."""
    name = urllib.parse.quote(detector, safe="").replace(".", "%2E").replace("~", "%7E")
    if name == "INDEX" or name.startswith(("serial_", "board_")):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return name


def detected(dirfile, field, detectors, calibrated, findings):
    """Checks that the names of detectors lead to the fields of their channels."""
    import numpy as np

    found = []
    for channel, detector in detectors:
        if detector is None:
            continue
        name = name_of(detector)
        own = f"{field}_c{channel:04d}"
        pairs = [(name, own)]
        if channel in calibrated:
            pairs += [(f"{name}:{kind}", f"{own}_{kind}") for kind in ("df_hz", "dqi_inv")]
        for alias, target in pairs:
            equal = np.array_equal(dirfile.getdata(alias), dirfile.getdata(target), equal_nan=True)
            findings.expect(equal, f"{alias} is not {target}")
        kept = dirfile.get_string(f"{own}/detector").decode()
        findings.expect(kept == detector, f"{own}: detector {kept!r}, not {detector!r}")
        found.append(detector)
    return found


def run(arguments, findings):
    import rfmux

    capture, path = map(Path, arguments)
    dirfile = rfmux.load_dirfile(str(path))
    files = sorted(capture.glob("samples/*/module-*.arrow"))
    findings.expect(files, "no files")
    detectors = [one for file in files for one in module(dirfile, file, findings)]
    findings.measured["detectors"] = detectors
    findings.measured["frames"] = dirfile.nframes


def main(argv):
    findings = Findings()
    return findings.of(lambda: run(argv, findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
