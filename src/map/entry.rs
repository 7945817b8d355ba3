//! Entries of a hardware map: boards, modules and detectors. A module is one output and one input
//! of a board. Its tones go to a *feedline*, the line along which the detectors are.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use twotone_algorithms::Geometry;
use twotone_hal::{Dbm, Description, Error, Hertz, ModuleId, ModuleLimits};
use twotone_transport::{BoardPlace, PropertyMap};

use super::{BoardKind, Host};

/// Largest power of a tone, at the board's output connector, if the map gives none. It is enough to
/// find detectors behind little attenuation, and too little to harm an amplifier.
pub const CONSERVATIVE_MAX_TONE: Dbm = Dbm(-55.0);
/// Largest total power of a module's tones, at the board's output connector, if the map gives none.
/// It is the power of 1024 tones of [`CONSERVATIVE_MAX_TONE`], and 0.9 dB more.
pub const CONSERVATIVE_MAX_TOTAL: Dbm = Dbm(-24.0);
/// Power of a tone at the start of a tune, at the board's output connector, if the map gives none.
pub const CONSERVATIVE_START_POWER: Dbm = Dbm(-65.0);
/// Attenuation between the board's output connector and the detectors, in dB, if the map gives
/// none. It is 0, so that the power at a detector is never underestimated.
pub const CONSERVATIVE_COLD_ATTENUATION_DB: f64 = 0.0;

