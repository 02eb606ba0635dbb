//! Writing a bundle.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::shape::{ClusterLine, FORMAT, Line};
use super::{
    Bundle, MAX_CLUSTERS, MAX_COMPRESSED, MAX_LINE, MAX_POINTS, MAX_SERIES, MAX_TIMES, MAX_UNPACKED,
    RecordedSeries, Recording, Secrets, VERSION, notation,
};

/// Why a bundle cannot be written: it would be larger than one may be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the bundle would hold {what}, and one may hold {most}; a single cluster (--cluster) or a shorter window makes a smaller one"
)]
pub struct WriteError {
    what: String,
    most: String,
}

/// Writes a bundle, compressed, without any of the secrets.
///
/// # Errors
/// When it would be larger than one may be.
pub fn write(bundle: &Bundle, secrets: &Secrets) -> Result<Vec<u8>, WriteError> {
    bounded(bundle.recordings.len(), MAX_CLUSTERS, "clusters")?;
    let all = || bundle.recordings.iter().flat_map(|recording| &recording.series);
    bounded(all().count(), MAX_SERIES, "series")?;
    bounded(
        all().map(|series| series.points.len()).sum(),
        MAX_POINTS,
        "points",
    )?;
    let mut lines = Lines {
        zip: GzEncoder::new(Vec::new(), Compression::default()),
        secrets,
        count: 0,
        bytes: 0,
    };
    lines.add(&Line::Head {
        format: FORMAT.into(),
        version: VERSION,
        created_ms: bundle.created.millis(),
        made_by: (&*bundle.version).into(),
        rules_digest: (&*bundle.rules_digest).into(),
    })?;
    lines.add(&Line::Config {
        yaml: (&*bundle.config).into(),
    })?;
    for (file, text) in &bundle.rules {
        lines.add(&Line::Rules {
            file: file.into(),
            text: text.into(),
        })?;
    }
    lines.add(&Line::Report {
        report: Cow::Borrowed(&bundle.report),
    })?;
    for recording in &bundle.recordings {
        cluster(&mut lines, recording)?;
    }
    let count = lines.count;
    lines.add(&Line::End { lines: count })?;
    // Writing to memory cannot fail.
    let bytes = lines.zip.finish().unwrap_or_default();
    bounded(bytes.len(), MAX_COMPRESSED, "bytes")?;
    Ok(bytes)
}

fn cluster(lines: &mut Lines<'_>, recording: &Recording) -> Result<(), WriteError> {
    let points = recording.series.iter().flat_map(|series| &series.points);
    let times: BTreeSet<i64> = points.map(|point| point.time.millis()).collect();
    let times: Vec<i64> = times.into_iter().collect();
    bounded(times.len(), MAX_TIMES, "points in time of one cluster")?;
    lines.add(&Line::Cluster(Box::new(ClusterLine::of(
        recording,
        times.clone(),
    ))))?;
    for series in &recording.series {
        let Some((first, values)) = aligned(series, &times) else {
            continue;
        };
        lines.add(&Line::Series {
            labels: series
                .labels
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            by_rule: series.by_rule,
            first,
            values: notation::write(&values).into(),
        })?;
    }
    Ok(())
}

/// A series' values at the recording's times, from the first that it has to the last.
fn aligned(series: &RecordedSeries, times: &[i64]) -> Option<(usize, Vec<Option<f64>>)> {
    let start = series.points.first()?.time.millis();
    let first = times.partition_point(|time| *time < start);
    let mut points = series.points.iter().peekable();
    let mut values = Vec::new();
    for time in &times[first..] {
        if points.peek().is_none() {
            break;
        }
        values.push(
            points
                .next_if(|point| point.time.millis() == *time)
                .map(|point| point.value),
        );
    }
    Some((first, values))
}

fn bounded(there: usize, most: usize, what: &str) -> Result<(), WriteError> {
    if there <= most {
        return Ok(());
    }
    Err(WriteError {
        what: format!("{there} {what}"),
        most: most.to_string(),
    })
}

/// The lines written so far.
struct Lines<'a> {
    zip: GzEncoder<Vec<u8>>,
    secrets: &'a Secrets,
    count: usize,
    bytes: usize,
}

impl Lines<'_> {
    fn add(&mut self, line: &Line<'_>) -> Result<(), WriteError> {
        // Serialising fails only on keys that are no strings: these are.
        let text = serde_json::to_string(line).unwrap_or_default();
        let text = self.secrets.hidden_in(&text);
        self.count += 1;
        self.bytes += text.len() + 1;
        bounded(text.len(), MAX_LINE - 1, "bytes in one line")?;
        bounded(self.bytes, MAX_UNPACKED, "bytes")?;
        // Writing to memory cannot fail.
        let _ = self
            .zip
            .write_all(text.as_bytes())
            .and_then(|()| self.zip.write_all(b"\n"));
        Ok(())
    }
}
