//! The tune of a run directory, `tune.toml`: the results of searching for the resonances of each
//! module and of setting a tone on each resonance. A *phase epoch* is a period in which a module
//! keeps its phase reference, and an *epoch* is a period in which a board keeps its settings.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use twotone_algorithms::chunks::JoinStatus;
use twotone_algorithms::delay::DelayStatus;
use twotone_algorithms::finding::FindStatus;
use twotone_algorithms::{ChannelOutcome, Geometry, NotToned, ReferenceTone, TuneOutcome};
use twotone_hal::{ChannelId, Epoch, ModuleId, PhaseEpoch, legible};

use super::RecordError;
use crate::input;
use crate::map::HardwareMap;

/// The file of a run directory that holds the tune.
pub const TUNE_FILE: &str = "tune.toml";

/// First line of the tune of a module in the file.
const HEAD: &str = "[[tune]]";

/// Largest number of channels of a module.
const MOST_CHANNELS: usize = 1024;

/// Tunes of the modules of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TuneRecord {
    /// One entry for each module that was tuned.
    #[serde(default)]
    tune: Vec<ModuleTune>,
}

/// The tune of one module. Its calibrations are valid only in one [`PhaseEpoch`] of the module.
///
/// Fields that are `None` or empty may be missing in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleTune {
    /// Name of the board in the map.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// Epoch of the board during the tune. `None` if the file does not contain it.
    pub epoch: Option<Epoch>,
    /// Phase epoch of the module during the tune.
    pub phase_epoch: Option<PhaseEpoch>,
    /// Connection of the detectors to the line. Tunes of versions that knew only notches do not
    /// have it.
    #[serde(default)]
    pub geometry: Geometry,
    /// Frequency of the NCO during the tune, in hertz. It is 0 for a module without an NCO.
    pub nco_hz: f64,
    /// Delay of the line, in seconds.
    pub tau_s: Option<f64>,
    /// Status of the measurement of the delay.
    pub delay_status: Option<DelayStatus>,
    /// Status of the join of the parts of the network analysis that were measured at different NCO
    /// frequencies.
    pub join_status: Option<JoinStatus>,
    /// Status of the search for resonances.
    pub find_status: Option<FindStatus>,
    /// Warnings of all stages of the tune, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Resonances without a tone.
    #[serde(default)]
    pub not_toned: Vec<NotToned>,
    /// Detectors of the map on this module, each with its resonance if one was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detector: Vec<DetectorTune>,
    /// Resonances with a channel. The tone of a channel may be off, if tuning it has failed.
    #[serde(default)]
    pub channel: Vec<ChannelOutcome>,
    /// Reference tones, which are off resonance.
    #[serde(default)]
    pub reference: Vec<ReferenceTone>,
}

/// A detector of the map, and the resonance that was found for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectorTune {
    /// Id of the detector in the map.
    pub id: String,
    /// Module of the detector.
    pub module: ModuleId,
    /// Expected frequency of the detector's resonance, from the map, in hertz.
    pub expected_hz: f64,
    /// Status of the detector's tune.
    pub status: DetectorStatus,
    /// Channel of the detector's resonance, if the resonance has a channel.
    pub channel: Option<ChannelId>,
    /// Frequency of the detector's resonance, in hertz, if the resonance was found.
    pub fr_hz: Option<f64>,
}

/// Status of the tune of a detector of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DetectorStatus {
    /// The detector's channel is tuned.
    Tuned,
    /// The detector's channel failed. The entry of the channel has the reason.
    Failed,
    /// The detector's resonance was found, but has no channel.
    NotToned,
    /// No resonance was found within a thousandth of the expected frequency.
    NotFound,
    /// A resonance was found, but it may be that of another detector.
    Ambiguous,
}

impl DetectorStatus {
    /// Name of the status in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::Failed => "failed",
            Self::NotToned => "not_toned",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
        }
    }
}

