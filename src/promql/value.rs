//! What evaluations read and give.

use std::borrow::Cow;
use std::collections::HashSet;

use super::EvalError;
use crate::model::{Labels, Timestamp};

/// The label that holds a series' name.
pub(super) const METRIC_NAME: &str = "__name__";

/// A value at a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// When.
    pub time: Timestamp,
    /// What.
    pub value: f64,
}

/// A series: labels, with the metric name, and points, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// All labels.
    pub labels: Labels,
    /// Its points.
    pub points: Vec<Point>,
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
                        points: series.points.into_owned(),
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
    if elements.len() > 1 {
        let mut seen = HashSet::with_capacity(elements.len());
        if let Some(twice) = elements.iter().find(|element| !seen.insert(&element.labels)) {
            return Err(EvalError(format!(
                "vector cannot contain metrics with the same labelset: {} comes twice",
                twice.labels
            )));
        }
    }
    Ok(elements)
}
