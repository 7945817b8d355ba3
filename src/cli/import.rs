//! `twotone import`: converts a Python hardware map into a hardware map of this program.

use std::path::{Path, PathBuf};

use clap::Args;
use twotone::input;
use twotone::map::import_rfmux;

use super::Exit;
use super::bias::{self, BiasArgs};
use super::import_dirfile::{DirfileImport, is_dirfile};
use super::output::{complain, say};

/// The arguments of `twotone import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The Python map: YAML, with `!CRS`, `!Crate` and `!Wafer`. The files that it includes or
    /// names are read too. Or a dirfile: a folder with a file `format`. Or a bias dictionary in
    /// JSON.
    source: PathBuf,
    /// For a dirfile and a bias dictionary, the run directory to write. Nothing may have this name
    /// yet.
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    #[command(flatten)]
    dirfile: DirfileImport,
    #[command(flatten)]
    bias: BiasArgs,
}

impl Import {
    /// True if the source is a dirfile.
    pub(crate) fn is_of_dirfile(&self) -> bool {
        is_dirfile(&self.source)
    }

    pub(crate) fn run(self, json: bool) -> Exit {
        let shown = self.source.display().to_string();
        if self.is_of_dirfile() {
            if let Some(option) = self.bias.given() {
                return Exit::usage(&format!("{option} is of use with a bias dictionary alone"));
            }
            let Some(out) = &self.out else {
                return Exit::usage(&format!(
                    "`{shown}` is a dirfile: name the run with --out RUN"
                ));
            };
            return self.dirfile.run(&self.source, out, json);
        }
        if self.dirfile.is_given() {
            return Exit::usage(&format!(
                "--date is of use with a dirfile alone, and `{shown}` has no file `format`"
            ));
        }
        let text = match input::read_text(&self.source, input::BIAS_BYTES) {
            Ok(text) => text,
            Err(error) => return Exit::usage(&format!("{shown}: {error}")),
        };
        // A Python map in YAML begins with a tag or a key.
        if text.trim_start().starts_with('{') {
            return bias::import(&text, &self.source, self.out.as_deref(), self.bias, json);
        }
        if text.trim_start().starts_with("[{") {
            let why = "it is a list, as `bias_kids` returns it for several modules: write the \
                       dictionary of each module to a file of its own";
            return Exit::usage(&format!("{shown}: {why}"));
        }
        if text.len() as u64 > input::IMPORT_BYTES {
            let most = input::IMPORT_BYTES;
            return Exit::usage(&format!("{shown}: a Python map has at most {most} bytes"));
        }
        let out = self.out.is_some().then_some("--out");
        if let Some(option) = out.or(self.bias.given()) {
            return Exit::usage(&format!("{option} is of no use with a Python map"));
        }
        let folder = self.source.parent().unwrap_or(Path::new(""));
        let read = |path: &Path| input::read_text(&folder.join(path), input::IMPORT_BYTES);
        let imported = import_rfmux(&text, &shown, read);
        let imported = imported.map_err(|error| error.to_string());
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
