//! G3 files, the format of the software of the South Pole Telescope and the Simons Observatory. A
//! Python script that is a part of this program writes them, by the packages of that software.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use twotone_hal::{ChannelId, ModuleId};

use super::capture::{Captured, SampleFile};
use super::script::run_script;
use super::tuned::{BoardTune, origin};
use super::{ExchangeError, ExportSettings, Exported, ExportedBoard, ExportedModule};
use crate::record::{Failure, MissingFile, RecordError, SampleHead, folder_of, publish_new};

/// The script that writes the file.
const SCRIPT: &str = include_str!("g3.py");

/// Length of a scan in seconds, if nothing else is requested.
const SCAN_S: f64 = 10.0;
/// Length of a scan of fast streams in seconds, if nothing else is requested. It has 40 times as
/// many samples of a channel as the usual scan.
const FAST_SCAN_S: f64 = 0.1;

/// Ends of the names of files that the G3 software can write.
const ENDS: [&str; 2] = [".g3", ".g3.gz"];

/// Settings of an export as a G3 file.
#[derive(Debug, Clone)]
pub struct G3Settings {
    /// Python interpreter that has the packages `spt3g` (or `so3g`), `pyarrow` and `numpy`.
    pub python: PathBuf,
    /// Length of a scan in seconds. `None` selects 10 s, or 0.1 s for fast streams.
    pub scan_s: Option<f64>,
}

/// Message for the script.
#[derive(Serialize)]
struct Spec<'a> {
    out: &'a Path,
    scan_s: f64,
    origin: BTreeMap<&'static str, String>,
    boards: Vec<BoardSpec>,
}

#[derive(Serialize)]
struct BoardSpec {
    name: String,
    serial: Option<String>,
    #[serde(flatten)]
    tune: BoardTune,
    modules: Vec<ModuleSpec>,
}

#[derive(Serialize)]
struct ModuleSpec {
    tag: String,
    file: String,
    path: PathBuf,
    names: Vec<String>,
    steps_per_count: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_hz: Option<f64>,
}

/// Answer of the script.
#[derive(Deserialize)]
struct Answer {
    modules: Vec<Written>,
    missing: Vec<NotRead>,
    doubts: Vec<String>,
}

#[derive(Deserialize)]
struct Written {
    tag: String,
    samples: u64,
    lost: u64,
    timeless: u64,
}

#[derive(Deserialize)]
struct NotRead {
    file: String,
    reason: String,
}

/// A module whose file can be read.
struct Readable {
    file: SampleFile,
    head: SampleHead,
}

/// Writes the capture in the run directory `run` as a G3 file at `out`, whose name must end in
/// `.g3` or `.g3.gz`. The samples of one scan are in memory at a time. The file appears in one
/// step.
///
/// This function blocks until the Python script has ended.
///
/// # Errors
/// [`ExchangeError::Source`] if `run` is no capture, or has none of the selected modules.
/// [`ExchangeError::Program`] if the interpreter cannot be started, lacks packages, or fails.
/// [`ExchangeError::Record`] if `out` exists, has another end, or cannot be written.
/// [`ExchangeError::Cancelled`] if the export was cancelled. A file of the capture that cannot be
/// read is no error, but [`Exported::missing`] names it, unless there is no other file.
pub fn export_g3(
    run: &Path,
    out: &Path,
    settings: &ExportSettings,
    g3: &G3Settings,
) -> Result<Exported, ExchangeError> {
    let captured = Captured::find(run, settings)?;
    let partial = prepare(out)?;
    let mut exported = Exported {
        out: out.to_owned(),
        doubts: captured.doubts.clone(),
        missing: captured.missing.clone(),
        ..Exported::default()
    };
    let boards = readable(&captured, &mut exported.missing);
    let heads = || boards.iter().flat_map(|(_, modules)| modules.iter());
    let is_fast = heads().any(|one| one.head.rate_hz.is_some());
    let usual_s = if is_fast { FAST_SCAN_S } else { SCAN_S };
    let detectors: BTreeSet<&String> = heads()
        .flat_map(|one| one.head.detectors.values())
        .collect();
    let (tune, doubt) = super::tuned::tune_of(&captured.manifest);
    exported.doubts.extend(doubt);
    let mut specs = Vec::new();
    for (name, modules) in &boards {
        let serial = modules
            .iter()
            .find_map(|one| one.head.provenance.get("serial"));
        let mut of_board = BoardTune::of(tune.as_ref());
        let mut files = Vec::new();
        for one in modules {
            let (module, head) = (one.file.module, &one.head);
            let names = names(name, module, head, &detectors);
            let tag = tag(name, module);
            of_board.add(name, module, &names, head, tune.as_ref());
            files.push(ModuleSpec {
                tag,
                file: one.file.file.clone(),
                path: one.file.path.clone(),
                names: names.into_iter().map(|(_, name)| name).collect(),
                steps_per_count: head.steps_per_count,
                rate_hz: head.rate_hz,
            });
        }
        specs.push(BoardSpec {
            name: name.clone(),
            serial: serial.cloned(),
            tune: of_board,
            modules: files,
        });
    }
    let spec = Spec {
        out: partial.path(),
        scan_s: g3.scan_s.unwrap_or(usual_s),
        origin: origin(&captured.manifest),
        boards: specs,
    };
    let spec = serde_json::to_vec(&spec).map_err(RecordError::format("write", "the G3 file"))?;
    let answer = run_script(&g3.python, SCRIPT, spec, &settings.stop)?;
    let answer: Answer = serde_json::from_value(answer)
        .map_err(|error| ExchangeError::program(&g3.python, error.to_string()))?;
    exported
        .missing
        .extend(answer.missing.into_iter().map(|one| MissingFile {
            file: one.file,
            reason: Failure::of_words(one.reason),
        }));
    exported.doubts.extend(answer.doubts);
    exported.boards = report(&boards, &answer.modules);
    if exported.boards.is_empty() {
        let reason = exported.missing.first().map(|one| one.reason.to_string());
        return Err(ExchangeError::source(run, reason.unwrap_or_default()));
    }
    publish_new(partial, out)?;
    Ok(exported)
}

