//! Limits that Linux sets on the number of threads. To find out if threads are granted, the crate
//! can start them on trial. It does so only if such a limit is near or is not known.

/// Smallest ratio of the number of threads that a limit still allows to the number of threads to
/// start. If all limits have this ratio or more, no thread is started on trial. The ratio is large,
/// to leave room for threads that other processes start at the same time.
const SHARE: u64 = 4;
/// Number of memory mappings of a thread: its stack, its signal stack and its heap, each with a
/// guard page.
const MAPPINGS: u64 = 6;

/// True if every limit on threads is known and allows [`SHARE`] times `threads` more threads.
///
/// False if the limits cannot be read, as on systems other than Linux. Also false if the memory is
/// limited, because the memory that a thread takes is not known.
pub(crate) fn is_ample(threads: usize) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    Limits { read: &read }.allow(threads as u64).is_some()
}

/// Reader of the limits in the kernel's files.
struct Limits<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
}

impl Limits<'_> {
    /// Returns `Some` if every limit is known and allows [`SHARE`] times `threads` more threads.
    fn allow(&self, threads: u64) -> Option<()> {
        let room = |limit: u64, used: u64| {
            let is_ample = limit.saturating_sub(used) / SHARE >= threads;
            is_ample.then_some(())
        };
        // This limit is for all threads of the user. Their number is not known, but it is at most
        // the number of threads of all users.
        let running = self.running()?;
        let of_process = (self.read)("/proc/self/limits")?;
        room(soft(&of_process, "Max processes")?, running)?;
        for memory in ["Max address space", "Max data size"] {
            (soft(&of_process, memory)? == u64::MAX).then_some(())?;
        }
        for of_system in ["kernel/threads-max", "kernel/pid_max"] {
            room(self.number(&format!("/proc/sys/{of_system}"))?, running)?;
        }
        // With the value 2, reserved memory counts against the kernel's limit even if it is not
        // used.
        (self.number("/proc/sys/vm/overcommit_memory")? != 2).then_some(())?;
        let mappings = (self.read)("/proc/self/maps")?.lines().count() as u64;
        let most_mappings = self.number("/proc/sys/vm/max_map_count")?;
        room(most_mappings / MAPPINGS, mappings.div_ceil(MAPPINGS))?;
        self.groups()?.into_iter().try_for_each(|group| {
            let Some(limit) = (self.read)(&format!("{group}/pids.max")) else {
                // The root group has no limit, and neither has a group without the controller for
                // threads.
                return Some(());
            };
            room(
                number(&limit)?,
                self.number(&format!("{group}/pids.current"))?,
            )
        })
    }

    /// Returns the number of threads of the whole system.
    fn running(&self) -> Option<u64> {
        let load = (self.read)("/proc/loadavg")?;
        let (_, all) = load.split_whitespace().nth(3)?.split_once('/')?;
        all.parse().ok()
    }

    /// Returns the folders of the control groups that limit the threads of this process, the
    /// innermost first.
    fn groups(&self) -> Option<Vec<String>> {
        let groups = (self.read)("/proc/self/cgroup")?;
        let of = |wanted: fn(&str) -> bool| {
            let mut fields = groups.lines().filter_map(|line| {
                let (_, line) = line.split_once(':')?;
                line.split_once(':')
            });
            fields
                .find(|(kinds, _)| wanted(kinds))
                .map(|(_, path)| path)
        };
        let (mount, path) = match of(|kinds| kinds.split(',').any(|kind| kind == "pids")) {
            Some(path) => ("/sys/fs/cgroup/pids", path),
            None => ("/sys/fs/cgroup", of(str::is_empty)?),
        };
        let is_group = |folder: &str| (self.read)(&format!("{folder}/cgroup.procs")).is_some();
        // In these cases the group is mounted at another path, or it is outside the part of the
        // tree that this process can see. So its limit is not known.
        if !is_group(mount) || path.contains("..") {
            return None;
        }
        let mut folders = Vec::new();
        let mut inner = format!("{mount}{}", path.trim_end_matches('/'));
        // In a container, the container's own group may appear as the root. Then no folder has the
        // full path of the group, and `mount` is the folder of the group.
        while inner.len() > mount.len() {
            let outer = inner.rfind('/')?;
            folders.push(inner.clone());
            inner.truncate(outer);
        }
        folders.push(mount.to_owned());
        Some(folders)
    }

    fn number(&self, path: &str) -> Option<u64> {
        number(&(self.read)(path)?)
    }
}

/// Returns the soft limit of this name from the kernel's table.
fn soft(limits: &str, name: &str) -> Option<u64> {
    let mut rows = limits.lines().filter_map(|line| line.strip_prefix(name));
    number(rows.next()?.split_whitespace().next()?)
}

fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const OF_PROCESS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max data size             unlimited            unlimited            bytes     
Max processes             60000                96365                processes 
Max address space         unlimited            unlimited            bytes     
";

    /// Files of a machine with 1000 threads, whose control groups limit nothing.
    fn machine() -> BTreeMap<String, String> {
        let group = "/sys/fs/cgroup/user.slice/a.scope";
        let files = [
            ("/proc/loadavg", "1.89 1.71 1.83 3/1000 29578\n"),
            ("/proc/self/limits", OF_PROCESS),
            ("/proc/self/maps", "00-01 r-xp\n02-03 rw-p\n"),
            ("/proc/self/cgroup", "0::/user.slice/a.scope\n"),
            ("/proc/sys/kernel/threads-max", "192731\n"),
            ("/proc/sys/kernel/pid_max", "32768\n"),
            ("/proc/sys/vm/max_map_count", "65530\n"),
            ("/proc/sys/vm/overcommit_memory", "0\n"),
            ("/sys/fs/cgroup/cgroup.procs", ""),
            (&format!("{group}/pids.max"), "max\n"),
            (&format!("{group}/pids.current"), "20\n"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        files.into_iter().collect()
    }

    /// Changes files of [`machine`], where `None` removes a file. Then asks if the limits allow 193
    /// threads amply, and checks that the answer is `is_ample`.
    fn check(changes: &[(&str, Option<&str>)], is_ample: bool) {
        let mut files = machine();
        for (path, text) in changes {
            match text {
                Some(text) => files.insert((*path).to_owned(), (*text).to_owned()),
                None => files.remove(*path),
            };
        }
        let read = |path: &str| files.get(path).cloned();
        let found = Limits { read: &read }.allow(193);
        assert_eq!(found.is_some(), is_ample, "{changes:?}");
    }

    #[test]
    fn each_limit_that_is_near_is_found() {
        check(&[], true);
        let group = "/sys/fs/cgroup/user.slice/a.scope/pids.max";
        for (file, near, far) in [
            ("/proc/sys/kernel/threads-max", "1771", "1772"),
            ("/proc/sys/kernel/pid_max", "1771", "1772"),
            ("/proc/sys/vm/max_map_count", "4600", "4650"),
            ("/proc/sys/vm/overcommit_memory", "2", "1"),
            ("/proc/loadavg", "0 0 0 1/31997 9", "0 0 0 1/31990 9"),
            (group, "791\n", "792\n"),
            (group, "0\n", "max\n"),
        ] {
            check(&[(file, Some(near))], false);
            check(&[(file, Some(far))], true);
        }
        for (name, limit, is_ample) in [
            ("processes     ", "1771 ", false),
            ("processes     ", "1772 ", true),
            ("processes     ", "unlimited ", true),
            ("address space ", "99999999999 ", false),
            ("data size     ", "99999999999 ", false),
        ] {
            let row = OF_PROCESS.lines().find(|line| line.contains(name)).unwrap();
            let changed = OF_PROCESS.replace(row, &format!("Max {name} {limit} 1 unit"));
            check(&[("/proc/self/limits", Some(&changed))], is_ample);
        }
    }

    #[test]
    fn the_limits_of_outer_groups_count_too() {
        let outer = "/sys/fs/cgroup/user.slice/pids";
        let (max, current) = (format!("{outer}.max"), format!("{outer}.current"));
        check(&[(&max, Some("1000")), (&current, Some("229"))], false);
        check(&[(&max, Some("1000")), (&current, Some("228"))], true);
        check(&[(&max, Some("1000"))], false);
    }

    #[test]
    fn control_groups_of_version_1_are_found() {
        let both = ("/proc/self/cgroup", Some("8:cpu,pids:/a/b\n0::/x\n"));
        let first = ("/sys/fs/cgroup/pids/cgroup.procs", Some(""));
        let current = ("/sys/fs/cgroup/pids/a/pids.current", Some("900"));
        let max = "/sys/fs/cgroup/pids/a/pids.max";
        for (limit, is_ample) in [("1000", false), ("5000", true), ("max", true)] {
            let limit = (max, Some(limit));
            check(&[both, first, current, limit], is_ample);
        }
        // In a container the root of the hierarchy is the container's own group.
        let own = ("/sys/fs/cgroup/pids/pids.current", Some("10"));
        for (limit, is_ample) in [("100", false), ("5000", true)] {
            let limit = ("/sys/fs/cgroup/pids/pids.max", Some(limit));
            check(&[both, first, own, limit], is_ample);
        }
    }

    #[test]
    fn unknown_limits_are_not_ample() {
        let no_limit = machine().into_keys();
        for file in no_limit.filter(|file| !file.ends_with(".scope/pids.max")) {
            check(&[(&file, None)], false);
            if !file.starts_with("/sys/fs") && !file.ends_with("maps") {
                check(&[(&file, Some("nonsense"))], false);
            }
        }
        for outside in ["0::/../other\n", "0::/../..\n", ""] {
            check(&[("/proc/self/cgroup", Some(outside))], false);
        }
    }
}
