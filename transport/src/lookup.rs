//! Look-ups of host names on separate threads.
//!
//! `tokio::net::lookup_host` also looks names up on separate threads, but it panics if the system
//! grants no thread.

mod local;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, thread};

use tokio::sync::oneshot;
use tokio::task::yield_now;
use twotone_hal::{Error, ErrorKind, Result};

use crate::{Host, mdns};

/// Largest number of look-ups that run at the same time. A look-up without an answer takes up to 30
/// s.
const MOST: usize = 64;

/// Largest number of attempts to start a thread while the kernel may still count a thread that has
/// just ended.
const MOST_LOOKS: usize = 100_000;

/// Addresses of `name` with `port`.
///
/// A name that ends in `.local` belongs to multicast DNS. If the system does not know it, or does
/// not answer within 0.2 s, the hosts of the local network are asked for its IPv4 addresses on all
/// interfaces, for 3 s. The answer is kept for the lifetime that it has, and for 2 minutes at most.
/// Other names are not asked for in this way.
///
/// Concurrent calls for the same name and port share one look-up. At most 64 look-ups run at the
/// same time, or fewer if the system grants no more threads; others wait.
///
/// If this future is dropped, a look-up that has begun runs to its end. A look-up that has not
/// begun is removed if no other caller waits for it.
///
/// # Errors
/// The error of the system for the name, with that of multicast DNS, or an error if the system
/// grants no thread while no other look-up is under way.
pub async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    static OF_PROCESS: LookUps<fn(&str, u16) -> Found> =
        LookUps::new(|name, port| Ok((name, port).to_socket_addrs()?.collect()));
    if let Ok(ip) = name.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let system = OF_PROCESS.look_up(name, port);
    match mdns::is_local(name) {
        true => local::look_up(name, port, system).await,
        false => system.await,
    }
}

