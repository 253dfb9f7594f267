//! Where to listen: the entries of `listen` and `admin`.
//!
//! Owns the forms of an entry, a string or an inline table, their reading and their writing, which is read back to the
//! same. What entries must be to each other is left to `rules.rs`, the sockets to the server.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use toml::{Spanned, de::DeTable, de::DeValue};

use super::{mistake::Mistake, nearest, value};

/// What `sun_path` holds, its final NUL left out.
const MAX_PATH: usize = 107;

/// The longest `FileDescriptorName=` (systemd.socket(5)).
const MAX_NAME: usize = 255;

/// The mode of a socket in the file system where none is written: its owner and its group may connect.
const MODE: u32 = 0o660;

/// A place where connections arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An address of the network.
    Tcp(SocketAddr),
    /// A socket in the file system, by its absolute path.
    Unix(PathBuf),
    /// The sockets that the service manager hands over under this name (`FileDescriptorName=`).
    Inherited(String),
}

/// One entry of `listen` or `admin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub place: Place,
    /// The mode of a socket in the file system.
    pub mode: u32,
    /// The group of a socket in the file system, by name or number; `None` leaves it to the process.
    pub group: Option<String>,
    /// Each connection begins with a line of the PROXY protocol, version 1.
    pub proxy_protocol: bool,
}

impl From<Place> for Listen {
    fn from(place: Place) -> Self {
        Self { place, mode: MODE, group: None, proxy_protocol: false }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Place::Tcp(address).into()
    }
}

/// An entry that is none. Says what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlace(String);

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for NoPlace {}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if let Some(path) = text.strip_prefix("unix:") {
            unix(path).map(Self::Unix).map_err(NoPlace)
        } else if let Some(name) = text.strip_prefix("systemd:") {
            inherited(name).map(Self::Inherited).map_err(NoPlace)
        } else {
            text.parse().map(Self::Tcp).map_err(|_| NoPlace(EXPECTED.to_owned()))
        }
    }
}

const EXPECTED: &str = "an address: \"127.0.0.1:9310\" or \"[::1]:9310\", \"unix:/run/wsrelayd/relay.sock\", or \
                        \"systemd:relay\" for a socket that the service manager hands over";

fn unix(path: &str) -> Result<PathBuf, String> {
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    let good = path.starts_with('/') && !path.ends_with('/') && path.chars().all(plain);
    if good && path.len() <= MAX_PATH {
        Ok(path.into())
    } else {
        Err(format!("an absolute path of at most {MAX_PATH} bytes, without quotes, after \"unix:\""))
    }
}

