//! Runs a farm of simulated boards until standard input ends:
//! `cargo run --release -p twotone-sim --example farm -- 2 20 7 /tmp/map.toml /tmp/truth.json`. The
//! arguments are the numbers of boards and of detectors, the seed, and files for the hardware map
//! (the list of the boards) and for the true parameters of the detectors.

use std::error::Error;
use std::io::Read;

use twotone_sim::Farm;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [boards, detectors, seed, map, truth] = arguments.as_slice() else {
        return Err("usage: farm BOARDS DETECTORS SEED MAP TRUTH".into());
    };
    let farm = Farm::builder()
        .boards(boards.parse()?)
        .detectors(detectors.parse()?)
        .seed(seed.parse()?)
        .start_blocking()?;
    std::fs::write(map, farm.map_toml())?;
    std::fs::write(truth, serde_json::to_string(&farm.truth())?)?;
    for board in farm.boards() {
        println!("{} {}", board.name(), board.address());
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
