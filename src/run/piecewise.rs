//! Putting a module back piece by piece, once its board has refused to be put back as a whole.
//!
//! A board stops at the first setting that it refuses, so that one of them would keep every tone of
//! the run on. First all tones of the run go off; then the settings that the board takes are put
//! back. Those that it refuses are named, and their tones stay off.

use twotone_hal::{Batch, Error, ErrorKind, Result, ToneUpdate};

use super::cleanup::{Cleanup, as_it_was, is_passing};

/// Largest number of refused settings that a message names.
const NAMED: usize = 3;

impl Cleanup<'_> {
    /// Switches off what the run has set, puts back those earlier settings that the board takes,
    /// and reads them back.
    ///
    /// # Errors
    /// Those of the link. A refusal is no error: it is added to `refused`.
    pub(super) async fn restore_piecewise(&self, refused: &mut Vec<String>) -> Result<()> {
        refused.clear();
        let module = self.journal.module();
        let (darkened, nco, tones) = {
            let record = self.journal.locked();
            let Some(start) = &record.start else {
                return Ok(());
            };
            let moved = record.nco_moved();
            let changed = |index: usize| {
                let tone = &record.now.tones[index];
                tone.touched || (moved && !tone.is_surely_off())
            };
            let before = start.tones.iter().enumerate();
            let before = before.filter(|(index, _)| changed(*index));
            let tones = before.map(|(index, tone)| as_it_was(&record.now.tones[index], tone));
            let tones: Vec<_> = tones.collect();
            let darkened = tones.iter();
            let darkened = darkened.map(|tone| ToneUpdate::new(tone.channel).amplitude(0.0));
            (
                darkened.collect::<Vec<_>>(),
                moved.then_some(start.nco),
                tones,
            )
        };
        if !darkened.is_empty() {
            let mut batch = Batch::new();
            batch.set_tones(module, darkened);
            if let Some(error) = self.try_setting(&batch).await? {
                refused.push(error.to_string());
                let mut batch = Batch::new();
                batch.clear_tones(module);
                if let Some(error) = self.try_setting(&batch).await? {
                    refused.push(error.to_string());
                }
            }
        }
        if let Some(nco) = nco {
            let mut batch = Batch::new();
            batch.set_nco(module, nco);
            if let Some(error) = self.try_setting(&batch).await? {
                refused.push(format!("the NCO cannot be put back to {nco}: {error}"));
                // Elsewhere, the tones would not be what they were.
                return self.attempt(Batch::new()).await;
            }
        }
        // Halves of what is refused are tried until what is refused is one tone.
        let mut parts = vec![tones];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let mut batch = Batch::new();
            batch.set_tones(module, part.iter().copied());
            let Some(error) = self.try_setting(&batch).await? else {
                continue;
            };
            let half = part.split_off(part.len() / 2);
            if part.is_empty() {
                let channel = half[0].channel;
                refused.push(format!("channel {channel} cannot be put back: {error}"));
                // The board may have taken a part of its settings.
                let mut batch = Batch::new();
                batch.set_tones(module, [ToneUpdate::new(channel).amplitude(0.0)]);
                self.try_setting(&batch).await?;
            } else {
                parts.extend([half, part]);
            }
        }
        self.attempt(Batch::new()).await
    }

    /// Sends a batch, and gives the error back if the board refuses it.
    async fn try_setting(&self, batch: &Batch) -> Result<Option<Error>> {
        match self.send(batch).await {
            Ok(_) => Ok(None),
            Err(error) if is_passing(&error) => Err(error),
            Err(error) => Ok(Some(error)),
        }
    }
}

/// Settings that a board refused, as the error that a clean-up ends with.
pub(super) fn refusal(refused: &[String]) -> Error {
    let mut message = refused[..refused.len().min(NAMED)].join("; ");
    if refused.len() > NAMED {
        message += &format!("; and {} more", refused.len() - NAMED);
    }
    Error::new(ErrorKind::Rejected, message)
}