/// One board of the array.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoardEntry {
    /// Name of the board in results, errors and file names: 1 to 64 letters, digits, `-`, `_` and
    /// `.`, of which the first is a letter or a digit. Unique in the map, even if case is ignored.
    pub name: String,
    /// Kind of the board.
    pub kind: BoardKind,
    /// Address of the board, if the map has it. [`BoardEntry::address`] always returns an address.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub address: Option<Host>,
    /// Serial number of the board, with leading zeros as printed on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Hardware (MAC) address of the board's network interface: six pairs of hexadecimal digits in
    /// lower case, separated by colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Serial number of the board's crate.
    #[serde(rename = "crate", skip_serializing_if = "Option::is_none")]
    pub crate_serial: Option<String>,
    /// Slot of the board in the crate, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u8>,
    /// Longest time, in seconds, 0 to 20, for which the board may still execute a request after
    /// the connection was lost. If it is `None`, the client uses a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_life_s: Option<f64>,
    /// Properties of the board as a whole that its kind has, by their names:
    /// [`BoardFamily::properties`](crate::map::BoardFamily::properties). `twotone setup`, tunes
    /// and sweeps set them.
    #[serde(flatten)]
    pub properties: PropertyMap,
    /// The modules to use. If empty, all modules that the board describes are used, with
    /// conservative limits.
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
    /// Returns a board at `address`, with conservative limits for all of its modules.
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
            properties: PropertyMap::new(),
            modules: Vec::new(),
        }
    }

    /// Returns the address of the board: the one in the map, or else the host name that follows
    /// from its crate and slot, or from its serial number, by the rule of its kind. An entry with
    /// none of these gets its name as host name.
    pub fn address(&self) -> Host {
        self.address.clone().unwrap_or_else(|| {
            // A map is refused if a board has no address, no serial number, and no crate and slot.
            // So the name is the host only for entries that a program has made and not yet put into
            // a map.
            let announced = self.derived_host();
            announced.unwrap_or_else(|| Host::new(&self.name, self.kind.family().default_port))
        })
    }

    /// Returns the address that follows from the board's crate and slot, or from its serial number,
    /// by the rule of its kind. Returns `None` if the map lacks what the rule needs.
    pub(crate) fn derived_host(&self) -> Option<Host> {
        (self.kind.family().host)(&BoardPlace {
            serial: self.serial.as_deref(),
            crate_serial: self.crate_serial.as_deref(),
            slot: self.slot,
        })
    }

    /// Returns the longest time for which the board may still execute a request after the
    /// connection was lost. Returns `None` if the map does not give it.
    pub fn request_life(&self) -> Option<Duration> {
        let seconds = self.request_life_s?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// True if the map has a property of the board or of one of its modules.
    pub fn has_properties(&self) -> bool {
        let mut modules = self.modules.iter();
        !self.properties.is_empty() || modules.any(|module| !module.properties.is_empty())
    }

    /// Returns the serial number as the number that packets of boards bear, or `None` if the map
    /// has no serial number, or one that does not fit into packets.
    pub fn serial_number(&self) -> Option<u16> {
        self.serial.as_ref()?.parse().ok()
    }

    /// Returns the entry of `module`. If the map lists no modules of this board, the entry has
    /// conservative limits. Returns `None` if the map lists modules of the board, but not this one.
    pub fn module(&self, module: ModuleId) -> Option<ModuleEntry> {
        if self.modules.is_empty() {
            return Some(ModuleEntry::conservative(module));
        }
        self.modules
            .iter()
            .find(|entry| entry.module == module)
            .cloned()
    }

    /// Returns the modules of the board that are to be used: those that the map lists, or all
    /// modules of `description` with conservative limits if the map lists none.
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

/// One module of a board, with its feedline and the limits of its output. **All powers are at the
/// board's output connector.**
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleEntry {
    /// Number of the module, from 1.
    #[serde(rename = "number")]
    pub module: ModuleId,
    /// Feedline that is connected to the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedline: Option<String>,
    /// Wafer that is connected to the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wafer: Option<String>,
    /// Connection of the module's detectors to the line.
    pub geometry: Geometry,
    /// Lowest frequency of a tone. `None` for the lowest of the board.
    #[serde(rename = "f_min_hz", skip_serializing_if = "Option::is_none")]
    pub f_min: Option<Hertz>,
    /// Highest allowed frequency of a tone. If it is `None`, the limit is that of the board.
    #[serde(rename = "f_max_hz", skip_serializing_if = "Option::is_none")]
    pub f_max: Option<Hertz>,
    /// Attenuation between the board's output connector and the detectors, in dB, 0 to 200.
    pub cold_attenuation_db: f64,
    /// Largest allowed power of one tone.
    #[serde(rename = "max_tone_dbm")]
    pub max_tone: Dbm,
    /// Largest allowed total power of all tones.
    #[serde(rename = "max_total_dbm")]
    pub max_total: Dbm,
    /// Power of a tone at the start of a tune.
    #[serde(rename = "start_power_dbm")]
    pub start_power: Dbm,
    /// State in which a run is to leave this module.
    pub safe_state: SafeState,
    /// Properties of the module that the kind of the board has, by their names, as
    /// [`BoardEntry::properties`].
    #[serde(flatten)]
    pub properties: PropertyMap,
}

impl ModuleEntry {
    /// Returns the limits of the module's output.
    pub fn limits(&self) -> ModuleLimits {
        ModuleLimits {
            f_min: self.f_min,
            f_max: self.f_max,
            max_tone: Some(self.max_tone),
            max_total: Some(self.max_total),
            ..ModuleLimits::default()
        }
    }

    /// Returns the entry of a module about which the map says nothing: the limits allow little
    /// power, the attenuation is 0, and a run leaves every tone off.
    pub fn conservative(module: ModuleId) -> Self {
        Self {
            module,
            feedline: None,
            wafer: None,
            geometry: Geometry::Notch,
            f_min: None,
            f_max: None,
            cold_attenuation_db: CONSERVATIVE_COLD_ATTENUATION_DB,
            max_tone: CONSERVATIVE_MAX_TONE,
            max_total: CONSERVATIVE_MAX_TOTAL,
            start_power: CONSERVATIVE_START_POWER,
            safe_state: SafeState::Off,
            properties: PropertyMap::new(),
        }
    }
}

/// State in which a run is to leave a module. [`crate::run::ENDINGS`] is the full rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SafeState {
    /// Every tone off.
    #[default]
    Off,
    /// The NCO and the tones are set as before the run.
    Previous,
    /// The tones stay as they are at the end of the run. But after a run that only measures, they
    /// are set as before the run.
    Hold,
}

impl SafeState {
    /// All states, each with its name in the map.
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

/// A detector (a resonator), with an id that stays the same when its resonance moves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectorEntry {
    /// Id of the detector, unique in the map.
    pub id: String,
    /// Name of the board that reads the detector.
    pub board: String,
    /// Module that reads the detector.
    pub module: ModuleId,
    /// Expected frequency of the detector's resonance.
    #[serde(rename = "f_hz")]
    pub expected: Hertz,
}
