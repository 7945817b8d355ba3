//! Look-ups of names, each on a thread of its own.
//!
//! Tokio has such threads too, but panics where the system grants it none.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{Notify, oneshot};

/// Number of look-ups under way, and a sign of the end of each.
static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static ENDED: Notify = Notify::const_new();

/// Addresses of `name` with `port`. Where the system grants no thread for one more look-up, it waits
/// for one of the others to end.
///
/// Dropped while it waits, the look-up runs to its end, unwatched.
///
/// # Errors
/// The system's answer for the name, and where it grants no thread even though no other look-up is
/// under way.
pub async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = name.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    loop {
        let ended = ENDED.notified();
        let (sender, found) = oneshot::channel();
        let name = name.to_owned();
        let started = start(move || {
            let addresses = (name.as_str(), port).to_socket_addrs();
            // Whoever asked may have gone.
            drop(sender.send(addresses.map(Iterator::collect)));
        });
        match started {
            Started::Yes => return found.await.map_err(io::Error::other)?,
            Started::Later => ended.await,
            Started::Never(error) => {
                let why = format!(
                    "the system grants no thread to look the name up ({error}): raise the limit of \
                     threads (`ulimit -u`, or `TasksMax=` of systemd), or give the IP address"
                );
                return Err(io::Error::new(error.kind(), why));
            }
        }
    }
}

enum Started {
    Yes,
    /// Not before another look-up has ended.
    Later,
    Never(io::Error),
}

fn start(look_up: impl FnOnce() + Send + 'static) -> Started {
    let mut under_way = under_way();
    let thread = thread::Builder::new().name("look-up".to_owned());
    let started = thread.spawn(move || {
        look_up();
        *self::under_way() -= 1;
        ENDED.notify_waiters();
    });
    match started {
        Ok(_) => {
            *under_way += 1;
            Started::Yes
        }
        Err(_) if *under_way > 0 => Started::Later,
        Err(error) => Started::Never(error),
    }
}

fn under_way() -> MutexGuard<'static, usize> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}
