//! What a module has for its stream.
//!
//! The sender has samples made when it is about to send them, some at a time.
//! Kept are only those that must be made before, because a setting is about to
//! change or a call takes them: as many as there is room for in the farm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use twotone_physics::{Complex64, units};
use twotone_wire::crs::STEPS_PER_COUNT;

use super::Module;
use super::pipeline::{MAX_BEHIND_S, Run, tick_at};
use super::takers::Made;

/// Samples of single channels that a module's stream sends in turn with other
/// streams: at 1024 channels 16 packets, and a fraction of a millisecond.
const IN_TURN: usize = 16 * 1024;

/// What a module had for its stream in a turn, beside the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InTurn {
    /// So many samples were left out since the turn before.
    pub(crate) skipped: u64,
    /// There is more by now.
    pub(crate) is_behind: bool,
}

/// Samples on their way out of a module, one row a packet.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) heads: Vec<Head>,
    /// The rows of all heads, one after the other, in steps of the wire.
    pub(crate) samples: Vec<(i32, i32)>,
}

impl Rows {
    /// Forgets all rows, and gives back room for more than `keep` samples.
    pub(crate) fn clear(&mut self, keep: usize) {
        self.heads.clear();
        self.samples.clear();
        self.heads.shrink_to(keep);
        self.samples.shrink_to(keep);
    }

    /// Adds the rows of a run.
    pub(super) fn push(&mut self, run: &Run, channels: usize, made: &Made<'_>) {
        let base = self.samples.len();
        self.samples
            .resize(base + run.n * channels, Default::default());
        for channel in 0..channels {
            let row = made.row(channel, run.n).unwrap_or_default();
            for (k, sample) in row.iter().enumerate() {
                self.samples[base + k * channels + channel] = on_the_wire(*sample);
            }
        }
        self.heads.extend((0..run.n as u64).map(|k| Head {
            sequence: run.sequence.at(run.first + k),
            tick: (run.first + k) << run.stage,
            stage: run.stage,
            channels,
            overrange: made.flags.overrange,
        }));
    }
}

/// What a packet says of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: u32,
    pub(crate) tick: u64,
    pub(crate) stage: u8,
    pub(crate) channels: usize,
    pub(crate) overrange: bool,
}

/// Room for samples that were made before their packets could be sent, shared
/// by all modules of a farm: however many stream, no more than this is kept.
#[derive(Debug)]
pub(crate) struct Room {
    /// Samples of single channels that may still be kept.
    left: AtomicUsize,
}

impl Room {
    /// Room for so many samples of single channels.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            left: AtomicUsize::new(samples),
        }
    }

    fn has(&self, samples: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= samples
    }

    fn take(&self, samples: usize) -> bool {
        let less = |left: usize| left.checked_sub(samples);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    fn give_back(&self, samples: usize) {
        self.left.fetch_add(samples, Ordering::Relaxed);
    }
}

/// The module's end of its stream.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) channels: usize,
    pub(super) skipped: u64,
    kept: Rows,
    room: Arc<Room>,
    /// Samples had to be left out, and it has not caught up since.
    is_late: bool,
}

impl Outlet {
    /// Whether `n` samples can be kept. One that is late keeps few: they
    /// would take the time of those who wait for an answer, and to no avail.
    pub(super) fn has_room(&self, n: u64) -> bool {
        let n = n as usize;
        (!self.is_late || n <= IN_TURN / self.channels.max(1)) && self.room.has(n * self.channels)
    }

    /// Keeps the rows of a run, or leaves them out where there is no room.
    pub(super) fn keep(&mut self, run: &Run, made: &Made<'_>) {
        if self.room.take(run.n * self.channels) {
            self.kept.push(run, self.channels, made);
        } else {
            self.skipped += run.n as u64;
        }
    }

    /// Gives the rows that were kept in place of `rows`; false where there
    /// are none.
    fn hand_over(&mut self, rows: &mut Rows) -> bool {
        if self.kept.heads.is_empty() {
            return false;
        }
        *rows = std::mem::take(&mut self.kept);
        self.room.give_back(rows.samples.len());
        true
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.room.give_back(self.kept.samples.len());
    }
}

/// A sample as packets have it.
pub(crate) fn on_the_wire(sample: Complex64) -> (i32, i32) {
    // Rounds, and holds what is too large at the ends of the range.
    let steps = |counts: f64| {
        let steps = counts * STEPS_PER_COUNT;
        (steps + 0.5_f64.copysign(steps)) as i32
    };
    (steps(sample.re), steps(sample.im))
}

