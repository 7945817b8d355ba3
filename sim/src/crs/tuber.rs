//! Methods and properties of a board.

mod analog;
mod call;
mod housekeeping;
pub(super) mod names;
mod samples;
mod simulator;
mod table;
mod timing;
mod tones;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use twotone_wire::tuber::{
    Args, Dispatch, Fault, Head, Interface, Invocation, Limits, Method, Reply, Server, Service,
    Slot,
};

use self::call::{Call, Waiting};
use self::simulator::Simulator;
pub(super) use self::table::METHODS;
use super::Crs;
use crate::board::Held;
use crate::fault::OnCall;

/// Name of the object for the simulator itself. A real board does not have it.
pub(crate) const SIMULATOR_NAME: &str = "Sim";

/// Encoded answer.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl Crs {
    /// Executes a request. Returns the answer, or the reason why there is none yet.
    pub(super) async fn run(&self, head: Head<'_>, body: &[u8]) -> Result<Encoded, Held> {
        let answer = run(self, head, body).await;
        self.board.calls_made();
        answer
    }
}

/// Executes the calls of a request one after the other. Each call takes the time that it takes on
/// the board. Returns the answer, or the reason why there is none yet.
async fn run(crs: &Crs, head: Head<'_>, body: &[u8]) -> Result<Encoded, Held> {
    let mut server = Server::new(Limits::REQUEST);
    let mut out = BytesMut::new();
    let mut objects = Objects {
        crs,
        request: crs.board.next_request(),
        cost: Duration::ZERO,
        stuck: None,
        counted: false,
        waiting: None,
    };
    let mut exchange = server.open(&head, body, &mut out);
    // Timers have a lower resolution than the time of a call. So the sleeps follow a schedule:
    // after a sleep that was too long, the next sleeps are shorter.
    let mut due = Instant::now();
    while exchange.step(&mut objects, &mut out) {
        if let Some(held) = objects.stuck {
            return Err(held);
        }
        if let Some(waiting) = &objects.waiting {
            crs.board.clock().wait_until(waiting.until_s).await;
            due = due.max(Instant::now());
            exchange.take_back(&mut out);
            continue;
        }
        let cost = std::mem::take(&mut objects.cost);
        if cost > Duration::ZERO {
            due += cost;
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
        }
    }
    let format = exchange.close(&mut out);
    if objects.counted {
        crs.board.tally().request(body.len(), out.len());
    }
    Ok(Encoded {
        content_type: format.content_type(),
        body: out.freeze(),
    })
}

/// Objects of a board, during one request.
struct Objects<'b> {
    crs: &'b Crs,
    /// Number of the request.
    request: u64,
    /// Time that the last call takes on the board.
    cost: Duration,
    /// Set if a fault has stopped the board in the middle of the request.
    stuck: Option<Held>,
    /// True if the request used an object other than [`SIMULATOR_NAME`].
    counted: bool,
    /// Samples for which the last call waits. The call is made again when they are due.
    waiting: Option<Waiting<'b>>,
}

impl Objects<'_> {
    fn simulator(&self, object: &str) -> Option<Simulator<'_>> {
        (object == SIMULATOR_NAME).then_some(Simulator(self.crs))
    }
}

impl Dispatch for Objects<'_> {
    fn objects(&self) -> Vec<String> {
        vec![table::BOARD.name.to_owned(), SIMULATOR_NAME.to_owned()]
    }

    fn describe(&mut self, object: &str, resolve: bool, slot: Slot<'_>) -> Result<(), Fault> {
        match self.simulator(object) {
            Some(mut simulator) => simulator.describe(object, resolve, slot),
            None => {
                self.counted = true;
                Served(self).describe(object, resolve, slot)
            }
        }
    }

    fn property(&mut self, object: &str, property: &str, slot: Slot<'_>) -> Result<(), Fault> {
        match self.simulator(object) {
            Some(mut simulator) => Dispatch::property(&mut simulator, object, property, slot),
            None => {
                self.counted = true;
                Dispatch::property(&mut Served(self), object, property, slot)
            }
        }
    }

    fn call(&mut self, call: &Invocation<'_>, reply: Reply<'_>) -> Result<(), Fault> {
        match self.simulator(call.object) {
            Some(mut simulator) => Dispatch::call(&mut simulator, call, reply),
            None => {
                self.counted = true;
                Dispatch::call(&mut Served(self), call, reply)
            }
        }
    }
}

/// The object of the board itself.
struct Served<'o, 'b>(&'o mut Objects<'b>);

impl Service for Served<'_, '_> {
    fn interface(&self) -> &'static Interface {
        &table::BOARD
    }

    fn call(
        &mut self,
        method: &'static Method,
        args: &Args<'_>,
        reply: Reply<'_>,
    ) -> Result<(), Fault> {
        let objects = &mut *self.0;
        let (crs, board) = (objects.crs, &objects.crs.board);
        let Some(index) = table::find(method.name) else {
            return Err(Fault::no_attribute(table::BOARD.name, method.name));
        };
        let mut call = Call::new(crs, *args, objects.request);
        call.waiting = objects.waiting.take();
        let (number, fate) = if call.waiting.is_some() {
            // The call was counted and the faults decided about it when it began to wait.
            (0, OnCall::Run)
        } else {
            board.tally().call(index);
            board.on_call(method.name)
        };
        let outcome = match fate {
            OnCall::Run => {
                let (slot, warnings) = reply.split();
                let outcome = (table::RUN[index])(&mut call, slot);
                warnings.append(&mut call.warnings);
                outcome
            }
            OnCall::Fail(message) => Err(Fault::runtime(message)),
            OnCall::Answer(text) => {
                reply.slot().str(text);
                Ok(())
            }
            OnCall::Hang => {
                objects.stuck = Some(Held::Call(method.name, number));
                Ok(())
            }
            OnCall::Reboot(down) => {
                crs.reboot(down);
                objects.stuck = Some(Held::Connection);
                Ok(())
            }
        };
        if call.waiting.is_some() {
            objects.waiting = call.waiting;
            return Ok(());
        }
        let acquired_s = if board.clock().is_running() {
            call.acquired_s
        } else {
            0.0
        };
        objects.cost += board.time().cost(acquired_s);
        outcome
    }
}
