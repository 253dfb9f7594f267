//! wsrelayd
#![forbid(unsafe_code)]

mod backlog;
mod channel;
pub mod config;
mod control;
pub mod counters;
mod frame;
pub mod handshake;
pub mod id;
pub mod limits;
pub mod logging;
mod peer;
pub mod pipe;
mod random;
pub mod relay;
mod roster;
pub mod scanner;
pub mod server;
pub mod signals;
mod slices;
pub mod token_bucket;
pub mod wheel;
pub mod wire;
