//! Tests of commands that hosts refuse, of commands for the boards of some hosts, and of wrong
//! usage.

use serde_json::{Value, json};

use super::{ControlHost, SiteFile, check_error, host};
use crate::process::{run, write};

#[test]
fn a_host_that_refuses_is_named_with_its_reason() {
    let hosts = ["1", "2"].map(ControlHost::quick);
    let site = SiteFile::new(
        4,
        &[("north", hosts[0].control()), ("south", hosts[1].control())],
    );
    std::fs::create_dir_all(hosts[0].daemon.run_directory("tonight")).unwrap();
    let (status, answer) = site.json(&["tune", "--out", "tonight"]);
    assert_eq!(status, 3, "{answer}");
    let north = host(&answer, "north");
    check_error(
        north,
        json!("invalid_argument"),
        json!("not_executed"),
        "exists already",
    );
    assert_eq!(
        (&north["status"], &host(&answer, "south")["status"]),
        (&json!(2), &json!(0))
    );
    // This time both hosts refuse the command.
    let (status, table, _) = site.run(&["tune", "--out", "tonight"]);
    assert_eq!(status, 2, "{table}");
    // The daemons do not even make a job of this command.
    let (status, answer) = site.json(&["tune", "--out", "again", "--module", "77"]);
    assert_eq!(status, 2, "{answer}");
    check_error(
        host(&answer, "south"),
        json!("invalid_argument"),
        json!("not_executed"),
        "77",
    );
    // The reason is told at once, and the table does not repeat it.
    let (status, table, err) = site.run(&["tune", "--out", "../again"]);
    assert_eq!(status, 2, "{table}{err}");
    for name in ["north: ", "south: "] {
        let told = err.lines().find(|line| line.starts_with(name));
        let told = told.unwrap_or_default();
        assert!(told.contains("cannot leave it by `..`"), "{err}");
    }
    assert!(!table.contains("cannot leave"), "{table}");
}

#[test]
fn boards_by_name_are_those_of_the_hosts_that_have_them() {
    let hosts = ["1", "2"].map(ControlHost::quick);
    let site = SiteFile::new(
        4,
        &[("north", hosts[0].control()), ("south", hosts[1].control())],
    );
    let boards = |answer: &Value, name: &str| {
        let boards = host(answer, name)["report"]["boards"].as_array();
        boards.map(|boards| {
            boards
                .iter()
                .map(|one| one["name"].clone())
                .collect::<Vec<_>>()
        })
    };
    let (status, answer) = site.json(&["tune", "--board", "crs0002", "--out", "one"]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(boards(&answer, "south"), Some(vec![json!("crs0002")]));
    assert_eq!(boards(&answer, "north"), None);
    assert_eq!(host(&answer, "north")["left_out"], true);
    assert!(!hosts[0].has_tones_on());
    let both = [
        "tune",
        "--board=crs0002",
        "--board",
        "crs0001",
        "--out",
        "two",
    ];
    let (status, answer) = site.json(&both);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(boards(&answer, "north"), Some(vec![json!("crs0001")]));
    assert_eq!(boards(&answer, "south").map(|boards| boards.len()), Some(2));
    let (status, table, err) = site.run(&["tune", "--board", "nobody", "--out", "three"]);
    assert_eq!(status, 2, "{table}{err}");
    assert!(
        err.contains("no host that answers has a board nobody"),
        "{err}"
    );
    let some = [
        "tune", "--board", "nobody", "--board", "crs0001", "--out", "four",
    ];
    let (status, _, err) = site.run(&some);
    assert_eq!(status, 3, "{err}");
}

#[test]
fn wrong_usage_is_status_2_and_nothing_is_asked() {
    let nowhere = |name| (name, "control = 'unix:nowhere.sock'".to_owned());
    let site = SiteFile::new(
        4,
        &[nowhere("north"), ("south", "address = 'x'".to_owned())],
    );
    for (args, words) in [
        (
            &["off", "--only", "west"][..],
            "there is no host west; there are north, south",
        ),
        (&["off", "map.toml"], "No such file"),
        (&["off", "--host", "unix:/a"], "leave --host out"),
        (&["demo"], "needs no daemon"),
        (&["health"], "twotone status"),
        (&["follow", "3"], "say of which host"),
        (&["follow", "west:3"], "there is no host west"),
        (&["follow", "north:3", "north:4"], "one job at a time"),
        (&["tune", "--out", "a", "--params", "nothing"], "nothing"),
    ] {
        let (status, out, err) = site.run(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
    let map = write(site.folder(), "map.toml", "");
    let (status, _, err) = site.run(&["off", &map]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("each host has a map of its own"), "{err}");
    let (status, _, err) = run(&["off", &map, "--only", "north"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("--site"), "{err}");
    let wrong = write(
        site.folder(),
        "wrong.toml",
        "[[host]]\nname = 'a'\nmaps = 'x'",
    );
    for path in [wrong.as_str(), "/nowhere", "/dev/zero"] {
        let (status, out, err) = run(&["--site", path, "status"]);
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(path), "{err}");
    }
}
