//! Target that reads hardware maps.

use twotone::map::HardwareMap;

use super::check::{map_error, twice};

pub(super) fn run(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let map = match twice(|| HardwareMap::parse(&text, "any.toml")) {
        Ok(map) => map,
        Err(error) => return map_error(&error, &text),
    };
    assert_eq!(map.text(), text);
    assert!(!map.boards().is_empty(), "a map without boards");
    let written = map.to_toml();
    let again = HardwareMap::parse(&written, "written").expect("a written map is one");
    assert_eq!(again, map, "{written}");
    assert_eq!(again.to_toml(), written, "writing twice");
    let made = HardwareMap::new(map.boards().to_vec(), map.detectors().to_vec());
    assert_eq!(made.expect("its parts make a map"), map);
    for board in map.boards() {
        assert_eq!(map.board(&board.name), Some(board));
        let host = board.address();
        assert_eq!(
            host.to_string().parse::<twotone::map::Host>().ok().as_ref(),
            Some(&host)
        );
        assert_eq!(host.canonical().canonical(), host.canonical());
    }
    let modules: usize = map.boards().iter().map(|board| board.modules.len()).sum();
    let optional = |board: &twotone::map::BoardEntry| {
        format!(
            "{}{}{}{}",
            u8::from(board.address.is_some()),
            u8::from(board.serial.is_some()),
            u8::from(board.mac.is_some()),
            u8::from(board.slot.is_some())
        )
        .replace('0', "n")
        .replace('1', "y")
    };
    let kinds: Vec<_> = map.boards().iter().take(3).map(optional).collect();
    format!(
        "map {kinds:?} {} {}",
        "m".repeat(modules.min(5)),
        "d".repeat(map.detectors().len().min(3))
    )
}
