//! Reading back the settings of a module while it is measured.
//!
//! A program that sets the module meanwhile, or a restart of the board, would spoil the samples
//! unnoticed.

use twotone_hal::{
    Batch, Certainty, ChannelId, Error, ErrorKind, ReadNco, ReadTones, Replies, Result, Ticket,
    ToneFields,
};

use super::{Session, Tone};

/// Channels whose settings are being read back, with the settings that were sent.
pub(super) struct Watched {
    set: Vec<Tone>,
    tone: Ticket<ReadTones>,
    nco: Option<Ticket<ReadNco>>,
}

/// Largest difference, in hertz, between a frequency that was set and one that was read back that
/// counts as rounding.
const SAME_HZ: f64 = 1.0;
/// Largest such difference of amplitudes: half a step of 16 bits.
const SAME_AMPLITUDE: f64 = 1.0 / 65_536.0;

impl Session<'_> {
    /// Adds to `batch` readings of the NCO and of `read_back` of the first `tones` channels: a
    /// window that moves on each time. `None` if there is no tone.
    pub(super) fn watch(
        &mut self,
        batch: &mut Batch,
        tones: usize,
        read_back: u16,
    ) -> Option<Watched> {
        let all = u16::try_from(tones).unwrap_or(u16::MAX);
        let count = read_back.min(all);
        let first = if count == all {
            0
        } else {
            // So many windows, one channel apart, lie within the tones.
            self.turn.checked_rem(tones + 1 - usize::from(count))?
        };
        self.turn = self.turn.wrapping_add(1);
        let channel = ChannelId::from_index(first)?;
        let fields = ToneFields {
            offset: true,
            amplitude: true,
            phase: false,
            rotation: false,
        };
        Some(Watched {
            set: self.sent.get(first..first + usize::from(count))?.to_vec(),
            tone: batch.read_tones(self.module, channel, count, fields),
            nco: self.description.nco.map(|_| batch.read_nco(self.module)),
        })
    }

    /// Refuses samples if the module no longer has the settings that were sent.
    pub(super) fn confirm(&self, watched: &Watched, replies: &Replies) -> Result<()> {
        let set_hz = self.nco.frequency.0;
        let nco_hz = watched
            .nco
            .map_or(set_hz, |nco| replies.get(nco).frequency.0);
        let mut differs = Vec::new();
        if (nco_hz - set_hz).abs() > SAME_HZ {
            differs.push(format!(
                "its NCO is at {nco_hz} Hz and was set to {set_hz} Hz"
            ));
        }
        for (tone, set) in replies.get(watched.tone).iter().zip(&watched.set) {
            let channel = tone.channel;
            let amplitude = tone.amplitude.unwrap_or(0.0);
            let offset_hz = tone.offset.map_or(0.0, |offset| offset.0);
            if (amplitude - set.amplitude).abs() > SAME_AMPLITUDE {
                differs.push(format!(
                    "the amplitude of channel {channel} is {amplitude} and was set to {}",
                    set.amplitude
                ));
            }
            if set.amplitude != 0.0 && (offset_hz - set.offset_hz).abs() > SAME_HZ {
                differs.push(format!(
                    "channel {channel} is {offset_hz} Hz from the NCO and was set to {} Hz",
                    set.offset_hz
                ));
            }
        }
        if differs.is_empty() {
            return Ok(());
        }
        let why = format!(
            "{}: another program sets this module at the same time, or the board has restarted. \
             What was measured is void. If another program is running, stop it; then measure again",
            differs.join(", ")
        );
        let what = format!("measure on module {}", self.module);
        Err(Error::new(ErrorKind::EpochChanged, why)
            .during(what)
            .on(self.board.name())
            .certainty_is(Certainty::Executed))
    }
}
