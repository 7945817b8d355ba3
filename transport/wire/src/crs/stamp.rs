//! Time stamps of packets: the fields of an IRIG-B time code.

use super::u32_at;

/// Time stamp of a packet, by the clock of the board.
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
    /// Fraction of the second, in parts. [`Stamp::PARTS_PER_SECOND`] parts are one second.
    pub part: u32,
    /// Control bits of the time code, its source, and the flag that it was received recently, as
    /// one number of the packet.
    pub control: u32,
    /// Second of the day, from the straight binary seconds of the time code.
    pub second_of_day: u32,
}

/// Source of a board's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StampSource {
    /// The backplane of the crate.
    Backplane = 0,
    /// The test generator of the board itself.
    Test = 1,
    /// The SMA connector on the front panel.
    Sma = 2,
    /// Ground: no time code.
    Ground = 3,
}

impl StampSource {
    /// Returns the source of this number in stamps, 0 to 3.
    pub const fn of_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Backplane),
            1 => Some(Self::Test),
            2 => Some(Self::Sma),
            3 => Some(Self::Ground),
            _ => None,
        }
    }

    /// Name in the calls and answers of the protocol [`tuber`](crate::tuber).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backplane => "BACKPLANE",
            Self::Test => "TEST",
            Self::Sma => "SMA",
            Self::Ground => "GND",
        }
    }
}

impl Stamp {
    /// Length in a packet, in bytes.
    pub const BYTES: usize = 32;

    /// Number of parts in a second.
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

    /// Bytes of the stamp.
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

    /// True if the board has received a time code recently. If not, the stamp is not valid.
    pub fn is_recent(&self) -> bool {
        self.control & Self::RECENT != 0
    }

    /// Source of the time.
    pub fn source(&self) -> StampSource {
        StampSource::of_number(self.control >> 29 & 3).unwrap_or(StampSource::Ground)
    }

    /// The 18 control bits of the time code.
    pub fn control_bits(&self) -> u32 {
        self.control & 0x3_ffff
    }

    /// Returns the stamp with another source. The flag that the time code was received recently is
    /// set to `is_recent`.
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
