//! Addresses of names that end in `.local`.
//!
//! The names of all callers are asked for by one task with one socket. The task ends when no caller
//! waits any more.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};
use twotone_wire::mdns::{self, Data, Message, Name, Question, RecordKind, queries};

use super::{FIRST_INTERVAL, MOST_ADDRESSES};
use crate::Interface;
use crate::group::GroupSocket;

/// Time for which a name is asked for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time after which it is noticed that no caller waits for a name any more.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time for which an address is kept, whatever its record says.
const LONGEST_TTL: Duration = Duration::from_secs(120);
/// Largest number of names whose addresses are kept.
const MOST_NAMES: usize = 8192;

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
    ASKED.lock().cached(&name, Instant::now())
}

/// Forgets the addresses of `name`, so that it is asked for again (RFC 6762, section 10.4).
pub(crate) fn forget(name: &str) {
    if let Ok(name) = name.parse() {
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
/// [`io::ErrorKind::NotFound`] if no host answers, with the interfaces that could not be used, or
/// the error of the socket.
pub(crate) async fn resolve(name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let name: Name = name.parse().map_err(io::Error::other)?;
    let found = ASKED.join(name.clone());
    match found.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(io::Error::new(error.kind(), error)),
        // The task has dropped this caller at the end of its time.
        Err(_) => {
            let mut why = format!(
                "no host answered to {name} by multicast DNS within {} s",
                PATIENCE.as_secs()
            );
            if let Some(failed) = &ASKED.lock().failed {
                why += &format!(", which cannot be used on {failed}");
            }
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

/// The state of the questions. Time is an argument.
struct State {
    names: BTreeMap<Name, Waiting>,
    kept: BTreeMap<Name, (Vec<Ipv4Addr>, Instant)>,
    /// Interfaces on which the last questions could not be asked, as text.
    failed: Option<String>,
    /// True while a task asks.
    is_running: bool,
}

/// Callers that wait for a name, each until a time.
#[derive(Default)]
struct Waiting {
    callers: Vec<(oneshot::Sender<Found>, Instant)>,
    /// Time of the last query, and the interval after it.
    asked: Option<Instant>,
    interval: Duration,
}

impl Asked {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State::new()),
            joined: Notify::const_new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a caller to those that wait for a name, and starts the task if it does not run.
    fn join(&'static self, name: Name) -> oneshot::Receiver<Found> {
        let mut state = self.lock();
        let found = state.join(name, Instant::now());
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
        let at = SocketAddrV4::new(mdns::GROUP, mdns::PORT);
        let mut socket = match GroupSocket::open(at, mdns::LONGEST_MESSAGE) {
            Ok(socket) => socket,
            Err(error) => return self.fail(error),
        };
        loop {
            let Some(due) = self.lock().due(Instant::now()) else {
                return;
            };
            if !due.is_empty() {
                // A network may come, or go, after the first question.
                match Interface::all() {
                    Ok(all) => socket.join(&all),
                    Err(error) => return self.fail(io::Error::other(error)),
                }
                socket.send(&queries(&due)).await;
                self.lock().failed = socket.failed();
            }
            let mut look = pin!(sleep_until(Instant::now() + LOOK));
            loop {
                tokio::select! {
                    biased;
                    () = &mut look => break,
                    () = self.joined.notified() => break,
                    received = socket.receive() => match received {
                        Ok((bytes, from)) => self.lock().take(bytes, from, Instant::now()),
                        Err(error) => return self.fail(error),
                    },
                }
            }
        }
    }

    /// Gives an error to all callers, and ends the task.
    fn fail(&self, error: io::Error) {
        let error = Arc::new(error);
        let mut state = self.lock();
        state.is_running = false;
        for (_, waiting) in std::mem::take(&mut state.names) {
            for (caller, _) in waiting.callers {
                drop(caller.send(Err(Arc::clone(&error))));
            }
        }
    }
}

impl State {
    const fn new() -> Self {
        Self {
            names: BTreeMap::new(),
            kept: BTreeMap::new(),
            failed: None,
            is_running: false,
        }
    }

    fn cached(&self, name: &Name, now: Instant) -> Option<Vec<Ipv4Addr>> {
        let (addresses, until) = self.kept.get(name)?;
        (*until > now).then(|| addresses.clone())
    }

    /// Adds a caller to those that wait for a name. The next question comes as soon after the last
    /// one as for the first caller.
    fn join(&mut self, name: Name, now: Instant) -> oneshot::Receiver<Found> {
        let (sender, found) = oneshot::channel();
        let waiting = self.names.entry(name).or_default();
        waiting.interval = FIRST_INTERVAL;
        waiting.callers.push((sender, now + PATIENCE));
        found
    }

    /// Removes the callers that wait no more. Returns the questions that are due, or `None` if no
    /// caller is left, so that the task ends.
    fn due(&mut self, now: Instant) -> Option<Vec<Question>> {
        self.names.retain(|_, waiting| {
            let callers = &mut waiting.callers;
            callers.retain(|(caller, until)| *until > now && !caller.is_closed());
            !callers.is_empty()
        });
        self.kept.retain(|_, (_, until)| *until > now);
        if self.names.is_empty() {
            self.is_running = false;
            return None;
        }
        let mut due = Vec::new();
        for (name, waiting) in &mut self.names {
            if waiting
                .asked
                .is_some_and(|asked| asked + waiting.interval > now)
            {
                continue;
            }
            if waiting.asked.replace(now).is_some() {
                waiting.interval *= 2;
            }
            due.push(Question {
                name: name.clone(),
                kind: RecordKind::A,
            });
        }
        Some(due)
    }

    /// Gives the addresses in an answer to the callers.
    fn take(&mut self, datagram: &[u8], from: Ipv4Addr, now: Instant) {
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
        for (name, (addresses, ttl)) in found {
            let Some(waiting) = self.names.remove(name) else {
                continue;
            };
            let ttl = Duration::from_secs(ttl.into()).min(LONGEST_TTL);
            if self.kept.len() < MOST_NAMES {
                self.kept
                    .insert(name.clone(), (addresses.clone(), now + ttl));
            }
            for (caller, _) in waiting.callers {
                // The caller may have dropped its future.
                drop(caller.send(Ok(addresses.clone())));
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
    use tokio::sync::oneshot::error::TryRecvError;

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

    fn answer(name: &Name, ttl_s: u32) -> Vec<u8> {
        let record = mdns::Record {
            name: name.clone(),
            ttl_s,
            data: Data::A(LAN),
        };
        let message = Message {
            id: 0,
            is_answer: true,
            questions: Vec::new(),
            records: vec![record],
        };
        message.emit().unwrap()
    }

    const LAN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    /// Times in milliseconds, up to `until`, at which a question is due.
    fn asked(state: &mut State, start: Instant, until: u64) -> Vec<u64> {
        let mut times = Vec::new();
        for now in (0..=until).step_by(100) {
            let due = state.due(start + Duration::from_millis(now));
            times.extend(due.into_iter().flatten().map(|_| now));
        }
        times
    }

    #[test]
    fn a_name_is_asked_for_at_once_and_after_one_second() {
        let (mut state, start) = (State::new(), Instant::now());
        let _found = state.join("a.local".parse().unwrap(), start);
        assert_eq!(asked(&mut state, start, 5000), [0, 1000]);
        assert!(state.names.is_empty());
    }

    #[test]
    fn each_caller_has_its_own_time_and_its_questions() {
        let (mut state, start) = (State::new(), Instant::now());
        let name: Name = "a.local".parse().unwrap();
        let mut first = state.join(name.clone(), start);
        assert_eq!(asked(&mut state, start, 1500), [0, 1000]);
        let at = |millis| start + Duration::from_millis(millis);
        let mut second = state.join(name.clone(), at(1600));
        let due = state.due(at(2000)).unwrap();
        assert_eq!(due.len(), 1, "1 s after the last question, not 2 s");
        assert!(state.due(at(3000)).is_some());
        assert_eq!(first.try_recv().unwrap_err(), TryRecvError::Closed);
        assert_eq!(second.try_recv().unwrap_err(), TryRecvError::Empty);
        state.take(&answer(&name, 9), LAN, at(3000));
        assert_eq!(second.try_recv().unwrap().unwrap(), [LAN]);
        assert_eq!(state.due(at(3000)), None);
    }

    #[test]
    fn an_address_is_kept_for_its_lifetime() {
        let (mut state, start) = (State::new(), Instant::now());
        for (name, ttl_s, longest) in [("short.local", 1, 1), ("long.local", 4500, 120)] {
            let name = name.parse().unwrap();
            let _found = state.join(Name::clone(&name), start);
            state.take(&answer(&name, ttl_s), LAN, start);
            let until = start + Duration::from_secs(longest);
            let before = until - Duration::from_millis(1);
            assert_eq!(state.cached(&name, before), Some(vec![LAN]));
            assert_eq!(state.cached(&name, until), None);
        }
    }

    #[test]
    fn a_caller_that_gives_up_ends_the_questions() {
        let (mut state, start) = (State::new(), Instant::now());
        drop(state.join("a.local".parse().unwrap(), start));
        let _found = state.join("b.local".parse().unwrap(), start);
        let due = state.due(start).unwrap();
        assert_eq!(due.len(), 1, "{due:?}");
        assert_eq!(due[0].name.as_str(), "b.local");
    }

    #[test]
    fn only_this_computer_has_hosts_on_loopback() {
        let [lan, own] = [LAN, Ipv4Addr::LOCALHOST];
        assert!(is_of_one_host(lan, lan) && is_of_one_host(own, own));
        assert!(is_of_one_host(Ipv4Addr::new(127, 0, 0, 9), own));
        for address in [own, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, mdns::GROUP] {
            assert!(!is_of_one_host(address, lan), "{address}");
        }
    }
}
