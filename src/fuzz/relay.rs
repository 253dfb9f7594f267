//! Target: the whole relay, in a simulated world that a script decides. Promises all that the simulation checks.

/// Takes the bytes for a script.
pub fn relay(data: &[u8]) {
    crate::sim::tape::live_by(data);
}
