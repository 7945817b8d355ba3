//! Tests that a stream gets the same samples, whenever its turns come. A turn is a call that takes
//! the samples that are due. A row has one sample of each channel.

use twotone_physics::{Band, Profile};

use super::*;
use crate::board::Origin;

const CHANNELS: usize = 128;
const RATE_HZ: f64 = 625e6 / 256.0 / 64.0 / 64.0;

fn module() -> Module {
    Module::new(Origin {
        seed: 5,
        board: 0,
        module: 1,
        detectors: 4,
        band: Band::new(1.0e9, 1.5e9),
        params: Arc::new(Profile::Lab.params()),
        first_sequence: 0,
    })
}

/// Rows that a stream has returned.
#[derive(Default)]
struct Taken {
    numbers: Vec<u32>,
    samples: Vec<(i32, i32)>,
    skipped: u64,
}

impl Taken {
    /// Takes a turn. Returns the number of rows of this turn, and true if more rows are due.
    fn turn(&mut self, module: &mut Module, seconds: f64, room: &Arc<Room>) -> (usize, bool) {
        let mut rows = Rows::default();
        let had = module.stream(CHANNELS, seconds, room, &mut rows);
        self.skipped += had.skipped;
        self.numbers
            .extend(rows.headers.iter().map(|header| header.sequence));
        self.samples.extend(rows.samples);
        (rows.headers.len(), had.is_behind)
    }

    fn all(&mut self, module: &mut Module, seconds: f64, room: &Arc<Room>) {
        while self.turn(module, seconds, room).1 {}
    }
}

#[test]
fn a_stream_has_every_sample_however_it_is_taken() {
    let (mut module, room) = (module(), Arc::new(Room::new(1 << 20)));
    let mut taken = Taken::default();
    module.set_nco(1.25e9);
    module.set_frequency(3, 1e6);
    module.set_amplitude(3, 0.001);
    taken.all(&mut module, 0.0, &room);
    // Between the turns, requests change settings and calls take samples.
    for (step, seconds) in [0.005, 0.3, 0.31, 0.9, 0.9001, 1.7, 1.75]
        .iter()
        .enumerate()
    {
        if step % 2 == 1 {
            module.advance_to(seconds - 0.05);
        }
        if step == 3 {
            let mut of_call = Vec::new();
            module.acquire(7, 3..4, &mut of_call);
        }
        if step == 5 {
            taken.turn(&mut module, *seconds, &room);
        } else {
            taken.all(&mut module, *seconds, &room);
        }
    }
    assert_eq!(taken.skipped, 0);
    let n = (1.75 * RATE_HZ).ceil() as u32;
    assert_eq!(taken.numbers, (0..n).collect::<Vec<_>>());
    assert_eq!(room.left(), 1 << 20);
    // The rows of the stream are the same as the samples of one call that takes all of them.
    let mut plain = super::tests::module();
    plain.set_nco(1.25e9);
    plain.set_frequency(3, 1e6);
    plain.set_amplitude(3, 0.001);
    let mut samples = Vec::new();
    plain.acquire(n as usize, 0..CHANNELS, &mut samples);
    for (k, row) in taken.samples.chunks_exact(CHANNELS).enumerate() {
        for channel in [0, 3, CHANNELS - 1] {
            let wanted = on_the_wire(samples[channel * n as usize + k]);
            let off = |a: i32, b: i32| (a - b).abs();
            assert!(
                off(row[channel].0, wanted.0) <= 1 && off(row[channel].1, wanted.1) <= 1,
                "sample {k} of channel {channel}: {:?}, not {wanted:?}",
                row[channel]
            );
        }
    }
}

#[test]
fn samples_too_far_behind_are_skipped_and_leave_gaps_in_the_sequence_numbers() {
    let (mut module, room) = (module(), Arc::new(Room::new(1 << 20)));
    let mut taken = Taken::default();
    taken.all(&mut module, 0.0, &room);
    let seconds = [0.3, 1.29, 1.295, 3.2, 3.3, 3.4, 5.0, 5.1];
    for seconds in seconds {
        let (rows, _) = taken.turn(&mut module, seconds, &room);
        assert!(rows <= IN_TURN / CHANNELS, "{rows} in a turn");
    }
    taken.all(&mut module, 5.1, &room);
    let gaps = taken.numbers.windows(2).map(|pair| pair[1] - pair[0] - 1);
    assert!(taken.skipped > 600, "{}", taken.skipped);
    assert_eq!(gaps.map(u64::from).sum::<u64>(), taken.skipped);
    assert_eq!(
        taken.numbers.len() as u64 + taken.skipped,
        (5.1 * RATE_HZ).ceil() as u64
    );
}

