#!/usr/bin/env python3
"""Compare an exported G3 file with its capture, by the software of SPT.

Usage: exported_g3.py RUN FILE

Every sample and time of each module is compared with the Arrow files of the
run, and every lost sample must be NaN. Altered copies of a file of the run are
then written by the script of twotone alone.

Prints one JSON object:
  {"failures": [text], "measured": {name: value}}
Exits with 0 if there are no failures.
"""

import json
import resource
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from shared import Findings

TICK_NS = 10
NO_TIME = -(2**63)
SCRIPT = Path(__file__).parents[2] / "src/exchange/g3.py"


def frames(path):
    from spt3g import core

    kinds = {}
    for frame in core.G3File(str(path)):
        kinds.setdefault(str(frame.type), []).append(frame)
    return kinds


def lists(table, name, width):
    import numpy as np

    values = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=float).reshape(-1, width)


class Captured:
    """A module of the capture, with each sample in the place of its sequence number."""

    def __init__(self, path):
        import numpy as np
        import pyarrow

        with pyarrow.ipc.open_file(path) as file:
            table = file.read_all()
        self.notes = {key.decode(): text.decode() for key, text in table.schema.metadata.items()}
        self.tag = f"{self.notes['board']}_m{self.notes['module']}"
        about = table.schema.field("i").metadata
        self.channels = json.loads(about[b"channels"])
        ids = json.loads(about.get(b"detectors", b"null")) or [None] * len(self.channels)
        self.detectors = [one for one in ids if one is not None]
        self.names = [
            one or f"{self.tag}_c{channel:04d}" for one, channel in zip(ids, self.channels)
        ]
        sequence = table["sequence"].to_numpy().astype(np.int64)
        self.first = int(sequence[0])
        places = (sequence - self.first) % 2**32
        self.count = int(places[-1]) + 1
        self.rows = len(places)
        self.lost = int(table["lost_before"].to_numpy().sum())

        def spread(values):
            full = np.full((self.count, *values.shape[1:]), np.nan)
            full[places] = values
            return full

        self.columns = {
            name: spread(lists(table, name, len(self.channels)) / 256) for name in ("i", "q")
        }
        self.calibrated = []
        if "df_hz" in table.schema.names:
            self.calibrated = json.loads(table.schema.field("df_hz").metadata[b"channels"])
            for name in ("df_hz", "dqi_inv"):
                self.columns[name] = spread(lists(table, name, len(self.calibrated)))
        self.time_ns = np.zeros(self.count, dtype=np.int64)
        self.time_ns[places] = table["time"].cast("int64").fill_null(0).to_numpy()


def module(one, scans, findings):
    import numpy as np
    from spt3g import core

    scans = [frame for frame in scans if f"SampleTimes_{one.tag}" in frame]
    numbers = np.concatenate([np.asarray(scan[f"Sequence_{one.tag}"]) for scan in scans])
    places = (numbers - one.first) % 2**32
    ordered = bool(np.all(np.diff(places) > 0)) and int(places[-1]) < one.count
    findings.expect(ordered, f"{one.tag}: sequence numbers {numbers[:3]} to {numbers[-3:]}")
    if not ordered:
        return
    is_nan = np.isnan(one.columns["i"][:, 0])
    left_out = np.setdiff1d(np.flatnonzero(~is_nan), places)
    findings.expect(not len(left_out), f"{one.tag}: samples {left_out[:3]} are left out")
    times = np.concatenate([np.asarray(scan[f"SampleTimes_{one.tag}"]) for scan in scans])
    apart = np.abs(times * TICK_NS - one.time_ns[places])
    findings.expect(apart.max() <= TICK_NS / 2, f"{one.tag}: times off by {apart.max()} ns")
    lost = sum(scan[f"LostSamples_{one.tag}"] for scan in scans)
    before = sum(scan[f"LostBefore_{one.tag}"] for scan in scans)
    findings.expect(lost + before == one.lost, f"{one.tag}: lost {lost} and {before}, not {one.lost}")
    is_lost = np.concatenate([np.asarray(scan[f"SampleLost_{one.tag}"]) for scan in scans])
    findings.expect(np.array_equal(is_lost.astype(bool), is_nan[places]), f"{one.tag}: others are lost")
    findings.expect(len(places) - is_lost.sum() == one.rows, f"{one.tag}: {len(places)} samples")

    calibrated = [one.names[one.channels.index(channel)] for channel in one.calibrated]
    keys = {"i": ("RawTimestreams_I", one.names, 1.0), "q": ("RawTimestreams_Q", one.names, 1.0)}
    if calibrated:
        keys["df_hz"] = ("FrequencyShift", calibrated, core.G3Units.Hz)
        keys["dqi_inv"] = ("InverseQiChange", calibrated, 1.0)
    for column, (key, names, unit) in keys.items():
        maps = [scan[f"{key}_{one.tag}"] for scan in scans]
        findings.expect(set(maps[0].keys()) == set(names), f"{one.tag}: {key} of {maps[0].keys()}")
        for at, name in enumerate(names):
            read = np.concatenate([np.asarray(each[name]) for each in maps])
            wanted = one.columns[column][places, at] * unit
            equal = np.array_equal(read, wanted, equal_nan=True)
            findings.expect(equal, f"{one.tag}: {key} of {name}: {read[:3]}, not {wanted[:3]}")
    if "rate_hz" not in one.notes:
        # The ends of a scan are as far apart as its samples are.
        for scan in scans:
            ends = scan[f"RawTimestreams_I_{one.tag}"]
            rate = ends.sample_rate / core.G3Units.Hz
            if ends.n_samples > 1:
                findings.expect(abs(rate / 596.046 - 1) < 1e-4, f"{one.tag}: {rate} Hz")
    findings.measured[f"{one.tag}: samples, lost, scans"] = [one.rows, int(lost), len(scans)]


