//! Reading the configuration again while running.
//!
//! Owns what holds, where it came from, and the count of reloads. Promises: the whole file is read and checked before
//! anything changes, and on any mistake nothing does; what needs a restart is left as it is and said; a lack of
//! descriptors is no obstacle. Leaves to others: to make the parts live by the new limits.

use std::{fs::File, io};

use crate::{
    config::{Config, ConfigSource},
    logging,
};

/// Lines of the log that one refused reload may take.
const MAX_LINES: usize = 20;

/// Changes that the line of one reload tells; a thousand rules may change at once.
const MAX_CHANGES: usize = 50;

/// What holds, and how it came about.
#[derive(Debug)]
pub(super) struct Reload {
    config: Config,
    source: ConfigSource,
    /// Given back for the time of a reload: the file can be opened when nothing else can (CVE-2017-7652).
    spare: Option<File>,
    done: u64,
    failed: u64,
}

impl Reload {
    /// # Errors
    /// When there is no descriptor to spare.
    pub(super) fn new(config: Config, source: ConfigSource) -> io::Result<Self> {
        Ok(Self { config, source, spare: Some(spare()?), done: 0, failed: 0 })
    }

    /// What holds.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Reloads that were applied, and those that were refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.done, self.failed)
    }

    /// Reads everything again. Answers with what holds from now on, unless nothing changes.
    pub(super) fn read(&mut self) -> Option<&Config> {
        if self.source.file.is_none() {
            log::warn!("SIGHUP: there is no file to read again; start with --config FILE to have one");
            return None;
        }
        self.spare = None;
        let read = self.source.read_again();
        self.spare = spare().ok();
        match read {
            Ok((config, warnings)) => {
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                self.done += 1;
                self.take(config)
            }
            Err(error) => {
                self.failed += 1;
                log::error!("SIGHUP: the configuration was not reloaded, nothing has changed:");
                error.lines().take(MAX_LINES).for_each(|line| log::error!("{line}"));
                None
            }
        }
    }

    fn take(&mut self, config: Config) -> Option<&Config> {
        let (config, fixed) = config.fixed_to(&self.config);
        if !fixed.is_empty() {
            log::warn!("{}: changed in the configuration, which needs a restart to hold", fixed.join(", "));
        }
        let changes = config.changes_since(&self.config);
        if changes.is_empty() {
            log::info!("SIGHUP: the configuration was reloaded: nothing has changed");
            return None;
        }
        // Either level hears of it.
        logging::set_level(config.log.max(self.config.log));
        log::info!("SIGHUP: the configuration was reloaded: {}", listed(&changes));
        logging::set_level(config.log);
        self.config = config;
        Some(&self.config)
    }
}

/// What changed, as one line of the log.
fn listed(changes: &[String]) -> String {
    let shown = changes.iter().take(MAX_CHANGES).cloned().collect::<Vec<_>>().join(", ");
    match changes.len().saturating_sub(MAX_CHANGES) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

fn spare() -> io::Result<File> {
    File::open("/dev/null")
}