/// Makes an empty hidden file beside `out`, for the script to fill.
fn prepare(out: &Path) -> Result<NamedTempFile, RecordError> {
    let name = out.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let Some(end) = ENDS
        .into_iter()
        .find(|end| name.len() > end.len() && name.ends_with(end))
    else {
        return Err(RecordError::Name {
            path: out.to_owned(),
            reason: "the name of a G3 file ends in `.g3` or `.g3.gz`",
        });
    };
    if out.symlink_metadata().is_ok() {
        return Err(RecordError::Exists {
            path: out.to_owned(),
        });
    }
    let parent = folder_of(out);
    fs::create_dir_all(parent).map_err(RecordError::io("create", parent))?;
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(&format!(".partial{end}"))
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(RecordError::io("create a file in", parent))
}

fn readable(captured: &Captured, missing: &mut Vec<MissingFile>) -> Vec<(String, Vec<Readable>)> {
    let boards = captured.boards.iter();
    let mut read = |file: &SampleFile| match file.open() {
        Ok(reader) => Some(Readable {
            file: file.clone(),
            head: reader.head().clone(),
        }),
        Err(error) => {
            missing.push(MissingFile {
                file: file.file.clone(),
                reason: Failure::from(&error),
            });
            None
        }
    };
    let all = boards.map(|(name, files)| {
        let files: Vec<_> = files.iter().filter_map(&mut read).collect();
        (name.clone(), files)
    });
    all.filter(|(_, files)| !files.is_empty()).collect()
}

/// Returns the end of the keys of a module.
fn tag(board: &str, module: ModuleId) -> String {
    format!("{board}_m{module}")
}

/// Returns the name of each channel of a module: the id of its detector, or a name that is made
/// from its numbers and that no detector has.
fn names(
    board: &str,
    module: ModuleId,
    head: &SampleHead,
    detectors: &BTreeSet<&String>,
) -> Vec<(ChannelId, String)> {
    let channels = head.channels.iter();
    let named = channels.map(|channel| {
        let id = head.detectors.get(channel).cloned();
        let name = id.unwrap_or_else(|| {
            let mut name = format!("{}_c{:04}", tag(board, module), channel.number());
            while detectors.contains(&name) {
                name.push('_');
            }
            name
        });
        (*channel, name)
    });
    named.collect()
}

fn report(boards: &[(String, Vec<Readable>)], written: &[Written]) -> Vec<ExportedBoard> {
    let all = boards.iter().map(|(name, modules)| {
        let of_module = |one: &Readable| {
            let tag = tag(name, one.file.module);
            let written = written.iter().find(|written| written.tag == tag)?;
            Some(ExportedModule {
                module: one.file.module,
                channels: one.head.channels.len(),
                calibrated: one.head.calibrated.len(),
                detectors: one.head.detectors.len(),
                samples: written.samples,
                lost: written.lost,
                timeless: written.timeless,
            })
        };
        ExportedBoard {
            name: name.clone(),
            serial: modules
                .iter()
                .find_map(|one| one.head.provenance.get("serial").cloned()),
            modules: modules.iter().filter_map(of_module).collect(),
        }
    });
    all.filter(|board| !board.modules.is_empty()).collect()
}