def tune(captured, boards, path, findings):
    """Compares the properties of channels with the tune. Returns the number of channels."""
    from spt3g import core
    from spt3g.calibration import BolometerPropertiesMap  # noqa: F401 (readable with it)

    with open(path, "rb") as file:
        tunes = tomllib.load(file)["tune"]
    known = 0
    for frame in boards:
        of_board = [one for one in captured if one.notes["board"] == frame["BoardName"]]
        names = {name for one in of_board for name in one.names}
        findings.expect(set(frame["BolometerProperties"].keys()) == names, "other bolometers")
        for one in of_board:
            module = int(one.notes["module"])
            tuned = [t for t in tunes if t["board"] == frame["BoardName"] and t["module"] == module]
            for channel in tuned[0]["channel"]:
                name = one.names[one.channels.index(channel["channel"])]
                unit = core.G3Units.Hz
                for key, own, scale in (
                    ("ToneFrequency", "tone_hz", unit),
                    ("ResonanceFrequency", "fr_hz", unit),
                    ("NCOFrequency", "nco_hz", unit),
                    ("QualityFactor", "qr", 1),
                    ("ToneAmplitude", "amplitude", 1),
                ):
                    if own in channel:
                        same = frame[key][name] == channel[own] * scale
                        findings.expect(same, f"{name}: {key} {frame[key][name]}")
                if "calibration" in channel:
                    read = list(frame["CountsPerHz"][name])
                    findings.expect(read == channel["calibration"]["d"], f"{name}: {read}")
                findings.expect(frame["TuneStatus"][name] == channel["status"], f"{name}: status")
                findings.expect(frame["Channel"][name] == channel["channel"], f"{name}: channel")
                known += 1
    return known


def write(arrow, out, most_bytes=resource.RLIM_INFINITY, **spec):
    """Runs the script for one file. Returns its status, and its answer or its last words."""
    import pyarrow

    with pyarrow.ipc.open_file(arrow) as file:
        width = file.schema.field("i").type.list_size
    one = {"tag": "x", "file": arrow.name, "path": str(arrow), "steps_per_count": 256, **spec}
    one["names"] = [f"c{at}" for at in range(width)]
    kinds = ("numbers", "words", "values", "frequencies", "complex")
    board = {"name": "b", "serial": None, "tune": None, "modules": [one], **{key: {} for key in kinds}}
    board["numbers"] = {"Channel": {name: at for at, name in enumerate(one["names"])}}
    spec = {"out": str(out), "scan_s": 0.1, "origin": {}, "boards": [board]}
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)],
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )
    if ended.returncode:
        return ended.returncode, ended.stderr.strip().splitlines()[-1]
    return 0, json.loads(ended.stdout)


