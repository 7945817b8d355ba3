//! Entries of a map: boards, modules and detectors.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use twotone_hal::{Dbm, Description, Error, Hertz, ModuleId, ModuleLimits};
use twotone_transport::BoardPlace;

use super::{BoardKind, Host};

/// The most power of a tone, at the board's output connector, if the map says nothing:
/// enough to find detectors behind little attenuation, and too little to harm an amplifier.
pub const CONSERVATIVE_MAX_TONE: Dbm = Dbm(-55.0);
/// The most power of a module's tones together, at the board's output connector, if the map says
/// nothing: 1024 tones of [`CONSERVATIVE_MAX_TONE`], and 0.9 dB.
pub const CONSERVATIVE_MAX_TOTAL: Dbm = Dbm(-24.0);
/// The power of a tone to begin with, at the board's output connector, if the map says nothing.
pub const CONSERVATIVE_START_POWER: Dbm = Dbm(-65.0);
/// The attenuation between the board's output connector and the detectors, in dB, if the map
/// says nothing: none, so that the power at a detector is never taken for less than it is.
pub const CONSERVATIVE_COLD_ATTENUATION_DB: f64 = 0.0;

/// One board of the array.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoardEntry {
    /// Its name in results, errors and file names: 1 to 64 letters, digits, `-`, `_` and `.`, a
    /// letter or a digit first. Unique in the map, also when case is ignored.
    pub name: String,
    /// Its kind.
    pub kind: BoardKind,
    /// Its address, if the map gives it; [`BoardEntry::address`] always returns one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub address: Option<Host>,
    /// Its serial number, with leading zeros as printed on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The hardware (MAC) address of its network interface: six pairs of hexadecimal digits in
    /// lower case, with colons between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The serial number of its crate.
    #[serde(rename = "crate", skip_serializing_if = "Option::is_none")]
    pub crate_serial: Option<String>,
    /// Its slot in the crate, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u8>,
    /// Longest time, in seconds, 0 to 60, for which a request to it can live whose connection was
    /// lost. `None`: as the client has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_life_s: Option<f64>,
    /// The modules to use. Empty: all that the board describes, with conservative limits.
    #[serde(rename = "module", skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleEntry>,
}

fn as_text<S: Serializer>(host: &Option<Host>, serializer: S) -> Result<S::Ok, S::Error> {
    match host {
        Some(host) => serializer.collect_str(host),
        None => serializer.serialize_none(),
    }
}

impl BoardEntry {
    /// A board at `address`, all its modules at conservative limits.
    pub fn new(name: impl Into<String>, kind: BoardKind, address: Host) -> Self {
        Self {
            name: name.into(),
            kind,
            address: Some(address),
            serial: None,
            mac: None,
            crate_serial: None,
            slot: None,
            request_life_s: None,
            modules: Vec::new(),
        }
    }

    /// Address of the board: the one that the map gives, or the name that its kind derives from
    /// crate and slot, or from the serial number.
    pub fn address(&self) -> Host {
        self.address.clone().unwrap_or_else(|| {
            // A map with none of the three is refused, so the name stands in only for entries
            // that a program has made and not yet put into a map.
            let announced = self.derived_host();
            announced.unwrap_or_else(|| Host::new(&self.name, self.kind.family().default_port))
        })
    }

    /// Address that its kind derives from crate and slot, or from the serial number.
    pub(crate) fn derived_host(&self) -> Option<Host> {
        (self.kind.family().host)(&BoardPlace {
            serial: self.serial.as_deref(),
            crate_serial: self.crate_serial.as_deref(),
            slot: self.slot,
        })
    }

