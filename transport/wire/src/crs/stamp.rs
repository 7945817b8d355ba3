//! The time that a board puts on its packets: fields of an IRIG-B clock.

use super::u32_at;

/// Time at which a packet's sample was taken, by the board's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stamp {
    /// Year of the century, 0 to 99.
    pub year: u32,
    /// Day of the year, 1 to 366.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute, 0 to 59.
    pub minute: u32,
    /// Second, 0 to 59, or 60 in a leap second.
    pub second: u32,
    /// Part of the second, of [`Stamp::PARTS_PER_SECOND`].
    pub part: u32,
    /// Control bits, source and whether the stamp is recent, as they are sent.
    pub control: u32,
    /// Seconds of the day in straight binary, as the clock sends them.
    pub second_of_day: u32,
}

/// Source of a board's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StampSource {
    /// The crate's backplane.
    Backplane = 0,
    /// The board's own test generator.
    Test = 1,
    /// The connector on the front.
    Sma = 2,
    /// Nothing.
    Ground = 3,
}

impl Stamp {
    /// Length in a packet, in bytes.
    pub const BYTES: usize = 32;

    /// Parts of a second.
    pub const PARTS_PER_SECOND: u32 = 156_250_000;

    const RECENT: u32 = 1 << 31;

    /// Reads a stamp. Missing bytes count as zero, so that the stamp is not recent.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let field = |n: usize| u32_at(bytes, 4 * n);
        Self {
            year: field(0),
            day: field(1),
            hour: field(2),
            minute: field(3),
            second: field(4),
            part: field(5),
            control: field(6),
            second_of_day: field(7),
        }
    }

    /// The stamp's bytes.
    pub fn emit(&self) -> [u8; Self::BYTES] {
        let fields = [
            self.year,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.part,
            self.control,
            self.second_of_day,
        ];
        let mut bytes = [0; Self::BYTES];
        for (to, field) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *to = field.to_le_bytes();
        }
        bytes
    }

    /// True if the clock's signal arrived lately. If not, the stamp has no meaning.
    pub fn is_recent(&self) -> bool {
        self.control & Self::RECENT != 0
    }

    /// Source of the time.
    pub fn source(&self) -> StampSource {
        match self.control >> 29 & 3 {
            0 => StampSource::Backplane,
            1 => StampSource::Test,
            2 => StampSource::Sma,
            _ => StampSource::Ground,
        }
    }

    /// The clock's control bits, 18 of them.
    pub fn control_bits(&self) -> u32 {
        self.control & 0x3_ffff
    }

    /// Returns the stamp with another source, marked as recent or not.
    #[must_use]
    pub fn with_source(self, source: StampSource, is_recent: bool) -> Self {
        let recent = if is_recent { Self::RECENT } else { 0 };
        let kept = self.control & !(Self::RECENT | 3 << 29);
        Self {
            control: kept | recent | (source as u32) << 29,
            ..self
        }
    }
}
