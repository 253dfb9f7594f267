//! Tests of `server::place`, with real files in a folder of their own.

use super::*;
use std::os::unix::net::{UnixListener as Another, UnixStream};

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wsrelayd-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("relay.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn listen_at(path: &Path, mode: u32, group: Option<&str>) -> io::Result<(Listener, SocketFile)> {
    let place = crate::config::Place::Unix(path.to_owned());
    let listen = Listen { mode, group: group.map(Into::into), ..place.into() };
    bind_file(path, &listen, &Config::default())
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_socket_has_its_mode_and_goes_away_with_its_listener() {
    let folder = Folder::new("mode");
    let path = folder.socket();
    for mode in [0o600, 0o666] {
        let (_listener, file) = listen_at(&path, mode, None).unwrap();
        assert_eq!(mode_of(&path), mode);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }
}

#[test]
fn a_stale_file_is_replaced_and_a_live_one_is_not() {
    let folder = Folder::new("stale");
    let path = folder.socket();
    let another = Another::bind(&path).unwrap();
    assert_eq!(listen_at(&path, 0o660, None).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(another);
    assert!(path.exists(), "left behind");
    let (_listener, file) = listen_at(&path, 0o660, None).unwrap();
    UnixStream::connect(&path).unwrap();
    // Somebody else takes the place: their file is not ours to remove.
    fs::remove_file(&path).unwrap();
    let _another = Another::bind(&path).unwrap();
    drop(file);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = Folder::new("file");
    let path = folder.socket();
    fs::write(&path, "precious").unwrap();
    let error = listen_at(&path, 0o660, None).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn groups_are_found_by_name_and_number() {
    let groups = "root:x:0:\nwww-data:x:33:nginx,a\nbroken\nodd:x:y:\n";
    let table = [("root", Some(0)), ("www-data", Some(33)), ("www", None), ("broken", None), ("odd", None)];
    assert!(!table.is_empty());
    for (name, number) in table {
        assert_eq!(find_group(groups, name), number, "{name}");
    }
    assert_eq!(group_number("65534").unwrap(), 65534);
    let error = group_number("no-such-group-here").unwrap_err();
    assert!(error.to_string().contains("no-such-group-here"), "{error}");
}

#[test]
fn a_group_of_our_own_can_be_given() {
    let folder = Folder::new("group");
    let own = fs::metadata(&folder.0).unwrap().gid();
    let (_listener, _file) = listen_at(&folder.socket(), 0o660, Some(&own.to_string())).unwrap();
    assert_eq!(fs::metadata(folder.socket()).unwrap().gid(), own);
}

/// Between bind and listen a socket looks like one that was left behind.
#[test]
fn of_many_who_start_at_once_in_one_place_one_lives() {
    let folder = Folder::new("race");
    let path = folder.socket();
    for _ in 0..30 {
        drop(Another::bind(&path).unwrap());
        let living: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| listen_at(&path, 0o660, None))).collect();
            starts.into_iter().filter_map(|start| start.join().unwrap().ok()).collect()
        });
        assert_eq!(living.len(), 1);
        UnixStream::connect(&path).unwrap();
    }
}
