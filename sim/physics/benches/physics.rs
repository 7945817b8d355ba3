//! Time and memory that the simulation of a module (one feedline with its detectors, and the
//! channels of a board that read it) needs: `cargo bench -p twotone-physics`.
//!
//! Each line is the median of many rounds, because the machine may have other load. With
//! `-- --json`, the benchmark prints one JSON object.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use twotone_physics::{Band, Complex64, ModuleModel, Profile, Tone};

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn time(name: &str, mut work: impl FnMut(u64)) {
    let mut all: Vec<Duration> = (0..60)
        .map(|round| {
            let begin = now();
            work(round);
            begin.elapsed()
        })
        .collect();
    all.sort();
    row(name, all[all.len() / 2].as_secs_f64() * 1e6, "us");
}

/// Rows of the report: name, value, unit.
static ROWS: Mutex<Vec<(String, f64, &str)>> = Mutex::new(Vec::new());

fn row(name: &str, value: f64, unit: &'static str) {
    let mut rows = ROWS.lock().expect("one thread");
    rows.push((name.to_owned(), value, unit));
}

fn print() {
    let rows = ROWS.lock().expect("one thread");
    if !std::env::args().any(|argument| argument == "--json") {
        for (name, value, unit) in rows.iter() {
            println!("{name:<58} {value:>12.1} {unit}");
        }
        return;
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, value, unit)| {
            serde_json::json!({
                "name": name, "value": value, "unit": unit, "peer": null, "peer_value": null,
                "ratio": null, "limit": null, "pass": null,
            })
        })
        .collect();
    let conditions = serde_json::json!({ "statistic": "median of 60 rounds", "threads": 1 });
    println!(
        "{}",
        serde_json::json!({ "bench": "physics", "conditions": conditions, "rows": rows })
    );
}

fn module(profile: Profile, detectors: usize) -> ModuleModel {
    let band = Band::new(750e6, 1250e6);
    ModuleModel::draw(1, 0, 1, detectors, band, 1024, &profile.params())
}

/// Sets `tones` tones over the band, at slightly different frequencies in each round.
fn comb(model: &mut ModuleModel, tones: usize, round: u64) {
    for channel in 0..tones {
        let step = 498e6 / tones as f64;
        let frequency_hz = -249e6 + (channel as f64 + 0.3) * step + round as f64 * 4e3;
        let dac_phase_rad = (channel * channel) as f64;
        let tone = Tone {
            frequency_hz,
            amplitude: 0.002,
            dac_phase_rad,
            adc_phase_rad: 0.0,
        };
        model.set_tone(channel, tone).expect("a tone within range");
    }
}

/// Resident memory of this process, kB; 0 if the system does not report it.
fn resident_kb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse().ok())
        .unwrap_or(0.0)
}

/// Measures the memory of a module with 1024 tones after a sweep.
fn memory(profile: Profile, detectors: usize) -> Vec<ModuleModel> {
    let before = resident_kb();
    let mut modules: Vec<ModuleModel> = (0..64).map(|_| module(profile, detectors)).collect();
    let mut out = Vec::new();
    for model in &mut modules {
        for round in 0..10 {
            comb(model, 1024, round);
            model.acquire(round, 1, 0..1024, &mut out);
        }
    }
    let each = (resident_kb() - before) / modules.len() as f64;
    let name = format!("{profile} {detectors}: memory of a module with 1024 tones");
    row(&name, each, "kB");
    modules
}

fn main() {
    // The modules are kept until both are measured, because freed memory would be reused.
    let kept = [memory(Profile::Lab, 256), memory(Profile::Lab, 1024)];
    drop(kept);
    for profile in [Profile::Clean, Profile::Lab, Profile::Harsh] {
        for detectors in [256, 1024] {
            let mut out: Vec<Complex64> = Vec::new();
            let mut next = 0;
            let mut model = module(profile, detectors);
            comb(&mut model, 1024, 0);
            time(
                &format!("{profile} {detectors}: 1024 tones, same settings, 10 samples"),
                |_| {
                    black_box(model.acquire(next, 10, 0..1024, &mut out));
                    next += 10;
                },
            );
            time(
                &format!("{profile} {detectors}: 1024 tones, new settings, 10 samples"),
                |round| {
                    comb(&mut model, 1024, round + 1);
                    black_box(model.acquire(next, 10, 0..1024, &mut out));
                    next += 10;
                },
            );
            time(
                &format!("{profile} {detectors}: 1024 tones, same settings, 1 sample"),
                |_| {
                    black_box(model.acquire(next, 1, 0..1024, &mut out));
                    next += 1;
                },
            );
            time(
                &format!("{profile} {detectors}: one tone moved, 1 channel, 10 samples"),
                |round| {
                    model
                        .set_frequency(5, round as f64 * 1e3 + 10.0)
                        .expect("within range");
                    black_box(model.acquire(next, 10, 5..6, &mut out));
                    next += 10;
                },
            );
        }
    }
    let mut model = module(Profile::Lab, 256);
    for (channel, truth) in model.truth().into_iter().enumerate() {
        let frequency_hz = truth.fr_hz - model.nco_hz();
        let tone = Tone {
            frequency_hz,
            amplitude: 0.004,
            ..Tone::default()
        };
        model.set_tone(channel, tone).expect("a tone within range");
    }
    let (mut out, mut next) = (Vec::new(), 0);
    time(
        "lab 256: 256 tones at work on resonance, 10 samples",
        |_| {
            black_box(model.acquire(next, 10, 0..256, &mut out));
            next += 10;
        },
    );
    time("lab 256: 1024 tones set twice without reading", |round| {
        comb(&mut model, 1024, 2 * round);
        comb(&mut model, 1024, 2 * round + 1);
    });
    time("lab 256: a module drawn", |_| {
        black_box(module(Profile::Lab, 256));
    });
    let mut model = module(Profile::Lab, 1024);
    let mut out = Vec::new();
    time(
        "lab 1024: conditions changed, no tones, 1 channel",
        |round| {
            let conditions = twotone_physics::Conditions {
                common_shift_lw: round as f64 * 0.1,
                ..Default::default()
            };
            model.set_conditions(conditions);
            black_box(model.acquire(round, 1, 0..1, &mut out));
        },
    );
    print();
}
