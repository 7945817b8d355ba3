//! Tests of the problems that are reported in invalid hardware maps, and of the places of these
//! problems in the file.

use super::*;

/// Asserts that the valid map, with each `from` replaced by its `to`, gives exactly these errors.
fn check(changes: &[(&str, &str)], errors: &[&str]) {
    let mut text = GOOD.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "`{from}` is not in the map");
        text = text.replacen(from, to, 1);
    }
    let error = HardwareMap::parse(&text, "farm.toml").map(|map| map.to_toml());
    let error = error.expect_err("the map was taken for good").to_string();
    assert_eq!(error.lines().collect::<Vec<_>>(), errors, "{changes:?}");
}

#[test]
fn misspelt_keys_and_values_are_told_with_what_was_meant() {
    check(
        &[("address", "adress")],
        &["farm.toml:5:1: unknown key `adress` in [[board]]; did you mean `address`?"],
    );
    check(
        &[
            ("f_min_hz", "f_mim_hz"),
            ("\"previous\"", "\"previos\""),
            ("[[detector]]", "[[detectors]]"),
        ],
        &[
            "farm.toml:10:1: unknown key `f_mim_hz` in [[board.module]]; did you mean `f_min_hz`?",
            "farm.toml:16:14: unknown safe state `previos`; did you mean `previous`?",
            "farm.toml:26:3: unknown key `detectors` in the map; did you mean `detector`?",
        ],
    );
    check(
        &[
            ("\"crs\"", "\"csr\""),
            ("kind = \"crs\"", "kind = \"iceboard\""),
        ],
        &[
            "farm.toml:4:8: unknown board kind `csr`; did you mean `crs`?",
            "farm.toml:23:8: unknown board kind `iceboard`; known: `crs`",
        ],
    );
    check(
        &[("id = \"w3-d0001\"", "name = \"w3-d0001\"")],
        &[
            "farm.toml:26:1: [[detector]] has no `id`",
            "farm.toml:27:1: unknown key `name` in [[detector]]; known: `id`, `board`, `module`, `f_hz`",
        ],
    );
    check(
        &[("board = \"b1\"", "board = \"b11\"")],
        &["farm.toml:28:9: there is no board `b11`; did you mean `b1`?"],
    );
}

#[test]
fn keys_in_the_wrong_section_are_sent_home() {
    check(
        &[("[[board.module]]", "[[module]]")],
        &[
            "farm.toml:7:3: unknown key `module` in the map; it belongs in a board: write [[board.module]]",
        ],
    );
    check(
        &[("serial = \"0042\"", "serial = \"0042\"\nf_min_hz = 1e9")],
        &["farm.toml:25:1: unknown key `f_min_hz` in [[board]]; it belongs in [[board.module]]"],
    );
    check(
        &[("number = 2", "number = 2\nserial = \"7\"")],
        &["farm.toml:20:1: unknown key `serial` in [[board.module]]; it belongs in [[board]]"],
    );
}

#[test]
fn values_that_must_be_unique_are_reported_with_both_places() {
    check(
        &[("name = \"b2\"", "name = \"B1\"")],
        &["farm.toml:22:8: board name `b1` is taken already at line 3, column 8"],
    );
    check(
        &[("serial = \"0042\"", "address = \"127.0.0.2:18082\"")],
        &["farm.toml:24:11: address `127.0.0.2:18082` is taken already at line 5, column 11"],
    );
    // An address without a port has the default port 80, and the case of host names makes no
    // difference.
    check(
        &[
            ("127.0.0.2:18082", "Crs-1.lab:80"),
            ("serial = \"0042\"", "address = \"crs-1.lab\""),
        ],
        &["farm.toml:24:11: address `crs-1.lab:80` is taken already at line 5, column 11"],
    );
    // The address that follows from the serial number 0042 is the same as the address in the map of
    // the other board.
    check(
        &[("127.0.0.2:18082", "rfmux0042.local")],
        &["farm.toml:21:1: address `rfmux0042.local:80` is taken already at line 5, column 11"],
    );
    check(
        &[("number = 2", "number = 1")],
        &["farm.toml:19:10: module `1` is taken already at line 8, column 10"],
    );
    check(
        &[(
            "f_hz = 4.1e9",
            "f_hz = 4.1e9\n[[detector]]\nid = \"w3-d0001\"\nboard=\"b2\"\nmodule=1\nf_hz=5e9",
        )],
        &["farm.toml:32:6: detector id `w3-d0001` is taken already at line 27, column 6"],
    );
    check(
        &[("kind = \"crs\"", "kind = \"crs\"\nserial = \"0042\"")],
        &["farm.toml:25:10: serial number `0042` is taken already at line 5, column 10"],
    );
    let slot = "kind = \"crs\"\ncrate = \"c7\"\nslot = 3";
    check(
        &[
            ("kind = \"crs\"\naddress", &format!("{slot}\naddress")),
            ("kind = \"crs\"\nserial", &format!("{slot}\nserial")),
        ],
        &["farm.toml:27:8: slot `3 of crate c7` is taken already at line 6, column 8"],
    );
}

