//! What can be asked that is costly to find out, and what was found out of late.
//!
//! A question holds all that goes into its answer, so that the same question has the same one. Promises: nothing is found
//! out twice within a second as long as not more than `KEPT` things are asked for by turns, and never two things within
//! `PAUSE`, whoever asks: so at most one in a turn, and a small part of the loop's time. Answers are shared, so that
//! there are no more of them than are kept and visitors are under way. Leaves to others: to find out.

use super::{House, Tally};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// For so long what was found out is told again.
const FRESH: Duration = Duration::from_secs(1);
/// From one thing that is found out to the next. With ten thousand peers one takes some milliseconds.
const PAUSE: Duration = Duration::from_millis(20);
/// Longer after a longer answer, once more for each so many bytes: they cost half a millisecond to write.
const PAUSE_BYTES: usize = 8 << 10;
/// So many answers are kept. A console asks for four.
pub(super) const KEPT: usize = 8;

/// What is costly to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How the relay does.
    Status,
    /// Which channels there are.
    Channels,
    /// Which peers there are.
    Peers(Search),
    /// What happened to peers of late.
    Log,
    /// Every number, for a program that collects them.
    Metrics(Exposition),
}

/// Whom to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// On this channel only.
    pub channel: Option<Box<str>>,
    /// With this tag only.
    pub tag: Option<u64>,
    /// So many at most.
    pub most: usize,
}

/// In which text form metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The older form of Prometheus, 0.0.4, which everybody reads.
    Plain,
}

impl Question {
    /// The media type of the answer.
    pub(super) fn media(&self) -> &'static str {
        match self {
            Self::Metrics(Exposition::OpenMetrics) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            Self::Metrics(Exposition::Plain) => "text/plain; version=0.0.4; charset=utf-8",
            _ => "application/json",
        }
    }
}

/// What was found out of late.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The newest first.
    found: VecDeque<Finding>,
    /// When something new is found out at the earliest.
    opens_at: Option<Instant>,
}

#[derive(Debug)]
struct Finding {
    at: Instant,
    question: Question,
    answer: Arc<str>,
}

impl Findings {
    /// The answer, unless it is to be asked for later, at `opens_at`.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        now: Instant,
        house: &impl House,
        desk: &Tally,
    ) -> Option<Arc<str>> {
        self.forget(now);
        if let Some(known) = self.found.iter().find(|finding| finding.question == *question) {
            return Some(Arc::clone(&known.answer));
        }
        if self.opens_at().is_some_and(|opens_at| now < opens_at) {
            return None;
        }
        let answer: Arc<str> = house.find_out(question, desk).into();
        self.opens_at = Some(now + PAUSE * (1 + answer.len() / PAUSE_BYTES) as u32);
        self.found.truncate(KEPT - 1);
        self.found.push_front(Finding { at: now, question: question.clone(), answer: Arc::clone(&answer) });
        Some(answer)
    }

    /// When something new is found out at the earliest.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        self.opens_at
    }

    /// Gives back what is too old to be told.
    pub(super) fn forget(&mut self, now: Instant) {
        let is_old = |finding: &mut Finding| now.saturating_duration_since(finding.at) >= FRESH;
        while self.found.pop_back_if(is_old).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerId;
    use std::cell::Cell;

    /// Answers with how often it was asked.
    #[derive(Default)]
    struct Counting(Cell<u32>);

    impl House for Counting {
        fn is_draining(&self) -> bool {
            false
        }

        fn find_out(&self, _: &Question, _: &Tally) -> String {
            self.0.set(self.0.get() + 1);
            self.0.get().to_string()
        }

        fn dismiss(&mut self, _: PeerId, _: &str) -> bool {
            false
        }
    }

    fn search(most: usize) -> Question {
        Question::Peers(Search { channel: None, tag: None, most })
    }

    #[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
    fn start() -> (Findings, Counting, Instant) {
        (Findings::default(), Counting::default(), Instant::now())
    }

    #[test]
    fn an_answer_is_told_again_for_a_second_and_another_question_waits_a_little() {
        let (mut findings, house, start) = start();
        // milliseconds, the question, the answer
        let table = [
            (0, Question::Status, Some("1")),
            (0, Question::Status, Some("1")),
            (0, Question::Channels, None),
            (19, Question::Channels, None),
            (20, Question::Channels, Some("2")),
            (999, Question::Status, Some("1")),
            (1000, Question::Status, Some("3")),
            (1000, Question::Channels, Some("2")),
            (1020, search(1), Some("4")),
            (1040, search(2), Some("5")),
            (1059, search(1), Some("4")),
        ];
        assert!(!table.is_empty());
        for (at_ms, question, wanted) in table {
            let now = start + Duration::from_millis(at_ms);
            let found = findings.answer(&question, now, &house, &Tally::default());
            assert_eq!(found.as_deref(), wanted, "{question:?} at {at_ms} ms");
        }
        assert_eq!(findings.opens_at(), Some(start + Duration::from_millis(1060)));
    }

    #[test]
    fn what_is_kept_has_a_limit_and_an_end() {
        let (mut findings, house, start) = start();
        for nth in 0..20 {
            let now = start + PAUSE * nth;
            assert!(findings.answer(&search(nth as usize), now, &house, &Tally::default()).is_some());
            assert!(findings.found.len() <= KEPT);
        }
        let now = start + PAUSE * 20;
        let known = |findings: &mut Findings, most| {
            findings.answer(&search(most), now - Duration::from_millis(1), &house, &Tally::default())
        };
        assert!(known(&mut findings, 12).is_some() && known(&mut findings, 11).is_none(), "the newest eight");
        findings.forget(now + FRESH);
        assert!(findings.found.is_empty());
    }
}
