//! Tests of maps and parameter files with very many or very long mistakes. Only the first mistakes
//! are reported, and the others are counted.

use serde::Deserialize;

use super::*;

/// Number of entries of each file. Code whose time grows with the square of this number takes
/// minutes.
const MANY: usize = 20_000;

const ONE: &str = "[[board]]\nname = \"b1\"\nkind = \"crs\"\naddress = \"10.0.0.1\"\n";

/// Returns `MANY` entries, each made from its number.
fn many(entry: impl Fn(usize) -> String) -> String {
    (0..MANY).map(entry).collect()
}

fn board(name: usize, address: usize) -> String {
    let [_, _, high, low] = u32::try_from(address).unwrap().to_be_bytes();
    format!("[[board]]\nname = \"b{name}\"\nkind = \"crs\"\naddress = \"10.1.{high}.{low}\"\n")
}

/// Asserts that the first problem is `first`, that a hundred problems are reported, and that the
/// last line has the number of the others, of `wrong` in all.
#[track_caller]
fn check(error: &MapError, first: &str, wrong: usize) {
    let problems = error.problems();
    assert!(
        problems[0].to_string().starts_with(first),
        "{}",
        problems[0]
    );
    assert_eq!(problems.len(), 101, "{}", problems[problems.len() - 1]);
    let (last, told) = problems.split_last().unwrap();
    assert!(told.iter().all(|problem| problem.place.is_some()));
    let more = format!("{} more problems: mend these first", wrong - 100);
    assert_eq!((last.place, &last.message), (None, &more));
}

#[track_caller]
fn map(text: &str, first: &str, wrong: usize) {
    check(
        &HardwareMap::parse(text, "farm.toml").unwrap_err(),
        first,
        wrong,
    );
}

#[test]
fn of_very_many_mistakes_the_first_are_told_and_all_are_counted() {
    let boards = many(|n| board(n, n));
    map(
        &boards.replace("kind", "kynd"),
        "unknown key `kynd` in [[board]]; did you mean `kind`?",
        MANY,
    );
    let again = MANY - 1;
    map(&many(|n| board(1, n)), "board name `b1` is taken", again);
    map(
        &many(|n| board(n, 1)),
        "address `10.1.0.1:80` is taken",
        again,
    );
    let detector = |id: usize, board: &str| {
        format!("[[detector]]\nid = \"d{id}\"\nboard = \"{board}\"\nmodule = 1\nf_hz = 1e9\n")
    };
    let of_one_id = ONE.to_owned() + &many(|_| detector(1, "b1"));
    map(&of_one_id, "detector id `d1` is taken", again);
    let homeless = boards + &many(|n| detector(n, "c12345"));
    map(
        &homeless,
        "there is no board `c12345`; did you mean `b12345`?",
        MANY,
    );
    let modules = ONE.to_owned() + &many(|_| "[[board.module]]\nnumber = 1\n".to_owned());
    map(&modules, "module `1` is taken", again);
    let keys = ONE.to_owned() + &many(|n| format!("k{n} = 1\n"));
    map(&keys, "unknown key `k0` in [[board]]; known: ", MANY);
    map(
        &many(|_| "= 1\n".to_owned()),
        "unquoted keys cannot be empty",
        MANY,
    );
    let in_one_line = many(|_| "{name = \"é\", kind = \"crs\", serial = \"1\"},".to_owned());
    map(
        &format!("board = [{in_one_line}]"),
        "a board name has 1 to 64",
        2 * MANY - 1,
    );
}

#[test]
fn suggestions_among_very_many_boards_are_few() {
    let boards = many(|n| board(n, n));
    let homeless = (0..50).map(|n| {
        format!("[[detector]]\nid = \"d{n}\"\nboard = \"c12345\"\nmodule = 1\nf_hz = 1e9\n")
    });
    let text = boards + &homeless.collect::<String>();
    let error = HardwareMap::parse(&text, "farm.toml").unwrap_err();
    let suggested = error
        .problems()
        .iter()
        .filter(|problem| problem.suggestion.is_some());
    assert_eq!((error.problems().len(), suggested.count()), (50, 5));
}

#[test]
fn a_very_long_text_tells_the_first_place_that_is_no_toml() {
    let text = "= 1\n".repeat(1_000_000);
    let error = HardwareMap::parse(&text, "farm.toml")
        .unwrap_err()
        .to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        lines[0].starts_with("farm.toml:1:1: unquoted keys"),
        "{error}"
    );
    assert_eq!(
        lines[1],
        "farm.toml: there may be more problems: mend these first"
    );
}

#[test]
fn a_very_long_name_is_told_with_its_ends() {
    for (from, to, begins, ends) in [
        ("kind", "k", "unknown key `kkkk", " characters)"),
        ("crs", "é", "unknown board kind `éééé", " characters)"),
        ("10.0.0.1", "h", "`hhhh", " characters)"),
        ("10.0.0.1", "h.", "`h.h.", " characters)"),
    ] {
        let text = ONE.replacen(from, &to.repeat(100_000), 1);
        let error = HardwareMap::parse(&text, "farm.toml").unwrap_err();
        let mut messages = error.problems().iter().map(|problem| &problem.message);
        let message = messages.find(|message| message.starts_with(begins));
        let message = message.expect(begins);
        assert!(message.ends_with(ends), "{message}");
        assert!(message.chars().count() < 1000, "{message}");
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    points: u32,
    search: Search,
    steps: Vec<Search>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Search {
    threshold: f64,
}

#[test]
fn of_very_many_wrong_parameters_the_first_are_told() {
    let params = |text: &str| parse_params::<Params>(text, "p.toml").unwrap_err();
    let keys = many(|n| format!("k{n} = 1\n"));
    check(&params(&keys), "unknown key `k0`; known: `points`, ", MANY);
    let beneath = format!("[search]\n{keys}");
    check(
        &params(&beneath),
        "unknown key `k0`; known: `threshold`",
        MANY,
    );
    let tables = many(|n| format!("[k{n}]\na = 1\n"));
    check(
        &params(&tables),
        "unknown key `k0`; known: `points`, ",
        MANY,
    );

    // Wrong values are found one at a time, so the search ends after the first hundred, and the
    // others are not counted.
    let values = params(&many(|_| "[[steps]]\nthreshold = true\n".to_owned()));
    assert_eq!(values.problems().len(), 101);
    let last = &values.problems()[100];
    assert_eq!(last.message, "there may be more problems: mend these first");
}

#[test]
fn nesting_has_an_end() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        vec!["a"; deep].join("."),
        format!("[{}]", vec!["a"; deep].join(".")),
    ] {
        let error = HardwareMap::parse(&text, "farm.toml").unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
    }
}
