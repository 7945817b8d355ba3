//! Target that reads parameter files.

use twotone::map::parse_params;
use twotone_algorithms::{NetworkAnalysisParams, TuneParams};

use super::check::{map_error, twice};

pub(super) fn run(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let others = parse_params::<NetworkAnalysisParams>(&text, "any.toml");
    let of_others = match &others {
        Ok(params) => format!("{:?}", params.problem().is_some()),
        Err(error) => map_error(error, &text),
    };
    let params = match twice(|| parse_params::<TuneParams>(&text, "any.toml")) {
        Ok(params) => params,
        Err(error) => return format!("{} {of_others}", map_error(&error, &text)),
    };
    // The program reads a file as plain JSON values too, to find which parameters the file sets.
    let given = parse_params::<serde_json::Value>(&text, "any.toml");
    if let Err(error) = &given {
        map_error(error, &text);
    }
    let problem = params.problem();
    if let Some(problem) = &problem {
        assert!(
            !problem.is_empty() && !problem.contains('\n'),
            "{problem:?}"
        );
    }
    let written = toml::to_string(&params).expect("parameters have a form in TOML");
    let again =
        parse_params::<TuneParams>(&written, "written").expect("written parameters are some");
    // The values are compared as text, because NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{params:?}"), "{written}");
    format!("params {problem:?} {of_others}")
}