impl ModuleTune {
    /// Makes the tune of a module of the board called `board`, with the detectors that the map has
    /// on the module. The sweeps of the tune are left out, because they are in other files.
    pub fn of(board: &str, tune: &TuneOutcome, detector: Vec<DetectorTune>) -> Self {
        Self {
            board: board.to_owned(),
            module: tune.module,
            epoch: Some(tune.epoch),
            phase_epoch: Some(tune.phase_epoch),
            geometry: tune.geometry,
            nco_hz: tune.nco_hz,
            tau_s: Some(tune.cable_delay.delay.tau_s),
            delay_status: Some(tune.cable_delay.delay.status),
            join_status: Some(tune.network_analysis.join),
            find_status: Some(tune.find.status),
            warnings: tune.warnings.clone(),
            not_toned: tune.not_toned.clone(),
            detector,
            channel: tune.channels.clone(),
            reference: tune.references.clone(),
        }
    }
}

impl TuneRecord {
    /// Writes the tunes of modules as TOML, one after the other, so that the tune of a large array
    /// is not in memory twice.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails, or if a number cannot be written in TOML.
    pub fn write(
        tunes: impl IntoIterator<Item = ModuleTune>,
        writer: &mut impl Write,
    ) -> Result<(), RecordError> {
        let mut tunes = tunes.into_iter();
        let mut next = tunes.next().into_iter().collect::<Vec<_>>();
        loop {
            let text = toml::to_string(&Self { tune: next })
                .map_err(RecordError::format("write", TUNE_FILE))?;
            writer
                .write_all(text.as_bytes())
                .map_err(RecordError::format("write", TUNE_FILE))?;
            let Some(tune) = tunes.next() else {
                return Ok(());
            };
            writeln!(writer).map_err(RecordError::format("write", TUNE_FILE))?;
            next = vec![tune];
        }
    }

    /// Reads the tune of the run directory `run`.
    ///
    /// # Errors
    /// [`RecordError::Io`] if the file cannot be read, or is larger than the tune of any
    /// array. [`RecordError::Format`] if the file is no tune. Also the errors of
    /// [`Manifest::read`](super::Manifest::read), because the manifest of the run is read too.
    pub fn read(run: impl AsRef<Path>) -> Result<Self, RecordError> {
        Self::read_if(run.as_ref(), |_| true)
    }

    /// Reads the tunes of the boards of `map` from the run directory `run`. Tunes of other boards
    /// take no memory.
    ///
    /// # Errors
    /// As [`TuneRecord::read`].
    pub fn read_for(map: &HardwareMap, run: impl AsRef<Path>) -> Result<Self, RecordError> {
        Self::read_if(run.as_ref(), |board| map.board(board).is_some())
    }

