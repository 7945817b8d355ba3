#!/usr/bin/env python3
"""Tune one module of a simulated board with the unmodified rfmux client.

Usage: rfmux_tune.py ADDRESS TRUTH [--board NAME] [--module N] [--save FILE]

ADDRESS is the board's ip:port. TRUTH is the file with the true detectors of the
simulated boards. Resolves the board, runs a network analysis, finds resonances,
sweeps each of them, biases all of them, and compares the tones with the truth
file. FILE gets the result of bias_kids as JSON.

Prints one JSON object:
  {"ok", "failures": [text], "detectors", "found": [Hz], "missed": [id],
   "false": [Hz], "biased": [{"channel", "id", "tone_hz", "amplitude",
   "offset_lw"}], "steps": [{"name", "seconds"}]}
Exits with 0 if every working detector of the truth file was found and biased,
and nothing else was. Exits with 1 otherwise. What rfmux prints goes to stderr.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
import traceback
import warnings

# A tone of this amplitude leaves the detectors nearly linear; see
# kerr_reference_dbm of the simulator's profiles.
AMPLITUDE = 0.001

# A resonance counts as found if a dip is this near, in linewidths. The power of
# the tone shifts a nonlinear resonance down a little.
FOUND_WITHIN_LW = 0.5

# A tone counts as on its detector if it is this near, in linewidths. rfmux places
# it where the IQ loop moves fastest with frequency, on a grid of 298 Hz.
BIASED_WITHIN_LW = 0.6


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="the board's ip:port")
    parser.add_argument("truth", help="the farm's truth file")
    parser.add_argument("--board", help="the board's name in the truth file; the first unless told")
    parser.add_argument("--module", type=int, default=1)
    parser.add_argument("--serial", default="0001", help="the board's serial number")
    parser.add_argument("--f-min", type=float, default=1.0e9, help="Hz")
    parser.add_argument("--f-max", type=float, default=1.5e9, help="Hz")
    parser.add_argument("--points", type=int, default=25_000, help="of the network analysis")
    parser.add_argument("--save", help="file for the result of bias_kids")
    return parser.parse_args(argv)


def detectors_of(path, board, module):
    with open(path, encoding="utf-8") as file:
        truth = json.load(file)
    boards = [b for b in truth["boards"] if board in (None, b["name"])]
    modules = [m for m in boards[0]["modules"] if m["module"] == module]
    return [d for d in modules[0]["detectors"] if not d["dead"]]


def nearest(detectors, frequency):
    """Return the detector nearest to a frequency, and the distance in its linewidths."""
    best = min(detectors, key=lambda d: abs(frequency - d["fr_hz"]) / d["linewidth_hz"])
    return best, (frequency - best["fr_hz"]) / best["linewidth_hz"]


class Steps:
    """Names of the steps, and the seconds that each took."""

    def __init__(self):
        self.taken = []

    @contextlib.contextmanager
    def step(self, name):
        start = time.monotonic()
        yield
        self.taken.append({"name": name, "seconds": round(time.monotonic() - start, 3)})


async def tune(arguments, detectors, steps):
    with steps.step("import"):
        import rfmux
        from rfmux.core.crs import CRS
        from rfmux.algorithms.measurement.bias_kids import bias_kids
        from rfmux.algorithms.measurement.fitting import find_resonances

    module = arguments.module
    report = {}
    with steps.step("resolve"):
        session = rfmux.load_session(
            f'!HardwareMap [ !CRS {{ serial: "{arguments.serial}", '
            f'hostname: "{arguments.address}" }} ]'
        )
        crs = session.query(CRS).one()
        await crs.resolve()
        await crs.set_timestamp_port(crs.TIMESTAMP_PORT.TEST)
        await crs.clear_channels(module=module)

    with steps.step("take_netanal"):
        sweep = await crs.take_netanal(
            amp=AMPLITUDE,
            fmin=arguments.f_min,
            fmax=arguments.f_max,
            npoints=arguments.points,
            nsamps=10,
            module=module,
        )
    with steps.step("find_resonances"):
        found = find_resonances(
            sweep["frequencies"], sweep["iq_complex"], module_identifier=module
        )["resonance_frequencies"]
    report["found"] = found
    matched = {}
    report["false"] = []
    for frequency in found:
        detector, offset = nearest(detectors, frequency)
        if abs(offset) <= FOUND_WITHIN_LW and detector["id"] not in matched:
            matched[detector["id"]] = frequency
        else:
            report["false"].append(frequency)
    report["missed"] = [d["id"] for d in detectors if d["id"] not in matched]
    report["false"].sort()
    if not found or len(found) > 2 * len(detectors):
        # To sweep and fit so many would take long and show nothing more.
        return report

    with steps.step("multisweep"):
        swept = await crs.multisweep(
            center_frequencies=found,
            span_hz=400e3,
            npoints_per_sweep=101,
            amp=AMPLITUDE,
            nsamps=10,
            module=module,
        )
    with steps.step("bias_kids"):
        biased = await bias_kids(crs, swept, module=module)
    if arguments.save:
        with open(arguments.save, "w") as file:
            json.dump(biased, file, default=plain)

    with steps.step("read back"):
        async with crs.tuber_context() as ctx:
            ctx.get_nco_frequency(module=module)
            for channel in biased:
                ctx.get_frequency(channel=channel, module=module)
                ctx.get_amplitude(channel=channel, module=module)
            nco, *settings = await ctx()
    report["biased"] = []
    for index, (channel, entry) in enumerate(biased.items()):
        tone = nco + settings[2 * index]
        detector, offset = nearest(detectors, tone)
        report["biased"].append(
            {
                "channel": channel,
                "id": detector["id"],
                "tone_hz": tone,
                "amplitude": settings[2 * index + 1],
                "offset_lw": round(offset, 4),
                "calibration": entry.get("df_calibration_source"),
            }
        )
    return report


def plain(value):
    """Return a value of numpy, or a complex number, as JSON can have it."""
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value.tolist()


def judge(report, detectors):
    """Return what is wrong with the found resonances and the tones."""
    failures = []
    if report["missed"]:
        failures.append(f"detectors not found: {report['missed']}")
    if report["false"]:
        failures.append(f"{len(report['false'])} found where there is no detector")
    toned = sorted(entry["id"] for entry in report["biased"])
    if toned != sorted(d["id"] for d in detectors):
        failures.append(f"tones are on detectors {toned}")
    for entry in report["biased"]:
        if not abs(entry["offset_lw"]) <= BIASED_WITHIN_LW:
            failures.append(f"channel {entry['channel']} is {entry['offset_lw']} linewidths off")
        if entry["amplitude"] != AMPLITUDE:
            failures.append(f"channel {entry['channel']} has amplitude {entry['amplitude']}")
        if entry["calibration"] is None:
            failures.append(f"channel {entry['channel']} has no calibration")
    return failures


def main(argv):
    arguments = parse(argv)
    steps = Steps()
    report = {"found": [], "missed": [], "false": [], "biased": []}
    try:
        detectors = detectors_of(arguments.truth, arguments.board, arguments.module)
        report["detectors"] = len(detectors)
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            report.update(asyncio.run(tune(arguments, detectors, steps)))
        report["warnings"] = sorted({str(warning.message) for warning in said})
        failures = judge(report, detectors)
    except Exception as error:  # the report says what went wrong, whatever it was
        traceback.print_exc()
        failures = [f"{type(error).__name__}: {error}"]
    report["failures"] = failures
    report["ok"] = not failures
    report["steps"] = steps.taken
    print(json.dumps(report, default=float))
    return 0 if not failures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
