#!/usr/bin/env python3
"""Golden sweeps for the fits and the search, made without the formula that they fit.

Two kinds of physics, neither of which knows the closed form of a resonator:

* circuits: chains of ABCD matrices of line sections, mismatches and lumped LCR branches. Their
  resonance frequencies and quality factors are the complex roots of the network's denominator,
  found by Newton's method, with the loss and without it (for Qc).
* oscillators: the equation of motion of a resonator whose frequency falls with its energy,
  integrated in time while a tone is stepped up or down, so that the branch follows from memory.

Run with numpy to write resonators.json, wide.json and weak.json again: python3 generate.py
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
Z0 = 50.0


def series(z):
    one, zero = np.ones_like(z), np.zeros_like(z)
    return np.array([[one, z], [zero, one]])


def shunt(z):
    one, zero = np.ones_like(z), np.zeros_like(z)
    return np.array([[one, zero], [1 / z, one]])


def section(w, impedance, seconds):
    t = w * seconds
    return np.array([[np.cos(t), 1j * impedance * np.sin(t)],
                     [1j * np.sin(t) / impedance, np.cos(t)]])


def chain(parts):
    total = parts[0]
    for part in parts[1:]:
        total = np.einsum("ij...,jk...->ik...", total, part)
    return total


def denominator(abcd):
    (a, b), (c, d) = abcd
    return a + b / Z0 + c * Z0 + d


class Tank:
    """A parallel LCR tank, coupled to the line by a capacitor."""

    def __init__(self, f_hz, qc, qi, c=2e-12):
        w = 2 * np.pi * f_hz
        # Loading of the tank by two matched ports in parallel through the coupling capacitor.
        self.cc = np.sqrt(2 * c / (w * Z0 * qc))
        self.c = c
        self.l = 1 / (w**2 * (c + self.cc))
        self.r = qi / (w * (c + self.cc))

    def impedance(self, w, lossless=False):
        admittance = 1j * w * self.c + 1 / (1j * w * self.l)
        if not lossless:
            admittance = admittance + 1 / self.r
        return 1 / (1j * w * self.cc) + 1 / admittance


class Network:
    """Tanks along a feedline of some impedance between bond wires."""

    def __init__(self, tanks, feedline=50.0, bond_nh=0.0, ghost_s=0.0, spacing_s=20e-12):
        self.tanks, self.feedline = tanks, feedline
        self.bond, self.ghost, self.spacing = bond_nh * 1e-9, ghost_s, spacing_s

    def abcd(self, w, lossless=False):
        w = np.asarray(w, dtype=complex)
        parts = [series(1j * w * self.bond)]
        # Bond, a piece of matched cable, bond: a standing wave.
        if self.ghost:
            parts += [section(w, Z0, self.ghost), series(1j * w * self.bond)]
        for tank in self.tanks:
            parts += [section(w, self.feedline, self.spacing), shunt(tank.impedance(w, lossless))]
        parts += [section(w, self.feedline, 3 * self.spacing), series(1j * w * self.bond)]
        return chain(parts)

    def s21(self, f_hz):
        return 2 / denominator(self.abcd(2 * np.pi * f_hz))

    def entire(self, w, lossless):
        """The denominator times what makes the tanks' admittances infinite: only roots, no poles."""
        value = denominator(self.abcd(w, lossless))
        for tank in self.tanks:
            loss = 0.0 if lossless else 1 / tank.r
            value = value * (loss + 1j * w * (tank.c + tank.cc) + 1 / (1j * w * tank.l))
        return value

    def roots(self, lossless):
        """One root for each tank, those found before divided out."""
        found = []
        for tank in self.tanks:
            w0 = 1 / np.sqrt(tank.l * (tank.c + tank.cc))
            qi = tank.r * w0 * (tank.c + tank.cc)
            qc = 2 * tank.c / (w0 * Z0 * tank.cc**2)
            width = w0 * (1 / qc + (0 if lossless else 1 / qi))
            w = w0 + 0.5j * width
            near = [f for f in found if abs(f - w) < 30 * width]

            def value(w):
                return self.entire(w, lossless) / np.prod([w - f for f in near])

            step = 1e-4 * width
            for _ in range(100):
                slope = (value(w + step) - value(w - step)) / (2 * step)
                move = value(w) / slope
                w = w - move
                if abs(move) < 1e-10 * width:
                    break
            found.append(w)
        return found

    def truths(self):
        out = []
        for lossy, lossless in zip(self.roots(False), self.roots(True)):
            qr, qc = lossy.real / (2 * lossy.imag), lossless.real / (2 * lossless.imag)
            out.append({"fr_hz": lossy.real / (2 * np.pi), "qr": qr, "qc": qc,
                        "qi": 1 / (1 / qr - 1 / qc), "a": 0.0})
        return out


