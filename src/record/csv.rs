//! Sweeps as text. A sweep is a list of points, and each point is a line of the text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use twotone_hal::{ChannelId, Complex64, Hertz, ModuleId};

use super::{RecordError, SweepHead, SweepKind, SweepPoint, SweepTable};

/// The columns, which are those of the Arrow files.
const HEADING: &str = "module,channel,sweep,frequency_hz,nco_hz,i,q,noise";

impl SweepTable {
    /// Writes the table as comma-separated values: a heading, then one line per point. Unknown
    /// channels, NCO frequencies and noises are empty. Numbers have enough digits to be read back
    /// exactly.
    ///
    /// # Errors
    /// The errors of `writer`.
    pub fn write_csv(&self, mut writer: impl Write) -> io::Result<()> {
        writeln!(writer, "{HEADING}")?;
        for point in self.points() {
            let head = &point.head;
            writeln!(
                writer,
                "{},{},{},{},{},{},{},{}",
                head.module,
                known(head.channel.map(|channel| channel.number())),
                head.kind.as_str(),
                point.frequency.0,
                known(Some(head.nco.0).filter(|hz| hz.is_finite())),
                point.mean.re,
                point.mean.im,
                known(point.noise),
            )?;
        }
        Ok(())
    }

    /// Reads a table that [`SweepTable::write_csv`] has written. The columns may be in another
    /// order, and other columns are left out. `file` names the
    /// source in errors.
    ///
    /// # Errors
    /// [`RecordError::Format`] if a column is missing, or if a value is none of its column. The
    /// message has the line.
    pub fn read_csv(text: &str, file: &str) -> Result<Self, RecordError> {
        from_csv(text).map_err(RecordError::format("read", file))
    }
}

/// Returns a text with the line ends of Unix. With others, the reader of CSV reports lines too low.
pub(crate) fn unix_lines(text: &str) -> Cow<'_, str> {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        false => text.into(),
    }
}

fn from_csv(text: &str) -> Result<SweepTable, String> {
    let said = |error: csv::Error| error.to_string();
    let text = unix_lines(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let heading = reader.headers().map_err(said)?.clone();
    let columns: Vec<usize> = HEADING
        .split(',')
        .map(|wanted| {
            let column = heading.iter().position(|name| name == wanted);
            column.ok_or_else(|| {
                format!("it is no table of sweeps: the column `{wanted}` is missing")
            })
        })
        .collect::<Result<_, _>>()?;
    let mut table = SweepTable::new(BTreeMap::new());
    for row in reader.records() {
        let row = row.map_err(said)?;
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |column: usize| row.get(columns[column]).unwrap_or_default();
        let wrong =
            |column: usize, kind: &str| format!("line {line}: `{}` is no {kind}", cell(column));
        let number = |column: usize| {
            let read = cell(column).parse::<f64>();
            read.map_err(|_| wrong(column, "number"))
        };
        let module = cell(0).parse().ok().and_then(|n| ModuleId::new(n).ok());
        let channel = match cell(1) {
            "" => None,
            text => {
                let channel = text.parse().ok().and_then(|n| ChannelId::new(n).ok());
                Some(channel.ok_or_else(|| wrong(1, "channel"))?)
            }
        };
        let kind = SweepKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == cell(2));
        table.push(SweepPoint {
            head: SweepHead {
                module: module.ok_or_else(|| wrong(0, "module"))?,
                channel,
                kind: kind.ok_or_else(|| wrong(2, "kind of sweep"))?,
                nco: Hertz(match cell(4) {
                    "" => f64::NAN,
                    _ => number(4)?,
                }),
            },
            frequency: Hertz(number(3)?),
            mean: Complex64::new(number(5)?, number(6)?),
            noise: match cell(7) {
                "" => None,
                _ => Some(number(7)?),
            },
        });
    }
    Ok(table)
}

fn known(number: Option<impl ToString>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}
