//! Requests of `twotone info` to one board.

use tworoutine::{JoinError, JoinHandle};
use twotone::hal::{
    Batch, BoardHandle, BoardTime, Description, Error, ErrorKind, ModuleDescription, Operation,
    OperationKind, Reading, Replies, Result, Ticket,
};
use twotone::map::BoardEntry;
use twotone::record::Failure;

use super::{ClockReport, Found, ModuleReport, properties};

/// Requests all values of `twotone info` from a board, each in a context ([`tworoutine::spawn`]) of
/// its own. Therefore a module that hangs delays neither the other modules nor the clock. `entry`
/// is that of the board in the map. A module that only the map has is a doubt.
///
/// # Errors
/// If the description of the board cannot be read.
pub(super) async fn found(board: &BoardHandle, entry: Option<&BoardEntry>) -> Result<Found> {
    let described = board.describe().await?;
    let has_clock = described.has(OperationKind::Clock);
    let clock = has_clock.then(|| ask(board, Batch::read_clock));
    let has_housekeeping = described.has(OperationKind::Housekeeping);
    let housekeeping = has_housekeeping.then(|| ask(board, Batch::read_housekeeping));
    let ncos = described.modules.iter().map(|module| {
        let id = module.module;
        module
            .nco
            .map(|_| ask(board, move |batch| batch.read_nco(id)))
    });
    let ncos: Vec<_> = ncos.collect();
    let mut repeats = 0;
    let (clock, clock_error) = answer(clock, &mut repeats, ClockReport::of).await;
    let read = <[Reading]>::to_vec;
    let (housekeeping, housekeeping_error) = answer(housekeeping, &mut repeats, read).await;
    let mut modules = Vec::new();
    for (module, nco) in described.modules.iter().zip(ncos) {
        let (nco_hz, error) = answer(nco, &mut repeats, |nco| nco.frequency.0).await;
        modules.push(ModuleReport {
            is_asked_for: entry.is_none_or(|entry| entry.module(module.module).is_some()),
            nco_hz,
            error,
            ..ModuleReport::of(module)
        });
    }
    let numbers: Vec<_> = described.modules.iter().map(|one| one.module).collect();
    let has_properties = described.has(OperationKind::Properties);
    let keys = entry.map(|entry| entry.kind.family().properties);
    let keys = keys.filter(|_| has_properties).unwrap_or_default();
    let mut properties = properties::read(board, keys, &numbers).await;
    repeats += properties.count.repeats;
    for module in &mut modules {
        let of_module = properties.of_modules.remove(&module.module);
        module.properties = of_module.unwrap_or_default();
    }
    let missing = entry.and_then(|entry| entry.modules_of(&described).err());
    let Description {
        kind,
        firmware,
        mut doubts,
        lacks,
        ..
    } = described;
    doubts.extend(missing.map(|error| format!("the map does not fit: {}", error.message())));
    Ok(Found {
        kind,
        firmware: (!firmware.is_empty()).then_some(firmware),
        has_clock,
        clock,
        clock_error,
        housekeeping: housekeeping.unwrap_or_default(),
        housekeeping_error,
        modules,
        properties: properties.of_board,
        property_errors: properties.errors,
        board_warnings: properties.count.warnings,
        doubts,
        lacks,
        repeats,
    })
}

/// Returns the answer to a request, or the failure of the request. Returns neither if `question` is
/// `None`, which is the case for an operation that the board does not have.
async fn answer<O: Operation, T>(
    question: Option<Question<O>>,
    repeats: &mut u32,
    read: impl FnOnce(O::Reply<'_>) -> T,
) -> (Option<T>, Option<Failure>) {
    match question {
        Some(question) => question.answer(repeats, read).await,
        None => (None, None),
    }
}

/// A request that runs in a context of its own.
struct Question<O> {
    ticket: Ticket<O>,
    context: JoinHandle<Result<Replies>>,
}

fn ask<O>(board: &BoardHandle, add: impl FnOnce(&mut Batch) -> Ticket<O>) -> Question<O> {
    let mut batch = Batch::new();
    let ticket = add(&mut batch);
    let board = board.clone();
    let context = tworoutine::spawn(async move { board.run(&batch).await });
    Question { ticket, context }
}

impl<O: Operation> Question<O> {
    /// Waits for the answer. Returns either the answer or the failure.
    async fn answer<T>(
        self,
        repeats: &mut u32,
        read: impl FnOnce(O::Reply<'_>) -> T,
    ) -> (Option<T>, Option<Failure>) {
        match self.context.await {
            Ok(Ok(replies)) => {
                *repeats += replies.repeats();
                (Some(read(replies.get(self.ticket))), None)
            }
            Ok(Err(error)) => {
                *repeats += error.repeats();
                (None, Some(Failure::from(&error)))
            }
            Err(failed) => (None, Some(ended(&failed))),
        }
    }
}

/// Returns the failure of a request whose context has ended without an answer.
pub(super) fn ended(ended: &JoinError) -> Failure {
    Failure::from(&Error::new(ErrorKind::Panicked, ended.to_string()))
}

impl ModuleReport {
    /// Returns the report of a module from its description. The frequency of the NCO is not filled
    /// in.
    fn of(module: &ModuleDescription) -> Self {
        let known = |value: f64| value.is_finite().then_some(value);
        Self {
            module: module.module,
            is_asked_for: true,
            channels: module.channels,
            sample_rate_hz: known(module.sample_rate.0),
            nco_hz: None,
            full_scale_dbm: module.full_scale.map(|scale| scale.0),
            properties: properties::Values::new(),
            error: None,
        }
    }
}

impl ClockReport {
    fn of(time: &BoardTime) -> Self {
        Self {
            year: time.year,
            day: time.day,
            second_of_day: time.second_of_day,
            source: Some(time.source.clone()).filter(|source| !source.is_empty()),
            recent: time.recent,
        }
    }
}
