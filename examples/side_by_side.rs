//! One function, used in two ways: as a prototype on one board, and then in a run over a hundred
//! boards.

use std::collections::HashMap;

use twotone::prelude::*;

/// Returns the depth of a detector's resonance in dB: the transmission beside the resonance,
/// divided by the transmission at the resonance.
#[tworoutine]
async fn depth(board: &BoardHandle, module: ModuleId, fr: Hertz) -> Result<f64> {
    let tone = |offset| ToneUpdate::tone(ChannelId::FIRST, offset, 0.0005);
    let mut batch = Batch::new();
    batch.set_nco(module, fr - Hertz(5e6));
    let steps = [Hertz(5e6), Hertz(6e6)].map(|offset| {
        batch.set_tone(module, tone(offset));
        batch.acquire_mean(module, Acquire::new(10).first_channels(1))
    });
    let replies = board.run(&batch).await?;
    let [on, beside] = steps.map(|step| replies.get(step).mean[0].norm());
    Ok(20.0 * (beside / on).log10())
}

/// The program of the example. It needs no async runtime and no `async fn main`.
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().boards(100).detectors(1).start_blocking()?;
    let boards = farm.truth().boards.into_iter();
    let fr: HashMap<String, Hertz> = boards
        .map(|board| (board.name, Hertz(board.modules[0].detectors[0].fr_hz)))
        .collect();
    let array = Array::connect(&HardwareMap::try_from(&farm)?).wait();

    // The prototype calls the function on one board, for one detector after the other.
    let board = array.board("crs0001").wait()?;
    for detuning_khz in [-100, 0, 100] {
        let on = fr["crs0001"] + Hertz(1e3 * f64::from(detuning_khz));
        let depth = depth(&board, ModuleId::FIRST, on).wait()?;
        println!("crs0001, {detuning_khz} kHz off: {depth:.1} dB");
    }
    drop(board);

    // A run calls the same function on every board at once.
    let outcomes = Runner::new()
        .run(array.targets(), move |board, module| {
            let fr = fr[board.name()];
            async move { depth(&board, module, fr).await }
        })
        .wait();
    let depths: Vec<f64> = outcomes
        .into_iter()
        .map(|outcome| outcome.result)
        .collect::<Result<_>>()?;
    let mean = depths.iter().sum::<f64>() / depths.len() as f64;
    println!("{} boards: {mean:.1} dB on average", depths.len());
    Ok(())
}
