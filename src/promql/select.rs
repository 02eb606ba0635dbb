//! Which series and points each selector of an expression needs, and getting at them during an evaluation.
//!
//! Every selector is read from the source once an evaluation, over the whole time that it may need, however many steps
//! a range query or a subquery takes. A step then cuts its window out of what was loaded.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use super::ast::{At, Expr, Place, VectorSelector};
use super::value::{Point, RangeSeries, RangeVector, Series, window_from};
use super::{DEFAULT_LOOKBACK, EvalError, Matcher, Options, Selector, Source};
use crate::model::{Labels, Timestamp, is_stale};

/// Evaluation times from the first to the last, both included. The query's own are what `start()` and `end()` mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Span {
    fn map(self, change: impl Fn(Timestamp) -> Timestamp) -> Self {
        Self {
            from: change(self.from),
            to: change(self.to),
        }
    }
}

/// The time that a selector or subquery refers to when it is evaluated at `at` in a query over `query`.
pub(super) fn reference(place: Place, at: Timestamp, query: Span) -> Timestamp {
    let time = match place.at {
        None => at,
        Some(At::Start) => query.from,
        Some(At::End) => query.to,
        Some(At::Time(time)) => time,
    };
    shifted(time, place)
}

fn shifted(time: Timestamp, place: Place) -> Timestamp {
    Timestamp::from_millis(time.millis().saturating_sub(place.offset))
}

/// Calls `visit` for every vector or matrix selector, always in the same order, with its range (none for an instant
/// selector) and the reference times that it may have when the whole expression is evaluated over `span`.
fn walk<'e>(
    expr: &'e Expr,
    span: Span,
    place: &dyn Fn(Place, Timestamp) -> Timestamp,
    visit: &mut dyn FnMut(&'e VectorSelector, Option<Duration>, Span),
) {
    let placed = |of: Place| span.map(|time| place(of, time));
    match expr {
        Expr::Vector(selector) => visit(selector, None, placed(selector.place)),
        Expr::Matrix(selector) => {
            let span = placed(selector.vector.place);
            visit(&selector.vector, Some(selector.range), span);
        }
        Expr::Subquery(subquery) => {
            let mut inner = placed(subquery.place);
            inner.from = inner.from.minus(subquery.range);
            walk(&subquery.expr, inner, place, visit);
        }
        Expr::Aggregate(_)
        | Expr::Negation(_)
        | Expr::Binary(_)
        | Expr::Paren(_)
        | Expr::Number(_)
        | Expr::String(_)
        | Expr::Call(_) => {
            for child in expr.children() {
                walk(child, span, place, visit);
            }
        }
    }
}

/// What each selector of an expression needs, in the order of the walk.
pub(super) fn selectors(expr: &Expr) -> Vec<Selector> {
    let now = Timestamp::from_millis(0);
    let place = |of: Place, time| shifted(time, of);
    let mut found = Vec::new();
    let span = Span { from: now, to: now };
    walk(expr, span, &place, &mut |selector, range, span| {
        found.push(Selector {
            metric: selector
                .matchers
                .iter()
                .find_map(Matcher::literal_metric)
                .map(str::to_owned),
            matchers: selector.matchers.clone(),
            reach: now.since(span.from.minus(range.unwrap_or(DEFAULT_LOOKBACK))),
            is_range: range.is_some(),
        });
    });
    found
}

/// A series that was loaded.
pub(super) struct Held {
    series: Series,
    /// Whether any of its points marks an end.
    ends: bool,
    /// Which of its points were looked at last.
    looked_at: RefCell<Range<usize>>,
}

impl Held {
    fn new(series: Series) -> Self {
        Self {
            ends: series.points.iter().any(|point| is_stale(point.value)),
            series,
            looked_at: RefCell::new(0..0),
        }
    }

    /// Its labels.
    pub(super) fn labels(&self) -> &Labels {
        &self.series.labels
    }

    fn window(&self, after: Timestamp, through: Timestamp) -> &[Point] {
        let mut looked_at = self.looked_at.borrow_mut();
        *looked_at = window_from(&self.series.points, &looked_at, after, through);
        self.series.points.get(looked_at.clone()).unwrap_or(&[])
    }

    /// Its newest point of those times, unless it marks the series' end.
    pub(super) fn newest(&self, after: Timestamp, through: Timestamp) -> Option<Point> {
        let newest = *self.window(after, through).last()?;
        (!is_stale(newest.value)).then_some(newest)
    }

