//! Parameters of a tune or a sweep: parameters that the user gives, and parameters that follow from
//! the hardware map.
//!
//! Both campaigns begin with a *network analysis*, which measures the transmission of a module over
//! its *band*. The map gives each module a *range* of frequencies, a start power of its tones, and
//! a limit of their total power.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use twotone_algorithms::{Band, FindParams, Geometry, RefitParams, TuneParams};
use twotone_hal::{Dbm, Description, Error, ErrorKind, ModuleId, Result};

use super::CampaignError;
use crate::Array;
use crate::input::shown;
use crate::map::{
    BoardKind, HardwareMap, MapError, ModuleEntry, implausible_hz, parse_params, read_params,
};

const NO_RANGE: &str = "the map does not say where the detectors are: its modules need f_min_hz and \
                        f_max_hz, or the parameter file a band";

/// Frequency up to which the widest linewidth of the parameters holds, in hertz. Resonances at a
/// higher frequency are wider for the same quality factor.
const WIDEST_UP_TO_HZ: f64 = 2.75e9;

/// Keys of the two ends of a band.
const KEYS: [&str; 2] = ["f_min_hz", "f_max_hz"];

/// Parameters of a campaign, with a record of those that the user has given.
///
/// No parameter is given by default. Unless they are given, these parameters follow from the map
/// for each module:
/// * the band is the range of the module in the map;
/// * the network analysis has enough points to resolve every resonance in the band;
/// * on boards with a power scale (a known power at full scale, in dBm), the amplitude of tones is
///   the one that gives the start power of the module in the map;
/// * on these boards, the network analysis and the measurement of the delay use many tones at the
///   same time. Each of these tones has half the amplitude above, or less if tones on all channels
///   would together exceed the limit of the total power.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CampaignParams {
    params: TuneParams,
    /// The parameters that the user has given.
    given: toml::Table,
}

impl CampaignParams {
    /// Reads a parameter file, in TOML.
    ///
    /// # Errors
    /// If the file cannot be read, has unknown keys or values of the wrong type, or has parameters
    /// that cannot be used. The message names the file.
    pub fn load(path: impl AsRef<Path>) -> std::result::Result<Self, CampaignError> {
        let path = path.as_ref();
        let read = Self::read(path).map_err(|error| CampaignError::Params(error.to_string()))?;
        match read.problem_alone() {
            Some(problem) => {
                let text = format!("{}: {problem}", shown(path));
                Err(CampaignError::Params(text))
            }
            None => Ok(read),
        }
    }

    /// Reads a parameter file, even if its parameters cannot be used.
    /// [`CampaignParams::problem_alone`] then returns the reason.
    ///
    /// # Errors
    /// If the file cannot be read, or has unknown keys or values of the wrong type. The message
    /// gives the line of each such key or value.
    pub fn read(path: impl AsRef<Path>) -> std::result::Result<Self, MapError> {
        let path = path.as_ref();
        Self::parse(&read_params(path)?, &path.display().to_string())
    }

    /// Reads parameters from TOML. `file` is the name of the text in errors.
    ///
    /// # Errors
    /// If the text has unknown keys or values of the wrong type. The message gives the line of each
    /// such key or value.
    pub fn parse(text: &str, file: &str) -> std::result::Result<Self, MapError> {
        let params = parse_params::<TuneParams>(text, file)?;
        let given = parse_params(text, file)?;
        Ok(Self { params, given })
    }

    /// The parameters, with defaults for those that were not given.
    pub fn params(&self) -> &TuneParams {
        &self.params
    }

    fn is_given(&self, part: &str, key: Option<&str>) -> bool {
        match (self.given.get(part), key) {
            (Some(found), Some(key)) => found.get(key).is_some(),
            (found, _) => found.is_some(),
        }
    }

    /// Returns the reason why the parameters cannot be used with any map, or `None` if they can.
    pub fn problem_alone(&self) -> Option<String> {
        let ends = || {
            let ends = KEYS.map(|key| Some((key, self.end(key)?)));
            ends.into_iter().flatten()
        };
        let no_range = ends().find(|(_, hz)| !(hz.is_finite() && *hz > 0.0));
        let no_range = no_range
            .map(|(key, hz)| format!("band: `{key}` = {hz} is no frequency: it must be above 0"));
        let mut asked = ends().filter_map(|(key, hz)| implausible_hz(&format!("`{key}`"), hz));
        let in_band = || asked.next().map(|problem| format!("band: {problem}"));
        self.params.problem().or(no_range).or_else(in_band)
    }