    /// Longest time for which a request to it can live whose connection was lost, if the map says
    /// it.
    pub fn request_life(&self) -> Option<Duration> {
        let seconds = self.request_life_s?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The serial number as packets bear it, if it is one that they can bear.
    pub fn serial_number(&self) -> Option<u16> {
        self.serial.as_ref()?.parse().ok()
    }

    /// Entry of `module`: conservative limits if the map lists no modules of this board, `None` if
    /// it lists others only.
    pub fn module(&self, module: ModuleId) -> Option<ModuleEntry> {
        if self.modules.is_empty() {
            return Some(ModuleEntry::conservative(module));
        }
        self.modules
            .iter()
            .find(|entry| entry.module == module)
            .cloned()
    }

    /// The modules to use of a board that describes itself so: those that the map lists, or all
    /// of them at conservative limits.
    ///
    /// # Errors
    /// [`twotone_hal::ErrorKind::InvalidArgument`] if the map lists a module that the board
    /// does not have.
    pub fn modules_of(&self, description: &Description) -> Result<Vec<ModuleEntry>, Error> {
        if self.modules.is_empty() {
            let all = description.modules.iter();
            return Ok(all
                .map(|found| ModuleEntry::conservative(found.module))
                .collect());
        }
        for entry in &self.modules {
            description
                .module(entry.module)
                .map_err(|error| error.during("compare with the map").on(&self.name))?;
        }
        Ok(self.modules.clone())
    }
}

/// One module of a board: its feedline, and limits of its output. **All powers are at the
/// board's output connector.**
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleEntry {
    /// Its number, from 1.
    #[serde(rename = "number")]
    pub module: ModuleId,
    /// The feedline on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedline: Option<String>,
    /// The wafer on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wafer: Option<String>,
    /// The lowest frequency of a tone. `None`: as low as the board goes.
    #[serde(rename = "f_min_hz", skip_serializing_if = "Option::is_none")]
    pub f_min: Option<Hertz>,
    /// The highest frequency of a tone. `None`: as high as the board goes.
    #[serde(rename = "f_max_hz", skip_serializing_if = "Option::is_none")]
    pub f_max: Option<Hertz>,
    /// Attenuation between the board's output connector and the detectors, in dB, 0 to 200.
    pub cold_attenuation_db: f64,
    /// The most power that one tone may have.
    #[serde(rename = "max_tone_dbm")]
    pub max_tone: Dbm,
    /// The most power that all tones together may have.
    #[serde(rename = "max_total_dbm")]
    pub max_total: Dbm,
    /// The power of a tone to begin with.
    #[serde(rename = "start_power_dbm")]
    pub start_power: Dbm,
    /// State of this module after a run.
    pub safe_state: SafeState,
}

impl ModuleEntry {
    /// Limits of the module's output.
    pub fn limits(&self) -> ModuleLimits {
        ModuleLimits {
            f_min: self.f_min,
            f_max: self.f_max,
            max_tone: Some(self.max_tone),
            max_total: Some(self.max_total),
            ..ModuleLimits::default()
        }
    }

    /// A module of which nothing is known: little power, no attenuation to count on, off after a
    /// run.
    pub fn conservative(module: ModuleId) -> Self {
        Self {
            module,
            feedline: None,
            wafer: None,
            f_min: None,
            f_max: None,
            cold_attenuation_db: CONSERVATIVE_COLD_ATTENUATION_DB,
            max_tone: CONSERVATIVE_MAX_TONE,
            max_total: CONSERVATIVE_MAX_TOTAL,
            start_power: CONSERVATIVE_START_POWER,
            safe_state: SafeState::Off,
        }
    }
}

/// State of a module after a run. [`crate::run::ENDINGS`] has the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SafeState {
    /// Every tone off.
    #[default]
    Off,
    /// The NCO and the tones as they were before the run.
    Previous,
    /// The tones as they are at that moment. If the run only measures: as they were before it.
    Hold,
}

impl SafeState {
    /// Every state, with its name in the map.
    pub const ALL: [(&'static str, Self); 3] = [
        ("off", Self::Off),
        ("previous", Self::Previous),
        ("hold", Self::Hold),
    ];
}

impl fmt::Display for SafeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(_, state)| state == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// A detector with an id that outlives cooldowns and tunes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectorEntry {
    /// Its id, unique in the map.
    pub id: String,
    /// The board that reads it.
    pub board: String,
    /// The module that reads it.
    pub module: ModuleId,
    /// Frequency at which its resonance is expected.
    #[serde(rename = "f_hz")]
    pub expected: Hertz,
}
