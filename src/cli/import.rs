//! `twotone import`: converts a Python hardware map into a hardware map of this program.

use std::path::PathBuf;

use clap::Args;
use twotone::input;
use twotone::map::import_rfmux;

use super::Exit;
use super::output::{complain, say};

/// The arguments of `twotone import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The Python map: YAML, with `!CRS` and `!Crate`.
    yaml: PathBuf,
}

impl Import {
    pub(crate) fn run(self) -> Exit {
        let shown = self.yaml.display().to_string();
        let imported = input::read_text(&self.yaml, input::IMPORT_BYTES)
            .map_err(|error| format!("{shown}: {error}"))
            .and_then(|text| import_rfmux(&text, &shown).map_err(|error| error.to_string()));
        match imported {
            Ok(imported) => {
                for left_out in &imported.left_out {
                    complain(&format!("{shown}: not imported: {left_out}"));
                }
                for doubt in &imported.doubts {
                    complain(&format!("WARNING: {doubt}"));
                }
                say(imported.toml.trim_end());
                Exit::Well
            }
            Err(error) => Exit::usage(&error),
        }
    }
}
