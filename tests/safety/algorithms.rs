//! Algorithms that the safety test runs: all that change settings of a board. A new algorithm must
//! be added here.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;
use twotone::algorithms::placement::PlacementParams;
use twotone::algorithms::{
    Band, CableDelayParams, FineSweepParams, NetworkAnalysisParams, SweepTarget, ToneTarget,
    TuneParams, cable_delay, fine_sweep, network_analysis, place_tones, tune,
};
use twotone::hal::{BoardHandle, ModuleId, Result};
use twotone::run::{Runner, SafeState};

use crate::rig::BAND_HZ;

type Running = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;

/// An algorithm, with the settings of its run.
pub(crate) struct Algorithm {
    pub(crate) name: &'static str,
    /// Other functions of the crate that this entry tests too. They are parts of the algorithm, or
    /// other forms of it.
    pub(crate) also: &'static [&'static str],
    /// Starts the algorithm. `None` is for the command `off`, which is no algorithm: it switches
    /// every tone off.
    pub(crate) start: Option<fn(BoardHandle, ModuleId) -> Running>,
    pub(crate) settings: fn(Runner) -> Runner,
    pub(crate) safe_state: SafeState,
    /// Step between the requests at which a sample tries a fault. Each fault begins at another
    /// request, so that together the faults reach every request. `TWOTONE_SAFETY=all` tries each
    /// fault at every request.
    pub(crate) stride: usize,
    /// True if the algorithm leaves its tones on after it has succeeded.
    pub(crate) keeps: bool,
    /// True if some tones are on before the algorithm starts.
    pub(crate) lit: bool,
}

pub(crate) const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        also: &["cable_delay_of"],
        start: Some(run_cable_delay),
        ..measurement("cable_delay")
    },
    Algorithm {
        also: &["network_analysis_with_progress"],
        start: Some(run_network_analysis),
        ..measurement("network_analysis")
    },
    Algorithm {
        start: Some(run_fine_sweep),
        lit: true,
        safe_state: SafeState::Previous,
        ..measurement("fine_sweep")
    },
    Algorithm {
        start: Some(run_place_tones),
        settings: Runner::keep_on_success,
        keeps: true,
        ..measurement("place_tones")
    },
    Algorithm {
        also: &["tune_with_progress"],
        start: Some(run_tune),
        stride: 12,
        settings: Runner::keep_on_success,
        keeps: true,
        ..measurement("tune")
    },
    Algorithm {
        start: Some(run_tune),
        stride: 12,
        settings: Runner::keep_on_success,
        keeps: true,
        lit: true,
        safe_state: SafeState::Previous,
        ..measurement("tune, previous")
    },
    Algorithm {
        start: Some(run_sweep),
        stride: 5,
        settings: Runner::leave_as_found,
        lit: true,
        safe_state: SafeState::Hold,
        ..measurement("sweep")
    },
    Algorithm {
        // It sends one request.
        stride: 1,
        lit: true,
        ..measurement("off")
    },
];

const fn measurement(name: &'static str) -> Algorithm {
    Algorithm {
        name,
        also: &[],
        start: None,
        settings: |runner| runner,
        safe_state: SafeState::Off,
        stride: 3,
        keeps: false,
        lit: false,
    }
}

fn band() -> Band {
    Band {
        f_min_hz: BAND_HZ.0,
        f_max_hz: BAND_HZ.1,
    }
}

fn value(outcome: &impl Serialize) -> Value {
    serde_json::to_value(outcome).expect("plain data")
}

fn delay_params() -> CableDelayParams {
    CableDelayParams {
        tones: 16,
        ..Default::default()
    }
}

fn wide_params() -> NetworkAnalysisParams {
    NetworkAnalysisParams {
        points: 1000,
        max_tones: Some(200),
        ..Default::default()
    }
}

fn fine_params() -> FineSweepParams {
    FineSweepParams {
        steps_per_batch: 14,
        ..Default::default()
    }
}

fn run_cable_delay(board: BoardHandle, module: ModuleId) -> Running {
    Box::pin(async move {
        let params = delay_params();
        Ok(value(&cable_delay(&board, module, band(), &params).await?))
    })
}

fn run_network_analysis(board: BoardHandle, module: ModuleId) -> Running {
    Box::pin(async move {
        let params = wide_params();
        let wide = network_analysis(&board, module, band(), 0.0, &params);
        Ok(value(&wide.await?))
    })
}

fn run_fine_sweep(board: BoardHandle, module: ModuleId) -> Running {
    Box::pin(async move {
        let middle = band().centre_hz();
        let target = |offset: f64| SweepTarget {
            centre_hz: middle + offset,
            linewidth_hz: 50e3,
            amplitude: 0.002,
        };
        let targets = [target(-2e6), target(1e6), target(3e6)];
        let params = fine_params();
        let sweep = fine_sweep(&board, module, &targets, Some(middle), &params);
        Ok(value(&sweep.await?))
    })
}

fn run_place_tones(board: BoardHandle, module: ModuleId) -> Running {
    Box::pin(async move {
        board
            .nco()
            .set(module, twotone::hal::Hertz(band().centre_hz()))
            .await?;
        let target = |offset: f64| ToneTarget {
            resonator: None,
            otherwise_hz: band().centre_hz() + offset,
            amplitude: 0.002,
        };
        let targets = [target(-2e6), target(1e6)];
        let params = PlacementParams::default();
        let placed = place_tones(&board, module, &targets, 10, &params);
        Ok(value(&placed.await?))
    })
}

fn run_tune(board: BoardHandle, module: ModuleId) -> Running {
    Box::pin(async move {
        let params = TuneParams {
            band: Some(band()),
            cable_delay: delay_params(),
            network_analysis: wide_params(),
            fine_sweep: fine_params(),
            ..Default::default()
        };
        Ok(value(&tune(&board, module, &params).await?))
    })
}

fn run_sweep(board: BoardHandle, module: ModuleId) -> Running {
    Box::pin(async move {
        let delay = cable_delay(&board, module, band(), &delay_params()).await?;
        let tau_s = delay.delay.tau_s;
        let params = wide_params();
        let wide = network_analysis(&board, module, band(), tau_s, &params);
        Ok(value(&wide.await?))
    })
}

/// Returns the names of the public algorithms of the crate, from its source files.
pub(crate) fn of_the_crate() -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("algorithms/src")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("the sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if !line.starts_with("#[tworoutine") {
                    continue;
                }
                let next = lines.next().unwrap_or_default();
                if let Some(rest) = next.strip_prefix("pub async fn ") {
                    names.extend(rest.split(['(', '<']).next().map(str::to_owned));
                }
            }
        }
    }
    names
}
