//! Reading a bundle, which may be from anybody: nothing in it is believed, and it costs no more than the bounds say.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;

use super::shape::{ClusterLine, FORMAT, Line};
use super::{
    Bundle, MAX_CLUSTERS, MAX_COMPRESSED, MAX_LINE, MAX_POINTS, MAX_SERIES, MAX_TIMES, MAX_UNPACKED,
    RecordedSeries, Recording, VERSION, notation,
};
use crate::model::{Labels, Timestamp};
use crate::promql::Point;

/// Why something is no bundle, or cannot be read as one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// Not even compressed.
    #[error("it is no bundle of etcd-doctor: it is not compressed with gzip")]
    NotZipped,
    /// Something else.
    #[error("it is no bundle of etcd-doctor: {0}")]
    Foreign(String),
    /// It stops in the middle.
    #[error("it is not complete: it ends after {lines} lines; copy it again")]
    Truncated {
        /// The lines that are whole.
        lines: usize,
    },
    /// Of a later format.
    #[error(
        "it is in format {found}, written by etcd-doctor {made_by}, and this version reads format {VERSION}: use that version"
    )]
    Newer {
        /// Its format.
        found: u64,
        /// What wrote it.
        made_by: String,
    },
    /// Larger than one may be.
    #[error("it has more {what} than a bundle may have ({most})")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        most: usize,
    },
    /// A line that cannot be.
    #[error("line {line} is damaged: {why}")]
    Damaged {
        /// Its number, from 1.
        line: usize,
        /// In words.
        why: String,
    },
}

/// Reads a bundle.
///
/// # Errors
/// Why it is none, or is too large or not whole; the message goes on from the file's name.
pub fn read(bytes: &[u8]) -> Result<Bundle, ReadError> {
    if bytes.len() > MAX_COMPRESSED {
        return Err(too_large("bytes", MAX_COMPRESSED));
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(ReadError::NotZipped);
    }
    let mut lines = Lines {
        text: BufReader::new(GzDecoder::new(bytes).take(MAX_UNPACKED as u64 + 1)),
        buffer: Vec::new(),
        count: 0,
        bytes: 0,
    };
    let mut bundle = head(&mut lines)?;
    let mut taken = Taken::default();
    let mut open: Option<Open> = None;
    let (mut has_config, mut has_report) = (false, false);
    loop {
        let number = lines.count + 1;
        let damaged = |why: String| ReadError::Damaged { line: number, why };
        match lines.next()? {
            Line::Config { yaml } if !has_config => {
                has_config = true;
                bundle.config = yaml.into_owned();
            }
            Line::Rules { file, text } => bundle.rules.push((file.into_owned(), text.into_owned())),
            Line::Report { report } if !has_report => {
                has_report = true;
                bundle.report = report.into_owned();
            }
            Line::Cluster(line) => {
                bundle.recordings.extend(open.take().map(|open| open.recording));
                if bundle.recordings.len() >= MAX_CLUSTERS {
                    return Err(too_large("clusters", MAX_CLUSTERS));
                }
                open = Some(Open::new(&line).map_err(damaged)?);
            }
            Line::Series {
                labels,
                by_rule,
                first,
                values,
            } => {
                let open = open
                    .as_mut()
                    .ok_or_else(|| damaged("a series before any cluster".into()))?;
                let labels = Labels::new(labels.iter().map(|(name, value)| (&**name, &**value)));
                let points = open.points(first, &values).map_err(damaged)?;
                taken.count(points.len())?;
                open.recording.series.push(RecordedSeries {
                    by_rule,
                    labels,
                    points,
                });
            }
            Line::End { lines: told } => {
                if told != number - 1 {
                    return Err(damaged(format!(
                        "{told} lines are told before it, and there are {}",
                        number - 1
                    )));
                }
                bundle.recordings.extend(open.take().map(|open| open.recording));
                return match (has_config && has_report, lines.are_over()?) {
                    (true, true) => Ok(bundle),
                    (true, false) => Err(damaged("something follows the end".into())),
                    (false, _) => Err(damaged(
                        "neither a configuration nor a report may be missing".into(),
                    )),
                };
            }
            Line::Head { .. } | Line::Config { .. } | Line::Report { .. } => {
                return Err(damaged("a line of this kind stood before".into()));
            }
        }
    }
}

