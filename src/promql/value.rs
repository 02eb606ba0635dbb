//! What evaluations read and give.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use hashbrown::HashSet;

use super::EvalError;
use crate::model::{Labels, Timestamp};

/// A value at a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// When.
    pub time: Timestamp,
    /// What.
    pub value: f64,
}

/// Points of one series, oldest first: a part of what the source holds, shared with it and not copied.
#[derive(Clone, Default)]
pub struct Points {
    held: Arc<Vec<Point>>,
    part: Range<usize>,
}

impl Points {
    /// Those of `held` in `part`, as far as there are any.
    pub fn shared(held: &Arc<Vec<Point>>, part: Range<usize>) -> Self {
        let end = part.end.min(held.len());
        Self {
            held: Arc::clone(held),
            part: part.start.min(end)..end,
        }
    }
}

impl Deref for Points {
    type Target = [Point];

    fn deref(&self) -> &[Point] {
        self.held.get(self.part.clone()).unwrap_or(&[])
    }
}

impl From<Vec<Point>> for Points {
    fn from(points: Vec<Point>) -> Self {
        Self {
            part: 0..points.len(),
            held: Arc::new(points),
        }
    }
}

impl FromIterator<Point> for Points {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
        Vec::from_iter(points).into()
    }
}

impl PartialEq for Points {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The same from where the part before was: of times that go forward step by step it is found next to it.
pub(super) fn window_from(
    points: &[Point],
    before: &Range<usize>,
    after: Timestamp,
    through: Timestamp,
) -> Range<usize> {
    let not_past = |place: usize, time: Timestamp| {
        place <= points.len() && (place == 0 || points[place - 1].time <= time)
    };
    if !not_past(before.start, after) || !not_past(before.end, through) {
        return window(points, after, through);
    }
    let forward = |mut place: usize, time: Timestamp| {
        while points.get(place).is_some_and(|point| point.time <= time) {
            place += 1;
        }
        place
    };
    let first = forward(before.start, after);
    first..forward(before.end, through).max(first)
}

/// The part of rising points where `after < time <= through`.
pub fn window(points: &[Point], after: Timestamp, through: Timestamp) -> Range<usize> {
    let first = points.partition_point(|point| point.time <= after);
    let end = points.partition_point(|point| point.time <= through);
    first..end.max(first)
}

/// A series: labels, with the metric name, and points, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// All labels.
    pub labels: Labels,
    /// Its points.
    pub points: Points,
}

/// One element of an instant vector.
#[derive(Clone, PartialEq, Debug)]
pub struct Element {
    /// Its labels, with the metric name where the expression keeps it.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// The result of an instant query.
#[derive(Clone, PartialEq, Debug)]
pub enum QueryValue {
    /// A number.
    Scalar(f64),
    /// A string literal.
    String(String),
    /// An instant vector.
    Vector(Vec<Element>),
    /// A range vector.
    Matrix(Vec<Series>),
}

/// What a part of an expression gives while it is evaluated. Range vectors borrow the points that were loaded.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Scalar(f64),
    String(String),
    Vector(Vec<Element>),
    Matrix(RangeVector<'a>),
}

/// A range vector with the window that was asked for, which extrapolation needs.
#[derive(Debug)]
pub(super) struct RangeVector<'a> {
    /// The window begins after this time.
    pub(super) after: Timestamp,
    /// The window ends with this time.
    pub(super) through: Timestamp,
    /// Only series with at least one point in the window.
    pub(super) series: Vec<RangeSeries<'a>>,
    /// Whether all have the same metric name, so that they are told apart without it.
    pub(super) one_name: bool,
}

/// One series of a range vector, without stale markers.
#[derive(Debug)]
pub(super) struct RangeSeries<'a> {
    pub(super) labels: Labels,
    pub(super) points: Cow<'a, [Point]>,
}

impl Value<'_> {
    /// What the caller of a query sees.
    pub(super) fn into_result(self) -> QueryValue {
        match self {
            Self::Scalar(number) => QueryValue::Scalar(number),
            Self::String(text) => QueryValue::String(text),
            Self::Vector(elements) => QueryValue::Vector(elements),
            Self::Matrix(matrix) => {
                let mut series: Vec<Series> = matrix
                    .series
                    .into_iter()
                    .map(|series| Series {
                        labels: series.labels,
                        points: series.points.into_owned().into(),
                    })
                    .collect();
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                QueryValue::Matrix(series)
            }
        }
    }

    /// The word for the kind of value, as PromQL's documentation says it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::String(_) => "string",
            Self::Vector(_) => "instant vector",
            Self::Matrix(_) => "range vector",
        }
    }
}

/// Refuses a vector in which two elements have the same labels, as can happen once names are dropped.
pub(super) fn distinct(elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
    check_distinct(elements.iter().map(|element| &element.labels))?;
    Ok(elements)
}

/// Refuses label sets of which two are the same.
pub(super) fn check_distinct<'l>(
    mut all: impl ExactSizeIterator<Item = &'l Labels>,
) -> Result<(), EvalError> {
    if all.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(all.len());
    match all.find(|labels| !seen.insert(*labels)) {
        None => Ok(()),
        Some(twice) => Err(EvalError(format!(
            "vector cannot contain metrics with the same labelset: {twice} comes twice"
        ))),
    }
}
