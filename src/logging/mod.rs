//! Lines to standard error that can neither stop nor end the program, in a form that suits who reads them.
//!
//! Owns a bounded queue, the one thread that writes it out, the form of lines, and the count of lines that were
//! dropped. Promises: no caller ever blocks or panics, whatever standard error is (a full disk, a dead pipe, a pipe
//! nobody reads); a line that finds the queue full or cannot be written is dropped, counted, and mentioned when there
//! is room again; one record is one line, whatever stands in it, and each value of its pairs is cut to 200 bytes. The
//! flags of standard error are never touched: they belong to whoever shares it with us. Leaves to others: what is
//! worth a line, and how often.

use std::env;

use log::LevelFilter;

/// Text of unknown origin, made fit for one line.
pub(crate) mod escape;
/// How a line looks.
mod form;
/// The queue and the thread that writes it out.
mod outlet;
/// One line a second, and a count of the rest.
mod throttle;

pub use form::{Form, Format};
pub use outlet::Outlet;
pub use throttle::Throttle;

// `trace!` formats every frame in tungstenite: it is compiled out of what is shipped.
const _: () =
    assert!(cfg!(debug_assertions) || log::STATIC_MAX_LEVEL as usize <= LevelFilter::Debug as usize);

/// Text of unknown origin as a part of one line, of at most `limit` bytes: escaped, and cut with a mark.
pub(crate) fn plain(text: &str, limit: usize) -> String {
    let mut line = String::new();
    escape::append(&mut line, text, escape::Escape::Prose, limit);
    line
}

/// Sends the `log` macros to `outlet`, and gives its lines the form that `format` means here. `RUST_LOG` is heard
/// before `level`; what cannot be read in it is said in a line of the log, and `level` holds.
pub fn install(outlet: &Outlet, level: LevelFilter, format: Format) {
    let form = Form::here(format);
    outlet.adopt(form);
    let mut builder = env_logger::Builder::new();
    // Without `RUST_LOG` what is heard is decided by `set_level`.
    let base = if filters().is_some() { level } else { LevelFilter::Debug };
    builder.filter_level(base).target(env_logger::Target::Pipe(Box::new(outlet.clone())));
    let complaint = filters().and_then(|filters| heed(&mut builder, &filters).err());
    builder.format(move |out, record| {
        let line = form.line(outlet::clock(), record.level(), record.args(), record.key_values());
        std::io::Write::write_all(out, line.as_bytes())
    });
    // Fails only where a logger stands already, and then that one is as good.
    let _ = builder.try_init();
    set_level(level);
    if let Some(complaint) = complaint {
        log::warn!("RUST_LOG is ignored: {complaint}");
    }
}

/// From now on `level` is heard, unless `RUST_LOG` says what is.
pub fn set_level(level: LevelFilter) {
    let heeded = filters().is_some_and(|filters| readable(&filters).is_ok());
    if !heeded {
        log::set_max_level(level);
    }
}

/// What `RUST_LOG` says, if it says anything.
fn filters() -> Option<String> {
    env::var("RUST_LOG").ok().filter(|filters| !filters.trim().is_empty())
}

/// Asks `env_filter` first: `env_logger` itself would print its complaint with `eprintln!`, which blocks on a full
/// pipe and panics on a dead one.
fn heed(builder: &mut env_logger::Builder, filters: &str) -> Result<(), String> {
    readable(filters)?;
    builder.parse_filters(filters);
    Ok(())
}

fn readable(filters: &str) -> Result<(), String> {
    env_filter::Builder::new().try_parse(filters).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_log_is_read_or_complained_about_without_printing() {
        let table =
            [("debug", true), ("wsrelayd=warn,info", true), ("wsrelayd=loud", false), ("a=b=c", false)];
        assert!(!table.is_empty());
        for (filters, readable) in table {
            assert_eq!(heed(&mut env_logger::Builder::new(), filters).is_ok(), readable, "{filters}");
        }
    }
}
