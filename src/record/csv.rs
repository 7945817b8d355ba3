//! Sweeps as text. A sweep is a list of points, and each point is a line of the text.

use std::io::{self, Write};

use super::SweepTable;

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
}

fn known(number: Option<impl ToString>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}