fn inherited(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_graphic() && !":\"\\".contains(c);
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(good) {
        Ok(name.to_owned())
    } else {
        Err("a name as in FileDescriptorName= of a socket unit after \"systemd:\"".to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl Place {
    /// The path of a socket in the file system.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Listen {
    /// As it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = quoted(&self.place.to_string());
        if *self == Self::from(self.place.clone()) {
            return f.write_str(&address);
        }
        write!(f, "{{ address = {address}")?;
        if self.place.path().is_some() {
            write!(f, ", mode = \"{:04o}\"", self.mode)?;
        }
        if let Some(group) = &self.group {
            write!(f, ", group = {}", quoted(group))?;
        }
        if self.proxy_protocol {
            f.write_str(", proxy_protocol = true")?;
        }
        f.write_str(" }")
    }
}

/// As a string of TOML. What may stand in an entry needs no escape in one.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

pub(super) fn write(entries: &[Listen]) -> String {
    let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
    format!("[{}]", entries.join(", "))
}

/// An entry as it stands in the arguments.
///
/// # Errors
/// What was expected.
pub fn parse_listen(text: &str) -> Result<Listen, NoPlace> {
    text.parse().map(Place::into)
}

/// Reads an entry of the key `key`, or says everything that is wrong with it.
pub(super) fn read(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Listen, Vec<Mistake>> {
    match value.get_ref() {
        DeValue::Table(table) => read_table(key, value, table),
        DeValue::String(text) => parse_listen(text).map_err(|NoPlace(what)| vec![wrong(key, value, &what)]),
        _ => Err(vec![wrong(key, value, EXPECTED)]),
    }
}

fn wrong(key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Mistake {
    let found = value::describe(value.get_ref());
    Mistake::at(value.span(), format!("{key}: expected {expected}, not {found}"))
}

/// What may stand in an inline table.
const OPTIONS: [&str; 4] = ["address", "mode", "group", "proxy_protocol"];

fn read_table(key: &str, value: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Result<Listen, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut listen = None;
    if let Some(address) = table.get("address") {
        listen = read_string(key, address, EXPECTED).and_then(|text| place(key, address, text)).map_or_else(
            |mistake| {
                mistakes.push(mistake);
                None
            },
            |place| Some(Listen::from(place)),
        );
    } else {
        let expected = "an `address` in the table, such as { address = \"unix:/run/wsrelayd/relay.sock\" }";
        mistakes.push(Mistake::at(value.span(), format!("{key}: expected {expected}")));
    }
    for (name, value) in table {
        if let Err(mistake) = read_option(key, name, value, listen.as_mut()) {
            mistakes.push(mistake);
        }
    }
    listen.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

fn place(key: &str, value: &Spanned<DeValue<'_>>, text: &str) -> Result<Place, Mistake> {
    text.parse().map_err(|NoPlace(what)| wrong(key, value, &what))
}

fn read_string<'v>(key: &str, value: &'v Spanned<DeValue<'_>>, expected: &str) -> Result<&'v str, Mistake> {
    value.get_ref().as_str().ok_or_else(|| wrong(key, value, expected))
}

/// Reads one option into the entry, if that could be read.
fn read_option(
    key: &str,
    name: &Spanned<impl AsRef<str>>,
    value: &Spanned<DeValue<'_>>,
    listen: Option<&mut Listen>,
) -> Result<(), Mistake> {
    let option = name.get_ref().as_ref();
    let mut scratch = Listen::from(Place::Unix(PathBuf::new()));
    let listen = listen.unwrap_or(&mut scratch);
    if matches!(option, "mode" | "group") && listen.place.path().is_none() {
        let message = format!(
            "{key}: `{option}` is for \"unix:\" addresses only: a socket unit has SocketMode= and SocketGroup="
        );
        return Err(Mistake::at(name.span(), message));
    }
    match option {
        "address" => {}
        "mode" => listen.mode = read_mode(key, value)?,
        "group" => listen.group = Some(read_group(key, value)?),
        "proxy_protocol" => {
            let flag = value.get_ref().as_bool();
            listen.proxy_protocol = flag.ok_or_else(|| wrong(key, value, "true or false"))?;
        }
        _ => {
            let hint = nearest::hint(option, OPTIONS.into_iter());
            let message = format!("{key}: unknown option {}{hint}", value::quote(option));
            return Err(Mistake::at(name.span(), message));
        }
    }
    Ok(())
}

fn read_mode(key: &str, value: &Spanned<DeValue<'_>>) -> Result<u32, Mistake> {
    let expected = "a mode in octal, such as \"0660\"";
    let text = read_string(key, value, expected)?;
    let octal = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| octal && mode <= 0o777);
    mode.ok_or_else(|| wrong(key, value, expected))
}

fn read_group(key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Mistake> {
    let expected = "the name or the number of a group, such as \"www-data\"";
    let text = read_string(key, value, expected)?;
    let plain = |c: char| c.is_ascii_graphic() && !":\"\\".contains(c);
    // For chown the last number means: none.
    let good = !text.is_empty() && text.chars().all(plain) && text.parse() != Ok(u32::MAX);
    if good { Ok(text.to_owned()) } else { Err(wrong(key, value, expected)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_alike() {
        let long = format!("unix:/{}", "a".repeat(MAX_PATH));
        let table = [
            ("127.0.0.1:0", true),
            ("[::1]:9310", true),
            ("unix:/run/wsrelayd/relay.sock", true),
            ("systemd:relay", true),
            (&long[..MAX_PATH + 5], true),
            (&long, false),
            ("localhost:9310", false),
            ("9310", false),
            ("unix:relay.sock", false),
            ("unix:/run/", false),
            ("unix:", false),
            ("systemd:", false),
            ("systemd:a:b", false),
            ("systemd:a b", false),
            ("", false),
        ];
        assert!(!table.is_empty());
        for (text, good) in table {
            assert_eq!(parse_listen(text).is_ok(), good, "{text}");
            if let Ok(listen) = parse_listen(text) {
                assert_eq!(listen.place.to_string(), text);
                assert_eq!(listen.to_string(), format!("\"{text}\""));
            }
        }
    }

    #[test]
    fn options_are_written_where_they_are_not_the_default() {
        let path = Place::Unix("/run/a b".into());
        let listen = Listen { mode: 0o666, group: Some("www-data".into()), ..Listen::from(path) };
        let written = listen.to_string();
        assert!(written.contains("mode = \"0666\", group = \"www-data\" }"), "{written}");
        let listen = Listen { proxy_protocol: true, ..SocketAddr::from(([127, 0, 0, 1], 1)).into() };
        assert_eq!(listen.to_string(), "{ address = \"127.0.0.1:1\", proxy_protocol = true }");
    }
}
