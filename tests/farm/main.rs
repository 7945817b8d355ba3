//! Tests of algorithms on farms (sets of simulated boards), over network connections.

mod accuracy;
mod campaign;
mod composed;
mod faults;
mod find;
mod firmware;
mod frugality;
mod handles;
mod limits;
mod ranges;
mod set_ups;
mod streamed;
mod waits;

use std::time::Duration;

use tworoutine::tworoutine;
use twotone::Array;
use twotone::algorithms::{NetworkAnalysisParams, TuneOutcome, TuneParams, tune};
use twotone::map::HardwareMap;
use twotone::run::{Outcome, Runner};
use twotone::sim::Farm;
use twotone::transport::ConnectOptions;

/// Band of the detectors of a small farm, in Hz. It is narrow, so that the network analysis is
/// short. The farm's hardware map limits the modules to a slightly narrower band.
pub(crate) const BAND_HZ: (f64, f64) = (1.0e9, 1.1e9);

/// Parameters for [`BAND_HZ`], with points as dense as the default ones.
pub(crate) fn params() -> TuneParams {
    let network_analysis = NetworkAnalysisParams {
        points: 10_000,
        ..Default::default()
    };
    TuneParams {
        network_analysis,
        ..Default::default()
    }
}

/// Longest duration of a run, clean-up included.
pub(crate) const RUN_DEADLINE: Duration = Duration::from_secs(60);

/// Connects to the boards of a farm, with short timeouts.
pub(crate) fn connect(farm: &Farm) -> Array {
    connecting(farm).wait()
}

/// Does the same as [`connect`], but does not wait.
#[tworoutine]
pub(crate) async fn connecting(farm: &Farm) -> Array {
    let map = HardwareMap::try_from(farm).expect("a farm's own map");
    let options = ConnectOptions::new()
        .request_timeout(Duration::from_millis(1500))
        .request_life(Duration::from_millis(500))
        .answer_limit(8 << 20);
    Array::connect_with(&map, &options, 16).await
}

/// Tunes every connected module, and leaves the tones on.
pub(crate) fn tune_all(array: &Array, params: &TuneParams) -> Vec<Outcome<TuneOutcome>> {
    let params = params.clone();
    Runner::new()
        .deadline(RUN_DEADLINE)
        .request_life(Duration::from_millis(500))
        .keep_on_success()
        .run(array.targets(), move |board, module| {
            let params = params.clone();
            async move { tune(&board, module, &params).await }
        })
        .wait()
}