/// The stream.
impl Module {
    /// Gives the next rows for the stream, of the first `channels` channels,
    /// in place of `rows`, as far as time, s, has brought them: those that
    /// were kept, or some that are made now.
    pub(crate) fn stream(
        &mut self,
        channels: usize,
        seconds: f64,
        room: &Arc<Room>,
        rows: &mut Rows,
    ) -> InTurn {
        rows.clear(IN_TURN);
        if self.outlet.is_none() {
            // It begins now.
            self.advance_to(seconds);
        }
        let tick = tick_at(seconds);
        let outlet = self.outlet.get_or_insert_with(|| Outlet {
            channels,
            skipped: 0,
            kept: Rows::default(),
            room: Arc::clone(room),
            is_late: false,
        });
        outlet.channels = channels;
        let had_kept = outlet.hand_over(rows);
        let most = (MAX_BEHIND_S * units::sample_rate_hz(self.stage)) as u64;
        let behind = self.behind(tick);
        let in_turn = (IN_TURN / channels.max(1)).max(1) as u64;
        if had_kept {
            // One thing at a time.
        } else if behind > most && !self.is_tapped() {
            self.leave_out(behind, tick);
            self.set_late(true);
        } else {
            self.make(behind.min(in_turn) as usize, Some(rows));
            if behind <= in_turn {
                self.tick = self.tick.max(tick);
                self.set_late(false);
            }
        }
        let skipped = self.outlet.as_mut().map(|outlet| &mut outlet.skipped);
        InTurn {
            skipped: skipped.map(std::mem::take).unwrap_or_default(),
            is_behind: self.behind(tick) > 0,
        }
    }

    fn set_late(&mut self, is_late: bool) {
        if let Some(outlet) = &mut self.outlet {
            outlet.is_late = is_late;
        }
    }

    /// Keeps no more samples. Where nothing but the stream wanted the model,
    /// that goes too: drawn again, it is the same.
    pub(crate) fn end_stream(&mut self) {
        if self.outlet.take().is_some() && !self.is_set && self.taps.is_empty() {
            self.model = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use twotone_physics::{Band, Profile};

    use super::super::Origin;
    use super::*;

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

    fn left(room: &Room) -> usize {
        room.left.load(Ordering::Relaxed)
    }

    /// What a stream has brought.
    #[derive(Default)]
    struct Taken {
        numbers: Vec<u32>,
        samples: Vec<(i32, i32)>,
        skipped: u64,
    }

    impl Taken {
        /// Takes a turn, and gives how many rows that brought and whether
        /// there are more.
        fn turn(&mut self, module: &mut Module, seconds: f64, room: &Arc<Room>) -> (usize, bool) {
            let mut rows = Rows::default();
            let had = module.stream(CHANNELS, seconds, room, &mut rows);
            self.skipped += had.skipped;
            self.numbers
                .extend(rows.heads.iter().map(|head| head.sequence));
            self.samples.extend(rows.samples);
            (rows.heads.len(), had.is_behind)
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
        // Requests come between the turns, and calls take samples.
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
        assert_eq!(left(&room), 1 << 20);
        // The same samples as a call has that takes them all.
        let mut plain = self::module();
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
    fn what_is_too_far_behind_is_left_out_and_the_numbers_say_so() {
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
            let kept = modules.iter().filter_map(|module| module.outlet.as_ref());
            let kept: usize = kept.map(|outlet| outlet.kept.samples.len()).sum();
            assert!(kept <= ROOM, "{kept}");
            assert_eq!(left(&room), ROOM - kept);
        }
        assert!(left(&room) < 12 * CHANNELS, "{}", left(&room));
        for (module, taken) in modules.iter_mut().zip(&mut taken) {
            taken.all(module, 0.8, &room);
            let all = taken.numbers.len() as u64 + taken.skipped;
            assert_eq!(all, (0.8 * RATE_HZ).ceil() as u64);
        }
        let skipped: u64 = taken.iter().map(|taken| taken.skipped).sum();
        assert!(skipped > 1000, "{skipped}");
        // What a stream keeps when it ends is given back.
        modules[0].advance_to(0.85);
        assert!(left(&room) < ROOM);
        modules[0].end_stream();
        assert_eq!(left(&room), ROOM);
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
            left(&room),
            1 << 20,
            "it keeps what will not be sent in time"
        );
        taken.all(&mut module, 2.95, &room);
        // It has caught up.
        module.advance_to(3.4);
        assert!(left(&room) < 1 << 20);
        taken.all(&mut module, 3.4, &room);
        let gaps = taken.numbers.windows(2).map(|pair| pair[1] - pair[0] - 1);
        assert_eq!(gaps.map(u64::from).sum::<u64>(), taken.skipped);
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
        // One that has been set is kept.
        Taken::default().all(&mut streamed, 1.2, &room);
        streamed.end_stream();
        assert!(streamed.model.is_some());
    }
}
