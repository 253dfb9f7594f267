//! Tests of `server::opening`: entries and sockets that find each other, or not.

use super::*;
use std::net::{SocketAddr, TcpListener as StdListener};

fn handed(name: &str) -> (Handed, SocketAddr) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let place = Some(Place::Tcp(address));
    (Handed { name: name.to_owned(), place, socket: HandedSocket::Tcp(listener) }, address)
}

fn inherited(name: &str) -> Listen {
    Place::Inherited(name.to_owned()).into()
}

fn config(listen: &[Listen], admin: &[Listen]) -> Config {
    Config { listen: listen.to_vec(), admin: admin.to_vec(), ..Config::default() }
}

fn complaint(config: &Config, handed: Vec<Handed>) -> String {
    match open_all(config, handed) {
        Err(StartError::Activation(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn entries_find_their_sockets_by_address_and_by_name() {
    let (relay, address) = handed("relay");
    let (admin, _) = handed("admin");
    let (second, _) = handed("more");
    let (third, _) = handed("more");
    let config = config(&[address.into(), inherited("more")], &[inherited("admin")]);
    let doors = open_all(&config, vec![third, admin, relay, second]).unwrap();
    let purposes: Vec<_> = doors.iter().map(Door::purpose).collect();
    let peers = Purpose::Relay { proxy_protocol: false };
    assert_eq!(purposes, [peers, peers, peers, Purpose::Admin]);
}

#[test]
fn an_entry_without_a_socket_names_the_unit_to_edit() {
    let elsewhere = Listen::from(SocketAddr::from(([127, 0, 0, 1], 7)));
    let table: [(Config, &[&str]); 4] = [
        (
            config(std::slice::from_ref(&elsewhere), &[]),
            &["listen: \"127.0.0.1:7\"", "ListenStream=127.0.0.1:7 in wsrelayd.socket"],
        ),
        (
            config(&[inherited("peers")], &[]),
            &["FileDescriptorName=peers in wsrelayd.socket", "relay (127.0.0.1:"],
        ),
        (config(&[inherited("relay")], &[elsewhere]), &["admin: \"127.0.0.1:7\"", "wsrelayd-admin.socket"]),
        (
            config(&[Place::Unix("/run/a.sock".into()).into()], &[]),
            &["ListenStream=/run/a.sock in wsrelayd.socket"],
        ),
    ];
    assert!(!table.is_empty());
    for (config, words) in table {
        let said = complaint(&config, vec![handed("relay").0]);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    }
}

#[test]
fn a_socket_without_an_entry_is_not_left_alone() {
    let (relay, address) = handed("relay");
    let said = complaint(&config(&[address.into()], &[]), vec![relay, handed("spare").0]);
    assert!(said.contains("spare (127.0.0.1:") && said.contains("\"systemd:spare\""), "{said}");
}

#[test]
fn without_a_manager_a_name_stands_for_nothing() {
    let said = complaint(&config(&[inherited("relay")], &[]), Vec::new());
    assert!(said.contains("it has handed over none") && said.contains("wsrelayd.socket"), "{said}");
}