/// The IPv4 address of `host`, which sample streams need.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the host is not found, or has no IPv4 address.
pub async fn look_up_ipv4(host: &Host) -> Result<Ipv4Addr> {
    let unreachable = |why: &str| Error::new(ErrorKind::Unreachable, format!("{host} {why}"));
    let found = look_up(host.name(), host.port()).await;
    let found = found.map_err(|error| unreachable("is not found").caused_by(error))?;
    let address = found.iter().find_map(|found| match found.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    address.ok_or_else(|| unreachable("has no IPv4 address, and sample streams need one"))
}

/// Forgets the addresses of a name that multicast DNS has found, unless one of them is reached
/// before this value is dropped. An attempt to connect may be given up before it fails.
pub(crate) struct ForgetUnlessReached(Option<String>);

impl ForgetUnlessReached {
    pub(crate) fn new(name: String) -> Self {
        Self(Some(name))
    }

    pub(crate) fn reached(mut self) {
        self.0 = None;
    }
}

impl Drop for ForgetUnlessReached {
    fn drop(&mut self) {
        if let Some(name) = &self.0 {
            mdns::forget(name);
        }
    }
}

type Found = io::Result<Vec<SocketAddr>>;
type Shared = Result<Vec<SocketAddr>, Arc<io::Error>>;
/// A name and a port.
type Key = (String, u16);

/// Look-ups that are under way or queued, with the function that looks a name up.
struct LookUps<F> {
    system: F,
    state: Mutex<State>,
}

struct State {
    /// Callers that wait for each look-up.
    asked: BTreeMap<Key, Vec<oneshot::Sender<Shared>>>,
    /// The look-ups that have not begun.
    queue: VecDeque<Key>,
    /// Number of threads that look names up.
    threads: usize,
    /// Paths in `/proc` of threads that have ended. While such a path exists, the kernel still
    /// counts the thread.
    ended: Vec<PathBuf>,
}

impl<F: Fn(&str, u16) -> Found + Send + Sync + 'static> LookUps<F> {
    const fn new(system: F) -> Self {
        let state = State {
            asked: BTreeMap::new(),
            queue: VecDeque::new(),
            threads: 0,
            ended: Vec::new(),
        };
        Self {
            system,
            state: Mutex::new(state),
        }
    }

    async fn look_up(&'static self, name: &str, port: u16) -> Found {
        let found = self.join((name.to_owned(), port));
        let mut looks = 0;
        while let Err((error, may_change)) = self.start_thread() {
            if looks == MOST_LOOKS || !may_change {
                let why = format!(
                    "the system grants no thread to look the name up ({error}): raise the limit of \
                     threads (`ulimit -u`, or `TasksMax=` of systemd), or give the IP address"
                );
                return Err(io::Error::new(error.kind(), why));
            }
            looks += 1;
            yield_now().await;
        }
        let found = found.await.map_err(io::Error::other)?;
        found.map_err(|error| io::Error::new(error.kind(), error))
    }

    /// Joins the look-up of this name and port, or queues such a look-up.
    fn join(&self, key: Key) -> oneshot::Receiver<Shared> {
        let (sender, found) = oneshot::channel();
        let mut state = self.state();
        if let Some(asking) = state.asked.get_mut(&key) {
            asking.retain(|sender| !sender.is_closed());
            asking.push(sender);
        } else {
            state.queue.push_back(key.clone());
            state.asked.insert(key, vec![sender]);
        }
        found
    }

    /// Starts a thread if a look-up waits and fewer than [`MOST`] threads run.
    ///
    /// # Errors
    /// If the system grants no thread and none runs. The flag is true if the kernel may have
    /// counted a thread that has ended, so that another attempt may succeed.
    fn start_thread(&'static self) -> Result<(), (io::Error, bool)> {
        let mut state = self.state();
        if state.queue.is_empty() || state.threads >= MOST {
            return Ok(());
        }
        // The check comes before the attempt: after a refusal, the path of the ended thread may no
        // longer exist.
        let may_change = state.has_lingering();
        let thread = thread::Builder::new().name("look-up".to_owned());
        match thread.spawn(|| self.look_up_queued()) {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads == 0 => return Err((error, may_change)),
            Err(_) => {}
        }
        Ok(())
    }

    /// Looks names up until the queue is empty. It runs on a separate thread.
    fn look_up_queued(&self) {
        let place = fs::read_link("/proc/thread-self").ok();
        let mut state = self.state();
        while let Some(key) = state.next() {
            drop(state);
            let found = (self.system)(&key.0, key.1).map_err(Arc::new);
            state = self.state();
            for asking in state.asked.remove(&key).unwrap_or_default() {
                // The caller may have dropped its future.
                drop(asking.send(found.clone()));
            }
        }
        state.threads -= 1;
        let place = place.map(|place| Path::new("/proc").join(place));
        state.ended.retain(|place| place.exists());
        state.ended.extend(place);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes and returns the next look-up that a caller still waits for. Look-ups before it,
    /// which no caller waits for, are removed, too.
    fn next(&mut self) -> Option<Key> {
        loop {
            let key = self.queue.pop_front()?;
            let asking = self.asked.get(&key);
            if asking.is_some_and(|all| all.iter().any(|sender| !sender.is_closed())) {
                return Some(key);
            }
            self.asked.remove(&key);
        }
    }

    /// True if the kernel may still count a thread that has ended.
    fn has_lingering(&mut self) -> bool {
        self.ended.retain(|place| place.exists());
        !self.ended.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use futures::future::{FutureExt, join_all};

    use super::*;

    /// Fake resolver that records the names and answers them only after
    /// [`Slow::answers_from_now_on`].
    #[derive(Default)]
    struct Slow {
        state: Mutex<(bool, Vec<Key>)>,
        changed: Condvar,
    }

    impl Slow {
        fn answer(&self, name: &str, port: u16) -> Found {
            let mut state = self.state.lock().unwrap();
            state.1.push((name.to_owned(), port));
            self.changed.notify_all();
            let answers = |state: &mut (bool, _)| !state.0;
            drop(self.changed.wait_while(state, answers).unwrap());
            match name.starts_with("no-") {
                true => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
                false => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            }
        }

        fn answers_from_now_on(&self) {
            self.state.lock().unwrap().0 = true;
            self.changed.notify_all();
        }

        /// Waits until at least `count` names were asked for, and returns them.
        fn asked(&self, count: usize) -> Vec<Key> {
            let state = self.state.lock().unwrap();
            let few = |state: &mut (_, Vec<Key>)| state.1.len() < count;
            self.changed.wait_while(state, few).unwrap().1.clone()
        }
    }

    type System = Box<dyn Fn(&str, u16) -> Found + Send + Sync>;

    fn slow() -> (&'static Slow, &'static LookUps<System>) {
        let slow: &Slow = Box::leak(Box::default());
        let system: System = Box::new(|name, port| slow.answer(name, port));
        (slow, Box::leak(Box::new(LookUps::new(system))))
    }

    #[tokio::test]
    async fn names_without_an_answer_have_few_threads() {
        let (slow, look_ups) = slow();
        let names: Vec<_> = (0..1000).map(|name| format!("board-{name}")).collect();
        let asking = names.iter().map(|name| look_ups.look_up(name, 80).boxed());
        let mut asking: Vec<_> = asking.collect();
        for one in &mut asking {
            assert!(one.now_or_never().is_none());
        }
        slow.asked(MOST);
        assert_eq!(look_ups.state().threads, MOST);
        slow.answers_from_now_on();
        assert!(join_all(asking).await.iter().all(Result::is_ok));
        assert_eq!(slow.asked(1000).len(), 1000);
    }

    #[tokio::test]
    async fn those_who_ask_the_same_share_one_look_up() {
        let (slow, look_ups) = slow();
        let keys = [("a", 80), ("a", 81), ("b", 80), ("no-c", 80)];
        let asking = keys.iter().cycle().take(400);
        let mut asking: Vec<_> = asking
            .map(|(name, port)| look_ups.look_up(name, *port).boxed())
            .collect();
        for one in &mut asking {
            assert!(one.now_or_never().is_none());
        }
        // Half of the callers drop their futures. The others still get their answers.
        let again = asking.split_off(200);
        drop(again);
        slow.answers_from_now_on();
        for (found, (name, port)) in join_all(asking).await.iter().zip(keys.iter().cycle()) {
            match found {
                Ok(found) => assert_eq!(found[..], [SocketAddr::from(([127, 0, 0, 1], *port))]),
                Err(error) => {
                    assert_eq!(*name, "no-c");
                    assert_eq!(error.kind(), io::ErrorKind::NotFound);
                    assert_eq!(error.to_string(), "no such name");
                }
            }
        }
        assert_eq!(slow.asked(4).len(), 4);
        // Afterwards a name is looked up anew.
        assert!(look_ups.look_up("a", 80).await.is_ok());
        assert_eq!(slow.asked(5).len(), 5);
    }

    #[tokio::test]
    async fn a_look_up_without_a_waiting_caller_is_not_begun() {
        let (slow, look_ups) = slow();
        let names: Vec<_> = (0..MOST + 100).map(|name| format!("{name}")).collect();
        let asking = names.iter().map(|name| look_ups.look_up(name, 80).boxed());
        let mut asking: Vec<_> = asking.collect();
        for one in &mut asking {
            assert!(one.now_or_never().is_none());
        }
        slow.asked(MOST);
        asking.truncate(MOST + 1);
        slow.answers_from_now_on();
        assert!(join_all(asking).await.iter().all(Result::is_ok));
        assert_eq!(slow.asked(0).len(), MOST + 1);
        assert!(look_ups.state().asked.is_empty());
    }
}
