//! Conversion of the elements of an answer into numbers. The answer to a request has one element
//! for each call of the request.

use twotone_hal::{
    BoardTime, Certainty, ChannelId, Complex64, Error, ErrorKind, Hertz, Radians, RepliesBuilder,
    Result, ToneFields, ToneState, legible_within,
};
use twotone_wire::crs::{Stamp, StampSource};
use twotone_wire::tuber::{Cursor, DecodeError, Elements, Value};

use super::question::{label, odd};
use crate::tuber::broken;

/// Largest number of characters of a warning of the board.
const LONGEST_WARNING: usize = 300;

/// Reader of the elements of an answer, one by one.
pub(super) struct Reader<'r, 'c, 'a> {
    elements: &'r mut Elements<'c, 'a>,
    /// Number of calls of the present operation whose answers were read.
    taken: usize,
    /// Warnings of the board in the elements that were read.
    pub(super) warnings: Vec<String>,
}

/// Samples of an acquisition, in one row for each channel.
pub(super) struct Samples {
    pub(super) i: Vec<f64>,
    pub(super) q: Vec<f64>,
    pub(super) length: usize,
    pub(super) overrange: bool,
    pub(super) overvoltage: bool,
}

/// Purpose of samples. One invalid sample makes the mean of its channel invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Means,
    Samples,
}

impl<'r, 'c, 'a> Reader<'r, 'c, 'a> {
    pub(super) fn new(elements: &'r mut Elements<'c, 'a>) -> Self {
        Self {
            elements,
            taken: 0,
            warnings: Vec::new(),
        }
    }

    /// Begins another operation, to which the next elements belong.
    pub(super) fn begin(&mut self) {
        self.taken = 0;
    }

    /// Moves the warnings of the elements that were read to the replies.
    pub(super) fn pass_warnings_to(&mut self, replies: &mut RepliesBuilder<'_>) {
        let warnings = self.warnings.drain(..);
        warnings.for_each(|warning| replies.warned(&warning));
    }

