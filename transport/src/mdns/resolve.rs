//! Addresses of names that end in `.local`.
//!
//! The names of all callers are asked for by one task with one socket. The task ends when no caller
//! waits any more.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};
use twotone_wire::mdns::{self, Data, Message, Name, Question, RecordKind, queries};

use super::socket::GroupSocket;
use crate::Interface;

/// Time for which a name is asked for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between the first two queries for a name; it doubles with each further one (RFC 6762,
/// section 5.2).
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// Time after which it is noticed that no caller waits for a name any more.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time for which an address is kept, whatever its record says.
const LONGEST_TTL: Duration = Duration::from_secs(120);
/// Largest number of names whose addresses are kept.
const MOST_NAMES: usize = 8192;
/// Largest number of addresses of a name.
const MOST_ADDRESSES: usize = 16;

type Found = Result<Vec<Ipv4Addr>, Arc<io::Error>>;

/// True if names like `name` are those of multicast DNS: they end in `.local` (RFC 6762, section
/// 3).
pub(crate) fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ending = name.len().checked_sub(".local".len());
    ending.is_some_and(|at| at > 0 && name.as_bytes()[at..].eq_ignore_ascii_case(b".local"))
}

/// Addresses of `name`, if they were found before and their lifetime is not over.
pub(crate) fn cached(name: &str) -> Option<Vec<Ipv4Addr>> {
    let name: Name = name.parse().ok()?;
    let asked = ASKED.lock();
    let (addresses, until) = asked.kept.get(&name)?;
    (*until > Instant::now()).then(|| addresses.clone())
}

/// Forgets the addresses of `name`, so that it is asked for again (RFC 6762, section 10.4).
pub(crate) fn forget(name: &str) {
    if let Ok(name) = name.parse::<Name>() {
        ASKED.lock().kept.remove(&name);
    }
}

/// Asks the hosts of the local network for the IPv4 addresses of `name`, for 3 s. The first answer
/// counts.
///
/// The process-wide runtime drives the socket. If this future is dropped, the name is asked for no
/// more.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if no host answers, or the error of the socket.
pub(crate) async fn resolve(name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let name: Name = name.parse().map_err(io::Error::other)?;
    let found = ASKED.join(name.clone());
    match found.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(io::Error::new(error.kind(), error)),
        // The task has dropped the name at the end of its time.
        Err(_) => {
            let why = format!(
                "no host answered to {name} by multicast DNS within {} s",
                PATIENCE.as_secs()
            );
            Err(io::Error::new(io::ErrorKind::NotFound, why))
        }
    }
}

static ASKED: Asked = Asked::new();

/// Names that are asked for, and addresses that were found.
struct Asked {
    state: Mutex<State>,
    /// Notified of a new name.
    joined: Notify,
}

struct State {
    names: BTreeMap<Name, Waiting>,
    kept: BTreeMap<Name, (Vec<Ipv4Addr>, Instant)>,
    /// True while a task asks.
    is_running: bool,
}

/// Callers that wait for a name.
struct Waiting {
    callers: Vec<oneshot::Sender<Found>>,
    until: Instant,
    /// Time of the next query, and the interval after it.
    next: Instant,
    interval: Duration,
}

