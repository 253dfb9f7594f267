//! The files of the console and the client for browsers, served as they stand in `pages/`.
//!
//! Promises: a browser takes each for what it is, asks each time whether it has changed, and is told so without the file
//! if it has not; a page of ours runs nothing and shows nothing but these files, stands in no frame, and speaks with
//! nobody but its own origin and relays.

use crate::handshake::{Fields, Name};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a page may do. The relay listens elsewhere than the desk, hence `ws:` and `wss:`.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'none'";

/// One file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    path: &'static str,
    pub(super) media: &'static str,
    pub(super) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const fn file(path: &'static str, media: &'static str, bytes: &'static [u8]) -> File {
    File { path, media, bytes }
}

/// Every file with its path.
static FILES: [File; 13] = [
    file("/", HTML, include_bytes!("pages/console.html")),
    file("/console.css", STYLE, include_bytes!("pages/console.css")),
    file("/console.js", SCRIPT, include_bytes!("pages/console.js")),
    file("/console-dom.js", SCRIPT, include_bytes!("pages/console-dom.js")),
    file("/console-lines.js", SCRIPT, include_bytes!("pages/console-lines.js")),
    file("/console-plots.js", SCRIPT, include_bytes!("pages/console-plots.js")),
    file("/console-recipe.js", SCRIPT, include_bytes!("pages/console-recipe.js")),
    file("/console-tables.js", SCRIPT, include_bytes!("pages/console-tables.js")),
    file("/console-try.js", SCRIPT, include_bytes!("pages/console-try.js")),
    file("/icon.svg", IMAGE, include_bytes!("pages/icon.svg")),
    file("/uPlot.iife.min.js", SCRIPT, include_bytes!("pages/uPlot.iife.min.js")),
    file("/uPlot.min.css", STYLE, include_bytes!("pages/uPlot.min.css")),
    file("/wsrelayd.js", SCRIPT, include_bytes!("pages/wsrelayd.js")),
];

/// The file at `path`.
pub(super) fn at(path: &[u8]) -> Option<&'static File> {
    FILES.iter().find(|file| file.path.as_bytes() == path)
}

impl File {
    /// The header lines that only files have.
    pub(super) fn fields(&self) -> String {
        format!(
            "ETag: {}\r\nContent-Security-Policy: {POLICY}\r\nReferrer-Policy: no-referrer\r\n",
            self.etag()
        )
    }

    /// Whether the one who asks has the file as it is (RFC 9110 13.1.2).
    pub(super) fn is_known(&self, fields: &Fields<'_>) -> bool {
        let etag = self.etag();
        let is_it = |item: &[u8]| item == b"*" || item.strip_prefix(b"W/").unwrap_or(item) == etag.as_bytes();
        fields.items(Name::IfNoneMatch).any(is_it)
    }

    /// Other bytes have another one.
    fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    /// What stands beside the files and is for those who read the source.
    fn is_for_readers(name: &str) -> bool {
        name.ends_with("LICENSE") || name.ends_with("README")
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_no_other() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/pages");
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<_> =
            names.filter(|name| !is_for_readers(name)).map(|name| format!("/{name}")).collect();
        let served: BTreeSet<_> = FILES
            .iter()
            .map(|file| if file.path == "/" { "/console.html" } else { file.path }.to_owned())
            .collect();
        assert_eq!(served, there);
        assert!(FILES.iter().all(|file| !file.bytes.is_empty()));
    }

    #[test]
    fn each_file_has_the_media_type_of_its_name() {
        let table = [(".html", HTML), (".css", STYLE), (".js", SCRIPT), (".svg", IMAGE)];
        for file in &FILES {
            let name = if file.path == "/" { "/console.html" } else { file.path };
            let wanted = table.iter().find(|(end, _)| name.ends_with(end)).map(|(_, media)| *media);
            assert_eq!(Some(file.media), wanted, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_known_is_recognised_by_its_tag_alone() {
        let file = File { path: "/a", media: HTML, bytes: b"a" };
        let other = File { bytes: b"b", ..file };
        let (mine, others) = (file.etag(), other.etag());
        assert_ne!(mine, others);
        let table = [
            (mine.clone(), true),
            (format!("W/{mine}"), true),
            (format!("{others}, {mine}"), true),
            ("*".into(), true),
            (others, false),
            (mine.replace('"', ""), false),
            (format!("{mine}x"), false),
            (String::new(), false),
        ];
        assert!(!table.is_empty());
        for (value, is_known) in table {
            let headers = [httparse::Header { name: "If-None-Match", value: value.as_bytes() }];
            assert_eq!(file.is_known(&Fields::sort(&headers)), is_known, "{value}");
        }
        assert!(!file.is_known(&Fields::sort(&[])));
    }
}