#[test]
fn no_more_is_kept_than_there_is_room_for_in_the_farm() {
    const ROOM: usize = 100 * CHANNELS;
    let room = Arc::new(Room::new(ROOM));
    let mut modules = [module(), module(), module()];
    let mut taken: [Taken; 3] = Default::default();
    for (module, taken) in modules.iter_mut().zip(&mut taken) {
        taken.all(module, 0.0, &room);
    }
    for step in 1..40 {
        for module in &mut modules {
            module.advance_to(f64::from(step) * 0.02);
        }
        if step == 20 {
            // A call takes samples that the stream must get too.
            modules[1].acquire(50, 0..CHANNELS, &mut Vec::new());
        }
        let outlets = modules.iter().filter_map(|module| module.outlet.as_ref());
        let kept = outlets.flat_map(|outlet| &outlet.kept);
        let kept: usize = kept.map(|rows| rows.samples.len()).sum();
        assert!(kept <= ROOM, "{kept}");
        assert_eq!(room.left(), ROOM - kept);
    }
    assert!(room.left() < 12 * CHANNELS, "{}", room.left());
    for (module, taken) in modules.iter_mut().zip(&mut taken) {
        taken.all(module, 0.8, &room);
        let all = taken.numbers.len() as u64 + taken.skipped;
        assert_eq!(all, (0.8 * RATE_HZ).ceil() as u64);
    }
    let skipped: u64 = taken.iter().map(|taken| taken.skipped).sum();
    assert!(skipped > 1000, "{skipped}");
    // After the end of the stream, the memory of its kept samples is free again.
    modules[0].advance_to(0.85);
    assert!(room.left() < ROOM);
    modules[0].end_stream();
    assert_eq!(room.left(), ROOM);
}

#[test]
fn a_stream_that_is_late_costs_a_request_next_to_nothing() {
    let (mut module, room) = (module(), Arc::new(Room::new(1 << 20)));
    let mut taken = Taken::default();
    taken.all(&mut module, 0.0, &room);
    taken.all(&mut module, 0.1, &room);
    taken.turn(&mut module, 2.0, &room);
    taken.turn(&mut module, 2.5, &room);
    module.advance_to(2.9);
    assert_eq!(
        room.left(),
        1 << 20,
        "it keeps what will not be sent in time"
    );
    taken.all(&mut module, 2.95, &room);
    // The stream has caught up.
    module.advance_to(3.4);
    assert!(room.left() < 1 << 20);
    taken.all(&mut module, 3.4, &room);
    let gaps = taken.numbers.windows(2).map(|pair| pair[1] - pair[0] - 1);
    assert_eq!(gaps.map(u64::from).sum::<u64>(), taken.skipped);
}

#[test]
fn kept_samples_are_sent_in_turns_until_they_are_too_old() {
    let (mut module, room) = (module(), Arc::new(Room::new(1 << 20)));
    let mut taken = Taken::default();
    taken.all(&mut module, 0.0, &room);
    taken.all(&mut module, 0.1, &room);
    for step in 0..9 {
        module.advance_to(0.2 + 0.1 * f64::from(step));
    }
    for _ in 0..3 {
        let (rows, more) = taken.turn(&mut module, 1.0, &room);
        // Samples that are made together stay together, even if they are enough for two turns.
        assert!((1..=2 * IN_TURN / CHANNELS).contains(&rows), "{rows}");
        assert!(more);
    }
    let number = *taken.numbers.last().unwrap();
    assert_eq!(
        (taken.skipped, taken.numbers.len()),
        (0, number as usize + 1)
    );
    // Now the oldest kept row is older than a stream may be behind.
    taken.all(&mut module, 2.5, &room);
    taken.all(&mut module, 2.6, &room);
    let gaps: Vec<u32> = taken
        .numbers
        .windows(2)
        .map(|pair| pair[1] - pair[0] - 1)
        .collect();
    assert_eq!(gaps.iter().filter(|gap| **gap > 0).count(), 1, "{gaps:?}");
    assert_eq!(u64::from(gaps.iter().sum::<u32>()), taken.skipped);
    assert!(taken.skipped > 1000 && room.left() == 1 << 20);
}

#[test]
fn a_stream_leaves_a_module_as_it_was() {
    let room = Arc::new(Room::new(1 << 20));
    let samples = |module: &mut Module| {
        let mut samples = Vec::new();
        module.advance_to(1.0);
        module.set_nco(1.25e9);
        module.set_frequency(3, 1e6);
        module.set_amplitude(3, 0.001);
        module.advance_to(1.1);
        module.acquire(5, 0..8, &mut samples);
        samples
    };
    let mut streamed = module();
    Taken::default().all(&mut streamed, 0.5, &room);
    assert!(streamed.model.is_none(), "it began at this time");
    Taken::default().all(&mut streamed, 0.6, &room);
    assert!(streamed.model.is_some());
    streamed.end_stream();
    assert!(streamed.model.is_none(), "its model is kept");
    assert_eq!(samples(&mut streamed), samples(&mut module()));
    // A model of which a setting was changed is kept.
    Taken::default().all(&mut streamed, 1.2, &room);
    streamed.end_stream();
    assert!(streamed.model.is_some());
}
