//! wsrelayd
#![forbid(unsafe_code)]

mod backlog;
mod channel;
mod control;
pub mod counters;
mod frame;
pub mod handshake;
pub mod id;
pub mod limits;
mod peer;
pub mod pipe;
mod random;
pub mod relay;
mod roster;
pub mod scanner;
mod slices;
pub mod token_bucket;
pub mod wheel;
pub mod wire;
