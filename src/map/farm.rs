//! Hardware map of a simulated farm.

use twotone_sim::Farm;

use super::{HardwareMap, MapError};

/// Converts a farm into its map, with its boards and those modules that have detectors. Fails if
/// the farm has no boards.
impl TryFrom<&Farm> for HardwareMap {
    type Error = MapError;

    fn try_from(farm: &Farm) -> Result<Self, MapError> {
        Self::parse(&farm.map_toml(), "the farm's map")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn farms_of_every_shape_have_a_map() {
        for (boards, detectors, modules) in [(1, 0, 1), (2, 3, 4), (3, 1030, 2)] {
            let farm = Farm::builder()
                .boards(boards)
                .detectors(detectors)
                .modules(modules);
            let farm = farm.start_blocking().unwrap();
            let map = HardwareMap::try_from(&farm).unwrap();
            let listed: Vec<_> = map
                .boards()
                .iter()
                .map(|board| board.modules.len())
                .collect();
            let populated = farm
                .truth()
                .boards
                .iter()
                .map(|board| board.modules.len())
                .collect::<Vec<_>>();
            assert_eq!(listed, populated);
        }
        let none = Farm::builder().boards(0).start_blocking().unwrap();
        assert!(HardwareMap::try_from(&none).is_err());
    }
}