    /// Returns the reason why the parameters cannot be used with any map, or with this map. The
    /// band may leave the range of a module, the only given end of the band may be beyond the other
    /// end of a module's range, or the points may be too few for a module. The message names the
    /// first such module and counts the others. Returns `None` if the parameters can be used.
    pub fn problem(&self, map: &HardwareMap) -> Option<String> {
        let of_module = || {
            let mut problems = map.boards().iter().flat_map(|board| {
                let modules = board.modules.iter();
                modules.filter_map(|module| {
                    let why = self.no_band(module).or_else(|| self.beyond(module));
                    let why = why.or_else(|| self.too_coarse(module));
                    let why = why.or_else(|| self.of_geometry(module).problem())?;
                    Some(format!("{} module {}: {why}", board.name, module.module))
                })
            });
            let first = problems.next()?;
            Some(match problems.count() {
                0 => first,
                1 => format!("{first}; 1 more module has such a problem"),
                more => format!("{first}; {more} more modules have such a problem"),
            })
        };
        self.problem_alone().or_else(of_module)
    }

    /// End of the given band, by its key. `None` if this end was not given.
    fn end(&self, key: &str) -> Option<f64> {
        match (self.params.band, key) {
            (Some(band), "f_min_hz") => Some(band.f_min_hz),
            (Some(band), _) => Some(band.f_max_hz),
            (None, _) => self.given.get("band")?.get(key)?.as_float(),
        }
    }

    /// Returns the band that was given. If only one end was given, the other end is that of the
    /// module's range.
    fn given_band(&self, module: &ModuleEntry) -> Option<Band> {
        let [low, high] = KEYS.map(|key| self.end(key));
        low.or(high)?;
        let low = low.or(module.f_min.map(|f_min| f_min.0));
        let high = high.or(module.f_max.map(|f_max| f_max.0));
        Some(Band::new(low?, high?))
    }

    /// Returns the band of a module: the given band, or else the range of the module in the map.
    /// Returns `None` if an end of it is not known.
    fn band_of(&self, module: &ModuleEntry) -> Option<Band> {
        self.given_band(module).or_else(|| range_of(module))
    }

    /// Returns the reason why the band of a module is no band, for instance because its lower end
    /// is above its upper end. Returns `None` if the band is sound, if no end was given, or if only
    /// one end is known.
    fn no_band(&self, module: &ModuleEntry) -> Option<String> {
        self.given_band(module)?.problem()
    }

    /// Returns the given parameters, with the geometry of a module.
    fn of_geometry(&self, module: &ModuleEntry) -> TuneParams {
        let mut params = self.params.clone();
        if !self.is_given("geometry", None) {
            params.geometry = module.geometry;
        }
        params
    }

    /// Returns the message that the given band is not within the range of `module`, with the key of
    /// the map, or `None` if the band is within the range.
    fn beyond(&self, module: &ModuleEntry) -> Option<String> {
        let band = self.given_band(module)?;
        let mhz = |hz: f64| hz / 1e6;
        let (key, limit) = match (module.f_min, module.f_max) {
            (Some(low), _) if band.f_min_hz < low.0 => ("f_min_hz", low.0),
            (_, Some(high)) if band.f_max_hz > high.0 => ("f_max_hz", high.0),
            _ => return None,
        };
        Some(format!(
            "{} to {} MHz asked, and the map has {key} = {limit} ({} MHz): ask for less, \
             or change the map if the module may use more",
            mhz(band.f_min_hz),
            mhz(band.f_max_hz),
            mhz(limit),
        ))
    }

    /// Refuses parameters that do not fit some module of the map, or with which no module has a
    /// band. No board is contacted.
    ///
    /// # Errors
    /// If [`CampaignParams::problem`] returns a reason, or if neither the map nor the parameters
    /// give a band for any module.
    pub fn check(&self, map: &HardwareMap) -> std::result::Result<(), CampaignError> {
        if let Some(problem) = self.problem(map) {
            return Err(CampaignError::Params(problem));
        }
        let mut modules = map.boards().iter().flat_map(|board| &board.modules);
        let placed = modules.any(|module| self.band_of(module).is_some());
        if placed || self.params.band.is_some() {
            return Ok(());
        }
        let text = format!("{}: {NO_RANGE}", map.file());
        Err(CampaignError::Params(text))
    }

    /// Returns the reason why the given number of points is too small for a module. Returns `None`
    /// if it is large enough, if it was not given, or if the band of the module is not known.
    fn too_coarse(&self, module: &ModuleEntry) -> Option<String> {
        if !self.is_given("network_analysis", Some("points")) {
            return None;
        }
        let band = self.band_of(module)?;
        self.params.network_analysis.too_coarse(band)
    }

