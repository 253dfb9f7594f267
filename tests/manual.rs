//! The manual pages and the completion, made from what the program and its configuration say of themselves.
//!
//! Owns `etc/man` and `etc/completions`: each test makes a file anew and compares it with the one that is there.
//! `WSRELAYD_WRITE=1 cargo test --test manual` writes them. Promises that each key of the configuration and each
//! argument has its place in a page.

#![allow(clippy::unwrap_used)]

use std::{env, fmt::Write as _, fs, path::Path};

use clap_complete::aot::Bash;
use clap_mangen::Man;
use wsrelayd::{cli, config::Config};

const CONFIGURATION: &str = include_str!("../etc/wsrelayd.toml");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Holds what was made against what is there, or puts it there.
fn hold(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("WSRELAYD_WRITE").is_some() {
        fs::write(&path, made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(made.lines()).find(|(old, new)| old != new);
    let hint = "write it anew: WSRELAYD_WRITE=1 cargo test --test manual";
    assert!(there == made, "{file} is not what it would be made now: {differs:?}. {hint}");
}

/// Text of a page: nothing in it is a request, `words` are bold, and hyphens can be copied.
fn text(words: &str) -> String {
    let escaped = words.replace('\\', "\\e").replace('-', "\\-");
    let mut text = String::new();
    for (nth, part) in escaped.split('`').enumerate() {
        let font = match nth {
            0 => "",
            n if n % 2 == 1 => "\\fB",
            _ => "\\fR",
        };
        let _ = write!(text, "{font}{part}");
    }
    let is_request = text.starts_with(['.', '\'']);
    if is_request { format!("\\&{text}") } else { text }
}

fn head(name: &str, section: u8, volume: &str) -> String {
    format!(".TH {name} {section} \"\" \"wsrelayd {VERSION}\" \"{volume}\"\n")
}

fn section(page: &mut String, title: &str, body: &str) {
    let _ = write!(page, ".SH {}\n{body}\n", title.to_uppercase());
}

// --- wsrelayd(8) ----------------------------------------------------------------------------------------------------

/// What clap can say of the arguments.
fn rendered(of: impl Fn(&Man, &mut Vec<u8>) -> std::io::Result<()>) -> String {
    // Subcommands have a section of their own here, and no pages of their own.
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    let mut bytes = Vec::new();
    of(&Man::new(command), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Each subcommand with what it takes. Those that stand below another are called by both names.
fn subcommands() -> String {
    let mut body = String::new();
    let command = cli::command();
    assert!(command.get_subcommands().next().is_some());
    for one in command.get_subcommands() {
        subcommand(&mut body, one.get_name(), one);
        for below in one.get_subcommands() {
            subcommand(&mut body, &format!("{} {}", one.get_name(), below.get_name()), below);
        }
    }
    body.trim_end().to_owned()
}

fn subcommand(body: &mut String, name: &str, command: &clap::Command) {
    let about = command.get_about().unwrap().to_string();
    let _ = writeln!(body, ".TP\n\\fB{name}\\fR\n{}", text(&about));
    for argument in command.get_arguments() {
        let help = argument.get_help().unwrap().to_string();
        let _ = writeln!(body, ".RS\n.TP\n{}\n{}\n.RE", argument_name(argument), text(&help));
    }
}

/// An option with its value, or what stands without one.
fn argument_name(argument: &clap::Arg) -> String {
    let name =
        argument.get_value_names().map_or_else(|| argument.get_id().as_str(), |names| names[0].as_str());
    let value = format!("\\fI{}\\fR", name.to_uppercase());
    match argument.get_long().map(|long| format!("\\fB{}\\fR", text(&format!("--{long}")))) {
        None => value,
        Some(option) if argument.get_action().takes_values() => format!("{option} {value}"),
        Some(option) => option,
    }
}

/// The lines "Subject: words" at the end of `--help`, each a section.
fn afterwords(page: &mut String) {
    let after = cli::command().get_after_help().unwrap().to_string();
    let lines: Vec<_> = after.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(lines.len(), after.lines().count(), "each line after the help has a subject");
    lines.iter().for_each(|(subject, words)| section(page, subject, &text(words)));
}

const FILES: &str = "\
.TP
.I /etc/wsrelayd.toml
The configuration; see \\fBwsrelayd.toml\\fR(5).
.TP
.I wsrelayd.service
The service, with TCP ports of its own. \\fBsystemctl reload wsrelayd\\fR reads the configuration again.
.TP
.I wsrelayd.socket\\fR, \\fIwsrelayd\\-admin.socket
Sockets that outlive the service, so that a restart refuses no connection; what to do is written in the first.
.TP
.I /usr/share/doc/wsrelayd/examples/
The drop\\-in that belongs to the sockets, and a configuration for nginx.";

fn page_of_the_program() -> String {
    let mut page = head("wsrelayd", 8, "System Manager's Manual");
    section(&mut page, "name", "wsrelayd \\- WebSocket broadcast relay");
    page += &rendered(|man, to| man.render_synopsis_section(to))
        .replace("[\\fIsubcommands\\fR]", "[\\fIcommand\\fR]");
    let about = cli::command().get_about().unwrap().to_string();
    section(&mut page, "description", &text(&format!("{about}.")));
    page +=
        &rendered(|man, to| man.render_options_section(to)).replace("\\fI<", "\\fI").replace(">\\fR", "\\fR");
    section(&mut page, "commands", &subcommands());
    afterwords(&mut page);
    section(&mut page, "files", FILES);
    section(
        &mut page,
        "see also",
        "\\fBwsrelayd.toml\\fR(5), \\fBsystemctl\\fR(1), \\fBjournalctl\\fR(1), \\fBnginx\\fR(8)",
    );
    page
}

#[test]
fn the_page_of_the_program_is_made_from_its_arguments() {
    let page = page_of_the_program();
    let command = cli::command();
    let longs: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    assert!(!longs.is_empty());
    for long in longs {
        assert!(page.contains(&text(&format!("--{long}"))), "--{long} is not in the page");
    }
    hold("etc/man/wsrelayd.8", &page);
}

#[test]
fn the_completion_is_made_from_the_arguments() {
    let mut script = Vec::new();
    clap_complete::generate(Bash, &mut cli::command(), "wsrelayd", &mut script);
    hold("etc/completions/wsrelayd.bash", &String::from_utf8(script).unwrap());
}

// --- wsrelayd.toml(5) -----------------------------------------------------------------------------------------------

/// A comment as paragraphs; lines that are set in stay as they are.
fn paragraphs(lines: &[&str]) -> String {
    let mut body = String::new();
    let mut verbatim = false;
    for line in lines {
        let set_in = line.starts_with("  ");
        if set_in != verbatim {
            body += if set_in { ".nf\n" } else { ".fi\n" };
            verbatim = set_in;
        }
        let _ = writeln!(body, "{}", text(line));
    }
    if verbatim {
        body += ".fi\n";
    }
    body
}

/// One block of the file: a comment, and the keys that it is about.
fn block(lines: &[&str], page: &mut String) {
    let comment: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix('#')).collect();
    let comment: Vec<_> = comment.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let keys: Vec<_> = lines.iter().filter(|line| !line.starts_with('#')).collect();
    if let [title] = comment[..]
        && let Some(title) = title.strip_prefix("---- ").and_then(|title| title.strip_suffix(" ----"))
    {
        let _ = writeln!(page, ".SS {}", text(title));
        return;
    }
    for (nth, key) in keys.iter().enumerate() {
        let _ = writeln!(page, "{}\n\\fB{}\\fR", if nth == 0 { ".TP" } else { ".TQ" }, text(key));
    }
    *page += &paragraphs(&comment);
}

fn page_of_the_configuration() -> String {
    let blocks: Vec<Vec<&str>> = CONFIGURATION
        .split("\n\n")
        .map(|block| block.lines().filter(|line| !line.is_empty()).collect())
        .collect();
    let (first, rest) = blocks.split_first().unwrap();
    let mut page = head("wsrelayd.toml", 5, "File Formats Manual");
    section(&mut page, "name", "wsrelayd.toml \\- configuration of the WebSocket broadcast relay");
    section(&mut page, "synopsis", ".I /etc/wsrelayd.toml");
    let mut description = String::new();
    block(first, &mut description);
    // What the file says of itself, less its name.
    let description = description.replacen("wsrelayd: the configuration. ", "", 1);
    section(&mut page, "description", description.trim_end());
    page += ".SH KEYS\nEach key stands here with its default.\n";
    rest.iter().for_each(|lines| block(lines, &mut page));
    section(&mut page, "see also", "\\fBwsrelayd\\fR(8)");
    page
}

#[test]
fn the_page_of_the_configuration_has_every_key_with_its_default() {
    let page = page_of_the_configuration();
    let all = Config::default().to_toml();
    let keys: Vec<_> = all.lines().filter(|line| line.contains(" = ")).collect();
    assert!(!keys.is_empty());
    for key in keys {
        let name = key.split(" = ").next().unwrap();
        assert!(page.contains(&format!("\n\\fB{} = ", text(name))), "{name} is not in the page");
    }
    assert!(page.contains(".SS "), "no headings");
    hold("etc/man/wsrelayd.toml.5", &page);
}

#[test]
fn text_is_no_request_and_keeps_its_letters() {
    let table: &[(&str, &str)] = &[
        (".a", "\\&.a"),
        ("'a", "\\&'a"),
        ("a \\ b", "a \\e b"),
        ("--x", "\\-\\-x"),
        ("a `b` c", "a \\fBb\\fR c"),
        ("`.b`", "\\fB.b\\fR"),
    ];
    assert!(table.len() > 3);
    for &(words, made) in table {
        assert_eq!(text(words), made);
    }
}