impl Asked {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                names: BTreeMap::new(),
                kept: BTreeMap::new(),
                is_running: false,
            }),
            joined: Notify::const_new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a caller to those that wait for a name, and starts the task if it does not run.
    fn join(&'static self, name: Name) -> oneshot::Receiver<Found> {
        let (sender, found) = oneshot::channel();
        let now = Instant::now();
        let mut state = self.lock();
        let waiting = state.names.entry(name).or_insert_with(|| Waiting {
            callers: Vec::new(),
            until: now,
            next: now,
            interval: FIRST_INTERVAL,
        });
        waiting.until = now + PATIENCE;
        waiting.callers.push(sender);
        if !state.is_running {
            state.is_running = true;
            tworoutine::runtime().spawn(self.ask());
        }
        drop(state);
        self.joined.notify_one();
        found
    }

    /// Asks for names until no caller waits.
    async fn ask(&'static self) {
        let opened = Interface::all()
            .map_err(io::Error::other)
            .and_then(|all| GroupSocket::open(&all, mdns::PORT));
        let mut socket = match opened {
            Ok((socket, _)) => socket,
            Err(error) => return self.fail(error),
        };
        loop {
            let Some(due) = self.due() else { return };
            if !due.is_empty()
                && let Err(error) = socket.send(&queries(&due)).await
            {
                return self.fail(error);
            }
            let look = sleep_until(Instant::now() + LOOK);
            tokio::select! {
                () = self.joined.notified() => {}
                () = look => {}
                received = socket.receive() => match received {
                    Ok((bytes, from)) => self.take(bytes, from),
                    Err(error) => return self.fail(error),
                },
            }
        }
    }

    /// Removes the names for which no caller waits. Returns the questions that are due, or `None`
    /// if no name is left, so that the task ends.
    fn due(&self) -> Option<Vec<Question>> {
        let mut state = self.lock();
        let now = Instant::now();
        state.names.retain(|_, waiting| {
            waiting.callers.retain(|caller| !caller.is_closed());
            waiting.until > now && !waiting.callers.is_empty()
        });
        state.kept.retain(|_, (_, until)| *until > now);
        if state.names.is_empty() {
            state.is_running = false;
            return None;
        }
        let mut due = Vec::new();
        for (name, waiting) in &mut state.names {
            if waiting.next <= now {
                waiting.next = now + waiting.interval;
                waiting.interval *= 2;
                due.push(Question {
                    name: name.clone(),
                    kind: RecordKind::A,
                });
            }
        }
        Some(due)
    }

    /// Gives the addresses in an answer to the callers.
    fn take(&self, datagram: &[u8], from: Ipv4Addr) {
        let message = match Message::parse(datagram) {
            Ok(message) if message.is_answer => message,
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%from, %error, "a datagram of multicast DNS is refused");
                return;
            }
        };
        let mut found: BTreeMap<&Name, (Vec<Ipv4Addr>, u32)> = BTreeMap::new();
        for record in &message.records {
            let Data::A(address) = record.data else {
                continue;
            };
            if record.ttl_s == 0 || !is_of_one_host(address, from) {
                continue;
            }
            let (addresses, ttl) = found.entry(&record.name).or_insert((Vec::new(), u32::MAX));
            if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
            *ttl = record.ttl_s.min(*ttl);
        }
        let mut state = self.lock();
        for (name, (addresses, ttl)) in found {
            let Some(waiting) = state.names.remove(name) else {
                continue;
            };
            let ttl = Duration::from_secs(ttl.into()).min(LONGEST_TTL);
            if state.kept.len() < MOST_NAMES {
                let until = Instant::now() + ttl;
                state.kept.insert(name.clone(), (addresses.clone(), until));
            }
            for caller in waiting.callers {
                // The caller may have dropped its future.
                drop(caller.send(Ok(addresses.clone())));
            }
        }
    }

    /// Gives an error to all callers, and ends the task.
    fn fail(&self, error: io::Error) {
        let error = Arc::new(error);
        let mut state = self.lock();
        state.is_running = false;
        for (_, waiting) in std::mem::take(&mut state.names) {
            for caller in waiting.callers {
                drop(caller.send(Err(Arc::clone(&error))));
            }
        }
    }
}

/// True if a host can have this address, by the answer of the host `from`. Only a program on this
/// computer can say that a host is on this computer.
pub(super) fn is_of_one_host(address: Ipv4Addr, from: Ipv4Addr) -> bool {
    let is_several =
        address.is_unspecified() || address.is_multicast() || address == Ipv4Addr::BROADCAST;
    !is_several && (!address.is_loopback() || from.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_multicast_dns_are_told_from_others() {
        for name in ["rfmux0042.local", "RFmux1.LOCAL.", "slot1.crate2.local"] {
            assert!(is_local(name), "{name}");
        }
        for name in [
            "local",
            ".local",
            "",
            "rfmux0042",
            "b1.locale",
            "xlocal",
            "b1.local.lab",
        ] {
            assert!(!is_local(name), "{name}");
        }
    }

    #[test]
    fn only_this_computer_has_hosts_on_loopback() {
        let [lan, own] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::LOCALHOST];
        assert!(is_of_one_host(lan, lan) && is_of_one_host(own, own));
        assert!(is_of_one_host(Ipv4Addr::new(127, 0, 0, 9), own));
        for address in [own, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, mdns::GROUP] {
            assert!(!is_of_one_host(address, lan), "{address}");
        }
    }
}
