//! The files `format` of a dirfile, as far as the fields of samples need them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use twotone_hal::{ChannelId, ModuleId, legible};

use crate::exchange::ExchangeError;
use crate::input;

/// Largest size of a file `format` in bytes: enough for eight modules of 1024 channels.
const FORMAT_BYTES: u64 = 16 << 20;
/// Largest number of boards of a dirfile.
const MOST_BOARDS: usize = 1024;

/// A stored field: the type of its values, and their number in each frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawField {
    pub(super) of: String,
    pub(super) values: usize,
}

/// The fields of a board in a dirfile.
#[derive(Debug, Default)]
pub(super) struct BoardFields {
    /// Folder of the files of numbers.
    pub(super) folder: PathBuf,
    /// Serial number, from the name of the folder.
    pub(super) serial: Option<String>,
    raw: BTreeMap<String, RawField>,
    /// Fields that are another field, shifted to the front by a number of values.
    phase: BTreeMap<String, (String, usize)>,
    /// Factors of the sums of fields, as text.
    factors: BTreeMap<String, Vec<String>>,
    texts: BTreeMap<String, String>,
    constants: BTreeMap<String, f64>,
}

/// The fields of a module in a dirfile.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ModuleFields {
    pub(super) module: ModuleId,
    /// Beginning of the names of the module's fields: `m01`.
    pub(super) prefix: String,
    /// The channels, in the order of the stored samples.
    pub(super) channels: Vec<ChannelId>,
    pub(super) detectors: BTreeMap<ChannelId, String>,
    pub(super) steps_per_count: f64,
}

/// Reads the files `format` of the dirfile at `path`. Returns the fields of each board.
pub(super) fn boards(path: &Path) -> Result<Vec<BoardFields>, ExchangeError> {
    let mut top = BoardFields {
        folder: path.to_owned(),
        serial: path.file_name().and_then(|name| serial_of(name.to_str()?)),
        ..BoardFields::default()
    };
    let included = top.read(path)?;
    let mut boards = Vec::new();
    if top.raw.keys().any(|name| prefix_of_samples(name).is_some()) {
        boards.push(top);
    }
    if included.len() > MOST_BOARDS {
        let reason = format!("it includes more than {MOST_BOARDS} other dirfiles");
        return Err(ExchangeError::source(path, reason));
    }
    for folder in included {
        let mut board = BoardFields {
            serial: folder.to_str().and_then(serial_of),
            folder: path.join(&folder),
            ..BoardFields::default()
        };
        let of_board = board.folder.clone();
        board.read(&of_board)?;
        boards.push(board);
    }
    Ok(boards)
}

/// Returns the serial number in the name of a folder such as `serial_0042`.
fn serial_of(name: &str) -> Option<String> {
    let serial = name.strip_prefix("serial_")?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    ((1..=32).contains(&serial.len()) && serial.bytes().all(is_plain)).then(|| serial.to_owned())
}

/// Returns the prefix of a module, from the name of the field with its samples.
fn prefix_of_samples(name: &str) -> Option<&str> {
    name.strip_suffix("_raw32")
        .filter(|prefix| module_of(prefix).is_some())
}

fn module_of(prefix: &str) -> Option<ModuleId> {
    let digits = prefix
        .strip_prefix('m')
        .filter(|digits| digits.len() >= 2)?;
    ModuleId::new(digits.parse().ok()?).ok()
}

impl BoardFields {
    /// Reads the file `format` in a folder. Returns the folders of the dirfiles that it includes.
    fn read(&mut self, folder: &Path) -> Result<Vec<PathBuf>, ExchangeError> {
        let path = folder.join("format");
        let text = input::read_text(&path, FORMAT_BYTES)
            .map_err(|error| ExchangeError::source(&path, error.to_string()))?;
        self.parse(&text).map_err(|(line, reason)| {
            ExchangeError::source(&path, format!("line {line}: {reason}"))
        })
    }

