//! Properties in a map: keys that the kind of a board has, for the board and for its modules.

use twotone_hal::{ModuleId, PropertyKey, PropertyValue, PropertyValues};
use twotone_transport::{BoardPlan, ModulePlan, PropertyMap};

use super::section::{Findings, Section};
use super::{BoardEntry, BoardKind};

/// Returns the keys of the properties of a kind: those of modules, or those of the board. If the
/// kind is not known, because its name is wrong, returns the keys of all kinds, so that only the
/// name is reported.
pub(super) fn keys(kind: Option<BoardKind>, of_modules: bool) -> Vec<&'static PropertyKey> {
    let kinds = kind.map_or_else(BoardKind::all, |kind| vec![kind]);
    let keys = kinds.into_iter().flat_map(|kind| kind.family().properties);
    keys.filter(|key| key.of_module == of_modules).collect()
}

/// Returns the names of [`keys`] together with `others`.
pub(super) fn with_names(
    keys: &[&'static PropertyKey],
    others: &[&'static str],
) -> Vec<&'static str> {
    let names = keys.iter().map(|key| key.name);
    others.iter().copied().chain(names).collect()
}

/// Reads the properties in a section, and reports those with impossible values.
pub(super) fn read(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    keys: &[&'static PropertyKey],
) -> PropertyMap {
    let mut found = PropertyMap::new();
    for key in keys {
        let Some((value, at)) = value(section, findings, key) else {
            continue;
        };
        match key.check(&value) {
            Ok(()) => drop(found.insert(key.name, value)),
            Err(error) => findings.say(at, error.message()),
        }
    }
    found
}

fn value(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    key: &PropertyKey,
) -> Option<(PropertyValue, usize)> {
    match key.values {
        PropertyValues::Words(words) => {
            let found = section.string(findings, key.name)?;
            if !words.contains(&found.value.as_str()) {
                let what = format!("unknown `{}` `{}`", key.name, found.value);
                findings.unknown(found.at, &what, words.iter().copied(), &found.value);
                return None;
            }
            Some((PropertyValue::Word(found.value), found.at))
        }
        PropertyValues::Numbers {
            low, high, unit, ..
        } => {
            let found = section.number(findings, key.name, low..=high, unit)?;
            Some((PropertyValue::Number(found.value), found.at))
        }
    }
}

/// Reports what no board of this kind can do. `section` is the section of the board, and `modules`
/// has those of its modules, each with its number.
pub(super) fn report_conflicts(
    entry: &BoardEntry,
    section: &Section<'_, '_>,
    modules: &[(ModuleId, Section<'_, '_>)],
    findings: &mut Findings<'_>,
) {
    for conflict in (entry.kind.family().conflicts)(&plan(entry)) {
        let listed = modules.iter();
        let mut of_module = listed.filter(|(number, _)| Some(*number) == conflict.module);
        let section = of_module.next().map_or(section, |(_, section)| section);
        findings.say(section.place_of(conflict.key), conflict.message);
    }
}

fn plan(entry: &BoardEntry) -> BoardPlan<'_> {
    let modules = entry.modules.iter().map(|module| ModulePlan {
        module: module.module,
        f_min: module.f_min,
        f_max: module.f_max,
        properties: &module.properties,
    });
    BoardPlan {
        properties: &entry.properties,
        modules: modules.collect(),
    }
}