/// The first line, and a bundle with nothing else yet.
fn head(lines: &mut Lines<'_>) -> Result<Bundle, ReadError> {
    let foreign = |why: &str| ReadError::Foreign(why.to_owned());
    let text = lines.text()?;
    let head: serde_json::Value =
        serde_json::from_str(text).map_err(|_| foreign("its first line is not JSON"))?;
    if head["format"] != FORMAT {
        return Err(foreign("its first line does not say so"));
    }
    let version = head["version"].as_u64().unwrap_or_default();
    if version != VERSION {
        return Err(ReadError::Newer {
            found: version,
            made_by: head["madeBy"]
                .as_str()
                .unwrap_or("of an unknown version")
                .chars()
                .take(40)
                .collect(),
        });
    }
    match serde_json::from_str(text) {
        Ok(Line::Head {
            created_ms,
            made_by,
            rules_digest,
            ..
        }) => Ok(Bundle {
            created: Timestamp::from_millis(created_ms),
            version: made_by.into_owned(),
            rules_digest: rules_digest.into_owned(),
            config: String::new(),
            rules: Vec::new(),
            report: serde_json::Value::Null,
            recordings: Vec::new(),
        }),
        _ => Err(foreign("its first line is not what begins one")),
    }
}

/// A cluster whose series are being read.
struct Open {
    recording: Recording,
    times: Vec<Timestamp>,
}

impl Open {
    fn new(line: &ClusterLine) -> Result<Self, String> {
        let times = &line.times_ms;
        if times.len() > MAX_TIMES {
            return Err(format!("there are more than {MAX_TIMES} points in time"));
        }
        if !times.is_sorted_by(|one, next| one < next)
            || times.last().is_some_and(|last| *last > line.time_ms)
        {
            return Err("the points in time do not rise to that of the last cycle".into());
        }
        Ok(Self {
            times: times.iter().copied().map(Timestamp::from_millis).collect(),
            recording: Recording {
                cluster: Arc::from(line.name.as_str()),
                time: Timestamp::from_millis(line.time_ms),
                watched_for: Duration::from_millis(line.watched_for_ms),
                ends_after: line.ends_after_ms.map(Duration::from_millis),
                facts: line.facts()?,
                outcomes: line.outcomes()?,
                alerts: line.alerts()?,
                series: Vec::new(),
            },
        })
    }

    fn points(&self, first: usize, values: &str) -> Result<Vec<Point>, String> {
        let times = self.times.get(first..).unwrap_or_default();
        let values = notation::read(values, times.len())?;
        let points = times.iter().zip(values);
        Ok(points
            .filter_map(|(time, value)| {
                Some(Point {
                    time: *time,
                    value: value?,
                })
            })
            .collect())
    }
}

/// What the series have taken so far.
#[derive(Default)]
struct Taken {
    series: usize,
    points: usize,
}

impl Taken {
    fn count(&mut self, points: usize) -> Result<(), ReadError> {
        self.series += 1;
        self.points += points;
        if self.series > MAX_SERIES {
            return Err(too_large("series", MAX_SERIES));
        }
        if self.points > MAX_POINTS {
            return Err(too_large("points", MAX_POINTS));
        }
        Ok(())
    }
}

const fn too_large(what: &'static str, most: usize) -> ReadError {
    ReadError::TooLarge { what, most }
}

/// The lines of the file, one in memory at a time.
struct Lines<'a> {
    text: BufReader<std::io::Take<GzDecoder<&'a [u8]>>>,
    buffer: Vec<u8>,
    count: usize,
    bytes: usize,
}

impl Lines<'_> {
    fn text(&mut self) -> Result<&str, ReadError> {
        self.buffer.clear();
        let limit = MAX_LINE as u64;
        let read = (&mut self.text).take(limit).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|error| unpacking(&error, self.count))?;
        self.bytes += read;
        if self.bytes > MAX_UNPACKED {
            return Err(too_large("bytes, unpacked,", MAX_UNPACKED));
        }
        if self.buffer.pop_if(|byte| *byte == b'\n').is_none() {
            return Err(match read == MAX_LINE {
                true => too_large("bytes in one line", MAX_LINE),
                false => ReadError::Truncated { lines: self.count },
            });
        }
        self.count += 1;
        std::str::from_utf8(&self.buffer).map_err(|error| ReadError::Damaged {
            line: self.count,
            why: error.to_string(),
        })
    }

    fn next(&mut self) -> Result<Line<'static>, ReadError> {
        let number = self.count + 1;
        serde_json::from_str(self.text()?).map_err(|error| ReadError::Damaged {
            line: number,
            why: error.to_string(),
        })
    }

    /// Whether nothing follows. The checksum is compared here, at the end.
    fn are_over(&mut self) -> Result<bool, ReadError> {
        match self.text.fill_buf() {
            Ok(rest) => Ok(rest.is_empty()),
            Err(error) => Err(unpacking(&error, self.count)),
        }
    }
}

/// What is cut off ends without an end, or with a checksum that is not that of what there is.
fn unpacking(error: &std::io::Error, lines: usize) -> ReadError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ReadError::Truncated { lines },
        _ => ReadError::Damaged {
            line: lines + 1,
            why: format!("it cannot be unpacked: {error}"),
        },
    }
}

#[cfg(test)]
mod tests;
