//! Values that are texts of some kind: names of headers and parameters, subprotocols, issuers, paths of keys.
//!
//! Owns what each may be, with the words that say so, and its length; `list.rs` has lists of them.

use toml::de::DeValue;

use super::value::{self, Reading};

/// A kind of text.
pub(super) struct Text {
    /// What a list of them is said to be: "subprotocols, such as ...".
    pub list: &'static str,
    /// What one is said to be.
    one: &'static str,
    most_bytes: usize,
    /// Of a list.
    pub most_entries: usize,
    is_one: fn(&str) -> bool,
}

pub(super) const SUBPROTOCOL: Text = Text {
    list: "subprotocols, such as [\"chat.v2\", \"chat.v1\"]",
    one: "the name of a subprotocol: letters, digits and !#$%&'*+-.^_`|~, at most 64, and not beginning with \"bearer.\", \
          which is a token",
    most_bytes: 64,
    most_entries: 16,
    is_one: |text| is_token(text) && !text.starts_with("bearer."),
};

pub(super) const KEY_FILE: Text = Text {
    list: "files, such as [\"/etc/wsrelayd/keys/main.pem\"]",
    one: "the path of a file, such as \"/etc/wsrelayd/keys/main.pem\"",
    most_bytes: 1024,
    most_entries: 16,
    is_one: |text| !text.ends_with('/'),
};

pub(super) const ISSUER: Text = Text {
    list: "issuers, such as [\"https://login.example.org\"]",
    one: "what stands in the claim `iss` of a token, at most 256 bytes",
    most_bytes: 256,
    most_entries: 16,
    is_one: |_| true,
};

pub(super) const AUDIENCE: Text = Text {
    list: "audiences, such as [\"relay\"]",
    one: "what stands in the claim `aud` of a token, at most 256 bytes",
    most_bytes: 256,
    most_entries: 16,
    is_one: |_| true,
};

pub(super) const PARAMETER: Text = Text {
    list: "",
    one: "false, or the name of a query parameter, such as \"token\": letters, digits and -._~, at most 64",
    most_bytes: 64,
    most_entries: 0,
    is_one: |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) && !is_taken(text),
};

pub(super) const HEADER: Text = Text {
    list: "",
    one: "false, or the name of a header that only the proxy sets, such as \"X-User\"",
    most_bytes: 64,
    most_entries: 0,
    is_one: |text| is_token(text) && !is_meant_otherwise(text),
};

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The parameter by which a page finds itself again.
fn is_taken(parameter: &str) -> bool {
    parameter == "wsrelayd-tag"
}

/// Headers that say something else, or must stand in no log.
fn is_meant_otherwise(header: &str) -> bool {
    const OTHERS: [&str; 17] = [
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "last-event-id",
        "origin",
        "proxy-authorization",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    let header = header.to_ascii_lowercase();
    header.starts_with("sec-") || OTHERS.contains(&header.as_str())
}

impl Text {
    pub(super) fn read(&self, value: &DeValue<'_>) -> Reading<Box<str>> {
        let fits = |text: &&str| {
            (1..=self.most_bytes).contains(&text.len())
                && !text.contains(char::is_control)
                && (self.is_one)(text)
        };
        value.as_str().filter(fits).map(Into::into).ok_or_else(|| self.one.to_owned().into())
    }
}

/// A name, or `false` for none.
pub(super) fn read_name(value: &DeValue<'_>, kind: &Text) -> Reading<Option<Box<str>>> {
    if value.as_bool() == Some(false) { Ok(None) } else { kind.read(value).map(Some) }
}

/// As it would stand in the file.
pub(super) fn write_name(name: Option<&str>) -> String {
    name.map_or_else(|| "false".to_owned(), value::write_text)
}