    fn read_if(run: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Self, RecordError> {
        // The manifest has the version of the format. A later version is refused here with a clear
        // message.
        super::Manifest::read(run)?;
        let path = run.join(TUNE_FILE);
        let io = || RecordError::io("read", &path);
        let parts = input::parts(&path, input::TUNE_BYTES, HEAD, input::MODULE_BYTES);
        let mut parts = parts.map_err(io())?;
        let (mut tune, mut known) = (Vec::new(), BTreeSet::new());
        // Reading the file as a whole would take twenty times its size in memory.
        while let Some((lines, part)) = parts.next_part().map_err(io())? {
            let wrong = |what: String| {
                let shown = path.display().to_string();
                let place = match lines {
                    0 => String::new(),
                    _ => format!("in what begins in its line {}: ", lines + 1),
                };
                RecordError::format("read", &shown)(place + &what)
            };
            let part: Self = toml::from_str(&part).map_err(|error| wrong(error.to_string()))?;
            for module in part.tune {
                if !is_wanted(&module.board) {
                    continue;
                }
                let shown = format!("module {} of `{}`", module.module, legible(&module.board));
                if module.channel.len() + module.reference.len() > MOST_CHANNELS {
                    return Err(wrong(format!(
                        "{shown} has more than {MOST_CHANNELS} tones"
                    )));
                }
                if !known.insert((module.board.clone(), module.module)) {
                    return Err(wrong(format!("{shown} is there twice")));
                }
                tune.push(module);
            }
        }
        Ok(Self { tune })
    }

    /// The tunes of all modules, in the order of the file.
    pub fn modules(&self) -> &[ModuleTune] {
        &self.tune
    }

    /// Returns the tune of a module of the board called `board` in the map.
    pub fn module(&self, board: &str, module: ModuleId) -> Option<&ModuleTune> {
        let mut all = self.tune.iter();
        all.find(|tune| tune.board == board && tune.module == module)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::MANIFEST_FILE;
    use crate::record::tests::manifest;

    /// Returns the tune of a module with a given number of tones off resonance.
    fn module(board: &str, module: u8, tones: u16) -> String {
        let head = format!("[[tune]]\nboard = \"{board}\"\nmodule = {module}\nnco_hz = 1e9\n");
        let tones = (1..=tones).map(|channel| {
            format!(
                "[[tune.reference]]\nchannel = {channel}\ntone_hz = 1e9\namplitude = 0.1\n\
                 z0 = [1.0, {channel}.0]\n"
            )
        });
        head + &tones.collect::<String>()
    }

    fn run(tune: &str) -> tempfile::TempDir {
        let run = tempfile::tempdir().unwrap();
        let manifest = serde_json::to_string(&manifest()).unwrap();
        fs::write(run.path().join(MANIFEST_FILE), manifest).unwrap();
        fs::write(run.path().join(TUNE_FILE), tune).unwrap();
        run
    }

    #[test]
    fn a_tune_that_is_read_module_by_module_is_the_whole_tune() {
        let all = [
            "# by hand\n".to_owned(),
            module("b1", 1, 3),
            module("b1", 2, 0),
            module("b2", 1, 1024),
        ];
        let text = all.concat();
        let run = run(&text);
        let read = TuneRecord::read(&run).unwrap();
        assert_eq!(read, toml::from_str(&text).unwrap());
        assert_eq!(read.tune.len(), 3);
        let map = "[[board]]\nname = \"b2\"\nkind = \"crs\"\nserial = \"0042\"\n";
        let map = HardwareMap::parse(map, "map.toml").unwrap();
        let read = TuneRecord::read_for(&map, &run).unwrap();
        assert_eq!(read.tune.len(), 1);
        assert_eq!(read.tune[0].reference.len(), 1024);
    }

    #[test]
    fn tunes_that_are_written_one_by_one_are_the_whole_record() {
        let text = [module("b1", 1, 3), module("b1", 2, 0), module("b2", 1, 2)].concat();
        let all: TuneRecord = toml::from_str(&text).unwrap();
        for count in 0..=3 {
            let some = TuneRecord {
                tune: all.tune[..count].to_vec(),
            };
            let mut written = Vec::new();
            TuneRecord::write(some.tune.clone(), &mut written).unwrap();
            let written = String::from_utf8(written).unwrap();
            assert_eq!(written, toml::to_string(&some).unwrap());
            assert_eq!(toml::from_str::<TuneRecord>(&written).unwrap(), some);
        }
    }

    #[test]
    fn a_tune_of_more_than_an_array_can_have_is_refused() {
        let one = module("b1", 1, 2);
        let heavy = format!("{one}x = \"{}\"\n", "x".repeat(9 << 20));
        for (text, words) in [
            (
                module("b1", 1, 1025),
                "module 1 of `b1` has more than 1024 tones",
            ),
            (one.repeat(2), "in what begins in its line 15: "),
            (one.repeat(2), "module 1 of `b1` is there twice"),
            (
                one.clone() + &heavy,
                "what begins in its line 15 has more than 8388608 bytes",
            ),
            (
                one.clone() + "[[tune]]\nboard = 3\n",
                "in what begins in its line 15: TOML parse error at line 2",
            ),
        ] {
            let run = run(&text);
            let error = TuneRecord::read(&run).unwrap_err().to_string();
            assert!(
                error.contains(words),
                "{words}: {}",
                &error[..error.len().min(300)]
            );
        }
    }
}
