//! What an examination finds: how bad it is, what it is, where, and what to do.
//!
//! Owns the form in which it is shown. Promises: nothing of a file reaches a terminal that it would obey.

use std::fmt;

use crate::nginx::{Directive, Spot};

/// Longest text that is shown, in characters.
const MAX_SHOWN: usize = 600;

/// How bad it is. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Good,
    /// Something that could not be looked at, or that is worth knowing.
    Note,
    /// Works, and will fail some day, or for some.
    Warning,
    /// Does not work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// Where it is so, and what stands there.
    pub at: Option<(Spot, String)>,
    /// What to do, or which line to write.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(severity: Severity, what: impl Into<String>) -> Self {
        Self { severity, what: what.into(), at: None, remedy: None }
    }

    pub(super) fn good(what: impl Into<String>) -> Self {
        Self::new(Severity::Good, what)
    }

    pub(super) fn note(what: impl Into<String>) -> Self {
        Self::new(Severity::Note, what)
    }

    pub(super) fn warning(what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what)
    }

    pub(super) fn error(what: impl Into<String>) -> Self {
        Self::new(Severity::Error, what)
    }

    pub(super) fn at(mut self, directive: &Directive) -> Self {
        self.at = Some((directive.spot.clone(), directive.to_string()));
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// One line of what, one of where, one of what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}", self.severity, printable(&self.what))?;
        if let Some((spot, text)) = &self.at {
            write!(f, "\n         at {}: {}", printable(&spot.to_string()), printable(text))?;
        }
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "\n         -> {}", printable(remedy)))
    }
}

/// On one line, and nothing that a terminal would obey. What is long because it was said so by others is cut.
fn printable(text: &str) -> String {
    let cut = text.chars().count() > MAX_SHOWN;
    let shown = text.chars().take(MAX_SHOWN);
    let safe = shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    safe.chain(if cut { "..." } else { "" }.chars()).collect()
}

/// Everything that was found, in the order of the examination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Whether anything does not work.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let s = |count: usize| if count == 1 { "" } else { "s" };
        writeln!(f, "{errors} error{}, {warnings} warning{}", s(errors), s(warnings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_where_and_what_to_do_and_nothing_that_a_terminal_obeys() {
        let spot = Spot { file: "f\u{1b}".into(), line: 7 };
        let at = Some((spot, "a\nb".to_owned()));
        let error = Finding { at, ..Finding::error("bad").remedy("mend it") };
        let report = Report(vec![Finding::good("x"), error, Finding::warning("y".repeat(1000))]);
        let told = report.to_string();
        assert!(told.starts_with("ok       x\nerror    bad\n         at f\u{fffd}:7: a\u{fffd}b\n         -> mend it\nwarning  yy"), "{told}");
        assert!(told.ends_with("yy...\n1 error, 1 warning\n"), "{told}");
        assert!(report.has_errors() && !Report::default().has_errors());
    }
}
