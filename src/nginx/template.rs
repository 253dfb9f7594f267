//! The configuration that nginx needs, filled in: `http.conf.in`, or `stream.conf.in` where every listener demands the
//! PROXY protocol.
//!
//! Promises: what the defaults make of it is `etc/nginx/wsrelayd.conf`, to the letter.

use super::facts::{Address, Door, Facts};
use crate::address::RealIpHeader;

const HTTP: &str = include_str!("http.conf.in");
const STREAM: &str = include_str!("stream.conf.in");

/// RFC 7239 wants an IPv6 address in brackets and quotes.
const FORWARDED_MAP: &str = r#"
map $remote_addr $wsrelayd_forwarded {
    default          for=unknown;
    ~^[0-9.]+$       for=$remote_addr;
    ~^[0-9A-Fa-f:.]+$ 'for="[$remote_addr]"';
}
"#;

/// One line of the log, without what comes behind the path.
const LOG_FORMAT: &str = r#"
# The query of a request may hold a token (token_query), which is for no log. (That of errors has it where one comes.)
log_format wsrelayd '$remote_addr - $remote_user [$time_local] "$request_method $uri $server_protocol" '
                    '$status $body_bytes_sent "$http_user_agent"';
"#;

const LOG: &str = "
    # Here and not below, so that it holds for what is answered while the relay is away, too.
    access_log /var/log/nginx/access.log wsrelayd;
";

/// `$uri` would not do: it is decoded, so that a client could write whole lines into a header, and in the location that
/// asks it is that location's own.
const PATH_MAP: &str = r"
# The path alone, as it came: the query of a request may hold a token.
map $request_uri $wsrelayd_path {
    ~^(?<wsrelayd_path_as_it_came>[^?]*) $wsrelayd_path_as_it_came;
}
";

/// With a value of nothing no header is sent, and what a client wrote there never passes.
const IDENTITY: &str = r#"
        # Who it is: the relay believes @USER@ (identity_header), so it is always overwritten, or any client could call
        # itself anybody. Nobody has a name until a service of your own is asked: take these three lines instead of the
        # one behind them, and the location below.
        # auth_request /.wsrelayd-auth;
        # auth_request_set $wsrelayd_user $upstream_http_@VARIABLE@;
        # proxy_set_header @USER@ $wsrelayd_user;
        proxy_set_header @USER@ "";
"#;

const AUTH: &str = r#"    # A service of your own: it answers 204, with @USER@, or 401 or 403.
    # location = /.wsrelayd-auth {
    #     internal;
    #     proxy_pass http://127.0.0.1:8000;
    #     proxy_pass_request_body off;
    #     proxy_set_header Content-Length "";
    #     # Not $request_uri, whose query may hold a token; not $uri, which is this location's own, and decoded.
    #     proxy_set_header X-Original-URI $wsrelayd_path;
    # }

"#;

/// Descriptors of a worker besides its connections: listeners, logs, and what it opens for itself.
const WORKER_RESERVE: usize = 240;

/// A timeout below this is no use to anybody.
const MIN_TIMEOUT_SECS: u64 = 60;

/// The configuration for nginx, with comments.
pub fn render(facts: &Facts) -> String {
    let bare = facts.doors.iter().any(|door| !door.proxy_protocol);
    let only_lines = !bare && !facts.doors.is_empty();
    let (template, indent) = if only_lines { (STREAM, "        ") } else { (HTTP, "    ") };
    let usable: Vec<_> = facts.doors.iter().filter(|door| door.proxy_protocol == only_lines).collect();
    let connections = 2 * facts.max_connections + WORKER_RESERVE;
    let values = [
        ("@SERVERS@", servers(&usable, indent)),
        ("@CONNECTIONS@", connections.to_string()),
        ("@NOFILE@", (connections + WORKER_RESERVE).to_string()),
        ("@MAX@", facts.max_connections.to_string()),
        ("@LIMIT_CONN@", limit_conn(facts.max_connections_per_address)),
        ("@RATE@", facts.handshakes_per_address_per_sec.max(1).to_string()),
        ("@BURST@", (5 * u64::from(facts.handshakes_per_address_per_sec.max(1))).to_string()),
        ("@HEADER@", facts.real_ip_header.name().to_owned()),
        ("@FORWARDED@", forwarded(facts.real_ip_header).to_owned()),
        ("@LOG_FORMAT@", only_if(facts.token_query.is_some(), LOG_FORMAT)),
        ("@LOG@", only_if(facts.token_query.is_some(), LOG)),
        ("@IDENTITY@", identity(facts, IDENTITY)),
        ("@AUTH@", identity(facts, AUTH)),
        ("@PATH_MAP@", only_if(facts.identity_header.is_some(), PATH_MAP)),
        ("@MAPS@", maps(facts.real_ip_header).to_owned()),
        ("@PING@", humantime::format_duration(facts.ping_interval).to_string()),
        ("@PONG@", humantime::format_duration(facts.pong_timeout).to_string()),
        ("@TIMEOUT@", timeout_secs(facts).to_string()),
        ("@BODY@", facts.max_message.div_ceil(1 << 10).to_string()),
    ];
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// Twice what the relay needs to find out that a client is dead, so that the relay is the one who tells it.
fn timeout_secs(facts: &Facts) -> u64 {
    facts.patience().as_millis().div_ceil(500).try_into().unwrap_or(u64::MAX).max(MIN_TIMEOUT_SECS)
}

/// No limit there, none here.
fn limit_conn(most: usize) -> String {
    let off = if most == 0 { "# " } else { "" };
    format!("{off}limit_conn wsrelayd_address {};", most.max(1))
}

fn maps(real_ip_header: RealIpHeader) -> &'static str {
    if real_ip_header == RealIpHeader::Forwarded { FORWARDED_MAP } else { "" }
}

fn only_if(holds: bool, text: &str) -> String {
    if holds { text.to_owned() } else { String::new() }
}

/// Nothing where no header names the user.
fn identity(facts: &Facts, text: &str) -> String {
    let Some(name) = &facts.identity_header else { return String::new() };
    let variable = name.to_ascii_lowercase().replace('-', "_");
    text.replace("@USER@", name).replace("@VARIABLE@", &variable)
}

/// What a client wrote there never passes.
fn forwarded(real_ip_header: RealIpHeader) -> &'static str {
    if real_ip_header == RealIpHeader::Forwarded { "$wsrelayd_forwarded" } else { "\"\"" }
}

/// The first door is used, a socket in the file system before an address; the others are shown.
fn servers(doors: &[&Door], indent: &str) -> String {
    let mut near: Vec<_> = doors.iter().map(|door| door.address.near()).collect();
    let is_socket = |address: &Address| matches!(address, Address::Unix(_));
    near.sort_by_key(|address| !is_socket(address));
    let mut lines: Vec<_> = near.iter().take(1).map(|address| format!("{indent}server {address};")).collect();
    lines.extend(
        near.iter().skip(1).map(|address| format!("{indent}# server {address};    # the same relay")),
    );
    if near.is_empty() {
        lines.push(format!(
            "{indent}server 127.0.0.1:9310;    # or what ListenStream= of wsrelayd.socket says"
        ));
    }
    if !near.iter().any(is_socket) {
        lines.push(format!(
            "{indent}# server unix:/run/wsrelayd/relay.sock;    # where `listen` has it; its group lets nginx in"
        ));
    }
    lines.join("\n")
}
