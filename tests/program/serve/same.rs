//! Test that a command has the same output, exit status and files if the daemon `twotone serve`
//! runs it as without the daemon.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Daemon;
use crate::process::{SimProcess, run, write};

/// Collects the names of all fields of a value, with their paths.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            // The names of reasons depend on what was measured or sent, so they are left out.
            let path = match path.ends_with("_reasons") {
                true => path.to_owned(),
                false => format!("{path}.{name}"),
            };
            fields(value, &path, found);
        }),
        Value::Array(array) => array.iter().for_each(|value| fields(value, path, found)),
        _ => drop(found.insert(path.to_owned())),
    }
}

fn all_fields(text: &str) -> BTreeSet<String> {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    let mut found = BTreeSet::new();
    fields(&value, "", &mut found);
    found
}

/// Returns a text without its numbers and without the spaces that align them.
fn without_numbers(text: &str) -> String {
    let words = text.split_whitespace();
    let words = words.map(|word| word.trim_matches(|c: char| c.is_ascii_digit() || c == '.'));
    words.collect::<Vec<_>>().join(" ")
}

/// Returns the names of the files in a run directory (a folder of results), with their paths in it.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a run directory") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => found.extend(
                files(&path)
                    .into_iter()
                    .map(|file| format!("{name}/{file}")),
            ),
            false => drop(found.insert(name)),
        }
    }
    found
}

#[test]
fn output_exit_status_and_files_are_the_same() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "8", "--modules", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let (map, truth) = (sim.map(), sim.text_path("truth.json"));
    let out = |name: &str| folder.path().join(name).display().to_string();
    let params = write(folder.path(), "params.toml", "seed = \"none\"\n");
    // If a command has a name in this list, it makes a run directory, whose place is called after
    // the name.
    let commands: &[(&str, &[&str])] = &[
        ("tune", &["tune", &map, "--truth", &truth, "--note", "a b"]),
        (
            "part",
            &["tune", &map, "--board", "crs0002", "--module", "2"],
        ),
        (
            "sweep",
            &["sweep", &map, "--points", "2000", "--format", "csv"],
        ),
        ("capture", &["capture", &map, "--seconds", "0.2"]),
        (
            "capture-fast",
            &[
                "capture",
                &map,
                "--fast",
                "--set-streamer",
                "--channel",
                "1:3",
                "--samples",
                "2000",
            ],
        ),
        ("", &["tune", &map, "--dry-run"]),
        ("", &["info", &map, "--readings"]),
        ("", &["off", &map]),
        // The last two commands are refused.
        ("nobody", &["tune", &map, "--board", "nobody"]),
        ("params", &["tune", &map, "--params", &params]),
    ];
    let mut direct = Vec::new();
    for (name, command) in commands {
        for json in [false, true] {
            let place = out(&format!("{name}-{json}-direct"));
            let arguments = arguments(command, name, &place, json);
            direct.push(whole(&place, name, || run(&arguments)));
        }
    }
    let daemon = Daemon::start(folder.path(), &map);
    let mut direct = direct.into_iter();
    for (name, command) in commands {
        for json in [false, true] {
            let (status, said, err) = direct.next().unwrap();
            let place = out(&format!("{name}-{json}-daemon"));
            let arguments = arguments(command, name, &place, json);
            let found = whole(&place, name, || daemon.run(&arguments));
            assert_eq!(found.0, status, "{command:?}: {}\n{err}", found.2);
            let before = out(&format!("{name}-{json}-direct"));
            match json && !said.is_empty() {
                true => assert_eq!(all_fields(&found.1), all_fields(&said), "{command:?}"),
                false => {
                    let said = said.replace("-direct", "-daemon");
                    // A client of the daemon switches off through the daemon.
                    let direct_off = format!("`twotone off {map}`");
                    let off = "`twotone off`, with --host as for this command,";
                    let said = said.replace(&direct_off, off);
                    assert_eq!(
                        without_numbers(&found.1),
                        without_numbers(&said),
                        "{command:?}"
                    );
                }
            }
            assert_eq!(
                Path::new(&place).exists(),
                Path::new(&before).exists(),
                "{command:?}"
            );
            if Path::new(&place).exists() {
                assert_eq!(files(place.as_ref()), files(before.as_ref()), "{command:?}");
            }
            for line in err.lines() {
                assert!(found.2.contains(line), "{command:?}: {line}\n{}", found.2);
            }
        }
    }
}

/// Runs a command. A busy computer may lose packets, so a capture of streams is repeated until it
/// loses none.
fn whole(
    place: &str,
    name: &str,
    run: impl Fn() -> (i32, String, String),
) -> (i32, String, String) {
    loop {
        let found = run();
        if !name.starts_with("capture") || found.0 == 0 {
            return found;
        }
        drop(fs::remove_dir_all(place));
    }
}

fn arguments<'a>(command: &[&'a str], name: &str, place: &'a str, json: bool) -> Vec<&'a str> {
    let mut arguments = command.to_vec();
    if !name.is_empty() {
        arguments.extend(["--out", place]);
    }
    arguments.extend(json.then_some("--json"));
    arguments
}

#[test]
fn a_map_is_not_needed_and_another_one_is_refused() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let (status, _, err) = daemon.run(&["tune", "--out", "tonight"]);
    assert_eq!(status, 0, "{err}");
    assert!(
        daemon
            .run_directory("tonight")
            .join("manifest.json")
            .exists()
    );
    let runs = daemon.json("/runs");
    assert_eq!(runs[0]["name"], "tonight", "{runs}");
    // The option `--tune` names the results of an earlier `tune` by the same relative path as that
    // command.
    let args = [
        "capture",
        "--seconds",
        "0.1",
        "--out",
        "samples",
        "--tune",
        "tonight",
    ];
    let samples = daemon.run_directory("samples").join("manifest.json");
    let (status, _, err) = daemon.run(&args);
    // A busy computer may lose packets, which is status 3.
    assert!(matches!(status, 0 | 3) && samples.exists(), "{err}");
    let text = fs::read_to_string(sim.map()).unwrap();
    let other = write(
        folder.path(),
        "other.toml",
        &(text + "# of another night\n"),
    );
    let (status, _, err) = daemon.run(&["tune", &other, "--out", "other"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("is not the map of this daemon"), "{err}");
    let (status, _, err) = run(&["tune", "--out", "nowhere"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("name the hardware map"), "{err}");
}
