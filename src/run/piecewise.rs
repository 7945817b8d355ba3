//! Clean-up of a module in several batches. It follows a clean-up in one batch that has failed. A
//! clean-up brings a module to the state in which a run is to leave it, and a batch is a list of
//! operations that a board executes in order, as one request.
//!
//! A board ends a batch at the first setting that it refuses, so one refused setting could leave
//! every tone of the run on. In several batches, first every tone is switched off, as far as the
//! board accepts this. Then, if the state before the run is to be restored, the settings that the
//! board accepts are restored. The error names the refused settings, and their tones stay off.

use twotone_hal::{Batch, Error, ErrorKind, Result, ToneUpdate};

use super::SafeState;
use super::cleanup::{Cleanup, as_it_was, is_transient};

/// Largest number of refused settings that a message names.
const NAMED: usize = 3;

impl Cleanup<'_> {
    /// Sets the module in several batches, and reads it back.
    ///
    /// # Errors
    /// If a request or its answer is lost. [`ErrorKind::Rejected`], with the refused
    /// settings, if the board has refused some.
    pub(super) async fn piecewise(&self) -> Result<()> {
        let mut refused = Vec::new();
        if self.safe_state == SafeState::Off {
            self.switch_off_piecewise(&mut refused).await?;
        } else {
            self.restore_piecewise(&mut refused).await?;
        }
        self.attempt(Batch::new()).await?;
        match &refused[..] {
            [] => Ok(()),
            _ if self.journal.is_settled(self.safe_state) => Ok(()),
            refused => Err(refusal(refused)),
        }
    }

    /// Switches off every tone that may be on, one by one if necessary.
    async fn switch_off_piecewise(&self, refused: &mut Vec<String>) -> Result<()> {
        let on: Vec<_> = {
            let record = self.journal.locked();
            let on = record
                .now
                .tones()
                .iter()
                .filter(|tone| !tone.is_surely_off());
            on.map(|tone| ToneUpdate::new(tone.channel()).amplitude(0.0))
                .collect()
        };
        self.set_in_parts(on, refused).await
    }

    /// Switches off the tones that the run has set, and restores those earlier settings that the
    /// board accepts.
    async fn restore_piecewise(&self, refused: &mut Vec<String>) -> Result<()> {
        let module = self.journal.module();
        let (darkened, nco, tones) = {
            let record = self.journal.locked();
            let Some(start) = &record.start else {
                return Ok(());
            };
            let moved = record.nco_moved();
            let changed = |index: usize| {
                let tone = &record.now.tones()[index];
                tone.is_touched() || (moved && !tone.is_surely_off())
            };
            let before = start.tones.iter().enumerate();
            let before = before.filter(|(index, _)| changed(*index));
            let tones = before.map(|(index, tone)| as_it_was(&record.now.tones()[index], tone));
            let tones: Vec<_> = tones.collect();
            let darkened = tones.iter();
            let darkened = darkened.map(|tone| ToneUpdate::new(tone.channel).amplitude(0.0));
            (
                darkened.collect::<Vec<_>>(),
                start.nco.filter(|_| moved),
                tones,
            )
        };
        self.set_in_parts(darkened, refused).await?;
        if let Some(nco) = nco {
            let mut batch = Batch::new();
            batch.set_nco(module, nco);
            if let Some(error) = self.try_setting(&batch).await? {
                refused.push(format!("the NCO cannot be put back to {nco}: {error:#}"));
                // With the NCO at another frequency, the tones would not be at their earlier
                // frequencies, so they stay off.
                return Ok(());
            }
        }
        self.set_in_parts(tones, refused).await
    }

    /// Sets all tones in one batch. If the board refuses the batch, sets each half of the tones in
    /// a batch, and so on down to single tones. Adds each refused single tone to `refused`, and
    /// switches it off if the board accepts this.
    async fn set_in_parts(&self, tones: Vec<ToneUpdate>, refused: &mut Vec<String>) -> Result<()> {
        let module = self.journal.module();
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
            if !part.is_empty() {
                parts.extend([half, part]);
                continue;
            }
            let tone = half[0];
            let channel = tone.channel;
            let dark = ToneUpdate::new(channel).amplitude(0.0);
            if tone == dark {
                refused.push(format!(
                    "channel {channel} cannot be switched off: {error:#}"
                ));
                continue;
            }
            refused.push(format!("channel {channel} cannot be put back: {error:#}"));
            // The board may have accepted a part of the refused tone's settings, so the tone is
            // switched off.
            let mut batch = Batch::new();
            batch.set_tones(module, [dark]);
            self.try_setting(&batch).await?;
        }
        Ok(())
    }

    /// Sends a batch, and returns the error as `Ok(Some(_))` if the board refuses it.
    async fn try_setting(&self, batch: &Batch) -> Result<Option<Error>> {
        match self.send(batch).await {
            Ok(_) => Ok(None),
            Err(error) if is_transient(&error) => Err(error),
            Err(error) => Ok(Some(error)),
        }
    }
}

/// Error that names the settings that a board refused.
fn refusal(refused: &[String]) -> Error {
    let mut message = refused[..refused.len().min(NAMED)].join("; ");
    if refused.len() > NAMED {
        message += &format!("; and {} more", refused.len() - NAMED);
    }
    Error::new(ErrorKind::Rejected, message)
}
