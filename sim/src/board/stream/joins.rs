//! Search for the receivers that have joined the multicast streams of simulated boards. The
//! receivers are on the same machine as the boards, so the lists of its kernel show them.
//!
//! A receiver joins a multicast group either with the address of one source, or without naming a
//! source. Linux lists the joined sources in `/proc/net/mcfilter`, and the number of members of
//! each group in `/proc/net/igmp`. Neither list has ports.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Streaming;

/// Time between two readings of the lists.
const PERIOD: Duration = Duration::from_millis(250);

/// Network interface of the streams.
const LOOPBACK: &str = "lo";

/// Address of a board, and the switch of its streams.
pub(crate) type StreamSwitch = (Ipv4Addr, watch::Sender<bool>);

/// Switches on the streams of boards that have receivers, and switches off the streams of the other
/// boards. Switches nothing if the boards send always or never. Never returns. One task with this
/// function serves all boards of a farm (a group of simulated boards).
pub(crate) async fn watch(streaming: Streaming, group: Ipv4Addr, boards: Vec<StreamSwitch>) {
    match streaming {
        Streaming::WhenJoined => follow(|| Listeners::read(group), &boards, false).await,
        Streaming::WhenAnyJoined => follow(|| Listeners::read(group), &boards, true).await,
        Streaming::Always | Streaming::Never => {}
    }
    // The tasks of the boards end when the sending ends of their channels are dropped, so this task
    // must not end.
    std::future::pending().await
}

async fn follow(
    mut read: impl FnMut() -> std::io::Result<Listeners>,
    boards: &[StreamSwitch],
    any_source: bool,
) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut to_any, mut is_logged) = (false, false);
    loop {
        period.tick().await;
        // The kernel generates these files, so a blocking read does not wait for a disk.
        let listeners = match read() {
            Ok(listeners) => listeners,
            Err(error) => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::warn!(%error, "joins cannot be seen: boards send on as they did");
                }
                continue;
            }
        };
        // A join that names no source shows only as a difference of the two lists. The lists are
        // not read at the same moment, so a single difference may be wrong. It must be found twice
        // in succession.
        let to_all = std::mem::replace(&mut to_any, any_source && listeners.to_any) && to_any;
        for (address, wanted) in boards {
            let listening = to_all || listeners.sources.contains_key(address);
            wanted.send_if_modified(|wanted| std::mem::replace(wanted, listening) != listening);
        }
    }
}

/// Receivers that have joined a multicast group on the loopback interface.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listeners {
    /// True if a member has joined without naming a source.
    to_any: bool,
    /// Number of receivers that have joined each source.
    sources: HashMap<Ipv4Addr, u64>,
}

impl Listeners {
    fn read(group: Ipv4Addr) -> std::io::Result<Self> {
        const SOURCES: &str = "/proc/net/mcfilter";
        let before = std::fs::read_to_string(SOURCES)?;
        let groups = std::fs::read_to_string("/proc/net/igmp")?;
        let after = std::fs::read_to_string(SOURCES)?;
        Ok(Self::parse(group, &groups, [&before, &after]))
    }

    /// Counts the receivers. The list of sources is read before and after the list of groups, so
    /// that a receiver that joins or leaves between the readings is in one of them.
    fn parse(group: Ipv4Addr, groups: &str, sources: [&str; 2]) -> Self {
        let mut listeners = Self::default();
        for text in sources {
            for (source, count) in text.lines().skip(1).filter_map(|line| joined(group, line)) {
                let most = listeners.sources.entry(source).or_default();
                *most = count.max(*most);
            }
        }
        // A member that has joined without naming a source is not in the list of sources.
        listeners.to_any = members(group, groups) > listeners.sources.values().sum();
        listeners
    }
}

/// Reads a line of the list of sources. Returns the source and the number of its receivers if the
/// line is about this group on the loopback interface.
fn joined(group: Ipv4Addr, line: &str) -> Option<(Ipv4Addr, u64)> {
    let mut fields = line.split_whitespace().skip(1);
    let on_loopback = fields.next()? == LOOPBACK;
    let in_group = host_order(fields.next()?)? == group;
    let (source, including) = (host_order(fields.next()?)?, fields.next()?.parse().ok()?);
    (on_loopback && in_group && including > 0).then_some((source, including))
}

