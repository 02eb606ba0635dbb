//! The parts of an alert's expression with what each gives now.

use crate::model::{Labels, Timestamp};
use crate::promql::{Clause, Compared, Element, Options, Query, QueryValue, Source, ValueKind};

/// Series of one part that are told. A cluster has seven members and a rule rarely tells more apart; the page of an expression
/// shows more.
const MOST_READINGS: usize = 20;

/// One condition of an expression.
#[derive(Clone, Debug)]
pub struct Part {
    /// How deep it stands, from 0.
    pub depth: usize,
    /// How it goes on from the one before: `and`, `unless on (cluster)`; empty for the first of its depth.
    pub joined_by: String,
    /// The condition; of a group, whose conditions follow one deeper, what stands around them, which may be nothing.
    pub text: String,
    /// Whether its conditions follow.
    pub is_group: bool,
    /// The whole of it as an expression of its own.
    pub expr: String,
    /// What is compared and how, when it is a comparison: `(left, operator)`.
    pub comparison: Option<(String, &'static str)>,
    /// What that is compared with, as an expression, when it is one number for all.
    pub threshold: Option<String>,
    /// What it gives: of a comparison every series, whether it passes or not, those first that pass or are near to it.
    pub readings: Vec<Reading>,
    /// Series that found no room there.
    pub left_out: usize,
    /// How many series it gives to the expression: those that pass.
    pub passing: usize,
    /// How many series are left of the expression up to here; of depth 0 only.
    pub left: Option<usize>,
    /// Why it could not be evaluated.
    pub error: Option<String>,
}

/// One series of a part.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// What that is compared with.
    pub threshold: Option<f64>,
    /// Whether it passes.
    pub passes: bool,
}

impl Reading {
    /// By how much the value would have to grow to be its threshold, negative when it would have to fall; none when it
    /// passes, and where there is no threshold.
    pub fn distance(&self) -> Option<f64> {
        let distance = self.threshold? - self.value;
        (!self.passes && distance.is_finite()).then_some(distance)
    }
}

impl Part {
    /// Whether it takes series away that it gives: an `unless`.
    pub fn is_exception(&self) -> bool {
        self.joined_by.starts_with("unless")
    }
}

/// The parts of an expression as they are at `at`.
pub(super) fn of(query: &Query, source: &dyn Source, at: Timestamp) -> Vec<Part> {
    query
        .clauses()
        .iter()
        .map(|clause| part(clause, source, at))
        .collect()
}

fn part(clause: &Clause, source: &dyn Source, at: Timestamp) -> Part {
    let mut part = Part {
        depth: clause.depth,
        joined_by: clause.joined_by.clone(),
        text: clause.text.clone(),
        is_group: clause.is_group,
        expr: clause.query.text().to_owned(),
        comparison: None,
        threshold: None,
        readings: Vec::new(),
        left_out: 0,
        passing: 0,
        left: None,
        error: None,
    };
    if let Err(error) = look(&mut part, clause, source, at) {
        part.error = Some(error);
    }
    part
}

fn look(part: &mut Part, clause: &Clause, source: &dyn Source, at: Timestamp) -> Result<(), String> {
    let options = Options::default();
    let elements = |query: &Query| match query.instant(source, at, &options) {
        Ok(QueryValue::Vector(elements)) => Ok(elements),
        // A rule's number is one series without labels.
        Ok(QueryValue::Scalar(value)) => Ok(vec![Element {
            labels: Labels::empty(),
            value,
        }]),
        Ok(QueryValue::String(_) | QueryValue::Matrix(_)) => Ok(Vec::new()),
        Err(error) => Err(error.0),
    };
    if let Some(so_far) = &clause.so_far {
        part.left = Some(elements(so_far)?.len());
    }
    if let Some(comparison) = &clause.comparison {
        part.comparison = Some((comparison.value.text().to_owned(), comparison.operator));
        let is_number = comparison.threshold.kind() == ValueKind::Scalar;
        part.threshold = is_number.then(|| comparison.threshold.text().to_owned());
        let compared = comparison.look(source, at, &options).map_err(|error| error.0)?;
        part.passing = compared.iter().filter(|one| one.holds).count();
        part.readings = by_nearness(compared);
    } else {
        let found = elements(&clause.query)?;
        part.passing = found.len();
        if !clause.is_group {
            let readings = found.into_iter().map(|element| Reading {
                labels: element.labels,
                value: element.value,
                threshold: None,
                passes: true,
            });
            part.readings = readings.collect();
        }
    }
    part.left_out = part.readings.len().saturating_sub(MOST_READINGS);
    part.readings.truncate(MOST_READINGS);
    Ok(())
}

/// Those that pass first, then the others by how little they lack, measured by their own thresholds.
fn by_nearness(compared: Vec<Compared>) -> Vec<Reading> {
    let readings = compared.into_iter().map(|one| Reading {
        labels: one.labels,
        value: one.value,
        threshold: Some(one.threshold),
        passes: one.holds,
    });
    let mut readings: Vec<Reading> = readings.collect();
    let lack = |reading: &Reading| match (reading.passes, reading.distance(), reading.threshold) {
        (true, ..) => -1.0,
        (false, Some(distance), Some(threshold)) if threshold != 0.0 => (distance / threshold).abs(),
        (false, Some(distance), _) => distance.abs(),
        (false, None, _) => f64::INFINITY,
    };
    readings.sort_by(|one, other| {
        lack(one)
            .total_cmp(&lack(other))
            .then_with(|| one.labels.cmp(&other.labels))
    });
    readings
}
