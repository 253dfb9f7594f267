//! The answers to requests that are not accepted.
//!
//! Owns status, headers, body and counter label of each refusal (law 12: each is counted under exactly one). All of it
//! is constant text: nothing that a peer sent stands in an answer. Leaves to others when to refuse.

use crate::{limits::Kinds, token::TokenFault};

/// Why a request was refused: decides the status, the headers and the counter's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400 and what was wrong.
    BadRequest(&'static str),
    /// 405: another method than these.
    Method(Methods),
    /// 505: not HTTP/1.1.
    HttpVersion,
    /// 426: no upgrade to `websocket` was asked for.
    Upgrade,
    /// 426: the WebSocket version is not 13.
    Version,
    /// 431: the head is over 8 KiB or has more than 64 header lines.
    HeadTooLarge,
    /// 414: the request line is over 4 KiB, or the path over 255 bytes.
    TargetTooLong,
    /// 408: the request was not complete in time.
    Timeout,
    /// 429: too many connections from one address.
    AddressConnections,
    /// 429: too many handshakes from one address.
    AddressRate,
    /// 503: too many connections.
    MaxConnections,
    /// 503: too many handshakes.
    MaxHandshakes,
    /// 503: shutting down.
    Draining,
    /// 403: the page that sent it is none from which requests are taken here.
    Origin,
    /// 404: the path comes under no rule.
    Channel,
    /// 401: nobody may do that here without a token.
    TokenMissing,
    /// 401: the token is not good.
    Token(TokenFault),
    /// 403: the token does not say so, or none could.
    Forbidden,
    /// 400: none of the subprotocols of which one is demanded was offered.
    Subprotocol,
    /// 503: the channel has as many peers as it may.
    MaxPeers,
    /// 429: the address has sent as much as it may for now.
    Rate,
    /// 415: the channel takes no such messages.
    Kind(Kinds),
    /// 411: a message was posted without its length.
    LengthRequired,
    /// 413: a message was posted that is over the limit.
    BodyTooLarge,
    /// 415: text was posted that is not UTF-8 by its own word.
    MediaType,
    /// 417: something else is expected than `100-continue`.
    Expectation,
    /// 408: a posted message was not complete in time.
    BodyTimeout,
    /// 503: the senders of the channel must wait, or there is no memory for one more message.
    Busy,
}

/// What may be asked for here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// The handshake of a WebSocket, and event streams.
    Get,
    /// Messages too.
    GetAndPost,
}

