//! From the entries of the configuration to listening sockets: our own, or those that the service manager has handed
//! over.
//!
//! Promises: with socket activation each entry finds its socket and each socket its entry, or the start is refused with
//! the unit to edit: a socket that nobody accepts from would keep its clients waiting for ever.

use std::io;

use mio::net::{TcpListener, UnixListener};
use socket2::SockRef;

use super::{
    StartError,
    listener::Door,
    place::{bind, bind_file, set_buffers},
    socket::Listener,
};
use crate::{
    config::{Config, Listen, Place},
    systemd::{Handed, HandedSocket},
};

/// Tokens hold twice as many, and descriptors are reckoned for as many entries.
const MAX_DOORS: usize = 128;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Peers; `proxy_protocol`: their connections begin with a line of the PROXY protocol.
    Relay { proxy_protocol: bool },
    /// Operators.
    Admin,
}

impl Purpose {
    fn of(self) -> (&'static str, &'static str) {
        match self {
            Self::Relay { .. } => ("listen", "wsrelayd.socket"),
            Self::Admin => ("admin", "wsrelayd-admin.socket"),
        }
    }
}

/// Opens all that the configuration names.
///
/// # Errors
/// The first that cannot be opened.
pub(super) fn open_all(config: &Config, mut handed: Vec<Handed>) -> Result<Vec<Door>, StartError> {
    let there = handed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let peers = config.listen.iter().map(|entry| {
        let purpose = Purpose::Relay { proxy_protocol: entry.proxy_protocol };
        (entry, purpose)
    });
    let operators = config.admin.iter().map(|entry| (entry, Purpose::Admin));
    let mut doors = Vec::new();
    for (entry, purpose) in peers.chain(operators) {
        if there.is_empty() && !matches!(entry.place, Place::Inherited(_)) {
            doors.push(open(entry, purpose, config)?);
            continue;
        }
        let adopted = adopt(entry, purpose, config, &mut handed)?;
        if adopted.is_empty() {
            return Err(StartError::Activation(unmatched(entry, purpose, &there)));
        }
        doors.extend(adopted);
    }
    if doors.len() > MAX_DOORS {
        let message =
            format!("{} sockets were handed over, and {MAX_DOORS} are too many already", doors.len());
        return Err(StartError::Activation(message));
    }
    match handed.first() {
        Some(left) => Err(StartError::Activation(left_over(left))),
        None => Ok(doors),
    }
}

fn open(entry: &Listen, purpose: Purpose, config: &Config) -> Result<Door, StartError> {
    let opened = match &entry.place {
        Place::Tcp(address) => bind(*address, config).map(|listener| (listener, None)),
        Place::Unix(path) => bind_file(path, entry, config).map(|(listener, file)| (listener, Some(file))),
        Place::Inherited(_) => Err(io::ErrorKind::NotFound.into()),
    };
    let failed = |error| StartError::Listen { key: purpose.of().0, place: entry.place.clone(), error };
    let (listener, file) = opened.map_err(failed)?;
    Ok(Door::new(listener, purpose, file))
}

/// Takes the sockets that an entry stands for.
fn adopt(
    entry: &Listen,
    purpose: Purpose,
    config: &Config,
    handed: &mut Vec<Handed>,
) -> Result<Vec<Door>, StartError> {
    let is_meant = |one: &Handed| match &entry.place {
        Place::Inherited(name) => one.name == *name,
        place => one.place.as_ref() == Some(place),
    };
    let (meant, others) = std::mem::take(handed).into_iter().partition(is_meant);
    *handed = others;
    let meant: Vec<Handed> = meant;
    let failed = |error| StartError::Listen { key: purpose.of().0, place: entry.place.clone(), error };
    let door = |one: Handed| {
        let listener = match one.socket {
            HandedSocket::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)),
            HandedSocket::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)),
        };
        if matches!(listener, Listener::Tcp(_)) {
            SockRef::from(&listener).set_tcp_nodelay(true)?;
        }
        set_buffers(&listener, config)?;
        Ok(Door::new(listener, purpose, None))
    };
    meant.into_iter().map(door).collect::<io::Result<_>>().map_err(failed)
}

/// Why an entry finds no socket, and which unit to edit.
fn unmatched(entry: &Listen, purpose: Purpose, there: &str) -> String {
    let (key, unit) = purpose.of();
    let place = &entry.place;
    if there.is_empty() {
        return format!(
            "{key}: \"{place}\" is a socket that the service manager hands over, and it has handed over none. Start \
             {unit}, and the service through it, or write an address"
        );
    }
    let edit = match place {
        Place::Inherited(name) => format!("Set FileDescriptorName={name} in {unit}"),
        Place::Tcp(address) => format!("Set ListenStream={address} in {unit}"),
        Place::Unix(path) => format!("Set ListenStream={} in {unit}", path.display()),
    };
    format!(
        "{key}: \"{place}\" is not among the sockets that the service manager has handed over: {there}. {edit} and \
         start it (systemctl edit {unit}; systemctl restart {unit}), or write here what that unit says"
    )
}

fn left_over(left: &Handed) -> String {
    format!(
        "the service manager has handed over a socket that no entry of `listen` or `admin` names: {left}. Connections to it \
         would wait for ever: write \"systemd:{}\" into one of them, or put its socket unit out of use (for operators: \
         systemctl mask --now wsrelayd-admin.socket)",
        left.name
    )
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