#[test]
fn values_out_of_their_ranges_are_refused() {
    check(
        &[("4_500_000_000", "3.5e9"), ("f_hz = 4.1e9", "f_hz = 4.1")],
        &["farm.toml:11:12: `f_max_hz` = 3500000000 is not above `f_min_hz` = 4000000000"],
    );
    check(
        &[("4_500_000_000", "4_000_000_010")],
        &[
            "farm.toml:11:12: `f_max_hz` = 4000000010 leaves a range of 10 Hz, narrower than any \
             resonance and its sweep: leave at least 10000 Hz",
        ],
    );
    check(
        &[("4_500_000_000", "4.5e9\nf_max = 4.5e9")],
        &["farm.toml:12:9: `f_max` is short for `f_max_hz`, which is there too"],
    );
    check(
        &[("-40.0", "-11.0")],
        &["farm.toml:13:16: `max_tone_dbm` (-11) is above `max_total_dbm` (-12)"],
    );
    check(
        &[("start_power_dbm = -50.0", "start_power_dbm = -30")],
        &["farm.toml:15:19: `start_power_dbm` (-30) is above `max_tone_dbm` (-40)"],
    );
    check(
        &[("number = 2", "number = 2\nstart_power_dbm = -50")],
        &["farm.toml:20:19: `start_power_dbm` (-50) is above `max_tone_dbm` (-55, the default)"],
    );
    check(
        &[("number = 2", "number = 2\nmax_total_dbm = -60")],
        &["farm.toml:20:17: `max_tone_dbm` (-55, the default) is above `max_total_dbm` (-60)"],
    );
    check(
        &[
            ("-40.0", "nan"),
            ("-12.0", "inf"),
            ("-50.0", "\"low\""),
            ("= 40", "= -1"),
            ("4e9", "1e400"),
        ],
        &[
            "farm.toml:10:12: `f_min_hz` must be from 10e6 to 10e9 Hz",
            "farm.toml:12:23: `cold_attenuation_db` must be from 0 to 200 dB",
            "farm.toml:13:16: `max_tone_dbm` must be from -200 to 30 dBm",
            "farm.toml:14:17: `max_total_dbm` must be from -200 to 30 dBm",
            "farm.toml:15:19: `start_power_dbm` must be a number, not a string",
        ],
    );
    check(
        &[("number = 1", "number = 0"), ("number = 2", "number = 9")],
        &[
            "farm.toml:8:10: `number` must be a whole number from 1 to 8",
            "farm.toml:19:10: `number` must be a whole number from 1 to 8",
        ],
    );
    check(
        &[("module = 1", "module = 3")],
        &["farm.toml:29:10: board `b1` lists no module 3"],
    );
    check(
        &[("board = \"b1\"\nmodule = 1", "board = \"b2\"\nmodule = 9")],
        &["farm.toml:29:10: a crs board has modules 1 to 8"],
    );
    check(
        &[("4.1e9", "4.6e9")],
        &["farm.toml:30:8: `f_hz` = 4600000000 is out of the range of module 1 of board `b1`"],
    );
}

