//! Tests of Python maps with very many boards, mistakes or aliases.

use super::*;

/// Number of boards of each map. Code whose time grows with the square of this number takes
/// minutes.
const MANY: usize = 20_000;

fn map_of(item: impl Fn(usize) -> String) -> String {
    let items = (0..MANY).map(|n| format!("- {}\n", item(n)));
    format!("!HardwareMap\n{}", items.collect::<String>())
}

/// Asserts that the first problem in `yaml` begins with `first`, and that `more` further problems
/// are only counted.
#[track_caller]
fn refused(yaml: &str, first: &str, more: usize) {
    let error = import_rfmux(yaml, "lab.yaml", no_file).unwrap_err();
    let problems = error.problems();
    assert!(problems[0].message.starts_with(first), "{}", problems[0]);
    assert_eq!(problems.len(), 101);
    let expected = format!("{more} more problems: mend these first");
    assert_eq!(
        (problems[100].place, &problems[100].message),
        (None, &expected)
    );
}

#[test]
fn of_very_many_mistakes_the_first_are_told_and_all_are_counted() {
    let again = MANY - 101;
    refused(
        &map_of(|_| r#"!CRS { serial: "0042" }"#.to_owned()),
        "serial number `0042` is taken already",
        again,
    );
    refused(
        &map_of(|_| r#"!CRS { hostname: "10.0.0.1" }"#.to_owned()),
        "address `10.0.0.1:80` is taken already",
        again,
    );
    refused(
        &map_of(|n| format!("!CRS {{ serial: \"{n}\", hostnme: x }}")),
        "unknown key `hostnme` in the !CRS at line 2, column 3",
        MANY - 100,
    );
    let keys = |name: &str| {
        (0..MANY)
            .map(|n| format!("{name}{n}: 1, "))
            .collect::<String>()
    };
    let yaml = format!("!HardwareMap\n- !CRS {{ {} }}\n", keys("k"));
    refused(&yaml, "unknown key `k0` in the !CRS", MANY - 100);
    // The unknown keys are merged into a mapping that has as many unknown keys of its own.
    let base = format!("- &base {{ {} }}\n", keys("k"));
    let merged = format!("- !CRS {{ <<: *base, {} }}\n", keys("j"));
    let yaml = format!("!HardwareMap\n{base}{merged}");
    refused(&yaml, "unknown key `j0` in the !CRS", 2 * MANY - 100);
}

#[test]
fn very_many_boards_have_names_of_their_own() {
    let host = "a".repeat(60);
    let yaml = map_of(|n| format!("!CRS {{ hostname: \"{host}.{host}.x{n}\" }}"));
    let toml = imported(&yaml).toml;
    let map = HardwareMap::parse(&toml, "lab.toml").unwrap();
    assert_eq!(map.boards().len(), MANY);
    // Crates that list no boards, but to each of which a board refers.
    let crates: String = (0..MANY)
        .map(|n| format!("- !Crate {{ serial: c{n} }}\n"))
        .collect();
    let housed = map_of(|n| format!("!CRS {{ slot: 1, crate: !Crate {{ serial: c{n} }} }}"));
    assert_eq!(imported(&(housed + &crates)).left_out, [""; 0]);
}

#[test]
fn aliases_stand_for_no_more_than_can_be_read() {
    let check = |yaml: &str, words: &str| {
        let error = import_rfmux(yaml, "lab.yaml", no_file)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    };
    let beyond = "stand for more than 1000000 values";
    let doubled = (1..60).map(|n| format!("a{n}: &a{n} [*a{}, *a{0}]\n", n - 1));
    let doubled: String = doubled.collect();
    check(
        &format!("a0: &a0 [x]\n{doubled}hardware_map: !HardwareMap [*a59]\n"),
        beyond,
    );
    let keys: String = (0..1000).map(|n| format!("k{n}: 1, ")).collect();
    let merging: String = (0..MANY)
        .map(|n| format!("- !CRS {{ <<: *a, serial: '{n}' }}\n"))
        .collect();
    check(
        &format!("!HardwareMap\n- &a {{ {keys} }}\n{merging}"),
        beyond,
    );
    let chain = (1..MANY).map(|n| format!("- &a{n} !CRS {{ <<: *a{}, serial: '{n}' }}\n", n - 1));
    let chain: String = chain.collect();
    check(
        &format!("!HardwareMap\n- &a0 !CRS {{ serial: '0' }}\n{chain}"),
        "this has more than 256 levels",
    );
    check(
        &format!("!HardwareMap\n- {}", "[".repeat(100_000)),
        "recursion limit",
    );
    // An ordinary map has few aliases, and is read.
    let yaml = "!HardwareMap\n- &a !CRS { serial: '1' }\n- !CRS { <<: *a, serial: '2' }\n";
    assert_eq!(boards(yaml).len(), 2);
}

/// A message that contains a very long name is shortened, so that it stays legible.
#[test]
fn messages_about_long_names_have_bounded_length() {
    let long = "x".repeat(100_000);
    for item in [
        long.clone(),
        format!("{{ {long}: 1 }}"),
        format!("!Wafer {long}"),
        format!("!{long} {{}}"),
        format!("!CRS {{ serial: \"2\", _{long}: 1 }}"),
        format!("!CRS {{ serial: \"2\", online: {long} }}"),
        format!("!CRS {{ hostname: 10.0.0.7, serial: {long} }}"),
        format!("!CRS {{ hostname: 10.0.0.7, crate: !Crate {{ serial: {long} }}, slot: 2 }}"),
    ] {
        let yaml = format!("!HardwareMap [ !CRS {{ serial: \"1\" }}, {item} ]");
        let lines = match import_rfmux(&yaml, "lab.yaml", no_file) {
            Ok(imported) => [imported.left_out, imported.doubts].concat(),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        };
        assert!(!lines.is_empty(), "{}", &item[..40]);
        let longest = lines.iter().map(String::len).max();
        assert!(longest < Some(1200), "{longest:?} bytes of {}", &item[..40]);
    }
}
