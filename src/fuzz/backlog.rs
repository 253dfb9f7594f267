//! Target: the backlog, by a script. Promises what its model does.

/// Takes the bytes for a script.
pub fn backlog(data: &[u8]) {
    crate::backlog::model::play(data);
}
