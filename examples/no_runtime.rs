//! Use in a program without an async runtime: the program has threads of its own, and every call
//! blocks.
use std::thread;

use twotone::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().boards(2).detectors(16).start_blocking()?;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).wait();

    // A handle works from any thread, because twotone drives the sockets on a runtime that it
    // starts itself.
    let nco = |board: &BoardHandle| board.nco().read(ModuleId::FIRST).wait();
    let read = thread::scope(|scope| {
        let boards = array.boards().iter();
        let threads: Vec<_> = boards
            .map(|board| scope.spawn(move || (board.name(), nco(board.handle()))))
            .collect();
        threads.into_iter().map(|it| it.join()).collect::<Vec<_>>()
    });
    for answer in read {
        let (name, state) = answer.map_err(|_| "a thread panicked")?;
        println!("{name}: NCO at {}", state?.frequency);
    }

    let tuning = async |board, module| tune(&board, module, &TuneParams::default()).await;
    for outcome in Runner::new().run(array.targets(), tuning).wait() {
        println!("{}: {}", outcome.board, outcome.result?);
    }
    Ok(())
}
