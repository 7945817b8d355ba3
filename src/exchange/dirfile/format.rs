//! The text of the files `format`, which describe the fields of a dirfile.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use twotone_hal::ChannelId;

use super::columns::Column;
use crate::exchange::field_name;
use crate::record::SampleHead;

/// First lines of each file: the version of the format, and the form of the numbers.
const BEGIN: &str = "/VERSION 10\n/ENDIAN little\n/PROTECT none\n/ENCODING none\n";

/// Appends a line. Writing to a string never fails.
macro_rules! line {
    ($text:expr, $($words:tt)*) => {{
        let _ = writeln!($text, $($words)*);
    }};
}

/// The file `format` of the whole dirfile.
#[derive(Debug, Default)]
pub(super) struct TopFormat {
    text: String,
    aliases: String,
    /// Number of samples of the longest module, and its first field.
    longest: Option<(u64, String)>,
}

impl TopFormat {
    /// Adds the folder of a board.
    pub(super) fn add_board(&mut self, namespace: &str) {
        line!(self.text, "/INCLUDE {namespace}/format {namespace}.");
    }

    /// Notes the length of a module.
    pub(super) fn add_module(&mut self, namespace: &str, prefix: &str, samples: u64) {
        if self
            .longest
            .as_ref()
            .is_none_or(|(most, _)| samples > *most)
        {
            self.longest = Some((samples, format!("{namespace}.{prefix}_ts_sbs")));
        }
    }

    /// Adds the names of a detector.
    pub(super) fn add_detector(
        &mut self,
        namespace: &str,
        prefix: &str,
        channel: ChannelId,
        id: &str,
        is_calibrated: bool,
    ) {
        let (name, of) = (field_name(id), channel_field(prefix, channel));
        line!(self.aliases, "/ALIAS {name} {namespace}.{of}");
        if is_calibrated {
            for kind in ["df_hz", "dqi_inv"] {
                line!(self.aliases, "/ALIAS {name}:{kind} {namespace}.{of}_{kind}");
            }
        }
    }

    pub(super) fn into_text(self) -> String {
        let mut text = format!("{BEGIN}{}{}", self.text, self.aliases);
        if let Some((_, field)) = self.longest {
            line!(text, "/REFERENCE {field}");
        }
        text
    }
}

/// The file `format` of a board.
#[derive(Debug, Default)]
pub(super) struct BoardFormat {
    text: String,
}

impl BoardFormat {
    /// Adds the origin of the data, a text field for each name.
    pub(super) fn add_provenance(&mut self, provenance: &BTreeMap<String, String>) {
        // These belong to a module, and other fields tell them.
        let of_board = |name: &str| !matches!(name, "module" | "rate_hz");
        for (name, value) in provenance.iter().filter(|(name, _)| of_board(name)) {
            line!(self.text, "{} STRING {}", field_name(name), quoted(value));
        }
    }

    /// Adds the fields of a module.
    pub(super) fn add_module(&mut self, prefix: &str, head: &SampleHead) {
        let text = &mut self.text;
        for column in Column::of(head) {
            let (name, of, _, is_hidden) = column.form();
            let values = column.values(head.channels.len(), head.calibrated.len());
            line!(text, "{prefix}_{name} RAW {of} {values}");
            if is_hidden {
                line!(text, "/HIDDEN {prefix}_{name}");
            }
        }
        line!(
            text,
            "{prefix}_timebase LINCOM 3 {prefix}_ts_sbs 1 0 {prefix}_ts_ss 6.4e-09 0 {prefix}_ts_delay -1 0"
        );
        // The delay is NaN if the time is not known, and then this sum is NaN too.
        line!(
            text,
            "{prefix}_time LINCOM 2 {prefix}_time_ns 1e-09 0 {prefix}_ts_delay 0 0"
        );
        if let Some(rate_hz) = head.rate_hz {
            line!(text, "{prefix}_rate_hz CONST FLOAT64 {rate_hz}");
        }
        let scale = 1.0 / head.steps_per_count;
        for (at, channel) in head.channels.iter().enumerate() {
            let field = channel_field(prefix, *channel);
            for (part, shift) in [("i", 2 * at), ("q", 2 * at + 1)] {
                line!(text, "{field}_{part}_ph PHASE {prefix}_raw32 {shift}");
                line!(text, "/HIDDEN {field}_{part}_ph");
            }
            // A sum has as many values for each frame as its first field. That is one for INDEX,
            // the number of the frame, which is multiplied by 0.
            line!(
                text,
                "{field} LINCOM 3 INDEX 0 0 {field}_i_ph {scale} 0 {field}_q_ph 0;{scale} 0"
            );
            if let Some(id) = head.detectors.get(channel) {
                line!(text, "{field}/detector STRING {}", quoted(id));
            }
        }
        for (at, channel) in head.calibrated.iter().enumerate() {
            for kind in ["df_hz", "dqi_inv"] {
                let field = format!("{}_{kind}", channel_field(prefix, *channel));
                line!(text, "{field}_ph PHASE {prefix}_{kind}_raw32 {at}");
                line!(text, "/HIDDEN {field}_ph");
                line!(text, "{field} LINCOM 2 INDEX 0 0 {field}_ph 1 0");
            }
        }
    }

    pub(super) fn into_text(self) -> String {
        format!("{BEGIN}{}", self.text)
    }
}

/// Returns the name of the field of a channel.
fn channel_field(prefix: &str, channel: ChannelId) -> String {
    format!("{prefix}_c{:04}", channel.number())
}

/// Returns a text in quotes, with escapes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // A text of the format ends with a byte 0.
            '\0' => {}
            letter if letter.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