def line(f, f0, gain, delay_s, slope_per_hz):
    df = f - f0
    return gain * (1 + slope_per_hz * df) * np.exp(-2j * np.pi * df * delay_s)


def oscillator(y0, a, loss_rise=0.0, substeps=6000):
    """Field of the resonator at each step of a tone, in order. Time in units of 2/kappa; the field
    obeys x' = -(1 + rise |x|^2) x - 2i (y0 + a |x|^2) x + 1, with memory from step to step."""
    x, out = 0j, []

    def rate(x, y):
        n = abs(x) ** 2
        return -(1 + loss_rise * n + 2j * (y + a * n)) * x + 1

    for y in y0:
        # Far out the field turns fast; the step follows.
        dt = min(0.02, 0.2 / (1 + abs(2 * y)))
        for k in range(substeps):
            k1 = rate(x, y)
            k2 = rate(x + 0.5 * dt * k1, y)
            k3 = rate(x + 0.5 * dt * k2, y)
            k4 = rate(x + dt * k3, y)
            move = dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            x = x + move
            if abs(move) < 1e-13:
                break
        out.append(x)
    return np.array(out)


def case(name, f, z, truth, direction="up", delay_s=0.0, kind="circuit"):
    return {"name": name, "kind": kind, "direction": direction, "delay_s": delay_s, "truth": truth,
            "frequency_hz": [float(f"{v:.3f}") for v in f],
            "re": [float(f"{v:.11g}") for v in z.real],
            "im": [float(f"{v:.11g}") for v in z.imag]}


def circuits():
    cases = []
    designs = [
        ("matched", dict(), (1.2e9, 2.0e4, 1.0e5), 0.0, 0.0),
        ("under_coupled", dict(), (1.05e9, 6.0e4, 2.5e4), 0.0, 0.0),
        ("mismatched", dict(feedline=90.0, bond_nh=3.0, spacing_s=60e-12), (1.35e9, 2.0e4, 8.0e4),
         0.0, 0.0),
        ("asymmetric", dict(feedline=30.0, bond_nh=7.0, spacing_s=90e-12), (1.45e9, 2.5e4, 1.2e5),
         0.0, 2e-8),
        ("delayed", dict(feedline=70.0, bond_nh=2.0), (1.12e9, 1.8e4, 3.0e5), 9.0e-6, -3e-8),
        ("rippled", dict(bond_nh=2.0, ghost_s=45e-9), (1.25e9, 2.0e4, 1.0e5), 0.0, 0.0),
    ]
    for name, how, (f0, qc, qi), delay, slope in designs:
        tank = Tank(f0, qc, qi)
        network = Network([tank], **how)
        [truth] = network.truths()
        lw = truth["fr_hz"] / truth["qr"]
        f = truth["fr_hz"] + (np.linspace(-3, 3, 201) + 0.137) * lw
        z = network.s21(f) * line(f, f0, 2.3e4 * np.exp(0.8j), delay, slope)
        cases.append(case(name, f, z, truth, delay_s=delay))
    # Two neighbours in one sweep, three linewidths apart.
    tanks = [Tank(1.3e9, 2.0e4, 9e4), Tank(1.3e9 + 2.6e5, 2.2e4, 1.1e5)]
    network = Network(tanks, feedline=60.0)
    truths = network.truths()
    f = np.linspace(truths[0]["fr_hz"] - 3.2e5, truths[1]["fr_hz"] + 3.2e5, 161)
    pair = case("pair", f, network.s21(f) * 1.7e4 * np.exp(-0.3j), truths[0])
    pair["second"] = truths[1]
    cases.append(pair)
    return cases


