//! Boards that were found, as a hardware map.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use twotone_hal::legible;

use super::FoundBoard;
use crate::map::{BoardEntry, HardwareMap, Host, unique_values};

/// Writes the boards as a map.
pub(super) fn write(boards: &[FoundBoard]) -> String {
    let mut toml = String::new();
    let mut taken = BTreeSet::new();
    for board in boards {
        if !toml.is_empty() {
            toml.push('\n');
        }
        let _ = writeln!(toml, "# {}", legible(&about(board)));
        for conflict in &board.conflicts {
            let _ = writeln!(toml, "# CONFLICT: {}", legible(conflict));
        }
        let entry = match entry(board) {
            Ok(entry) => entry,
            Err(why) => {
                let _ = writeln!(toml, "# left out: {why}");
                continue;
            }
        };
        let unique = unique_values(&entry);
        match HardwareMap::new(vec![entry], Vec::new()) {
            Err(error) => {
                let _ = writeln!(toml, "# left out: {}", legible(&error.to_string()));
            }
            Ok(map)
                if board.conflicts.is_empty()
                    && !unique.iter().any(|value| taken.contains(value)) =>
            {
                taken.extend(unique);
                toml.push_str(&map.to_toml());
            }
            Ok(map) => {
                if board.conflicts.is_empty() {
                    toml.push_str(
                        "# left out: a board above has its name, serial number, address or slot\n",
                    );
                }
                for line in map.to_toml().lines() {
                    let _ = writeln!(toml, "# {line}");
                }
            }
        }
    }
    toml
}

/// Signs of a board, in one line.
fn about(board: &FoundBoard) -> String {
    let ways: Vec<_> = board.found_by.iter().map(ToString::to_string).collect();
    let mut about = format!("found by {}", ways.join(", "));
    if let Some(address) = &board.address {
        let _ = write!(about, " at {address}");
    }
    if let Some(firmware) = &board.firmware {
        let _ = write!(about, ", firmware {firmware}");
    }
    about
}

/// The board as an entry of a map. Its address is a name in multicast DNS where one is known, since
/// names stay when addresses are given anew.
fn entry(board: &FoundBoard) -> Result<BoardEntry, &'static str> {
    let address = board.address.as_ref();
    let address = address.ok_or("no address of it is known")?;
    let host = board.hosts.first();
    let host = host.map(|host| Host::new(host, address.port()));
    let name = match (&board.serial, &board.crate_serial, board.slot) {
        (Some(serial), ..) => format!("{}{serial}", board.kind),
        (None, Some(in_crate), Some(slot)) => format!("crate{in_crate}-slot{slot}"),
        _ => format!("{}-{}", board.kind, address.name()),
    };
    let host = host.unwrap_or_else(|| address.clone());
    let mut entry = BoardEntry::new(name, board.kind, host);
    entry.serial.clone_from(&board.serial);
    entry.mac.clone_from(&board.mac);
    // A map has both or none.
    if board.crate_serial.is_some() && board.slot.is_some() {
        entry.crate_serial.clone_from(&board.crate_serial);
        entry.slot = board.slot;
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use twotone_transport::{Sighting, Way};

    use super::*;
    use crate::find::merge::merge;
    use crate::map::BoardKind;

    fn sighting(way: Way, serial: &str, last: u8) -> Sighting {
        Sighting {
            serial: Some(serial.to_owned()),
            ..Sighting::new(way, vec![Ipv4Addr::new(10, 0, 0, last)])
        }
    }

    #[test]
    fn a_map_of_what_was_found_can_be_read() {
        let mut by_name = sighting(Way::Mdns, "0042", 42);
        by_name.host = Some("rfmux0042.local".to_owned());
        by_name.port = Some(8080);
        let mut in_crate = sighting(Way::Beacon, "9", 9);
        in_crate.crate_serial = Some("011".to_owned());
        in_crate.slot = Some(3);
        let mut in_same_slot = sighting(Way::Beacon, "10", 10);
        in_same_slot.crate_serial = Some("11".to_owned());
        in_same_slot.slot = Some(3);
        let boards = merge(
            BoardKind::CRS,
            vec![
                by_name,
                in_crate,
                in_same_slot,
                sighting(Way::Stream, "0007", 7),
                // A conflict, and a text that would act on a terminal.
                sighting(Way::Stream, "0008", 8),
                sighting(Way::Stream, "0008", 88),
                sighting(Way::Beacon, "\u{1b}[2J\n[[board]]", 66),
            ],
        );
        let text = write(&boards);
        let map = HardwareMap::parse(&text, "found").unwrap();
        let entries = map.boards().iter().map(|board| {
            let place = (board.serial.clone(), board.slot);
            format!("{} {} {place:?}", board.name, board.address())
        });
        assert_eq!(
            entries.collect::<Vec<_>>(),
            [
                "crs0007 10.0.0.7:80 (Some(\"0007\"), None)",
                "crs9 10.0.0.9:80 (Some(\"9\"), Some(3))",
                "crs0042 rfmux0042.local:8080 (Some(\"0042\"), None)",
            ],
            "{text}"
        );
        assert_eq!(
            text.matches("\n# CONFLICT: serial number 0008").count(),
            2,
            "{text}"
        );
        assert!(text.contains("\n# serial = \"0008\"\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let same_slot = "# left out: a board above has its name";
        assert_eq!(text.matches(same_slot).count(), 1, "{text}");
        assert_eq!(text.matches("# left out: ").count(), 2, "{text}");
    }
}
