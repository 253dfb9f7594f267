//! Listening sockets of our own: how they are made, and what becomes of their files.
//!
//! Promises: a socket file that a dead process has left is replaced, one behind which somebody listens is not, nor
//! anything that is no socket; the file has its mode and its group before anybody may connect by them; our own file
//! goes away with its listener, and only our own.

use std::{
    fs,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown},
    },
    path::{Path, PathBuf},
};

use mio::net::{TcpListener, UnixListener};
use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::socket::Listener;
use crate::config::{Config, Listen};

/// Connections that the kernel keeps for us until we take them; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket at `address`. Its options are inherited by what it accepts, which saves each connection three
/// system calls.
///
/// # Errors
/// Those of the system, the address in use above all.
pub(super) fn bind(address: SocketAddr, config: &Config) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // "[::]" is IPv6 alone, on every machine, so that "0.0.0.0" can stand beside it.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    // Before listen: the window that the kernel offers in its first answer depends on it.
    set_buffers(&socket, config)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
}

/// Sets what connections from now on inherit.
///
/// # Errors
/// Those of the system.
pub(super) fn set_buffers(listener: &impl AsFd, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_recv_buffer_size(config.receive_buffer)?;
    socket.set_send_buffer_size(config.send_buffer)
}

/// A listening socket in the file system, and its file.
///
/// # Errors
/// Those of the system; `AddrInUse` when somebody listens there, `AlreadyExists` when what is there is no socket.
pub(super) fn bind_file(path: &Path, listen: &Listen, config: &Config) -> io::Result<(Listener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    set_buffers(&socket, config)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    // One at a time: between somebody's bind and listen its socket looks like one that was left behind.
    let folder = fs::File::open(path.parent().unwrap_or(path))?;
    flock(&folder, FlockOperation::LockExclusive)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != ErrorKind::AddrInUse {
            return Err(error);
        }
        remove_stale(path, &address)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::of(path)?;
    // Nobody can connect before `listen`.
    if let Some(group) = &listen.group {
        lchown(path, None, Some(group_number(group)?)).map_err(|error| named(&error, "its group", group))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(listen.mode))?;
    socket.listen(BACKLOG)?;
    Ok((Listener::Unix(UnixListener::from_std(socket.into())), file))
}

/// Takes away the file of a socket behind which nobody listens any more.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "there is a file of that name that is no socket",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Not to wait where somebody listens whose queue is full.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

/// The number of a group, which may be written as such.
fn group_number(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group")?;
    find_group(&groups, group).ok_or_else(|| {
        let message = format!("the group \"{group}\" does not stand in /etc/group; its number would do too");
        io::Error::new(ErrorKind::NotFound, message)
    })
}

/// In lines as in group(5): name, password, number, members.
fn find_group(groups: &str, name: &str) -> Option<u32> {
    let mut lines = groups.lines().map(|line| line.split(':'));
    let mut line = lines.find(|line| line.clone().next() == Some(name))?;
    line.nth(2)?.parse().ok()
}

fn named(error: &io::Error, what: &str, value: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what} cannot be made \"{value}\": {error}"))
}

/// The file of a listening socket of ours. Goes with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number: another process may have put its own there since.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // A directory that is not ours any more keeps it; the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
