//! Tests of the modules that boards declare.

use super::*;

#[test]
fn declared_modules_are_the_modules_of_the_map() {
    let yaml = |modules: &str| format!("!HardwareMap\n- !CRS {{ serial: \"1\", {modules} }}\n");
    let module = |text: &str| format!("!ReadoutModule {{ {text} }}");
    for (modules, numbers) in [
        (
            format!(
                "modules: [ {}, {} ]",
                module("module: 2"),
                module("module: 4")
            ),
            vec![2, 4],
        ),
        (
            format!("modules: [ ~, {}, {} ]", module(""), module("module: ~")),
            vec![2, 3],
        ),
        (
            format!(
                "modules: {{ 3: {}, \"1\": {}, 4: ~ }}",
                module(""),
                module("module: 1")
            ),
            vec![3, 1],
        ),
        (format!("module: {{ 3: {} }}", module("module: 3")), vec![3]),
        ("modules: ~".to_owned(), vec![]),
        (String::new(), vec![]),
    ] {
        let found = imported(&yaml(&modules));
        let map = HardwareMap::parse(&found.toml, "lab.toml").unwrap();
        let entries = map.boards()[0].modules.iter();
        let found_numbers: Vec<_> = entries.map(|entry| entry.module.number()).collect();
        assert_eq!(found_numbers, numbers, "{modules}");
        assert_eq!(
            (found.doubts, found.left_out),
            (vec![], vec![]),
            "{modules}"
        );
    }
    for (modules, error) in [
        (
            "modules: 3",
            "32: `modules` holds modules: write `- !ReadoutModule { module: 1 }`",
        ),
        (
            "modules: [ 3 ]",
            "34: a module is a !ReadoutModule: write `!ReadoutModule { module: 1 }`",
        ),
        (
            "modules: [ !ReadoutModule { module: 9 } ]",
            "59: `module` must be a whole number from 1 to 8",
        ),
        (
            "modules: { 2: !ReadoutModule { module: 3 } }",
            "62: the module under 2 says that it is module 3",
        ),
        (
            "modules: [ !ReadoutModule { module: 2 }, !ReadoutModule {} ]",
            "64: module 2 is declared already at line 2, column 59",
        ),
    ] {
        check_refused(&yaml(modules), &[&format!("lab.yaml:2:{error}")]);
    }
    let found = imported(&yaml("modules: []"));
    assert!(found.doubts[0].starts_with("lab.yaml:2:3: crs1 declares no modules here"));
    let found = imported(&yaml("modules: [ !ReadoutModule { channels: [] } ]"));
    assert_eq!(found.left_out, ["crs1's channels of module 1"]);
}
