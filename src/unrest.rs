//! Is another program setting a board right now, on whatever host?
//!
//! A lock keeps out programs of this host only. Boards keep no record of who sets them, but their
//! settings can be read: if they change between two readings, and this program has set nothing, then
//! another one has.

use tworoutine::JoinHandle;
use twotone_hal::{Batch, ChannelId, Result, ToneFields, ToneState};

use crate::ArrayBoard;
use crate::run::Target;

const FIELDS: ToneFields = ToneFields {
    offset: true,
    amplitude: true,
    ..ToneFields::AMPLITUDE
};

/// Settings of the modules of a board; none for one that did not say them.
#[derive(Default)]
pub(crate) struct Settings(Vec<Option<(f64, Vec<ToneState>)>>);

/// Begins to read the settings of the modules of each board.
pub(crate) fn read(boards: &[ArrayBoard]) -> Vec<JoinHandle<Settings>> {
    let read = |board: &ArrayBoard| {
        let targets = board.targets().to_vec();
        let channels: Vec<_> = targets
            .iter()
            .map(|target| {
                let module = board.description().module(target.module);
                module.map_or(0, |module| module.channels)
            })
            .collect();
        tworoutine::spawn(async move {
            let mut settings = Vec::with_capacity(targets.len());
            for (target, channels) in targets.iter().zip(channels) {
                // What cannot be read is told by the run, which reads it too.
                settings.push(module(target, channels).await.ok());
            }
            Settings(settings)
        })
    };
    boards.iter().map(read).collect()
}

async fn module(target: &Target, channels: u16) -> Result<(f64, Vec<ToneState>)> {
    let mut batch = Batch::new();
    let nco = batch.read_nco(target.module);
    let tones = batch.read_tones(target.module, ChannelId::FIRST, channels, FIELDS);
    let replies = target.board.run(&batch).await?;
    Ok((replies.get(nco).frequency.0, replies.get(tones).to_vec()))
}

/// Reason that nothing is set on a board whose settings have changed between two readings; none if
/// they have not.
pub(crate) fn changed(board: &ArrayBoard, before: &Settings, after: &Settings) -> Option<String> {
    let both = before.0.iter().zip(&after.0).zip(board.targets());
    let mut both = both.filter_map(|((before, after), target)| {
        Some((before.as_ref()?, after.as_ref()?, target.module))
    });
    let (what, module) = both.find_map(|((nco, tones), (nco_after, tones_after), module)| {
        if nco != nco_after {
            return Some(("its NCO".to_owned(), module));
        }
        let mut pairs = tones.iter().zip(tones_after);
        let (tone, _) = pairs.find(|(before, after)| before != after)?;
        Some((format!("its channel {}", tone.channel), module))
    })?;
    Some(format!(
        "another program sets module {module} right now, perhaps on another host ({what} changed \
         while nothing was sent); end that program first, or take the board over (--take-over)"
    ))
}