#[test]
fn frequencies_that_no_board_has_are_asked_about() {
    let high = |key: &str, hz: &str| {
        format!("`{key}` = {hz} is in hertz, and no board here has tones above 10 GHz")
    };
    check(
        &[("4e9", "20e9"), ("4_500_000_000", "25e9")],
        &[
            &format!("farm.toml:10:12: {}", high("f_min_hz", "20e9")),
            &format!("farm.toml:11:12: {}", high("f_max_hz", "25e9")),
        ],
    );
    check(
        &[("f_max_hz = 4_500_000_000", "f_max = 4.5e12")],
        &[&format!("farm.toml:11:9: {}", high("f_max", "4.5e12"))],
    );
    check(
        &[("f_hz = 4.1e9", "f_hz = 10_000_000_001")],
        &[&format!(
            "farm.toml:30:8: {}",
            high("f_hz", "10.000000001e9")
        )],
    );
    check(
        &[("4e9", "-4e9"), ("f_hz = 4.1e9", "f_hz = 0")],
        &[
            "farm.toml:10:12: `f_min_hz` must be from 10e6 to 10e9 Hz",
            "farm.toml:30:8: `f_hz` must be from 10e6 to 10e9 Hz",
        ],
    );
    // The message has the short keys, because the file has them.
    check(
        &[
            ("f_min_hz", "f_min"),
            ("f_max_hz = 4_500_000_000", "f_max = 3e9"),
        ],
        &["farm.toml:11:9: `f_max` = 3000000000 is not above `f_min` = 4000000000"],
    );
    check(
        &[("f_max_hz = 4_500_000_000", "f_max = 4e9")],
        &["farm.toml:11:9: `f_max` = 4000000000 is not above `f_min_hz` = 4000000000"],
    );
}

#[test]
fn hardware_addresses_that_no_board_has_are_refused() {
    for (mac, why) in [
        ("00-00-00-00-00-00", "it is a placeholder"),
        ("FF:ff:ff:ff:ff:ff", "it stands for all interfaces"),
        ("01:00:5e:00:00:2a", "it stands for a group of interfaces"),
        ("33-33-00-00-00-01", "it stands for a group of interfaces"),
        ("03:00:5e:10:00:2a", "it stands for a group of interfaces"),
    ] {
        let line = format!("\"0042\"\nmac = \"{mac}\"");
        let said = mac.to_lowercase().replace('-', ":");
        let said = format!("farm.toml:25:7: no board has `mac` = {said}: {why}");
        let more = match why.contains("group") {
            true => ", as its first byte is odd",
            false => "",
        };
        check(&[("\"0042\"", &line)], &[&(said + more)]);
    }
}

#[test]
fn addresses_that_reach_nothing_are_told_with_what_to_write() {
    let long = "b".repeat(64);
    let whole = ["abcdefg."; 32].concat() + "lab";
    for (address, said) in [
        (
            "[fe80::1]",
            "`fe80::1` is a link-local address, of which each network interface has its own: write \
             `[fe80::1%eth0]`, with the name of the interface that the board is at",
        ),
        (
            "[FEBF::2a]:8080",
            "`FEBF::2a` is a link-local address, of which each network interface has its own: write \
             `[FEBF::2a%eth0]`, with the name of the interface that the board is at",
        ),
        (
            "[fe80::1%25eth0]",
            "`%25` stands for `%` in a URL only: write `[fe80::1%eth0]`",
        ),
        (
            "[fe80::1%25enp3s0]:81",
            "`%25` stands for `%` in a URL only: write `[fe80::1%enp3s0]:81`",
        ),
        (
            &format!("{long}.lab:81"),
            &format!(
                "`{long}.lab` is no host: a part of a name has at most 63 characters, and `{long}` has 64"
            ),
        ),
        (
            &whole,
            &format!(
                "`{whole}` is no host: a name has at most 253 characters, and this one has 259"
            ),
        ),
    ] {
        let said = format!("farm.toml:5:11: {said}");
        check(&[("127.0.0.2:18082", address)], &[&said]);
        #[cfg(feature = "cli")]
        {
            let yaml = format!("!HardwareMap\n- !CRS {{ hostname: \"{address}\" }}\n");
            let error = import_rfmux(&yaml, "farm.toml", |_| {
                Err(std::io::ErrorKind::NotFound.into())
            })
            .unwrap_err()
            .to_string();
            assert_eq!(error, said.replace(":5:11:", ":2:20:"));
        }
    }
    for good in [
        "[fe80::1%25]",
        "[fe80::1%2]:81",
        "[fec0::1]",
        "169.254.3.43",
        &"b".repeat(63),
    ] {
        let text = GOOD.replace("127.0.0.2:18082", good);
        assert!(HardwareMap::parse(&text, "farm.toml").is_ok(), "{good}");
    }
}