    /// Reads the text of a file `format`. An error has the number of its line.
    fn parse(&mut self, text: &str) -> Result<Vec<PathBuf>, (usize, String)> {
        let mut included = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let words = words(line).map_err(|reason| (at + 1, reason))?;
            let done = self.line(&words, &mut included);
            done.map_err(|reason| (at + 1, reason))?;
        }
        Ok(included)
    }

    fn line(&mut self, words: &[String], included: &mut Vec<PathBuf>) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["/ENDIAN", order, ..] if order != "little" => Err(format!(
                "numbers in the order `{}` are not read",
                legible(order)
            )),
            ["/ENCODING", encoding, ..] if encoding != "none" => Err(format!(
                "numbers that are encoded with `{}` are not read",
                legible(encoding)
            )),
            ["/FRAMEOFFSET", frames, ..] if frames != "0" => {
                Err("a frame offset is not read".to_owned())
            }
            ["/INCLUDE", file, ..] => {
                let file = Path::new(file);
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                let folder = file.parent().filter(|_| file.ends_with("format"));
                let folder = folder.filter(|folder| folder.components().count() == 1);
                match folder.filter(|_| file.components().all(plain)) {
                    Some(folder) => included.push(folder.to_owned()),
                    None => return Err("it includes what is no folder of a board".to_owned()),
                }
                Ok(())
            }
            [name, "RAW", of, values] => {
                let values = number(values)?;
                let of = of.to_owned();
                self.raw.insert(name.to_owned(), RawField { of, values });
                Ok(())
            }
            [name, "PHASE", of, shift] => {
                let shift = number(shift)?;
                self.phase.insert(name.to_owned(), (of.to_owned(), shift));
                Ok(())
            }
            // The number of terms may be left out. Each term has a field, a factor and an offset.
            [name, "LINCOM", ref terms @ ..] => {
                let terms = &terms[terms.len() % 3..];
                let factors = terms.chunks(3).map(|term| term[1].to_owned());
                self.factors.insert(name.to_owned(), factors.collect());
                Ok(())
            }
            [name, "CONST", _, value] => {
                let value = value.parse().map_err(|_| "a constant is no number")?;
                self.constants.insert(name.to_owned(), value);
                Ok(())
            }
            [name, "STRING", text] => {
                self.texts.insert(name.to_owned(), text.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns a stored field, if it has this type.
    pub(super) fn stored(&self, name: &str, of: &str) -> Option<&RawField> {
        self.raw.get(name).filter(|field| field.of == of)
    }

    /// Returns a constant, if there is one of this name.
    pub(super) fn constant(&self, name: &str) -> Option<f64> {
        self.constants.get(name).copied()
    }

    /// Returns the modules, or for a module that cannot be read its prefix and the reason.
    pub(super) fn modules(&self) -> Vec<Result<ModuleFields, (String, String)>> {
        let mut modules = Vec::new();
        for name in self.raw.keys() {
            if let Some(prefix) = name.strip_suffix("_pfb_raw32") {
                let reason = "it is a fast stream, and these are not imported".to_owned();
                modules.push(Err((prefix.to_owned(), reason)));
            } else if let Some(prefix) = prefix_of_samples(name) {
                let read = self.module(prefix);
                modules.push(read.map_err(|reason| (prefix.to_owned(), reason)));
            }
        }
        modules
    }

    fn module(&self, prefix: &str) -> Result<ModuleFields, String> {
        let name = format!("{prefix}_raw32");
        let values = self.stored(&name, "INT32").map(|field| field.values);
        let values = values.filter(|values| *values > 0 && values % 2 == 0);
        let values = values.ok_or_else(|| format!("`{name}` is no field of samples"))?;
        let mut channels = vec![None; values / 2];
        let begin = format!("{prefix}_c");
        let mut scale = None;
        for (field, (of, shift)) in self.phase.range(begin.clone()..) {
            let Some(rest) = field.strip_prefix(&begin) else {
                break;
            };
            let digits = rest.strip_suffix("_i_ph").filter(|_| *of == name);
            let Some(digits) = digits else { continue };
            let channel = digits
                .parse()
                .ok()
                .and_then(|number| ChannelId::new(number).ok());
            let channel = channel.ok_or_else(|| format!("`{}` is no channel", legible(field)))?;
            let pair = self.phase.get(&format!("{begin}{digits}_q_ph"));
            let place = channels.get_mut(shift / 2).filter(|place| place.is_none());
            match (place, pair) {
                (Some(place), Some((of, q)))
                    if *of == name && shift % 2 == 0 && *q == shift + 1 =>
                {
                    *place = Some(channel);
                }
                _ => {
                    return Err(format!(
                        "the samples of channel {channel} have no place of their own"
                    ));
                }
            }
            let factor = self.factors.get(&format!("{begin}{digits}"));
            let factor = factor.and_then(|factors| real(factors.get(1)?));
            let factor = factor.filter(|factor| *factor > 0.0);
            let factor = factor.ok_or_else(|| format!("channel {channel} has no unit"))?;
            if *scale.get_or_insert(factor) != factor {
                return Err("its channels have different units".to_owned());
            }
        }
        let missing = "some of its samples are of no channel";
        let channels: Option<Vec<ChannelId>> = channels.into_iter().collect();
        let channels = channels.ok_or_else(|| missing.to_owned())?;
        let detectors = channels.iter().filter_map(|channel| {
            let field = format!("{begin}{:04}/detector", channel.number());
            Some((*channel, self.texts.get(&field)?.clone()))
        });
        Ok(ModuleFields {
            module: module_of(prefix).ok_or("it has no number")?,
            prefix: prefix.to_owned(),
            detectors: detectors.collect(),
            channels,
            steps_per_count: 1.0 / scale.unwrap_or(1.0),
        })
    }
}

/// Returns the real part of a number such as `0.5;0`.
fn real(text: &str) -> Option<f64> {
    text.split(';').next()?.parse().ok()
}

fn number(text: &str) -> Result<usize, String> {
    // Larger numbers than any board needs are refused, so that sums of them cannot overflow.
    let number = text
        .parse()
        .ok()
        .filter(|number| *number <= usize::from(u16::MAX));
    number.ok_or_else(|| format!("`{}` is no number of values", legible(text)))
}

/// Divides a line into its words. A word may be in quotes, and may have escapes.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => {
                let escaped = escape(&mut letters)?;
                word.get_or_insert_default().push(escaped);
            }
            '#' if !is_quoted => break,
            letter if letter.is_ascii_whitespace() && !is_quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    if is_quoted {
        return Err("a quoted text has no end".to_owned());
    }
    words.extend(word);
    Ok(words)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn escape(letters: &mut Letters<'_>) -> Result<char, String> {
    let kind = letters.next().ok_or("the line ends in an escape")?;
    let most = match kind {
        'n' => return Ok('\n'),
        'r' => return Ok('\r'),
        't' => return Ok('\t'),
        'x' => 2,
        'u' => 7,
        letter => return Ok(letter),
    };
    let mut digits = String::new();
    while digits.len() < most && letters.peek().is_some_and(char::is_ascii_hexdigit) {
        digits.extend(letters.next());
    }
    let number = u32::from_str_radix(&digits, 16).ok();
    let letter = number.and_then(char::from_u32);
    letter.ok_or_else(|| "an escape is of no letter".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: &str = "/ENDIAN little\nm01_c0002 LINCOM 3 INDEX 0;0 0;0 m01_c0002_i_ph 0.5;0 0;0 \
                         m01_c0002_q_ph 0;0.5 0;0\nm01_raw32 RAW INT32 2 # samples\nm01_c0002_i_ph \
                         PHASE m01_raw32 0\nm01_c0002_q_ph PHASE m01_raw32 1\nm01_c0002/detector \
                         STRING \"a \\\"b\\u00FC\"\n";

    fn modules(text: &str) -> Vec<Result<ModuleFields, (String, String)>> {
        let mut board = BoardFields::default();
        board.parse(text).unwrap();
        board.modules()
    }

    #[test]
    fn channels_follow_from_the_shifts_of_their_fields() {
        let read = modules(BOARD);
        let module = read[0].as_ref().unwrap();
        assert_eq!(module.channels, [ChannelId::new(2).unwrap()]);
        assert_eq!(module.steps_per_count, 2.0);
        assert_eq!(module.detectors[&module.channels[0]], "a \"bü");
    }

    #[test]
    fn samples_that_cannot_be_told_apart_are_refused() {
        for (from, to, words) in [
            ("INT32 2", "INT32 4", "of no channel"),
            ("INT32 2", "INT32 3", "no field of samples"),
            ("m01_raw32 1", "m01_raw32 0", "no place"),
            ("0.5;0 0;0", "x 0", "no unit"),
        ] {
            let read = modules(&BOARD.replacen(from, to, 1));
            let (_, reason) = read[0].as_ref().unwrap_err();
            assert!(reason.contains(words), "{reason}");
        }
        for (text, words) in [
            ("/ENDIAN big", "order"),
            ("/ENCODING gzip", "encoded"),
            ("/INCLUDE ../x/format x.", "no folder"),
            ("/INCLUDE /x/format x.", "no folder"),
            ("a STRING \"b", "no end"),
            ("a STRING \\uD800", "no letter"),
            ("a RAW INT32 99999999999", "no number"),
        ] {
            let (line, reason) = BoardFields::default().parse(text).unwrap_err();
            assert!(line == 1 && reason.contains(words), "{text}: {reason}");
        }
    }
}
