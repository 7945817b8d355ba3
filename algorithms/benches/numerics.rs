//! Benchmark of the numerics: fits of an array of detectors, and searches of a wide sweep.

use std::hint::black_box;

use num_complex::Complex64;
use twotone_algorithms::Geometry;
use twotone_algorithms::delay::estimate_delay;
use twotone_algorithms::finding::{FindMethod, FindParams, WideSweep, find_resonances};
use twotone_algorithms::fit::{FitParams, SweepData, fit_linear, fit_nonlinear};
use twotone_algorithms::resonator::{Direction, Resonator};

/// Pseudorandom number from 0 to 1 that depends only on its argument.
fn pseudorandom(index: u64) -> f64 {
    let mut x = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

fn noise(index: u64, sigma: f64) -> Complex64 {
    let r = sigma * (-pseudorandom(2 * index).ln()).sqrt();
    Complex64::from_polar(r, std::f64::consts::TAU * pseudorandom(2 * index + 1))
}

fn detector(k: u64, count: u64) -> Resonator {
    let fr_hz = 1.0e9 + 5e8 * (k as f64 + 0.3 + 0.4 * pseudorandom(7 * k)) / count as f64;
    Resonator {
        f_ref_hz: fr_hz,
        gain: Complex64::new(1e4, 3e3),
        slope_per_hz: 1e-8,
        tau_s: 0.0,
        fr_hz,
        qr: 1.3e4 + 8e3 * pseudorandom(7 * k + 1),
        coupling: Complex64::from_polar(0.8, pseudorandom(7 * k + 2) - 0.5),
        off: 1.0.into(),
        geometry: Geometry::Notch,
        a: 0.3 * pseudorandom(7 * k + 3),
    }
}

/// Time that this thread has spent on a processor, in seconds. Unlike elapsed time, it does not
/// depend on other load. Zero if the kernel does not report it.
fn on_processor() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse::<f64>().ok())
        .unwrap_or(0.0)
        * 1e-9
}

/// The rows of the report: name and time in milliseconds.
#[derive(Default)]
struct Report(Vec<(String, f64)>);

impl Report {
    fn timed<T>(&mut self, name: &str, times: u32, run: impl Fn() -> T) {
        let start = on_processor();
        for _ in 0..times {
            black_box(run());
        }
        let each_ms = (on_processor() - start) * 1e3 / f64::from(times);
        self.0.push((name.to_owned(), each_ms));
    }

    fn print(self) {
        if !std::env::args().any(|argument| argument == "--json") {
            for (name, ms) in self.0 {
                println!("{name:48} {ms:10.3} ms");
            }
            return;
        }
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|(name, ms)| {
                serde_json::json!({
                    "name": name, "value": ms, "unit": "ms", "peer": null, "peer_value": null,
                    "ratio": null, "limit": null, "pass": null,
                })
            })
            .collect();
        let conditions =
            serde_json::json!({ "time": "of the thread on a processor", "threads": 1 });
        println!(
            "{}",
            serde_json::json!({ "bench": "numerics", "conditions": conditions, "rows": rows })
        );
    }
}

fn main() {
    let mut report = Report::default();
    let sweeps: Vec<(Vec<f64>, Vec<Complex64>)> = (0..4096)
        .map(|k| {
            let r = detector(k, 4096);
            let lw = r.linewidth_hz();
            let f: Vec<f64> = (0..41)
                .map(|i| r.frequency_at(0.0) + (f64::from(i) / 40.0 - 0.5) * 6.0 * lw)
                .collect();
            let z = f
                .iter()
                .enumerate()
                .map(|(i, &f)| r.transmission(f, Direction::Up) + noise(k * 41 + i as u64, 2.0));
            let z = z.collect();
            (f, z)
        })
        .collect();
    let params = FitParams::default();
    report.timed("4096 linear fits of 41 points", 1, || {
        sweeps
            .iter()
            .filter(|(f, z)| {
                fit_linear(&SweepData::new(f, z), &params)
                    .status
                    .is_success()
            })
            .count()
    });
    report.timed("4096 nonlinear fits of 41 points", 1, || {
        sweeps
            .iter()
            .filter(|(f, z)| {
                fit_nonlinear(&SweepData::new(f, z), &params)
                    .status
                    .is_success()
            })
            .count()
    });

    for count in [256, 1024] {
        let detectors: Vec<Resonator> = (0..count).map(|k| detector(k, count)).collect();
        let f: Vec<f64> = (0..50_000).map(|i| 1e9 + 1e4 * f64::from(i)).collect();
        let z: Vec<Complex64> = f
            .iter()
            .enumerate()
            .map(|(i, &f)| {
                let line = Complex64::from_polar(1e4, -std::f64::consts::TAU * (f - 1e9) * 3e-6);
                let near = detectors.iter().filter(|r| (r.fr_hz - f).abs() < 20e6);
                near.map(|r| r.factor(r.y0(f))).product::<Complex64>() * line + noise(i as u64, 4.0)
            })
            .collect();
        for method in [
            FindMethod::MatchedFilter,
            FindMethod::Prominence,
            FindMethod::IqSpeed,
        ] {
            let params = FindParams {
                method,
                ..FindParams::default()
            };
            let sweep = WideSweep {
                frequency_hz: &f,
                z: &z,
                tau_s: 3e-6,
                noise: Some(4.0),
                nco_hz: &[],
                geometry: Geometry::Notch,
            };
            let found = find_resonances(&sweep, &params).candidates.len();
            report.timed(
                &format!("{method:?} of 50,000 points, {found} of {count}"),
                3,
                || find_resonances(&sweep, &params),
            );
        }
        report.timed("delay from 50,000 points", 3, || {
            estimate_delay(&f, &z, 20e-6)
        });
    }
    report.print();
}