    /// Its points of those times, without stale markers.
    pub(super) fn points(&self, after: Timestamp, through: Timestamp) -> Cow<'_, [Point]> {
        let points = self.window(after, through);
        if !self.ends {
            return Cow::Borrowed(points);
        }
        let kept = points.iter().filter(|point| !is_stale(point.value));
        Cow::Owned(kept.copied().collect())
    }
}

/// The series of every selector of one expression, for one evaluation.
pub(super) struct Loaded {
    /// By the selector's place in memory: the expression stays where it is while it is evaluated.
    series: HashMap<*const VectorSelector, Vec<Held>>,
    /// For how long a point stands for its series.
    pub(super) lookback: Duration,
    /// How many points were loaded.
    pub(super) points: usize,
}

impl Loaded {
    /// Reads what an evaluation over `query` needs.
    pub(super) fn new(
        expr: &Expr,
        selectors: &[Selector],
        source: &dyn Source,
        query: Span,
        options: &Options,
    ) -> Result<Self, EvalError> {
        let place = |of: Place, time| reference(of, time, query);
        let mut needed = Vec::with_capacity(selectors.len());
        walk(expr, query, &place, &mut |selector, range, span| {
            let after = span.from.minus(range.unwrap_or(options.lookback));
            needed.push((selector, after, span.to));
        });
        let mut loaded = Self {
            series: HashMap::with_capacity(needed.len()),
            lookback: options.lookback,
            points: 0,
        };
        for ((node, after, through), selector) in needed.into_iter().zip(selectors) {
            let series = source.select(&selector.matchers, after, through);
            loaded.points += series.iter().map(|series| series.points.len()).sum::<usize>();
            if loaded.points > options.max_samples {
                return Err(too_many(options.max_samples));
            }
            let held = series.into_iter().map(Held::new).collect();
            loaded.series.insert(std::ptr::from_ref(node), held);
        }
        Ok(loaded)
    }

    /// The series of a selector.
    pub(super) fn of(&self, selector: &VectorSelector) -> &[Held] {
        self.series
            .get(&std::ptr::from_ref(selector))
            .map_or(&[], Vec::as_slice)
    }

    /// The newest point of each series at `reference`, unless it is too old or marks the series' end.
    pub(super) fn newest<'a>(
        &'a self,
        selector: &VectorSelector,
        reference: Timestamp,
    ) -> impl Iterator<Item = (&'a Labels, Point)> {
        let after = reference.minus(self.lookback);
        let newest = move |held: &'a Held| Some((held.labels(), held.newest(after, reference)?));
        self.of(selector).iter().filter_map(newest)
    }

    /// The points of each series in the `range` up to `reference`, without stale markers.
    pub(super) fn range(
        &self,
        selector: &VectorSelector,
        range: Duration,
        reference: Timestamp,
    ) -> RangeVector<'_> {
        let after = reference.minus(range);
        let series = self.of(selector).iter().filter_map(|held| {
            let points = held.points(after, reference);
            (!points.is_empty()).then(|| RangeSeries {
                labels: held.labels().clone(),
                points,
            })
        });
        RangeVector {
            after,
            through: reference,
            series: series.collect(),
            one_name: selector.has_one_name(),
        }
    }
}

/// The error of an evaluation that costs too much.
pub(super) fn too_many(limit: usize) -> EvalError {
    EvalError(format!(
        "the query needs more than {limit} samples: narrow its selectors or its time range"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Query;
    use std::time::Duration;

    #[test]
    fn reach_adds_up_range_offset_and_subqueries() {
        for (text, seconds) in [
            ("x", 300),
            ("x[4h]", 4 * 3600),
            ("x[1m] offset 1h", 3660),
            ("x offset -1h", 0),
            (
                "max_over_time(rate(x[5m] offset 1m)[15m:1m] offset 2m)",
                5 * 60 + 60 + 15 * 60 + 120,
            ),
            ("x @ 1000", 300),
        ] {
            let selectors = Query::parse(text).unwrap().selectors();
            assert_eq!(selectors[0].reach, Duration::from_secs(seconds), "{text}");
            assert_eq!(selectors[0].metric.as_deref(), Some("x"), "{text}");
        }
    }

    #[test]
    fn every_selector_is_listed_in_the_order_written() {
        let query =
            Query::parse(r#"sum(a) / on() topk(scalar(b), {__name__=~"c.*"}) + {__name__="d"}"#).unwrap();
        let names: Vec<_> = query.selectors().into_iter().map(|s| s.metric).collect();
        assert_eq!(
            names,
            [Some("a".into()), Some("b".into()), None, Some("d".into())]
        );
    }
}
