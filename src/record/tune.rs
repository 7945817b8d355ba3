//! The tune of a run directory, read back.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use twotone_algorithms::{ChannelOutcome, ReferenceTone};
use twotone_hal::{ModuleId, legible};

use super::RecordError;
use crate::input;
use crate::map::HardwareMap;

/// The file of a run directory that holds the tune.
pub const TUNE_FILE: &str = "tune.toml";

/// The line with which the tune of a module begins.
const HEAD: &str = "[[tune]]";

/// Most channels of a module.
const MOST_CHANNELS: usize = 1024;

/// Tunes of the modules of a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TuneRecord {
    /// One entry for each module that was tuned.
    #[serde(default)]
    tune: Vec<ModuleTune>,
}

/// The tune of one module. Its calibrations hold in one phase epoch of the board only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModuleTune {
    /// The board's name in the map.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// Every tone on a resonance.
    #[serde(default)]
    pub channel: Vec<ChannelOutcome>,
    /// Tones off resonance.
    #[serde(default)]
    pub reference: Vec<ReferenceTone>,
}

impl TuneRecord {
    /// Reads the tune of the run directory `run`.
    ///
    /// # Errors
    /// [`RecordError::Io`] if there is none, or if it is larger than that of any array;
    /// [`RecordError::Format`] if it is no tune; and as [`Manifest::read`](super::Manifest::read).
    pub fn read(run: impl AsRef<Path>) -> Result<Self, RecordError> {
        Self::read_if(run.as_ref(), |_| true)
    }

    /// Reads the tunes of the boards of `map` from the run directory `run`. It takes no memory for
    /// others.
    ///
    /// # Errors
    /// As [`TuneRecord::read`].
    pub fn read_for(map: &HardwareMap, run: impl AsRef<Path>) -> Result<Self, RecordError> {
        Self::read_if(run.as_ref(), |board| map.board(board).is_some())
    }

    fn read_if(run: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Self, RecordError> {
        // A later format is refused as such.
        super::Manifest::read(run)?;
        let path = run.join(TUNE_FILE);
        let io = || RecordError::io("read", &path);
        let parts = input::parts(&path, input::TUNE_BYTES, HEAD, input::MODULE_BYTES);
        let mut parts = parts.map_err(io())?;
        let (mut tune, mut known) = (Vec::new(), BTreeSet::new());
        // Read as a whole, it would take twenty times its size.
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

    /// The tune of a module of the board that the map calls `board`.
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

    /// The tune of a module with so many tones off resonance.
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
