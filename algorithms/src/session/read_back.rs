//! Read-back of the settings of a module during a measurement.
//!
//! A *batch* is a list of operations that one request carries. The *NCO* is the oscillator of the
//! module to which all its tones are relative.
//!
//! Without this read-back, settings by another program, or a restart of the board, would spoil the
//! samples unnoticed.

use twotone_hal::{
    Batch, Certainty, ChannelId, Error, ErrorKind, Hertz, Radians, ReadNco, ReadTones, Replies,
    Result, Rounding, Setting, SettingKey, Ticket, ToneFields,
};

use super::Session;

/// Readings of settings, to be compared with the settings that were sent.
pub(super) struct ReadBack {
    tones: Ticket<ReadTones>,
    nco: Option<Ticket<ReadNco>>,
}

/// Differences that count as rounding of the board. Phases are not compared.
const ROUNDING: Rounding = Rounding {
    frequency: Hertz(1.0),
    // Half a step of an amplitude of 16 bits.
    amplitude: 1.0 / 65_536.0,
    angle: Radians(std::f64::consts::TAU),
};

impl Session<'_> {
    /// Adds to `batch` readings of the NCO and of at most `most` of the first `tones` channels.
    /// Each call reads a group of channels that begins one channel after the group of the previous
    /// call. After the last group, the first group follows again. `None` if there is no tone.
    pub(super) fn read_back(
        &mut self,
        batch: &mut Batch,
        tones: usize,
        most: u16,
    ) -> Option<ReadBack> {
        let all = u16::try_from(tones).unwrap_or(u16::MAX);
        let count = most.min(all);
        // Number of groups of `count` consecutive channels among the tones.
        let groups = tones + 1 - usize::from(count);
        let first = self.read_backs % groups;
        self.read_backs = self.read_backs.wrapping_add(1);
        let first = ChannelId::from_index(first)?;
        let fields = ToneFields {
            offset: true,
            amplitude: true,
            phase: false,
            rotation: false,
        };
        (count > 0).then(|| ReadBack {
            tones: batch.read_tones(self.module, first, count, fields),
            nco: self.description.nco.map(|_| batch.read_nco(self.module)),
        })
    }

    /// Refuses samples if the module no longer has the settings that were sent.
    pub(super) fn confirm(&mut self, read: &ReadBack, replies: &Replies) -> Result<()> {
        let mut reading = Vec::new();
        if let Some(nco) = read.nco {
            reading.push((SettingKey::NCO, Some(replies.get(nco).frequency.0)));
        }
        for tone in replies.get(read.tones) {
            let key = |setting| SettingKey::tone(tone.channel, setting);
            reading.push((key(Setting::Amplitude), tone.amplitude));
            // A board need not keep the frequency of a tone that is off, so this frequency is not
            // compared.
            let sent = self.sent.tone(tone.channel);
            if sent.is_some_and(|sent| !sent.is_surely_off()) {
                let offset = tone.offset.map(|offset| offset.0);
                reading.push((key(Setting::Offset), offset));
            }
        }
        // A value that is not finite shows nothing about the setting, so it is ignored.
        reading.retain(|(_, found)| found.is_none_or(f64::is_finite));
        let Some(difference) = self.sent.compare(&reading, &ROUNDING) else {
            return Ok(());
        };
        let why = format!(
            "{difference}: another program sets this module at the same time, or the board has \
             restarted. The samples of this run are void. If another program is running, stop it; \
             then measure again"
        );
        let what = format!("measure on module {}", self.module);
        Err(Error::new(ErrorKind::EpochChanged, why)
            .during(what)
            .on(self.board.name())
            .certainty_is(Certainty::Executed))
    }
}
