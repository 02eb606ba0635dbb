//! OpenMetrics 1.0, written by prometheus-client from samples that were gathered elsewhere.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::model::{Desc, Histogram, Kind, Labels, Sample, Value};

/// Whole numbers up to here are exact in a 64-bit float, and are written without a fraction.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Samples, ready to be written: sorted by name and labels, each series once.
#[derive(Clone, Debug)]
pub(in crate::http) struct Samples(Arc<[Sample]>);

impl Samples {
    /// Sorts them. Of a series given twice the first stays: a page that has one twice is refused as a whole.
    pub(in crate::http) fn new(samples: impl IntoIterator<Item = Sample>) -> Self {
        let mut sorted: Vec<Sample> = samples.into_iter().collect();
        sorted.sort_by(|a, b| (a.desc.name, &a.labels).cmp(&(b.desc.name, &b.labels)));
        sorted.dedup_by(|a, b| a.desc.name == b.desc.name && a.labels == b.labels);
        Self(sorted.into())
    }

    /// The same without the metrics that the others have.
    pub(in crate::http) fn without(&self, others: &Self) -> Self {
        let taken = |name| {
            others
                .0
                .binary_search_by(|other| other.desc.name.cmp(name))
                .is_ok()
        };
        let left = self.0.iter().filter(|sample| !taken(sample.desc.name));
        Self(left.cloned().collect())
    }

    /// In OpenMetrics without the end mark.
    pub(in crate::http) fn render(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        render(&registry)
    }
}

/// A registry in OpenMetrics without the end mark, so that several can follow one another.
pub(in crate::http) fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail, and nothing here gives up by itself.
    if let Err(error) = encode_registry(&mut text, registry) {
        tracing::error!(%error, "could not write a part of /metrics");
    }
    text
}

/// Ends an OpenMetrics text.
pub(in crate::http) fn finish(text: &mut String) {
    // Writing into a string cannot fail.
    let _infallible = encode_eof(text);
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.chunk_by(|a, b| a.desc.name == b.desc.name) {
            encode_family(&mut encoder, family)?;
        }
        Ok(())
    }
}

fn encode_family(encoder: &mut DescriptorEncoder<'_>, family: &[Sample]) -> fmt::Result {
    let Some(Sample { desc, .. }) = family.first() else {
        return Ok(());
    };
    let (stem, unit) = stem(desc);
    let kind = match desc.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    let help = escape_help(desc.help);
    let mut metric = encoder.encode_descriptor(stem, &help, unit.as_ref(), kind)?;
    for sample in family {
        if sample.labels.is_empty() {
            encode_sample(desc.kind, &sample.value, &mut metric)?;
        } else {
            let labels = Pairs(&sample.labels);
            encode_sample(desc.kind, &sample.value, &mut metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_sample(kind: Kind, value: &Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Number(number)) => match whole(*number).map(u64::try_from) {
            Some(Ok(number)) => encoder.encode_counter::<NoLabelSet, u64, f64>(&number, None),
            _ => encoder.encode_counter::<NoLabelSet, f64, f64>(number, None),
        },
        (Kind::Gauge, Value::Number(number)) => match whole(*number) {
            Some(number) => encoder.encode_gauge(&number),
            None => encoder.encode_gauge(number),
        },
        (Kind::Histogram, Value::Histogram(histogram)) => {
            let count = histogram.count as u64;
            encoder.encode_histogram::<NoLabelSet>(histogram.sum, count, &apart(histogram), None)
        }
        // A value that its own description denies. Left out: the page would be refused as a whole.
        (Kind::Counter | Kind::Gauge, Value::Histogram(_)) | (Kind::Histogram, Value::Number(_)) => Ok(()),
    }
}

/// A metric's name without what prometheus-client adds to it: `_total`, and the unit.
fn stem(desc: &Desc) -> (&'static str, Option<Unit>) {
    let name = match desc.kind {
        Kind::Counter => desc.name.strip_suffix("_total").unwrap_or(desc.name),
        Kind::Gauge | Kind::Histogram => desc.name,
    };
    let split = desc.unit.and_then(|unit| {
        let stem = name.strip_suffix(unit)?.strip_suffix('_')?;
        Some((stem, Some(Unit::Other(unit.to_owned()))))
    });
    split.unwrap_or((name, None))
}

/// prometheus-client writes the help as it is.
fn escape_help(help: &str) -> String {
    help.replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}

fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= LARGEST_EXACT).then_some(number as i64)
}

