//! The limit on file descriptors: each connection needs one.
//!
//! Owns nothing; changes the soft limit of the process, once, at the start. How many connections fit in is left to
//! the configuration.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one. The soft one is 1024 in most places, for the sake of programs that use
/// `select`; this one does not. Returns the limit that holds now, `None` for no limit at all.
pub fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fails where the hard limit is higher than the system can do, as on macOS; then the soft one stays.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_after_raising() {
        let limit = raise_limit();
        assert_eq!(limit, getrlimit(Resource::Nofile).maximum);
    }
}
