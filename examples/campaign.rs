//! Tunes an array of boards in the same way as `twotone tune MAP --out DIR`. The boards are locked
//! and checked, then tuned within a deadline. Modules whose tuning fails are brought to the
//! `safe_state` of the map. The results are written to DIR.
use twotone::campaign::Campaign;
use twotone::map::HardwareMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, map, out] = &arguments[..] else {
        return Err("use: campaign MAP DIR".into());
    };
    let tuned = Campaign::new(HardwareMap::load(map)?).tune(out).wait()?;
    for board in &tuned.report.boards {
        println!("{}: {}", board.name, board.status.as_str());
    }
    Ok(())
}
