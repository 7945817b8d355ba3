//! Ways in which resonators are connected to the line that reads them.

use serde::{Deserialize, Serialize};

/// Connection of the resonators of a module to its line. The map or the caller names it: the shape
/// of the data alone does not tell a notch from an undercoupled resonator in reflection.
///
/// In all three, the samples describe a circle over frequency: see [`crate::resonator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Geometry {
    /// Resonators beside a line whose transmission is measured (hangers). Each is a notch.
    #[default]
    Notch,
    /// Resonators at the end of a line whose reflection is measured. An undercoupled resonator is a
    /// dip; a strongly overcoupled one changes only the phase.
    Reflection,
    /// Resonators between the two ends of a line whose transmission is measured. Each is a peak.
    Peak,
}

impl Geometry {
    /// All geometries.
    pub const ALL: [Self; 3] = [Self::Notch, Self::Reflection, Self::Peak];

    /// Name in files and tables, which stays the same in all versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notch => "notch",
            Self::Reflection => "reflection",
            Self::Peak => "peak",
        }
    }

    /// Returns the diameter of the loop of a resonator without internal loss, relative to the line:
    /// the factor `n` of `Re A = n Qr/Qc`. `None` for peaks, whose line cannot be seen apart from
    /// the resonator.
    pub(crate) fn lossless_diameter(self) -> Option<f64> {
        match self {
            Self::Notch => Some(1.0),
            Self::Reflection => Some(2.0),
            Self::Peak => None,
        }
    }
}

impl std::fmt::Display for Geometry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Geometry {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Notch, Self::Reflection, Self::Peak];
        let named = all.into_iter().find(|one| one.as_str() == name);
        named.ok_or_else(|| format!("unknown geometry `{name}`: notch, reflection or peak"))
    }
}

/// Transmission off resonance relative to the line, of a notch and in reflection.
pub(crate) fn one() -> num_complex::Complex64 {
    1.0.into()
}