/// Returns the number of members of a group on the loopback interface. In the list, the line of an
/// interface is not indented, and the lines of its groups follow it.
fn members(group: Ipv4Addr, groups: &str) -> u64 {
    let mut on_loopback = false;
    let mut members = 0;
    for line in groups.lines().skip(1) {
        let mut fields = line.split_whitespace();
        if line.starts_with(|c: char| !c.is_whitespace()) {
            on_loopback = fields.nth(1) == Some(LOOPBACK);
        } else if on_loopback && fields.next().and_then(network_order) == Some(group) {
            let count = fields.next().and_then(|count| count.parse().ok());
            members += count.unwrap_or(0);
        }
    }
    members
}

/// Parses an address in the form `0xefc00002`.
fn host_order(text: &str) -> Option<Ipv4Addr> {
    let digits = text.strip_prefix("0x")?;
    u32::from_str_radix(digits, 16).ok().map(Ipv4Addr::from)
}

/// Parses an address in the form `0200C0EF`: its four bytes as an integer in the byte order of this
/// machine.
fn network_order(text: &str) -> Option<Ipv4Addr> {
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 0, 2);

    const FILTERS: &str = "\
Idx Device        MCA        SRC    INC    EXC
  1     lo 0xefc00002 0x7f000002      1      0
  1     lo 0xefc00002 0x7f000304      2      0
  1     lo 0xefc00002 0x7f000009      0      1
  1     lo 0xefc00003 0x7f000005      1      0
  4   eth0 0xefc00002 0x7f000006      1      0
";

    fn groups(members: u64) -> String {
        // The kernel writes the address as a number in the byte order of this machine.
        let group = u32::from_ne_bytes(GROUP.octets());
        format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     2      V3\n\
             \t\t\t\t{group:08X}     {members} 0:00000000\t\t0\n\
             \t\t\t\t010000E0     1 0:00000000\t\t0\n\
             4\teth0      :     1      V3\n\
             \t\t\t\t{group:08X}     9 0:00000000\t\t0\n"
        )
    }

    #[test]
    fn sources_are_those_joined_on_loopback_for_the_group() {
        let check = |filters: &str, members: u64, address: [u8; 4], want: bool| {
            let listeners = Listeners::parse(GROUP, &groups(members), [filters, ""]);
            assert_eq!(
                listeners,
                Listeners::parse(GROUP, &groups(members), ["", filters])
            );
            let listening = listeners.to_any || listeners.sources.contains_key(&address.into());
            assert_eq!(listening, want, "{address:?} {members}");
        };
        check(FILTERS, 3, [127, 0, 0, 2], true);
        check(FILTERS, 3, [127, 0, 3, 4], true);
        check(FILTERS, 3, [127, 0, 0, 9], false);
        check(FILTERS, 3, [127, 0, 0, 5], false);
        check(FILTERS, 3, [127, 0, 0, 6], false);
        // The group has one member more than there are joined sources.
        check(FILTERS, 4, [127, 0, 0, 6], true);
        check("", 1, [127, 0, 0, 6], true);
        check("", 0, [127, 0, 0, 6], false);
    }

    #[tokio::test(start_paused = true)]
    async fn joins_are_seen_again_after_they_could_not_be() {
        let address = Ipv4Addr::new(127, 0, 0, 2);
        let (wanted, mut is_wanted) = watch::channel(false);
        let boards = [(address, wanted)];
        let mut reads = 0;
        let read = || {
            reads += 1;
            match reads {
                2..5 => Err(std::io::Error::other("too many open files")),
                _ => Ok(Listeners::parse(GROUP, "", [FILTERS, ""])),
            }
        };
        let following = follow(read, &boards, false);
        let seen = async {
            is_wanted.changed().await.unwrap();
            assert!(*is_wanted.borrow_and_update());
            // The switch was changed in the meantime. The next successful reading corrects it.
            boards[0].1.send_replace(false);
            is_wanted.mark_unchanged();
            let putting_right = tokio::time::timeout(8 * PERIOD, is_wanted.changed()).await;
            putting_right.expect("it still looks").unwrap();
            assert!(*is_wanted.borrow());
        };
        tokio::select! {
            () = following => panic!("it has ended"),
            () = seen => {}
        }
    }

    #[test]
    fn a_text_that_cannot_be_parsed_has_no_listeners() {
        for text in [
            "",
            "\n\n",
            "Idx\n1\n",
            "Idx\n 1 lo 0x 0x\n",
            "Idx\n1 lo\n\tzz 1\n",
        ] {
            assert_eq!(
                Listeners::parse(GROUP, text, [text, text]),
                Listeners::default()
            );
        }
    }
}