    /// Result of the next call. The first error of an answer is reported: the calls after it were
    /// not executed.
    pub(super) fn result(&mut self) -> Result<Cursor<'a>> {
        let Some(element) = self.elements.next().map_err(broken)? else {
            return Err(Error::new(ErrorKind::Protocol, "no answer came for it"));
        };
        element.warnings.for_each(|warning| {
            let warning = legible_within(warning.trim(), LONGEST_WARNING);
            self.warnings.push(warning.into_owned());
        });
        match element.outcome {
            Ok(cursor) => {
                self.taken += 1;
                Ok(cursor)
            }
            Err(message) => {
                // If earlier calls of the same operation were executed, the operation is half done.
                let certainty = if self.taken == 0 {
                    Certainty::NotExecuted
                } else {
                    Certainty::Unknown
                };
                Err(Error::new(ErrorKind::Rejected, last_line(&message)).certainty_is(certainty))
            }
        }
    }

    pub(super) fn done(&mut self) -> Result<()> {
        self.result().map(drop)
    }

    /// A setting that was read back; `None` if it was never set.
    pub(super) fn number(&mut self) -> Result<Option<f64>> {
        let number = self.result()?.opt_f64().map_err(broken)?;
        if let Some(odd) = number.filter(|number| !number.is_finite()) {
            let why = format!("the answer cannot be read: a setting is {odd}");
            return Err(Error::new(ErrorKind::Protocol, why).certainty_is(Certainty::Unknown));
        }
        Ok(number)
    }

    pub(super) fn tone(&mut self, channel: ChannelId, fields: ToneFields) -> Result<ToneState> {
        // A value that is not finite is returned as it is: the caller can name the channel and use
        // the others.
        let mut read = |wanted: bool| -> Result<Option<f64>> {
            if wanted {
                self.result()?.opt_f64().map_err(broken)
            } else {
                Ok(None)
            }
        };
        let offset = read(fields.offset)?.map(Hertz);
        let amplitude = read(fields.amplitude)?;
        let phase = read(fields.phase)?.map(Radians::from_degrees);
        let rotation = read(fields.rotation)?.map(Radians::from_degrees);
        Ok(ToneState {
            channel,
            offset,
            amplitude,
            phase,
            rotation,
        })
    }

    pub(super) fn samples(
        &mut self,
        first: ChannelId,
        count: Option<u16>,
        length: u32,
        wanted: Wanted,
    ) -> Result<Samples> {
        let mut result = self.result()?;
        let length = length as usize;
        let (mut i, mut q, mut shapes) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        let (mut overrange, mut overvoltage) = (false, false);
        let mut entries = result.entries().map_err(broken)?;
        while let Some((key, value)) = entries.next().map_err(broken)? {
            match &*key {
                "i" => shapes[0] = rows_of(value, length, &mut i).map_err(broken)?,
                "q" => shapes[1] = rows_of(value, length, &mut q).map_err(broken)?,
                "flags" => {
                    let mut flags = value.entries().map_err(broken)?;
                    while let Some((flag, value)) = flags.next().map_err(broken)? {
                        match &*flag {
                            "overrange" => overrange = value.bool().map_err(broken)?,
                            "overvoltage" => overvoltage = value.bool().map_err(broken)?,
                            _ => value.skip().map_err(broken)?,
                        }
                    }
                }
                _ => value.skip().map_err(broken)?,
            }
        }
        let wrong =
            |what: String| Error::new(ErrorKind::Protocol, what).certainty_is(Certainty::Unknown);
        let shape = |sizes: &[usize]| {
            let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
            sizes.join(" x ")
        };
        // If one channel is asked for, the answer may be a flat list of samples in place of rows.
        let [of_i, of_q] = shapes;
        let rows = match of_i[..] {
            [n] if n == length => 1,
            [rows, n] if n == length => rows,
            _ => 0,
        };
        if of_i != of_q || rows == 0 {
            return Err(wrong(format!(
                "{length} samples a channel were asked for; the shape of what came is {} for I and {} for \
                 Q",
                shape(&of_i),
                shape(&of_q)
            )));
        }
        // The board returns one channel or all channels. Unless one channel was asked for, the
        // range of channels is cut out of all channels.
        if count != Some(1) {
            let from = first.index();
            let to = count.map_or(rows, |count| from + usize::from(count));
            if from >= rows || to > rows {
                return Err(wrong(format!(
                    "{rows} channels came, {from} to {to} were asked for"
                )));
            }
            for values in [&mut i, &mut q] {
                values.truncate(to * length);
                values.drain(..from * length);
            }
        }
        let mut samples = Samples {
            i,
            q,
            length,
            overrange,
            overvoltage,
        };
        let (bad, channels) = samples.invalidate_bad();
        let all = samples.i.len();
        let is_nonsense = bad == all || (wanted == Wanted::Means && channels * length == all);
        if bad > 0 && is_nonsense {
            return Err(wrong(format!(
                "{bad} of {all} samples are no counts of a readout, and no channel is left"
            )));
        }
        if bad > 0 {
            // Only a debug message: algorithms count and report such samples, and a warning for
            // each acquisition would flood the log.
            tracing::debug!(
                bad,
                channels,
                "samples are no counts of a readout, and are left out"
            );
        }
        Ok(samples)
    }

    /// A list of channels, a single channel, or none.
    pub(super) fn channels(&mut self) -> Result<Vec<ChannelId>> {
        let value = self.result()?.value().map_err(broken)?;
        let numbers = match &value {
            Value::Null => &[],
            Value::Array(numbers) => &numbers[..],
            one => std::slice::from_ref(one),
        };
        let channel = |value: &Value| {
            let number = value.as_i64().and_then(|number| u16::try_from(number).ok());
            let channel = number.and_then(|number| ChannelId::new(number).ok());
            channel.ok_or_else(|| {
                let why = format!("the answer is no list of channels: {}", odd(value));
                Error::new(ErrorKind::Protocol, why).certainty_is(Certainty::Unknown)
            })
        };
        numbers.iter().map(channel).collect()
    }

    pub(super) fn clock(&mut self) -> Result<BoardTime> {
        let value = self.result()?.value().map_err(broken)?;
        let wrong =
            |what: String| Error::new(ErrorKind::Protocol, what).certainty_is(Certainty::Unknown);
        if value == Value::Null {
            return Err(wrong("it says nothing".to_owned()));
        }
        let field = |name: &str, most: f64| -> Result<f64> {
            let found = value.get(name);
            let number = found.and_then(Value::as_f64);
            number
                .filter(|number| (0.0..=most).contains(number))
                .ok_or_else(|| match found {
                    Some(found) => {
                        wrong(format!("the time stamp's {name:?} is odd: {}", odd(found)))
                    }
                    None => wrong(format!("the time stamp has no number {name:?}")),
                })
        };
        let whole = field("h", 23.0)? * 3600.0 + field("m", 59.0)? * 60.0 + field("s", 60.0)?;
        // The fraction of the second, `ss`, exceeds one second if the next pulse of the time code
        // is late.
        let parts = f64::from(Stamp::PARTS_PER_SECOND);
        // Older firmware has no fields for the source and for `recent`. They are then taken from
        // the control word of the stamp.
        let control = value.get("c").and_then(Value::as_i64).unwrap_or(0);
        let stamp = Stamp {
            control: u32::try_from(control).unwrap_or(0),
            ..Stamp::default()
        };
        let is_recent = stamp.is_recent();
        let (source, recent) = (value.get("source"), value.get("recent"));
        Ok(BoardTime {
            year: (field("y", 9999.0)? % 100.0) as u8,
            day: field("d", 366.0)? as u16,
            second_of_day: whole + field("ss", 2.0 * parts)? / parts,
            source: match source {
                Some(Value::Str(name)) => label(name),
                Some(number) => number.as_i64().map_or_else(String::new, source_of),
                None if is_recent => stamp.source().name().to_owned(),
                None => String::new(),
            },
            recent: match recent {
                Some(Value::Null) | None => is_recent.then_some(true),
                Some(recent) => Some(recent.truthy()),
            },
        })
    }
}

