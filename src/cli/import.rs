//! `twotone import`: converts a Python hardware map into a hardware map of this program.

use std::path::PathBuf;

use clap::Args;
use twotone::input;
use twotone::map::import_rfmux;

use super::Exit;
use super::bias::{self, BiasArgs};
use super::output::{complain, say};

/// The arguments of `twotone import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The Python map: YAML, with `!CRS` and `!Crate`.
    source: PathBuf,
    /// Run directory of an imported bias dictionary. Nothing may have this name yet.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    bias: BiasArgs,
}

impl Import {
    pub(crate) fn run(self, json: bool) -> Exit {
        let shown = self.source.display().to_string();
        let text = match input::read_text(&self.source, input::IMPORT_BYTES) {
            Ok(text) => text,
            Err(error) => return Exit::usage(&format!("{shown}: {error}")),
        };
        // A Python map in YAML begins with a tag or a key.
        if text.trim_start().starts_with('{') {
            return bias::import(&text, &self.source, self.out.as_deref(), self.bias, json);
        }
        let imported = Ok(text)
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
