//! The text of `/metrics`: every number of the relay, for Prometheus and whoever reads the same.
//!
//! Owns the names, all of them with the prefix `wsrelayd_`, and what is said of each; the README has the same table. The
//! format is the work of `prometheus-client`, which writes OpenMetrics. In the older text form of Prometheus a counter
//! is called as its sample is, `…_total`, and an info is a gauge: so both forms have the same samples, and what reads
//! only the older one, as `promtool check metrics` does, finds nothing amiss. No label comes from outside: there are no
//! series that peers could make.

mod table;

use super::{Exposition, status::Circumstances};
use crate::{counters, histogram::Histogram, relay::Relay};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};
use std::fmt;

/// Stands before every name.
const PREFIX: &str = "wsrelayd";
const MICROS_PER_SEC: f64 = 1e6;

/// The body.
pub fn text<L>(relay: &Relay<L>, of: &Circumstances<'_>, form: Exposition) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot { families: table::families(relay, of), form }));
    let mut body = String::new();
    // A string takes everything.
    let _ = match form {
        Exposition::OpenMetrics => text::encode(&mut body, &registry),
        Exposition::Plain => text::encode_registry(&mut body, &registry),
    };
    body
}

/// All metrics as they are now.
#[derive(Debug)]
struct Snapshot {
    families: Vec<Family>,
    form: Exposition,
}

/// One metric with all its series.
#[derive(Debug)]
struct Family {
    /// Without prefix and suffix.
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Samples,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

#[derive(Debug)]
enum Samples {
    One(u64),
    /// One that is no whole number.
    Real(f64),
    /// A label, and a number for each of its values.
    By(&'static str, Vec<(&'static str, u64)>),
    /// Upper bounds with their counts, all values added up, and how many they are.
    Sizes {
        buckets: Vec<(f64, u64)>,
        sum: f64,
        count: u64,
    },
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.families.iter().try_for_each(|family| family.encode(&mut encoder, self.form))
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>, form: Exposition) -> fmt::Result {
        let name = match form {
            Exposition::OpenMetrics => self.name.to_owned(),
            Exposition::Plain => format!("{}{}", self.name, self.kind.suffix()),
        };
        let mut metric = encoder.encode_descriptor(&name, self.help, None, self.kind.named_in(form))?;
        let encode = |metric: &mut MetricEncoder<'_>, number: u64| match (self.kind, form) {
            (Kind::Counter, Exposition::OpenMetrics) => {
                metric.encode_counter::<NoLabelSet, u64, f64>(&number, None)
            }
            _ => metric.encode_gauge(&number),
        };
        match &self.samples {
            Samples::One(number) => encode(&mut metric, *number),
            Samples::Real(number) => metric.encode_gauge(number),
            Samples::By(label, rows) if self.kind == Kind::Info && form == Exposition::OpenMetrics => {
                rows.iter().try_for_each(|(value, _)| metric.encode_info(&[(*label, *value)]))
            }
            Samples::By(label, rows) => rows
                .iter()
                .try_for_each(|(value, n)| encode(&mut metric.encode_family(&[(*label, *value)])?, *n)),
            Samples::Sizes { buckets, sum, count } => {
                metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }
        }
    }
}

impl Kind {
    /// What a sample's name has behind that of its metric in OpenMetrics.
    fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    fn named_in(self, form: Exposition) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Info if form == Exposition::OpenMetrics => MetricType::Info,
            Self::Gauge | Self::Info => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

impl Samples {
    /// `per_unit` of what was counted are one of what is told.
    #[allow(clippy::cast_precision_loss, reason = "a sum of many billions may be off by one")]
    fn sizes<const BOUNDS: usize>(bounds: &[u64; BOUNDS], of: &Histogram<BOUNDS>, per_unit: f64) -> Self {
        let bounds = bounds.iter().map(|bound| *bound as f64 / per_unit).chain([f64::INFINITY]);
        let counts = of.counts().iter().copied().chain([of.beyond()]);
        let buckets = bounds.zip(counts).collect::<Vec<_>>();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Self::Sizes { buckets, sum: of.sum() as f64 / per_unit, count }
    }

    fn turns(counters: &counters::Counters) -> Self {
        Self::sizes(&counters::TURN_BOUNDS_MICROS, &counters.turn_micros, MICROS_PER_SEC)
    }

    fn lags(counters: &counters::Counters) -> Self {
        Self::sizes(&counters::LAG_BOUNDS_BYTES, &counters.lag_bytes, 1.0)
    }
}

#[cfg(test)]
mod tests;
