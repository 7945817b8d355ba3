#!/usr/bin/env python3
"""Load hardware maps with rfmux.

Usage: rfmux_maps.py MAP...

Prints one JSON object: {"maps": [...]}, with an object for each MAP:
  {"boards": [{"host", "serial", "crate", "slot"}],
   "detectors": [{"id", "serial", "module", "channel", "f_hz", "bias_amplitude"}]}
or {"error": TEXT} if rfmux refuses the map. "detectors" are the resonators with
a frequency and a channel. What rfmux prints goes to stderr.

rfmux tests if a slot is empty by the truth of its board. A Tuber client of
version 0.18 has none before it is connected, so each board is made true here.
"""

import contextlib
import json
import sys


def load(path):
    import yaml
    import rfmux
    from rfmux.core.crs import YAMLLoader

    rfmux.CRS.__bool__ = lambda self: True
    try:
        with open(path) as stream:
            session = yaml.load(stream, Loader=YAMLLoader)
        hwm = session["hardware_map"] if isinstance(session, dict) else session
        boards = [
            {
                "host": crs.tuber_hostname,
                "serial": crs.serial,
                "crate": crs.crate and crs.crate.serial,
                "slot": crs.crate and crs.slot,
            }
            for crs in hwm.query(rfmux.CRS)
        ]
        detectors = []
        for resonator in hwm.query(rfmux.Resonator):
            channel = resonator.readout_channel
            if channel is None or resonator.bias_freq is None:
                continue
            detectors.append(
                {
                    "id": f"{resonator.wafer.name}/{resonator.name}",
                    "serial": channel.crs.serial,
                    "module": channel.module.module,
                    "channel": channel.channel,
                    "f_hz": resonator.bias_freq,
                    "bias_amplitude": resonator.bias_amplitude,
                }
            )
        return {"boards": boards, "detectors": detectors}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        maps = [load(path) for path in sys.argv[1:]]
    print(json.dumps({"maps": maps}))