/// Name of the source of a time code, from its number in a stamp.
fn source_of(number: i64) -> String {
    let source = u32::try_from(number).ok().and_then(StampSource::of_number);
    source.map_or_else(|| number.to_string(), |source| source.name().to_owned())
}

/// Largest magnitude of a sample in readout counts: boards use 32 bits.
const LARGEST_COUNT: f64 = 2_147_483_648.0;

/// Appends rows of `length` samples to `out` and returns their shape. A sample that is no number
/// becomes NaN, and so do all samples of a row of another length, so that the other channels can be
/// used.
fn rows_of(
    value: &mut Cursor<'_>,
    length: usize,
    out: &mut Vec<f64>,
) -> Result<Vec<usize>, DecodeError> {
    let mut again = *value;
    let error = match value.array_into(out) {
        Ok(shape) => return Ok(shape.to_vec()),
        Err(error) => error,
    };
    let Ok(Value::Array(rows)) = again.value() else {
        return Err(error);
    };
    let is_row = |row: &Value| matches!(row, Value::Array(row) if row.len() == length);
    if !rows.iter().any(is_row) {
        return Err(error);
    }
    *value = again;
    for row in &rows {
        match row {
            Value::Array(samples) if samples.len() == length => {
                let number = |sample: &Value| match sample {
                    Value::Int(_) | Value::Float(_) => sample.as_f64().unwrap_or(f64::NAN),
                    _ => f64::NAN,
                };
                out.extend(samples.iter().map(number));
            }
            _ => out.extend(std::iter::repeat_n(f64::NAN, length)),
        }
    }
    Ok(vec![rows.len(), length])
}

impl Samples {
    /// Sets both parts of each sample whose magnitude exceeds the largest count to NaN. Returns the
    /// number of such samples, and the number of channels that have them.
    fn invalidate_bad(&mut self) -> (usize, usize) {
        let (mut bad, mut channels) = (0, 0);
        let rows = self.i.chunks_mut(self.length);
        for (i, q) in rows.zip(self.q.chunks_mut(self.length)) {
            let before = bad;
            for (i, q) in i.iter_mut().zip(q) {
                if !(i.abs() <= LARGEST_COUNT && q.abs() <= LARGEST_COUNT) {
                    (*i, *q) = (f64::NAN, f64::NAN);
                    bad += 1;
                }
            }
            channels += usize::from(bad > before);
        }
        (bad, channels)
    }

    /// Mean and standard deviation of the samples of each channel; NaN for a channel with an
    /// invalid sample.
    pub(super) fn means(&self) -> (Vec<Complex64>, Vec<f64>) {
        let n = self.length as f64;
        let rows = self
            .i
            .chunks_exact(self.length)
            .zip(self.q.chunks_exact(self.length));
        rows.map(|(i, q)| {
            let mean = Complex64::new(i.iter().sum::<f64>() / n, q.iter().sum::<f64>() / n);
            let squares: f64 = i
                .iter()
                .zip(q)
                .map(|(i, q)| (i - mean.re).powi(2) + (q - mean.im).powi(2))
                .sum();
            (
                mean,
                if self.length > 1 {
                    (squares / (n - 1.0)).sqrt()
                } else {
                    // The scatter of one sample is 0, and NaN if the sample is NaN.
                    squares
                },
            )
        })
        .unzip()
    }
}

/// Last line of a Python traceback, which holds the error. Servers in C++ append the places in the
/// code to the error. They are left out.
pub(super) fn last_line(message: &str) -> &str {
    let places = message.rfind("\n\nAt:\n");
    message[..places.unwrap_or(message.len())]
        .trim_end()
        .lines()
        .next_back()
        .unwrap_or("the board gave no reason")
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    pub(super) fn means_and_scatter_are_those_of_complex_samples() {
        let samples = Samples {
            i: vec![1.0, 3.0, 5.0, 5.0],
            q: vec![0.0, 0.0, 1.0, -1.0],
            length: 2,
            overrange: false,
            overvoltage: false,
        };
        let (mean, scatter) = samples.means();
        assert_eq!(mean, [Complex64::new(2.0, 0.0), Complex64::new(5.0, 0.0)]);
        assert!((scatter[0] - 2f64.sqrt()).abs() < 1e-12);
        assert!((scatter[1] - 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_traceback_comes_down_to_its_last_line() {
        assert_eq!(
            last_line("Traceback:\n  File x\nValueError: no good\n"),
            "ValueError: no good"
        );
        assert_eq!(
            last_line("ValueError: no good\n\nAt:\n  board.py(7): set_amplitude\n"),
            "ValueError: no good"
        );
        assert_eq!(last_line(""), "the board gave no reason");
    }
}
