//! nginx in front of the relay: the configuration that it needs, and the reading of the one that it has.
//!
//! Owns the text of `etc/nginx/wsrelayd.conf` and of `wsrelayd nginx` (`template`), the reading of `nginx -T` (`words`,
//! `tree`), and what holds where a request is passed on (`route`). Promises: what it prints fits the configuration it
//! was given and stands the examination by `wsrelayd doctor`. Leaves to others: judging (`doctor/`), running nginx.

mod facts;
mod route;
mod template;
mod tree;
pub(crate) mod words;

pub(crate) use facts::addresses;
pub use facts::{Address, Door, Facts, Reliance};
pub(crate) use route::map_of;
pub use route::{Route, Target, routes};
pub use template::render;
pub use tree::{Directive, MAX_TEXT_BYTES, Spot, Tree, Unreadable, read};

#[cfg(test)]
mod tests;
