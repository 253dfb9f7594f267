//! Target: the timer wheel, by a script, with the clock near its ends too. Promises what its model does.

/// Takes the bytes for a script.
pub fn wheel(data: &[u8]) {
    crate::wheel::model::play(data, super::some_moment());
}
