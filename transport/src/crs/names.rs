//! Names of boards in multicast DNS.

use crate::{BoardPlace, Host};

/// Place of a board by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BoardName {
    pub(super) serial: Option<String>,
    pub(super) crate_serial: Option<String>,
    pub(super) slot: Option<u8>,
}

/// Reads a name in lower case: `rfmux0042.local` or `slot3.crate011.local`. `None` for a name that
/// is not that of a board.
pub(super) fn board(name: &str) -> Option<BoardName> {
    Host::parse(name, Host::DEFAULT_PORT).ok()?;
    let name = name.strip_suffix(".local")?;
    if let Some(serial) = serial_in_label(name) {
        return Some(BoardName {
            serial: Some(serial.to_owned()),
            crate_serial: None,
            slot: None,
        });
    }
    let (slot, crate_serial) = name.strip_prefix("slot")?.split_once(".crate")?;
    // `str::parse` accepts a sign.
    let slot = Some(slot).filter(|slot| slot.bytes().all(|b| b.is_ascii_digit()));
    let slot = slot?.parse().ok()?;
    BoardPlace::is_serial(crate_serial).then(|| BoardName {
        serial: None,
        crate_serial: Some(crate_serial.to_owned()),
        slot: Some(slot),
    })
}

/// The serial number in `rfmux0042`, which is a name without its domain.
pub(super) fn serial_in_label(label: &str) -> Option<&str> {
    let serial = label.strip_prefix("rfmux");
    serial.filter(|serial| BoardPlace::is_serial(serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_boards_are_told_from_others() {
        let serial = |name| board(name).and_then(|found| found.serial);
        assert_eq!(serial("rfmux0042.local").as_deref(), Some("0042"));
        assert_eq!(serial("rfmuxlab-7.local").as_deref(), Some("lab-7"));
        let slot = board("slot3.crate011.local").unwrap();
        assert_eq!(
            (slot.slot, slot.crate_serial.as_deref()),
            (Some(3), Some("011"))
        );
        assert_eq!(slot.serial, None);
        for name in [
            "rfmux.local",
            "rfmux1",
            "rfmux1.lab.local",
            r"rfmux\027[2j.local",
            "rfmux1-.local",
            "printer.local",
            "slot+3.crate011.local",
            "slot300.crate011.local",
            "slot3.crate.local",
            "slot3.local",
            "slot.crate1.local",
        ] {
            assert_eq!(board(name), None, "{name}");
        }
    }
}
