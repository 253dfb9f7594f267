//! Bodies of the fuzz targets: any bytes in, a broken promise is a panic.
//!
//! Ordinary functions, so that the tests run them over the seeds in `fuzz/seeds` and over mutations of these, and the
//! programs in `fuzz/` do nothing but hand them what a fuzzer found. Each says what it promises; none only that nothing
//! panics. Not in a release.
//!
//! An input that breaks a promise is mended test first: it goes into `fuzz/seeds/TARGET`, under a name that says what it
//! is. `tests/run fuzz` lets a fuzzer loose on each; for one alone:
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET fuzz/corpus/TARGET fuzz/seeds/TARGET -- -max_total_time=60`.

#![allow(missing_docs, reason = "a target's promises stand at the head of its file")]

mod agree;
mod backlog;
mod config;
mod frames;
mod head;
mod log_line;
mod relay;
mod token;
mod wheel;

#[cfg(test)]
mod tests;

pub use backlog::backlog;
pub use config::config;
pub use frames::frames;
pub use head::head;
pub use log_line::log_line;
pub use relay::relay;
pub use token::token;
pub use wheel::wheel;

use std::time::Instant;

/// Some moment: the targets say of time only how far it is from here.
#[allow(clippy::disallowed_methods)]
fn some_moment() -> Instant {
    Instant::now()
}
