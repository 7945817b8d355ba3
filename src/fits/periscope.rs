//! Network analyses that Periscope, the graphical program of the Python package rfmux, has exported
//! as CSV. A file has one sweep of one module: a line with the amplitude of the tones, a line of
//! names, and a line for each frequency with the magnitude and the phase of the sample.

use std::collections::BTreeMap;

use csv::StringRecord;
use twotone_hal::{Complex64, Hertz, ModuleId};
use twotone_transport::CrsBoard;

use crate::record::{SweepHead, SweepKind, SweepTable, unix_lines};

/// Start of the first line.
const AMPLITUDE: &str = "# Amplitude:";
/// Name of the column of frequencies.
const FREQUENCY: &str = "Frequency (Hz)";
/// Name of the column of phases.
const PHASE: &str = "Phase (deg)";
/// Resistance to which powers refer, in ohms.
const TERMINATION: f64 = 50.0;

/// Unit of the column of magnitudes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Counts,
    Volts,
    Dbm,
}

impl Unit {
    const COLUMNS: [(&str, Self); 3] = [
        ("Amplitude (counts)", Self::Counts),
        ("Amplitude (V)", Self::Volts),
        ("Power (dBm)", Self::Dbm),
    ];

    /// Converts a magnitude to readout counts. Volts are peak voltages.
    fn to_counts(self, value: f64) -> f64 {
        match self {
            Self::Counts => value,
            Self::Volts => value / CrsBoard::VOLTS_PER_COUNT,
            Self::Dbm => {
                let watts = 1e-3 * 10f64.powf(value / 10.0);
                (2.0 * TERMINATION * watts).sqrt() / CrsBoard::VOLTS_PER_COUNT
            }
        }
    }
}

/// True if a text is such a file.
pub(super) fn is_one(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    first.contains(FREQUENCY) || first.contains(AMPLITUDE) || first.starts_with("Parameter,Value")
}

/// Reads such a file. `name` is its name, which usually contains the module.
///
/// # Errors
/// Returns the reason that the file cannot be read, with the line.
pub(super) fn read(
    text: &str,
    name: &str,
    module: Option<ModuleId>,
    doubts: &mut Vec<String>,
) -> Result<SweepTable, String> {
    if text.starts_with("Parameter,Value") {
        let why = "it has the parameters of a network analysis, and no samples: name the file of a \
                   module, such as NAME_module1_idx0_counts.csv";
        return Err(why.to_owned());
    }
    let in_name = module_in(name);
    if let (Some(given), Some(named)) = (module, in_name)
        && given != named
    {
        return Err(format!(
            "the file is named after module {named}, not {given}"
        ));
    }
    let Some(module) = module.or(in_name) else {
        let why = "its name does not contain the module, as in NAME_module1_idx0_counts.csv: name \
                   the module with --module";
        return Err(why.to_owned());
    };
    let text = unix_lines(text);
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes())
        .into_records();
    let mut row = || rows.next().transpose().map_err(|error| error.to_string());
    let cut = "the line of the names of the columns is missing";
    let mut names = row()?.ok_or(cut)?;
    let mut amplitude = None;
    if names.get(0) == Some(AMPLITUDE) {
        amplitude = names.get(1).and_then(|text| text.parse::<f64>().ok());
        names = row()?.ok_or(cut)?;
    }
    let columns = Columns::of(&names)?;
    let (mut points, mut bad) = (Vec::new(), 0);
    while let Some(row) = row()? {
        let (f_hz, z) = columns.point(&row)?;
        match z.is_finite() {
            true => points.push((f_hz, z)),
            false => bad += 1,
        }
    }
    if bad > 0 {
        doubts.push(format!(
            "{name}: {bad} points have no finite sample, and are left out"
        ));
    }
    let rows = points.len();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.dedup_by(|later, earlier| later.0 == earlier.0);
    if points.len() < rows {
        doubts.push(format!(
            "{name}: {} points have the frequency of another point, and are left out",
            rows - points.len()
        ));
    }
    let head = SweepHead {
        module,
        channel: None,
        kind: SweepKind::NetworkAnalysis,
        nco: Hertz(f64::NAN),
    };
    let amplitude = amplitude.map(|value| ("amplitude".to_owned(), value.to_string()));
    let mut table = SweepTable::new(BTreeMap::from_iter(amplitude));
    let (f_hz, z): (Vec<_>, Vec<_>) = points.into_iter().unzip();
    table
        .push_sweep(head, &f_hz, &z, None)
        .map_err(|error| error.to_string())?;
    Ok(table)
}

/// Returns the module in a name such as `night_module3_idx0_counts.csv`.
fn module_in(name: &str) -> Option<ModuleId> {
    let (_, rest) = name.rsplit_once("_module")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let number = rest[..end.unwrap_or(rest.len())].parse().ok()?;
    ModuleId::new(number).ok()
}

/// Indices of the columns.
struct Columns {
    frequency: usize,
    magnitude: usize,
    unit: Unit,
    phase: usize,
}

impl Columns {
    fn of(names: &StringRecord) -> Result<Self, String> {
        let column = |wanted: &str| names.iter().position(|name| name == wanted);
        let needed =
            |wanted: &str| column(wanted).ok_or(format!("the column `{wanted}` is missing"));
        let magnitude = Unit::COLUMNS
            .into_iter()
            .find_map(|(name, unit)| Some((column(name)?, unit)));
        let (magnitude, unit) = magnitude.ok_or_else(|| {
            let names = Unit::COLUMNS.map(|(name, _)| format!("`{name}`"));
            format!("a column {} is missing", names.join(" or "))
        })?;
        Ok(Self {
            frequency: needed(FREQUENCY)?,
            magnitude,
            unit,
            phase: needed(PHASE)?,
        })
    }

    /// Returns the frequency, in hertz, and the sample, in readout counts.
    fn point(&self, row: &StringRecord) -> Result<(f64, Complex64), String> {
        let line = row.position().map_or(0, csv::Position::line);
        let number = |column: usize, name: &str| {
            let text = row.get(column).unwrap_or_default();
            let read = text.parse::<f64>();
            read.map_err(|_| format!("line {line}: `{text}` is no {name}"))
        };
        let f_hz = number(self.frequency, "frequency")?;
        if !(f_hz.is_finite() && f_hz > 0.0) {
            return Err(format!("line {line}: {f_hz} Hz is no frequency"));
        }
        let magnitude = self.unit.to_counts(number(self.magnitude, "magnitude")?);
        let phase = number(self.phase, "phase")?.to_radians();
        Ok((f_hz, Complex64::from_polar(magnitude, phase)))
    }
}
