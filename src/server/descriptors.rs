//! The limit on file descriptors: each connection needs one.
//!
//! Owns nothing; changes the soft limit of the process, once, at the start.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the program needs besides connections: standard streams, poller, signal pipe, listeners, and some to spare.
const RESERVE: usize = 32;

/// Raises the soft limit to the hard one. The soft one is 1024 in most places, for the sake of programs that use
/// `select`; this one does not. Returns the limit that holds now, `None` for no limit at all.
pub fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fails where the hard limit is higher than the system can do, as on macOS; then the soft one stays.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

/// Whether `limit` leaves room for that many connections.
pub fn suffices(limit: Option<u64>, connections: usize) -> bool {
    limit.is_none_or(|limit| connections.saturating_add(RESERVE) as u64 <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_after_raising() {
        let limit = raise_limit();
        assert_eq!(limit, getrlimit(Resource::Nofile).maximum);
    }

    #[test]
    fn connections_must_leave_the_reserve() {
        let table = [
            (None, usize::MAX, true),
            (Some(1056), 1024, true),
            (Some(1055), 1024, false),
            (Some(0), 0, false),
        ];
        assert!(!table.is_empty());
        for (limit, connections, enough) in table {
            assert_eq!(suffices(limit, connections), enough, "{limit:?} {connections}");
        }
    }
}