def oscillators():
    cases = []
    points = 101
    f0, qr, phi = 1.1e9, 1.7e4, 0.35
    qi = 1.0e5
    qc = 1 / (1 / qr - 1 / qi)
    coupling = qr / qc * np.exp(1j * phi) / np.cos(phi)
    for direction in ("up", "down"):
        for a, rise in [(0.05, 0), (0.1, 0), (0.3, 0), (0.5, 0), (0.65, 0), (0.7, 0), (0.85, 0),
                        (1.2, 0), (2.0, 0), (-0.1, 0), (0.4, 0.06)]:
            if direction == "down" and rise:
                continue
            f = f0 + (np.linspace(-3.3, 2.7, points)) * f0 / qr
            y0 = qr * (f - f0) / f0
            order = slice(None) if direction == "up" else slice(None, None, -1)
            x = oscillator(y0[order], a, rise)[order]
            z = (1 - coupling * x) * line(f, f0, 1.1e4 * np.exp(2.1j), 0.0, 1e-8)
            truth = {"fr_hz": f0, "qr": qr, "qc": qc, "qi": qi, "a": a}
            name = f"kerr_{direction}_{a}" + (f"_lossy_{rise}" if rise else "")
            cases.append(case(name, f, z, truth, direction, kind="oscillator"))
    return cases


def feedline(tanks, low, high, **how):
    network = Network(tanks, **how)
    f = np.arange(low, high, 1e4)
    z = network.s21(f) * line(f, 1.23e9, np.exp(0.4j), 2.0e-6, 1e-9)
    # The pieces of line inside the circuit delay as well.
    inside = network.ghost + network.spacing * (len(tanks) + 3)
    return {"delay_s": 2.0e-6 + inside, "start_hz": low, "step_hz": 1e4, "truth": network.truths(),
            "re": [float(f"{v:.7g}") for v in z.real], "im": [float(f"{v:.7g}") for v in z.imag]}


def wide():
    rng = np.random.default_rng(20240601)
    low, high, count = 1.20e9, 1.26e9, 30
    grid = low + (np.arange(count) + 0.5) * (high - low) / count
    f0 = grid + rng.uniform(-0.25, 0.25, count) * (high - low) / count
    # One pair two and a half linewidths apart, one half a linewidth apart.
    f0[11] = f0[10] + 2.5 * 7.2e4
    f0[21] = f0[20] + 0.5 * 7.2e4
    tanks = [Tank(f, qc, qi) for f, qc, qi in zip(
        f0, 2e4 * np.exp(0.2 * rng.normal(size=count)), 1e5 * np.exp(0.3 * rng.normal(size=count)))]
    return feedline(tanks, low, high, feedline=58.0, bond_nh=1.2, ghost_s=40e-9)


def weak():
    """Dips of one to three decibels, twenty linewidths apart."""
    rng = np.random.default_rng(20240602)
    low, high, count = 1.20e9, 1.26e9, 40
    f0 = low + (np.arange(count) + 0.5) * (high - low) / count
    depth = rng.uniform(1.05, 3.0, count)
    qr = 1.7e4 * np.exp(0.1 * rng.normal(size=count))
    qc = qr / (1 - 10 ** (-depth / 20))
    tanks = [Tank(f, c, 1 / (1 / r - 1 / c)) for f, r, c in zip(f0, qr, qc)]
    return feedline(tanks, low, high, feedline=55.0, bond_nh=0.6, ghost_s=40e-9)


if __name__ == "__main__":
    resonators = circuits() + oscillators()
    with open(HERE / "resonators.json", "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c) for c in resonators) + "\n]\n")
    for c in resonators:
        print(c["name"], {k: float(f"{v:.6g}") for k, v in c["truth"].items()})
    for name, made in (("wide", wide()), ("weak", weak())):
        with open(HERE / f"{name}.json", "w") as out:
            json.dump(made, out)
            out.write("\n")
        for t in made["truth"]:
            print(name, {k: float(f"{v:.8g}") for k, v in t.items()})
