//! What the machine grants: its memory, that of the process's control group, descriptors, and time for an end.
//!
//! Owns the reading of `/proc` and `/sys/fs/cgroup`, versions 1 and 2. What is not there is no limit.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::ask::ask;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// A page below 2^63: what version 1 says for no limit.
const NO_LIMIT: u64 = i64::MAX as u64 - 65_535;

/// What a process may have. `None`: no limit, or none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Descriptors.
    pub descriptors: Option<u64>,
    /// Bytes of memory of the machine.
    pub memory: Option<u64>,
    /// Bytes of memory that the control group, or one above it, allows.
    pub group_memory: Option<u64>,
    /// How long the unit waits for an end before it kills (`TimeoutStopSec=`).
    pub stop_timeout: Option<Duration>,
}

impl Machine {
    /// Looks at this machine.
    pub fn look(descriptors: Option<u64>) -> Self {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let memory = read(Path::new("/proc/meminfo")).and_then(|text| total_memory(&text));
        let group_memory = read(Path::new("/proc/self/cgroup")).and_then(|text| least_limit(&text, read));
        Self { descriptors, memory, group_memory, stop_timeout: stop_timeout() }
    }
}

/// Where systemd says that it is the machine's.
const SYSTEMD: &str = "/run/systemd/system";

/// The unit that the program is installed as.
const UNIT: &str = "wsrelayd.service";

const PATIENCE: Duration = Duration::from_secs(3);

fn stop_timeout() -> Option<Duration> {
    if !Path::new(SYSTEMD).exists() {
        return None;
    }
    let arguments = ["show", "--property=LoadState,TimeoutStopUSec", UNIT];
    stop_timeout_in(&ask("systemctl", &arguments, PATIENCE).ok()?.said)
}

/// From lines of `NAME=VALUE`. A unit that is not there has a timeout too: systemd's own.
fn stop_timeout_in(text: &str) -> Option<Duration> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value("LoadState").filter(|state| *state == "loaded")?;
    humantime::parse_duration(value("TimeoutStopUSec")?).ok()
}

/// From `/proc/meminfo`, which counts in KiB.
fn total_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least of the limits of the groups that `/proc/self/cgroup` names, and of all above them: each holds.
fn least_limit(memberships: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = memberships.lines().flat_map(limit_files).filter_map(|file| read(&file));
    limits.filter_map(|text| text.trim().parse().ok()).filter(|&limit| limit < NO_LIMIT).min()
}

/// The files that may hold a limit for one line, `NUMBER:CONTROLLERS:/PATH`. In a container the path may be that of
/// the host, while the mount begins at the container's own group: then only the topmost file is there.
fn limit_files(membership: &str) -> Vec<PathBuf> {
    let mut parts = membership.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (mount, file) = match controllers {
        "" => (GROUPS.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|one| one == "memory") => {
            (format!("{GROUPS}/memory"), "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = Path::new(path.trim_start_matches('/'));
    group.ancestors().map(|group| Path::new(&mount).join(group).join(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_holds() {
        let v2 = "0::/system.slice/wsrelayd.service\n";
        let v1 = "11:pids:/a\n5:cpu,memory:/docker/abc\n1:name=systemd:/\n0::/a\n";
        type Row<'t> = (&'t str, &'t [(&'t str, &'t str)], Option<u64>);
        let table: &[Row<'_>] = &[
            (v2, &[("system.slice/wsrelayd.service/memory.max", "1000\n")], Some(1000)),
            (v2, &[("system.slice/wsrelayd.service/memory.max", "max\n")], None),
            (
                v2,
                &[
                    ("system.slice/wsrelayd.service/memory.max", "1000\n"),
                    ("system.slice/memory.max", "500\n"),
                    ("memory.max", "max\n"),
                ],
                Some(500),
            ),
            ("0::/\n", &[("memory.max", "7\n")], Some(7)),
            (v1, &[("memory/docker/abc/memory.limit_in_bytes", "2000\n")], Some(2000)),
            (v1, &[("memory/memory.limit_in_bytes", "3000\n")], Some(3000)),
            (v1, &[("memory/memory.limit_in_bytes", "9223372036854771712\n")], None),
            (v1, &[("memory/docker/abc/memory.limit_in_bytes", "nonsense")], None),
            (v1, &[], None),
            ("", &[("memory.max", "7\n")], None),
            ("nonsense\n::\n", &[], None),
        ];
        assert!(!table.is_empty());
        for (memberships, files, limit) in table {
            let read = |path: &Path| {
                let name = path.strip_prefix(GROUPS).unwrap().to_str().unwrap();
                files.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned())
            };
            assert_eq!(least_limit(memberships, read), *limit, "{memberships:?} {files:?}");
        }
    }

    #[test]
    fn the_stop_timeout_of_a_loaded_unit_is_read() {
        let table = [
            ("LoadState=loaded\nTimeoutStopUSec=1min 30s\n", Some(90)),
            ("TimeoutStopUSec=45s\nLoadState=loaded\n", Some(45)),
            ("LoadState=loaded\nTimeoutStopUSec=infinity\n", None),
            ("LoadState=not-found\nTimeoutStopUSec=1min 30s\n", None),
            ("", None),
        ];
        assert!(!table.is_empty());
        for (text, secs) in table {
            assert_eq!(stop_timeout_in(text), secs.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn the_memory_of_the_machine_is_read_in_kib() {
        let table = [
            ("MemTotal:        8127424 kB\nMemFree: 1 kB\n", Some(8_127_424 << 10)),
            ("MemFree: 1 kB\n", None),
            ("MemTotal: lots kB\n", None),
            ("", None),
        ];
        assert!(!table.is_empty());
        for (text, memory) in table {
            assert_eq!(total_memory(text), memory, "{text:?}");
        }
    }
}