/// prometheus-client adds the buckets up itself. The last one takes what the count has above the others, so that the
/// bucket +Inf and the count agree, as the format demands.
fn apart(histogram: &Histogram) -> Vec<(f64, u64)> {
    let mut below = 0;
    let mut step = |bound: f64, upto: f64| {
        let upto = (upto as u64).max(below);
        let count = upto - below;
        below = upto;
        (bound, count)
    };
    let finite = histogram.buckets.iter().filter(|(bound, _)| bound.is_finite());
    let mut buckets: Vec<_> = finite.map(|(bound, upto)| step(*bound, *upto)).collect();
    buckets.push(step(f64::INFINITY, histogram.count));
    buckets
}

struct Pairs<'a>(&'a Labels);

impl EncodeLabelSet for Pairs<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|pair| pair.encode(encoder.encode_label()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SIZE: Desc = Desc::gauge("x_size_bytes", Some("bytes"), "How \"big\" a\\b\nis.");
    static READS: Desc = Desc::counter("x_read_seconds_total", Some("seconds"), "Time.");
    static SEEN: Desc = Desc::counter("x_seen_total", None, "Seen.");
    static TOOK: Desc = Desc::histogram("x_took_seconds", Some("seconds"), "Took.");

    fn labels(pairs: &[(&'static str, &'static str)]) -> Labels {
        Labels::new(pairs.iter().copied())
    }

    fn rendered(samples: Vec<Sample>) -> String {
        Samples::new(samples).render()
    }

    #[test]
    fn a_gauge_has_its_unit_and_escapes() {
        let odd = labels(&[("path", "a\"b\\c\nd"), ("cluster", "ü")]);
        let text = rendered(vec![
            Sample::number(&SIZE, odd, 0.5),
            Sample::number(&SIZE, labels(&[("cluster", "a")]), -3.0),
        ]);
        assert_eq!(
            text,
            "# HELP x_size_bytes How \\\"big\\\" a\\\\b\\nis.\n\
             # TYPE x_size_bytes gauge\n\
             # UNIT x_size_bytes bytes\n\
             x_size_bytes{cluster=\"a\"} -3\n\
             x_size_bytes{cluster=\"ü\",path=\"a\\\"b\\\\c\\nd\"} 0.5\n"
        );
    }

    #[test]
    fn a_counter_is_named_total_once_and_only_on_its_samples() {
        let text = rendered(vec![
            Sample::number(&SEEN, Labels::empty(), 3.0),
            Sample::number(&READS, Labels::empty(), 0.25),
        ]);
        assert_eq!(
            text,
            "# HELP x_read_seconds Time.\n# TYPE x_read_seconds counter\n# UNIT x_read_seconds seconds\n\
             x_read_seconds_total 0.25\n\
             # HELP x_seen Seen.\n# TYPE x_seen counter\nx_seen_total 3\n"
        );
    }

    #[test]
    fn buckets_stay_cumulative_and_end_with_the_count() {
        let histogram = Histogram {
            buckets: vec![(0.001, 2.0), (1.0, 5.0), (f64::INFINITY, 6.0)],
            sum: 7.5,
            count: 6.0,
        };
        let text = rendered(vec![Sample::histogram(&TOOK, labels(&[("m", "a")]), histogram)]);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"x_took_seconds_sum{m="a"} 7.5"#,
                r#"x_took_seconds_count{m="a"} 6"#,
                r#"x_took_seconds_bucket{le="0.001",m="a"} 2"#,
                r#"x_took_seconds_bucket{le="1.0",m="a"} 5"#,
                r#"x_took_seconds_bucket{le="+Inf",m="a"} 6"#,
            ]
        );
    }

    #[test]
    fn the_order_does_not_depend_on_the_input_and_a_series_is_written_once() {
        let one = Sample::number(&SEEN, labels(&[("m", "a")]), 1.0);
        let two = Sample::number(&SEEN, labels(&[("m", "b")]), 2.0);
        let size = Sample::number(&SIZE, labels(&[("m", "a")]), 1.0);
        let text = rendered(vec![two.clone(), size.clone(), one.clone()]);
        assert_eq!(text, rendered(vec![one.clone(), two, size, one]));
        assert_eq!(text.matches("# TYPE").count(), 2);
    }

    #[test]
    fn numbers_that_no_integer_holds_are_written_as_floats() {
        let value = |number| {
            let text = rendered(vec![Sample::number(&SIZE, labels(&[("m", "a")]), number)]);
            text.rsplit(' ').next().unwrap_or_default().trim().to_owned()
        };
        assert_eq!(value(1e300), "1e300");
        assert_eq!(value(f64::NAN), "NaN");
        assert_eq!(value(f64::INFINITY), "inf");
        assert_eq!(value(2_147_483_648.0), "2147483648");
    }

    #[test]
    fn a_value_that_its_description_denies_is_left_out() {
        let text = rendered(vec![Sample::number(&TOOK, labels(&[("m", "a")]), 1.0)]);
        assert!(!text.contains("m=\"a\""), "{text}");
    }
}