#[test]
fn boards_that_cannot_be_named_or_reached_are_refused() {
    check(
        &[("kind = \"crs\"\n", ""), ("name = \"b2\"\n", "")],
        &[
            "farm.toml:2:1: [[board]] has no `kind`",
            "farm.toml:20:1: [[board]] has no `name`",
        ],
    );
    check(
        &[("\"b1\"", "\"../b1\""), ("\"b2\"", "\" \"")],
        &[
            "farm.toml:3:8: a board name has 1 to 64 letters, digits, `-`, `_` and `.`, a letter or digit first",
            "farm.toml:22:8: `name` is empty",
        ],
    );
    check(
        &[
            ("127.0.0.2:18082", "http://127.0.0.2/tuber"),
            ("\"0042\"", "0042"),
        ],
        &["farm.toml:24:10: unexpected leading zero; in quotes it would be a string"],
    );
    check(
        &[
            ("127.0.0.2:18082", "http://127.0.0.2/tuber"),
            ("\"0042\"", "42"),
        ],
        &[
            "farm.toml:5:11: an address has no `http://`: write `127.0.0.2`",
            "farm.toml:24:10: `serial` is a string: write \"42\"",
        ],
    );
    check(
        &[("\"0042\"", "\"0042\"\nmac = \"02:00:5e:10:00\"")],
        &["farm.toml:25:7: `mac` has six pairs of hexadecimal digits: write \"02:00:5e:10:00:2a\""],
    );
    let mac = |mac: &str| format!("kind = \"crs\"\nmac = \"{mac}\"");
    let (one, other) = (mac("02:00:5e:10:00:2a"), mac("02-00-5E-10-00-2A"));
    check(
        &[
            ("kind = \"crs\"", &one),
            ("kind = \"crs\"\nserial", &(other + "\nserial")),
        ],
        &["farm.toml:25:7: mac `02:00:5e:10:00:2a` is taken already at line 5, column 7"],
    );
    check(
        &[("\"0042\"", "\"0042/x\"")],
        &["farm.toml:24:10: `serial` must have 1 to 32 characters: letters, digits and `-`"],
    );
    check(
        &[("serial = \"0042\"\n", "")],
        &["farm.toml:21:1: [[board]] needs `address`, `serial`, or `crate` and `slot`"],
    );
    check(
        &[("serial = \"0042\"", "crate = \"c7\"")],
        &["farm.toml:21:1: `crate` and `slot` go together: one is missing"],
    );
    let error = HardwareMap::parse("", "empty.toml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "empty.toml:1:1: the map has no board: write at least one [[board]]"
    );
    let error = HardwareMap::parse("board = 3", "odd.toml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "odd.toml:1:9: `board` is a list of tables: write [[board]]"
    );
    let error = HardwareMap::parse("board = [3]", "odd.toml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "odd.toml:1:10: `board` must hold tables, not a whole number: write [[board]]"
    );
    let error = HardwareMap::load("/nowhere/farm.toml").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nowhere/farm.toml: cannot be read: No such file"),
        "{error}"
    );
}

#[test]
fn syntax_errors_of_toml_have_their_places() {
    check(
        &[("name = \"b1\"", "name = b1")],
        &["farm.toml:3:8: string values must be quoted, expected literal string"],
    );
    check(
        &[
            ("name = \"b1\"", "name = \"b1\nx = 1"),
            ("number = 2", "number 2"),
        ],
        &[
            "farm.toml:3:11: invalid basic string, expected `\"`",
            "farm.toml:20:8: key with no value, expected `=`",
        ],
    );
    check(
        &[("name = \"b1\"", "name = \"b1\"\nname = \"b1\"")],
        &["farm.toml:4:1: duplicate key"],
    );
    check(
        &[("[[board]]", "[[board]")],
        &[
            "farm.toml:2:9: unclosed array table, expected `]`",
            "farm.toml:21:3: duplicate key",
        ],
    );
}