def altered(path, folder, findings):
    """Writes copies of a file with one thing that is wrong, each in batches of 64 samples."""
    import numpy as np
    import pyarrow

    with pyarrow.ipc.open_file(path) as file:
        table = file.read_all()
    per_scan = 0.1 * 596.046
    times = table["time"].cast("int64").fill_null(NO_TIME).to_numpy().copy()
    middle = len(table) // 2

    def copy(name, times=times, lacks=()):
        """Writes a copy, and returns the answer, the scan frames, and the path of the copy."""
        column = pyarrow.array(times, pyarrow.timestamp("ns"), mask=times == NO_TIME)
        at = table.schema.get_field_index("time")
        changed = table.set_column(at, table.schema.field("time"), column)
        changed = changed.drop_columns(list(lacks))
        copied = folder / f"{name}.arrow"
        with pyarrow.ipc.new_file(copied, changed.schema) as file:
            file.write_table(changed, max_chunksize=64)
        return *read(copied), copied

    def read(copied):
        out = folder / f"{copied.stem}.g3"
        status, answer = write(copied, out)
        findings.expect(status == 0, f"{copied.stem}: {answer}")
        return ({}, []) if status else (answer, frames(out).get("Scan", []))

    def rows(scan):
        return len(scan["SampleTimes_x"])

    answer, usual, whole = copy("whole")
    numbers = [scan["ScanNumber"] for scan in usual]
    findings.expect(max(map(rows, usual)) <= per_scan + 2, f"{max(map(rows, usual))} samples in a scan")

    # A file that is full. Also one whose last frame alone is lacking.
    for end in ("g3", "g3.gz"):
        write(whole, folder / f"size.{end}")
        size = (folder / f"size.{end}").stat().st_size
        for most_bytes in (size // 2, size - 1):
            status, words = write(whole, folder / f"full.{end}", most_bytes)
            findings.expect(status != 0, f"{end} full at {most_bytes} of {size} bytes: {words}")

    # A time ahead, alone or for good, in a batch, at its end, and at the start of the file.
    for row in (0, middle // 64 * 64 - 1, middle // 64 * 64 + 20):
        lone = times.copy()
        lone[row] += 10**13
        _, scans, _ = copy(f"lone-{row}", lone)
        read_numbers = [scan["ScanNumber"] for scan in scans]
        findings.expect(read_numbers == numbers, f"lone time {row}: scans {read_numbers}")
    ahead = times.copy()
    ahead[middle : middle + 5] += 10**13
    answer, scans, _ = copy("ahead", ahead)
    most = max(map(rows, scans))
    # Lost samples come on top.
    findings.expect(most <= 2.2 * per_scan, f"time ahead: {most} samples in a frame")
    total = sum(rows(scan) - scan["LostSamples_x"] for scan in scans)
    findings.expect(total == len(table), f"time ahead: {total} of {len(table)} samples")

    # No rate.
    lacks = ["stage", "sequence", "lost_before"]
    for name, none in (("no times", np.full_like(times, NO_TIME)), ("equal times", times * 0)):
        answer, scans, _ = copy(name, none, lacks)
        findings.expect(len(answer.get("doubts", [])) == 1, f"{name}: {answer}")
        has_rate = any("SampleRate_x" in scan for scan in scans)
        findings.expect(scans and not has_rate, f"{name}: a rate, or no scans")

    # The metadata of a batch is damaged: of a later one, and of the first one.
    data = bytearray(whole.read_bytes())
    starts = [at for at in range(0, len(data), 8) if data[at : at + 4] == b"\xff\xff\xff\xff"]
    batches = [at for at in starts if int.from_bytes(data[at + 4 : at + 8], "little")][1:]
    for name, at, samples in (("second", batches[1], [64]), ("first", batches[0], [])):
        damaged = data.copy()
        damaged[at + 8 : at + 40] = bytes(32)
        copied = folder / f"{name}.arrow"
        copied.write_bytes(damaged)
        answer, _ = read(copied)
        read_samples = [one["samples"] for one in answer.get("modules", [])]
        is_told = read_samples == samples and len(answer.get("missing", [])) == 1
        findings.expect(is_told, f"{name} batch damaged: {answer}")


def run(arguments, findings):
    run, path = map(Path, arguments)
    kinds = frames(path)
    files = sorted(run.glob("samples/*/module-*.arrow"))
    captured = [Captured(file) for file in files]
    findings.expect(captured, "no files")
    for one in captured:
        module(one, kinds["Scan"], findings)
    origin = kinds["Observation"][0]
    for key, note in (("HardwareMapSHA256", "map_sha256"), ("TwotoneVersion", "twotone_version")):
        findings.expect(origin[key] == captured[0].notes[note], f"{key} is {origin[key]}")
    manifest = json.loads((run / "manifest.json").read_text())
    if manifest["parameters"]["tune"] is not None:
        tuned = run.parent / manifest["parameters"]["tune"] / "tune.toml"
        known = tune(captured, kinds["Calibration"], tuned, findings)
        findings.measured["tuned channels"] = known
    with tempfile.TemporaryDirectory() as folder:
        staged = [file for file, one in zip(files, captured) if "rate_hz" not in one.notes]
        for file in staged[:1]:
            altered(file, Path(folder), findings)
    findings.measured["detectors"] = [one for each in captured for one in each.detectors]
    findings.measured["scans"] = len(kinds["Scan"])


def main(argv):
    findings = Findings()
    return findings.of(lambda: run(argv, findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