    /// Sets the ends of the band, in hertz. An end that is `None` keeps the value that was given
    /// before. If no value was given, the end is that of each module's range.
    pub fn set_band(&mut self, low: Option<f64>, high: Option<f64>) {
        if low.is_none() && high.is_none() {
            return;
        }
        let [low, high] = [low.or(self.end(KEYS[0])), high.or(self.end(KEYS[1]))];
        self.params.band = low.zip(high).map(|(low, high)| Band::new(low, high));
        let ends = KEYS.into_iter().zip([low, high]);
        let ends = ends.filter_map(|(key, hz)| Some((key.to_owned(), toml::Value::Float(hz?))));
        let table = toml::Value::Table(ends.collect());
        self.given.insert("band".to_owned(), table);
    }

    /// Sets the number of points of the network analysis.
    pub fn set_points(&mut self, points: usize) {
        self.params.network_analysis.points = points;
        let part = self.given.entry("network_analysis");
        let part = part.or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(part) = part.as_table_mut() {
            let points = i64::try_from(points).unwrap_or(i64::MAX);
            part.insert("points".to_owned(), toml::Value::Integer(points));
        }
    }

    /// Returns the number of points of the network analysis over `band`. Unless the number is
    /// given, it is large enough to resolve resonances with the quality factor `qr_max`, the
    /// largest one that the parameters expect.
    fn points_over(&self, band: Band) -> usize {
        let wide = &self.params.network_analysis;
        let spacing_hz = band.f_min_hz / (2.0 * wide.qr_max);
        let needed = (band.span_hz() / spacing_hz).ceil();
        match self.is_given("network_analysis", Some("points")) || !needed.is_finite() {
            true => wide.points,
            false => wide.points.max(needed as usize),
        }
    }

    /// Returns the number of points of the network analysis of a module. If the band of the module
    /// is not known, the number is that of the parameters.
    pub(super) fn points_of(&self, module: &ModuleEntry) -> usize {
        let band = self.band_of(module);
        band.map_or(self.params.network_analysis.points, |band| {
            self.points_over(band)
        })
    }

    /// Returns the parameters of a search up to a frequency, in hertz.
    fn find_up_to(&self, highest_hz: f64) -> FindParams {
        let mut find = self.params.find.clone();
        if !self.is_given("find", Some("max_linewidth_hz")) {
            find.max_linewidth_hz *= (highest_hz / WIDEST_UP_TO_HZ).max(1.0);
        }
        find
    }

    /// Returns the parameters of fits to sweeps that were measured earlier, up to the frequency
    /// `highest_hz`. `geometry` and `tau_s`, the delay of the line in seconds, are those that were
    /// recorded with the sweeps. A geometry of the parameters has precedence.
    pub fn for_refit(
        &self,
        highest_hz: f64,
        geometry: Option<Geometry>,
        tau_s: Option<f64>,
    ) -> RefitParams {
        let recorded = geometry.filter(|_| !self.is_given("geometry", None));
        RefitParams {
            geometry: recorded.unwrap_or(self.params.geometry),
            tau_s,
            max_delay_s: self.params.cable_delay.max_delay_s,
            find: self.find_up_to(highest_hz),
            fit: self.params.fit.clone(),
        }
    }

    /// Sets the connection of the detectors to the line.
    pub fn set_geometry(&mut self, geometry: Geometry) {
        self.params.geometry = geometry;
        let value = toml::Value::String(geometry.as_str().to_owned());
        self.given.insert("geometry".to_owned(), value);
    }

