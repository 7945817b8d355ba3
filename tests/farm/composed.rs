//! Tests of algorithms that call other algorithms. The outer algorithm either awaits the inner ones
//! or waits for them by `wait()`. It runs in a plain function, in an async one, or on all boards of
//! a farm (a group of simulated boards). The result is the same each time.
//!
//! The hardware map is the file that lists the boards, with the limits of each board.

use tworoutine::tworoutine;
use twotone::algorithms::finding::find_resonances;
use twotone::algorithms::{Band, CableDelayParams, cable_delay, network_analysis};
use twotone::hal::{BoardHandle, ModuleId, Result};
use twotone::run::Runner;
use twotone::sim::Farm;

use super::{BAND_HZ, connect, params};

/// Band within the range that the hardware map of the farm allows.
const BAND: Band = Band {
    f_min_hz: 1.001e9,
    f_max_hz: 1.099e9,
};

/// Finds the resonances of a module, written as at a prompt: one step after the other.
fn lines_at_the_prompt(board: &BoardHandle, module: ModuleId) -> Result<Vec<f64>> {
    let params = params();
    let delay = cable_delay(board, module, BAND, &CableDelayParams::default()).wait()?;
    let tau_s = delay.delay.tau_s;
    let wide = network_analysis(board, module, BAND, tau_s, &params.network_analysis).wait()?;
    let found = find_resonances(&wide.as_sweep(tau_s), &params.find);
    Ok(found.candidates.iter().map(|line| line.fr_hz).collect())
}

/// Does the same in an async function. Some of its calls still use `wait()`, as at the prompt.
#[tworoutine(Send)]
async fn lines(board: &BoardHandle, module: ModuleId) -> Result<Vec<f64>> {
    let params = params();
    let delay = cable_delay(board, module, BAND, &CableDelayParams::default()).await?;
    let tau_s = delay.delay.tau_s;
    let wide = network_analysis(board, module, BAND, tau_s, &params.network_analysis).wait()?;
    let found = tworoutine::offload(move || find_resonances(&wide.as_sweep(tau_s), &params.find));
    Ok(found
        .await
        .candidates
        .iter()
        .map(|line| line.fr_hz)
        .collect())
}

/// Calls `measure` with both boards of a farm. Each call makes a new farm from the same seed.
fn by<T>(measure: impl FnOnce(&twotone::Array) -> T) -> T {
    let farm = Farm::builder()
        .boards(2)
        .detectors(8)
        .seed(31)
        .band(BAND_HZ.0, BAND_HZ.1);
    let farm = farm.start_blocking().unwrap();
    measure(&connect(&farm))
}

#[test]
fn composed_functions_give_the_same_results_in_both_idioms() {
    let targets = |array: &twotone::Array| {
        let targets = array.targets();
        let each = targets
            .iter()
            .map(|target| (target.board.clone(), target.module));
        each.collect::<Vec<_>>()
    };
    let at_the_prompt = by(|array| {
        let each = targets(array).into_iter();
        each.map(|(board, module)| lines_at_the_prompt(&board, module).unwrap())
            .collect::<Vec<_>>()
    });
    assert!(at_the_prompt.iter().all(|lines| lines.len() == 8));

    // Here the inner waits block a plain thread. Below they suspend a context, which is a future in
    // which `wait()` is allowed.
    let waited = by(|array| {
        let each = targets(array).into_iter();
        each.map(|(board, module)| lines(&board, module).wait().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(waited, at_the_prompt);
    let in_contexts = by(|array| {
        tworoutine::block_on(async {
            let contexts = targets(array).into_iter().map(|(board, module)| {
                tworoutine::spawn_local(async move { lines(&board, module).await })
            });
            let mut all = Vec::new();
            for context in contexts.collect::<Vec<_>>() {
                all.push(context.await.unwrap().unwrap());
            }
            all
        })
    });
    assert_eq!(in_contexts, at_the_prompt);
    let over_the_farm = by(|array| {
        let run = Runner::new().run(array.targets(), |board, module| async move {
            lines(&board, module).await
        });
        let outcomes = run.wait().into_iter();
        outcomes
            .map(|outcome| outcome.result.unwrap())
            .collect::<Vec<_>>()
    });
    // The runner's own requests take time on the boards, so the samples have different noise. The
    // noise moves the measured resonances by a few tens of Hz. The resonances are 50 kHz wide.
    let pairs = over_the_farm
        .iter()
        .flatten()
        .zip(at_the_prompt.iter().flatten());
    let furthest = pairs
        .map(|(one, other)| (one - other).abs())
        .fold(0.0, f64::max);
    assert_eq!(over_the_farm.iter().flatten().count(), 16);
    assert!(furthest < 200.0, "{furthest} Hz apart");
}
