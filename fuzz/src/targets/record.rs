//! Targets (functions that read any bytes) that read files of run directories: `manifest.json`, and
//! `tune.toml` with the results of tuning.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use twotone::record::{MANIFEST_FILE, Manifest, RecordError, TUNE_FILE, TuneRecord};
use twotone_hal::ModuleId;

use super::check::twice;

/// The smallest manifest that can be read.
const KNOWN: &str = include_str!("../../corpus/manifest/smallest");

/// Reads a `manifest.json`.
pub(super) fn manifest(bytes: &[u8]) -> String {
    let run = folder(&[(MANIFEST_FILE, bytes)]);
    let manifest = match twice(|| Manifest::read(run.path())) {
        Ok(manifest) => manifest,
        Err(error) => return refused(&error, run.path()),
    };
    let written = serde_json::to_vec(&manifest).expect("a manifest has a form in JSON");
    let again = folder(&[(MANIFEST_FILE, &written)]);
    let again = Manifest::read(again.path()).expect("a written manifest is one");
    assert_eq!(again, manifest);
    for board in &manifest.boards {
        assert!(manifest.provenance(&board.name).contains_key("started"));
    }
    format!(
        "manifest {} {} {}",
        "b".repeat(manifest.boards.len().min(4)),
        "m".repeat(manifest.missing.len().min(4)),
        "r".repeat(manifest.remarks.len().min(4))
    )
}

/// Reads a `tune.toml`.
pub(super) fn tune(bytes: &[u8]) -> String {
    let run = folder(&[(MANIFEST_FILE, KNOWN.as_bytes()), (TUNE_FILE, bytes)]);
    match twice(|| TuneRecord::read(run.path())) {
        Ok(tune) => {
            let module = tune.module("crs0001", ModuleId::FIRST);
            let counts = module.map(|it| (it.channel.len().min(3), it.reference.len().min(3)));
            format!("tune {counts:?}")
                .replace('1', "one")
                .replace('2', "two")
        }
        Err(error) => refused(&error, run.path()),
    }
}

fn refused(error: &RecordError, run: &Path) -> String {
    let text = error.to_string();
    assert!(
        text.contains(&*run.to_string_lossy()),
        "it does not name its file: {text}"
    );
    text.replace(&*run.to_string_lossy(), "")
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for a run");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file of a run");
    }
    folder
}
