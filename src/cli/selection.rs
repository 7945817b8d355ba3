//! The part of a hardware map that a command works on.

use std::path::Path;

use clap::Args;
use serde::Serialize;
use twotone::hal::ModuleId;
use twotone::map::HardwareMap;

use super::{limits, read_map};

/// Selected boards and modules of a map.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct Selection {
    /// Only this board; may be given again.
    #[arg(long, value_name = "NAME")]
    board: Vec<String>,
    /// Only this module, as in 1,3; may be given again.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_module)]
    module: Vec<ModuleId>,
}

impl Selection {
    /// Reads a map, and returns its selected part. Checks that the system grants the open files and
    /// the memory for its boards.
    pub(crate) fn of(&self, path: Option<&Path>) -> Result<HardwareMap, String> {
        let part = self.part_of(&read_map(path)?)?;
        limits::enough_for(&part)?;
        Ok(part)
    }

    /// Returns the same boards, and of them the selected modules and these.
    pub(crate) fn and_modules(&self, modules: impl IntoIterator<Item = ModuleId>) -> Self {
        let mut part = self.clone();
        part.module.extend(modules);
        part
    }

    /// Names of the selected boards.
    pub(crate) fn boards(&self) -> &[String] {
        &self.board
    }

    /// Numbers of the selected modules.
    pub(crate) fn modules(&self) -> &[ModuleId] {
        &self.module
    }

    /// Returns the selected part of a map.
    pub(crate) fn part_of(&self, map: &HardwareMap) -> Result<HardwareMap, String> {
        let part = map.only(&self.board, &self.module);
        part.map_err(|why| format!("{}: {why}", map.file()))
    }
}

pub(crate) fn parse_module(text: &str) -> Result<ModuleId, String> {
    let number = text.trim().parse().ok();
    let module = number.and_then(|number| ModuleId::new(number).ok());
    module.ok_or_else(|| "a module, from 1".to_owned())
}