    /// Returns the parameters for a module. `kind` is the kind of the board in the map, and
    /// `description` is the board's own description. The kind in the description is not used,
    /// because boards and maps may name a kind differently.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the board has no such module, if neither the map nor the
    /// parameters have a band, if the band is beyond the range of the board, or if the start power
    /// of the map is above full scale. [`ErrorKind::Unsupported`] if boards of this kind have a
    /// power scale and this board does not report its scale.
    pub fn for_module(
        &self,
        kind: BoardKind,
        entry: &ModuleEntry,
        description: &Description,
    ) -> Result<TuneParams> {
        let mut params = self.of_geometry(entry);
        let module = description.module(entry.module)?;
        let has_powers = kind.family().has_power_scale;
        let full_scale = has_powers.then(|| module.power_scale()).transpose()?;
        let refuse = |why: String| Err(Error::new(ErrorKind::InvalidArgument, why));
        let Some(band) = self.band_of(entry) else {
            return refuse(NO_RANGE.to_owned());
        };
        let (lowest, highest) = module.reach();
        if band.f_min_hz < lowest.0 || band.f_max_hz > highest.0 {
            let whose = match self.given_band(entry) {
                Some(_) => "the band asked for",
                None => "the map's range",
            };
            return refuse(format!(
                "{whose}, {:.3} to {:.3} MHz, goes beyond what the board reaches as it is set: {:.3} \
                 to {:.3} MHz",
                band.f_min_hz / 1e6,
                band.f_max_hz / 1e6,
                lowest.0 / 1e6,
                highest.0 / 1e6,
            ));
        }
        params.band = Some(band);
        params.network_analysis.points = self.points_over(band);
        params.find = self.find_up_to(band.f_max_hz);
        // Boards without a power scale use the amplitudes of the parameters unchanged.
        let Some(full_scale) = full_scale else {
            return Ok(params);
        };
        if !self.is_given("tone_amplitude", None) {
            params.tone_amplitude = full_scale.amplitude_of(entry.start_power);
            if params.tone_amplitude > 1.0 {
                return refuse(format!(
                    "start_power_dbm = {} of the map is above the board's full scale of {:.2} dBm",
                    entry.start_power.0, full_scale.0
                ));
            }
        }
        // Half the amplitude of a tone, or less if tones on all channels would together exceed the
        // limit of the total power.
        let tones = f64::from(module.channels);
        let each = Dbm(entry.max_total.0 - 10.0 * tones.log10());
        let comb = (0.5 * params.tone_amplitude).min(full_scale.amplitude_of(each));
        if !self.is_given("network_analysis", Some("amplitude")) {
            params.network_analysis.amplitude = comb;
        }
        if !self.is_given("cable_delay", Some("amplitude")) {
            params.cable_delay.amplitude = comb;
        }
        Ok(params)
    }

    /// Returns the parameters of every module of an array.
    pub fn for_array(&self, map: &HardwareMap, array: &Array) -> ModuleParams {
        let mut parameters = BTreeMap::new();
        for board in array.boards() {
            let Some(entry) = map.board(board.name()) else {
                continue;
            };
            for target in board.targets() {
                let params = entry
                    .module(target.module)
                    .ok_or_else(|| {
                        let why = format!("module {} is not in the map", target.module);
                        (ErrorKind::InvalidArgument, why)
                    })
                    .and_then(|module| {
                        let params = self.for_module(entry.kind, &module, board.description());
                        params.map_err(|error| (error.kind(), error.message().to_owned()))
                    });
                parameters.insert((board.name().to_owned(), target.module), params);
            }
        }
        ModuleParams(parameters)
    }
}

/// Converts parameters so that all of them count as given. A band that is `None` still follows from
/// the map.
impl From<TuneParams> for CampaignParams {
    fn from(params: TuneParams) -> Self {
        let table = |keys: &[(&str, toml::Value)]| {
            let keys = keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()));
            toml::Value::Table(keys.collect())
        };
        let points = i64::try_from(params.network_analysis.points).unwrap_or(i64::MAX);
        let wide = [
            ("points", toml::Value::Integer(points)),
            ("amplitude", params.network_analysis.amplitude.into()),
        ];
        let delay = [("amplitude", params.cable_delay.amplitude.into())];
        let find = [("max_linewidth_hz", params.find.max_linewidth_hz.into())];
        let mut given = toml::Table::new();
        given.insert("tone_amplitude".to_owned(), params.tone_amplitude.into());
        given.insert("network_analysis".to_owned(), table(&wide));
        given.insert("cable_delay".to_owned(), table(&delay));
        given.insert("find".to_owned(), table(&find));
        if let Some(band) = params.band {
            let ends = [band.f_min_hz.into(), band.f_max_hz.into()];
            let band: Vec<_> = KEYS.into_iter().zip(ends).collect();
            given.insert("band".to_owned(), table(&band));
        }
        Self { params, given }
    }
}

/// Returns the range of a module, or `None` if the map lacks one of its ends.
fn range_of(module: &ModuleEntry) -> Option<Band> {
    Some(Band::new(module.f_min?.0, module.f_max?.0))
}

/// Parameters of the modules of an array, or the reason that a module has none.
#[derive(Debug, Clone)]
pub struct ModuleParams(BTreeMap<(String, ModuleId), Found>);

/// Parameters of a module, or the kind and message of the error if it has none.
type Found = std::result::Result<TuneParams, (ErrorKind, String)>;

impl ModuleParams {
    /// Returns the parameters of a module of the board called `board`.
    ///
    /// # Errors
    /// As [`CampaignParams::for_module`], and [`ErrorKind::InvalidArgument`] if the module is not
    /// one of the array.
    pub fn of(&self, board: &str, module: ModuleId) -> Result<TuneParams> {
        let found = self.0.get(&(board.to_owned(), module)).cloned();
        let none = || Err((ErrorKind::InvalidArgument, "not in the map".to_owned()));
        let params = found.unwrap_or_else(none);
        params.map_err(|(kind, why)| Error::new(kind, why).on(board))
    }
}

#[cfg(test)]
mod tests;
