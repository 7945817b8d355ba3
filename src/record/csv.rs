//! Sweeps as text.

use std::io::{self, Write};

use super::SweepTable;

/// The columns, in order; as in the Arrow files, without `scatter`.
const HEADING: &str = "module,channel,detector,kind,nco_hz,frequency_hz,i,q";

impl SweepTable {
    /// Writes the table as comma-separated values: a heading, then a line a point. What is not
    /// known is empty; numbers read back as the same numbers.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write_csv(&self, mut writer: impl Write) -> io::Result<()> {
        writeln!(writer, "{HEADING}")?;
        for point in self.points() {
            let head = &point.head;
            let known = |number: Option<u32>| number.map_or_else(String::new, |n| n.to_string());
            writeln!(
                writer,
                "{},{},{},{},{},{},{},{}",
                head.module,
                known(head.channel.map(|channel| channel.number().into())),
                known(head.detector),
                head.kind.as_str(),
                head.nco.0,
                point.frequency.0,
                point.mean.re,
                point.mean.im
            )?;
        }
        Ok(())
    }
}