impl Refusal {
    /// Status code.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) | Self::Subprotocol => 400,
            Self::TokenMissing | Self::Token(_) => 401,
            Self::Origin | Self::Forbidden => 403,
            Self::Channel => 404,
            Self::Method(_) => 405,
            Self::Timeout | Self::BodyTimeout => 408,
            Self::LengthRequired => 411,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::MediaType | Self::Kind(_) => 415,
            Self::Expectation => 417,
            Self::Upgrade | Self::Version => 426,
            Self::AddressConnections | Self::AddressRate | Self::Rate => 429,
            Self::HeadTooLarge => 431,
            Self::MaxConnections | Self::MaxHandshakes | Self::Draining | Self::MaxPeers | Self::Busy => 503,
            Self::HttpVersion => 505,
        }
    }

    /// Label of the counter.
    pub fn label(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Method(_) => "method",
            Self::HttpVersion => "http_version",
            Self::Upgrade => "upgrade",
            Self::Version => "version",
            Self::HeadTooLarge => "head_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::Timeout => "handshake_timeout",
            Self::AddressConnections => "address_connections",
            Self::AddressRate => "address_rate",
            Self::MaxConnections => "max_connections",
            Self::MaxHandshakes => "max_handshakes",
            Self::Draining => "draining",
            Self::Origin => "origin",
            Self::Channel => "channel",
            Self::TokenMissing => "token_missing",
            Self::Token(fault) => fault.label(),
            Self::Forbidden => "forbidden",
            Self::Subprotocol => "subprotocol",
            Self::MaxPeers => "max_peers",
            Self::Rate => "rate",
            Self::Kind(_) => "kind",
            Self::LengthRequired => "length_required",
            Self::BodyTooLarge => "body_too_large",
            Self::MediaType => "media_type",
            Self::Expectation => "expectation",
            Self::BodyTimeout => "body_timeout",
            Self::Busy => "busy",
        }
    }

    /// The whole response. `retry_after_secs` is used by 429 and 503.
    pub fn response(self, retry_after_secs: u32) -> Vec<u8> {
        let (status, reason, body) = (self.status(), self.reason(), self.body());
        let fields = self.fields(retry_after_secs);
        let length = body.len();
        format!(
            "HTTP/1.1 {status} {reason}\r\n{fields}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn reason(self) -> &'static str {
        match self.status() {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            417 => "Expectation Failed",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "HTTP Version Not Supported",
        }
    }

    /// The header lines that go with the status. Each 426 names the protocol to upgrade to, and `Upgrade` is only
    /// valid with its option in `Connection` (RFC 9110 7.8 and 15.5.22).
    fn fields(self, retry_after_secs: u32) -> String {
        match self {
            Self::Method(Methods::Get) => "Connection: close\r\nAllow: GET\r\n".into(),
            Self::Method(Methods::GetAndPost) => "Connection: close\r\nAllow: GET, POST\r\n".into(),
            Self::Busy => "Connection: close\r\nRetry-After: 1\r\n".into(),
            Self::Upgrade => "Connection: close, Upgrade\r\nUpgrade: websocket\r\n".into(),
            Self::Version => {
                "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n".into()
            }
            // RFC 6750 3: nothing is said of a fault where there was no token.
            Self::TokenMissing => {
                "Connection: close\r\nWWW-Authenticate: Bearer realm=\"wsrelayd\"\r\n".into()
            }
            Self::Token(fault) => {
                let what = fault.description();
                format!(
                    "Connection: close\r\nWWW-Authenticate: Bearer realm=\"wsrelayd\", error=\"invalid_token\", \
                     error_description=\"{what}\"\r\n"
                )
            }
            _ if matches!(self.status(), 429 | 503) => {
                format!("Connection: close\r\nRetry-After: {retry_after_secs}\r\n")
            }
            _ => "Connection: close\r\n".into(),
        }
    }

    /// One line for the person at the other end: what was wrong, and what to do.
    fn body(self) -> String {
        let line = match self {
            Self::BadRequest(what) => return format!("This is not a good request: {what}.\n"),
            Self::Method(Methods::Get) => {
                "A WebSocket handshake is a GET request: use a WebSocket client. Messages by POST are off (http_publish)."
            }
            Self::Method(Methods::GetAndPost) => {
                "A WebSocket handshake is a GET request, and a message is published with POST."
            }
            Self::HttpVersion => {
                "Only HTTP/1.1 is spoken here; a proxy in front must use it to pass WebSockets on."
            }
            Self::Upgrade => {
                "This is a WebSocket relay: use a WebSocket client, and let a proxy in front pass on the headers \
                 Upgrade and Connection. Event streams need event_stream = true, and Accept: text/event-stream."
            }
            Self::Version => "Only version 13 of the WebSocket protocol (RFC 6455) is spoken here.",
            Self::HeadTooLarge => "The request head is too large: send at most 8 KiB and 64 header lines.",
            Self::TargetTooLong => {
                "The request target is too long: send a path of at most 255 bytes, and a request line of at most 4 KiB."
            }
            Self::Timeout => "The request did not come in time: send it as soon as the connection stands.",
            Self::AddressConnections => {
                "Too many connections from your address: close some, or try again later."
            }
            Self::AddressRate => "Too many connections from your address in a short time: try again later.",
            Self::MaxConnections => "All places are taken: try again later.",
            Self::MaxHandshakes => "Too many clients are connecting at the same moment: try again later.",
            Self::Draining => "The relay is shutting down: try again later.",
            Self::Origin => {
                "The page that sent this request is not of this host, and its Origin is not among `origins` in the \
                 configuration of the relay."
            }
            Self::Channel => {
                "There is no such channel: no rule in the configuration of the relay is for this path."
            }
            Self::TokenMissing => {
                "A token is needed here: send it as Authorization: Bearer TOKEN, or as the subprotocol bearer.TOKEN."
            }
            Self::Token(fault) => return format!("The token is not good: {}.\n", fault.description()),
            Self::Forbidden => "This may not be done on this path, or not with this token.",
            Self::Subprotocol => {
                "None of the subprotocols that are offered is spoken here, and one is demanded."
            }
            Self::MaxPeers => "All places on this channel are taken: try again later.",
            Self::Rate => "Too much was sent from your address in a short time: try again later.",
            Self::Kind(Kinds::Text) => {
                "Only text is taken here: send it with a Content-Type of text/*, in UTF-8."
            }
            Self::Kind(_) => "Only binary messages are taken here: send a Content-Type that is not text/*.",
            Self::LengthRequired => "The message needs a Content-Length: nothing is taken in chunks here.",
            Self::BodyTooLarge => {
                "The message is too large: max_message in the configuration of the relay says how large it may be."
            }
            Self::MediaType => {
                "Text is relayed as UTF-8 only: send charset=utf-8, or a type that is not text/*."
            }
            Self::Expectation => "Nothing but 100-continue can be expected here.",
            Self::BodyTimeout => "The message did not come in time: send it right behind the request.",
            Self::Busy => {
                "What was published before is still on its way, or memory is short: try again in a moment."
            }
        };
        format!("{line}\n")
    }
}
