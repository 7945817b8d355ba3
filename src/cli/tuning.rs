//! The parameters of a tune: from a file, and from the map where the file says nothing.

use std::path::Path;

use serde::Serialize;
use twotone::Array;
use twotone::algorithms::{Band, TuneParams};
use twotone::hal::{Dbm, Description, Error, ErrorKind, ModuleId, Result};
use twotone::input::shown;
use twotone::map::{HardwareMap, MapError, ModuleEntry, implausible_hz, parse_params, read_params};

const NO_RANGE: &str = "the map does not say where the detectors are: its modules need f_min_hz and \
                        f_max_hz, or the parameter file a band";

/// The keys of a band's ends.
const KEYS: [&str; 2] = ["f_min_hz", "f_max_hz"];

/// Parameters, and which of them were given and not just left at their defaults.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Tuning {
    pub(crate) params: TuneParams,
    /// The parameters that were given. Band and amplitudes that were not follow from the map.
    pub(crate) given: toml::Table,
}

impl Tuning {
    fn is_given(&self, part: &str, key: Option<&str>) -> bool {
        match (self.given.get(part), key) {
            (Some(found), Some(key)) => found.get(key).is_some(),
            (found, _) => found.is_some(),
        }
    }

    /// Problem of the parameters by themselves, if they are of no use.
    pub(crate) fn own_problem(&self) -> Option<String> {
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

    /// Problem of the parameters by themselves or with modules of the map: a band that the range of
    /// one does not have, or points too coarse for its range. The first such module is named, and the
    /// others are counted.
    pub(crate) fn problem(&self, map: &HardwareMap) -> Option<String> {
        let of_module = || {
            let mut problems = map.boards().iter().flat_map(|board| {
                let modules = board.modules.iter();
                modules.filter_map(|module| {
                    let why = self.no_band(module).or_else(|| self.beyond(module));
                    let why = why.or_else(|| self.too_coarse(module))?;
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
        self.own_problem().or_else(of_module)
    }

    /// An end of the band that was given.
    fn end(&self, key: &str) -> Option<f64> {
        match (self.params.band, key) {
            (Some(band), "f_min_hz") => Some(band.f_min_hz),
            (Some(band), _) => Some(band.f_max_hz),
            (None, _) => self.given.get("band")?.get(key)?.as_float(),
        }
    }

    /// The band that was given, with the end of the module's range for an end that was not.
    fn given_band(&self, module: &ModuleEntry) -> Option<Band> {
        let [low, high] = KEYS.map(|key| self.end(key));
        low.or(high)?;
        let low = low.or(module.f_min.map(|f_min| f_min.0));
        let high = high.or(module.f_max.map(|f_max| f_max.0));
        Some(Band::new(low?, high?))
    }

    /// The band of a module: the given one, or else its range in the map.
    fn band_of(&self, module: &ModuleEntry) -> Option<Band> {
        self.given_band(module).or_else(|| range_of(module))
    }

    /// Reason that one end that was given makes no band with the other end of the module's range.
    fn no_band(&self, module: &ModuleEntry) -> Option<String> {
        self.given_band(module)?.problem()
    }

    /// Reason that the given band is not within the range of `module`, in the words of the map.
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

    /// Refuses what no module of the map can be tuned with, before any board is asked.
    pub(crate) fn fit_for(&self, map: &HardwareMap) -> std::result::Result<(), String> {
        if let Some(problem) = self.problem(map) {
            return Err(problem);
        }
        let mut modules = map.boards().iter().flat_map(|board| &board.modules);
        let placed = modules.any(|module| self.band_of(module).is_some());
        if placed || self.params.band.is_some() {
            return Ok(());
        }
        Err(format!("{}: {NO_RANGE}", map.file()))
    }

    /// Reason that the given points are too few for a module whose range is known.
    fn too_coarse(&self, module: &ModuleEntry) -> Option<String> {
        if !self.is_given("network_analysis", Some("points")) {
            return None;
        }
        let band = self.band_of(module)?;
        self.params.network_analysis.too_coarse(band)
    }

    /// Sets the ends of the band that are given. An end that is not stays that of the file's band. If
    /// there is none, it is the end of each module's range.
    pub(crate) fn set_ends(&mut self, low: Option<f64>, high: Option<f64>) {
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

    /// Sets the points of the network analysis, as a file would.
    pub(crate) fn set_points(&mut self, points: usize) {
        self.params.network_analysis.points = points;
        let part = self.given.entry("network_analysis");
        let part = part.or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(part) = part.as_table_mut() {
            let points = i64::try_from(points).unwrap_or(i64::MAX);
            part.insert("points".to_owned(), toml::Value::Integer(points));
        }
    }

    /// Number of points of the wide sweep over `band`: unless it is given, as many as lines of the
    /// highest quality factor need.
    fn points_over(&self, band: Band) -> usize {
        let wide = &self.params.network_analysis;
        let spacing_hz = band.f_min_hz / (2.0 * wide.qr_max);
        let needed = (band.span_hz() / spacing_hz).ceil();
        match self.is_given("network_analysis", Some("points")) || !needed.is_finite() {
            true => wide.points,
            false => wide.points.max(needed as usize),
        }
    }

    /// Number of points of the wide sweep of a module, as far as the map tells its band.
    pub(crate) fn points_of(&self, module: &ModuleEntry) -> usize {
        let band = self.band_of(module);
        band.map_or(self.params.network_analysis.points, |band| {
            self.points_over(band)
        })
    }

    /// The parameters for one module.
    pub(crate) fn of(&self, entry: &ModuleEntry, description: &Description) -> Result<TuneParams> {
        let mut params = self.params.clone();
        let module = description.module(entry.module)?;
        let full_scale = module.power_scale()?;
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
        if !self.is_given("tone_amplitude", None) {
            params.tone_amplitude = full_scale.amplitude_of(entry.start_power);
            if params.tone_amplitude > 1.0 {
                return refuse(format!(
                    "start_power_dbm = {} of the map is above the board's full scale of {:.2} dBm",
                    entry.start_power.0, full_scale.0
                ));
            }
        }
        // Half the amplitude of a tone, as long as a full comb of them stays within the total.
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

    /// The parameters of every module of an array, or why there are none.
    pub(crate) fn for_array(&self, map: &HardwareMap, array: &Array) -> Vec<ForModule> {
        let mut parameters = Vec::new();
        for board in array.boards() {
            let Some(entry) = map.board(board.name()) else {
                continue;
            };
            for target in board.targets() {
                let params = entry
                    .module(target.module)
                    .ok_or_else(|| format!("module {} is not in the map", target.module))
                    .and_then(|module| {
                        let of = self.of(&module, board.description());
                        of.map_err(|error| error.message().to_owned())
                    });
                parameters.push(ForModule {
                    board: board.name().to_owned(),
                    module: target.module,
                    params,
                });
            }
        }
        parameters
    }
}

/// The range of a module, if the map has both of its ends.
fn range_of(module: &ModuleEntry) -> Option<Band> {
    Some(Band::new(module.f_min?.0, module.f_max?.0))
}

/// The parameters of one module, or why there are none.
#[derive(Debug, Clone)]
pub(crate) struct ForModule {
    board: String,
    module: ModuleId,
    params: std::result::Result<TuneParams, String>,
}

impl ForModule {
    /// The parameters of a module among `all`, or the error that an algorithm on it answers.
    pub(crate) fn find(all: &[Self], board: &str, module: ModuleId) -> Result<TuneParams> {
        let mine = all
            .iter()
            .find(|one| one.board == board && one.module == module);
        let params = mine.map_or_else(
            || Err("not in the map".to_owned()),
            |one| one.params.clone(),
        );
        params.map_err(|why| Error::new(ErrorKind::InvalidArgument, why).on(board))
    }
}

/// Reads a parameter file, and finds out which of the parameters that a map also has are in it.
/// Parameters that are of no use are refused.
pub(crate) fn load_tuning(path: &Path) -> std::result::Result<Tuning, String> {
    let tuning = read_tuning(path).map_err(|error| error.to_string())?;
    match tuning.own_problem() {
        Some(problem) => Err(format!("{}: {problem}", shown(path))),
        None => Ok(tuning),
    }
}

/// Reads a parameter file, also if its parameters are of no use.
pub(crate) fn read_tuning(path: &Path) -> std::result::Result<Tuning, MapError> {
    let text = read_params(path)?;
    let file = path.display().to_string();
    let params = parse_params::<TuneParams>(&text, &file)?;
    let given = parse_params(&text, &file)?;
    Ok(Tuning { params, given })
}
