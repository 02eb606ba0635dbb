//! An expression taken apart: the conditions that set operators join, each to be looked at by itself, and a comparison's value
//! beside what it is compared with.

use std::collections::HashMap;

use super::ast::{Aggregate, Binary, Expr, Link, Many, Matching, Operator};
use super::display::{write_aggregation, write_matching};
use super::{Element, EvalError, Options, Query, QueryValue, Source, ValueKind, select};
use crate::model::{Labels, Timestamp};

/// Conditions of one expression that are told apart: rules that people read have fewer than ten.
const MOST_CLAUSES: usize = 64;

/// One condition of an expression.
#[derive(Clone, Debug)]
pub struct Clause {
    /// How deep it stands: 0 for those that the expression itself joins, one more inside each parenthesis and aggregation.
    pub depth: usize,
    /// How it goes on from the one before: `and`, `unless on (cluster)`; empty for the first of its depth.
    pub joined_by: String,
    /// What it is. Of a group, whose own conditions follow one deeper, only what stands around them; may be empty then.
    pub text: String,
    /// Whether its own conditions follow.
    pub is_group: bool,
    /// All of it, as an expression of its own.
    pub query: Query,
    /// Its two sides, when it is a comparison that filters.
    pub comparison: Option<Comparison>,
    /// The expression from its beginning up to here; of depth 0 only.
    pub so_far: Option<Query>,
}

/// A comparison that filters, with the series on its left: `0 < x` is read as `x > 0`.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is compared.
    pub value: Query,
    /// How: `>`, `==` and so on.
    pub operator: &'static str,
    /// What it is compared with.
    pub threshold: Query,
    holds: fn(f64, f64) -> bool,
    written: Sides,
}

/// One series of a comparison, whether it passes or not.
#[derive(Clone, PartialEq, Debug)]
pub struct Compared {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// What that is compared with.
    pub threshold: f64,
    /// Whether it passes.
    pub holds: bool,
}

impl Query {
    /// The conditions of the expression in the order in which they are written, each before what is inside of it. Those past
    /// the 64th are left out.
    pub fn clauses(&self) -> Vec<Clause> {
        let mut clauses = Vec::new();
        take_apart(&self.expr, 0, String::new(), &mut clauses);
        clauses.truncate(MOST_CLAUSES);
        clauses
    }

    fn of(expr: Expr) -> Self {
        Self {
            text: expr.to_string(),
            selectors: select::selectors(&expr),
            expr: std::sync::Arc::new(expr),
        }
    }
}

fn take_apart(expr: &Expr, depth: usize, joined_by: String, into: &mut Vec<Clause>) {
    if into.len() >= MOST_CLAUSES {
        return;
    }
    if let Some((binary, first)) = sets(expr) {
        if !joined_by.is_empty() {
            return group(String::new(), expr, expr, depth, joined_by, into);
        }
        take_apart(&up_to(binary, first), depth, joined_by, into);
        for (at, link) in binary.links.iter().enumerate().skip(first) {
            let place = into.len();
            take_apart(&link.right, depth, joined(link), into);
            if depth == 0
                && let Some(clause) = into.get_mut(place)
            {
                clause.so_far = Some(Query::of(up_to(binary, at + 1)));
            }
        }
        return;
    }
    if let Expr::Aggregate(aggregate) = expr.unwrapped()
        && is_condition(&aggregate.expr)
    {
        return group(around(aggregate), expr, &aggregate.expr, depth, joined_by, into);
    }
    let query = Query::of(expr.unwrapped().clone());
    into.push(Clause {
        depth,
        joined_by,
        text: query.text.clone(),
        is_group: false,
        comparison: comparison(expr),
        so_far: (depth == 0).then(|| query.clone()),
        query,
    });
}

fn group(text: String, whole: &Expr, inside: &Expr, depth: usize, joined_by: String, into: &mut Vec<Clause>) {
    let query = Query::of(whole.clone());
    into.push(Clause {
        depth,
        joined_by,
        text,
        is_group: true,
        comparison: None,
        so_far: (depth == 0).then(|| query.clone()),
        query,
    });
    take_apart(inside, depth + 1, String::new(), into);
}

/// The operands that set operators join, and the first such operator: they bind least, so that all after it are such, too.
fn sets(expr: &Expr) -> Option<(&Binary, usize)> {
    let Expr::Binary(binary) = expr.unwrapped() else {
        return None;
    };
    let first = binary.links.iter().position(|link| link.op.is_set())?;
    Some((binary, first))
}

/// What the first so many operators give.
fn up_to(binary: &Binary, links: usize) -> Expr {
    if links == 0 {
        return Expr::clone(&binary.first);
    }
    let links = &binary.links[..links];
    let mut operands = links.iter().map(|link| &link.right).chain([&*binary.first]);
    let kind = match operands.all(|operand| operand.kind() == ValueKind::Scalar) {
        true => ValueKind::Scalar,
        false => ValueKind::Vector,
    };
    Expr::Binary(Binary {
        first: binary.first.clone(),
        links: links.to_vec(),
        kind,
    })
}

/// Whether it can be taken apart further.
fn is_condition(expr: &Expr) -> bool {
    match expr.unwrapped() {
        Expr::Aggregate(aggregate) => is_condition(&aggregate.expr),
        _ => sets(expr).is_some() || comparison(expr).is_some(),
    }
}

fn joined(link: &Link) -> String {
    let mut text = link.op.text().to_owned();
    // Writing to a String cannot fail.
    let _ = write_matching(&mut text, &link.matching);
    text
}

fn around(aggregate: &Aggregate) -> String {
    let mut text = String::new();
    let _ = write_aggregation(&mut text, aggregate);
    text.trim_end().to_owned()
}

// === Comparisons ===

/// The last operator of an expression, when it compares and filters.
fn comparison(expr: &Expr) -> Option<Comparison> {
    let Expr::Binary(binary) = expr.unwrapped() else {
        return None;
    };
    let (link, before) = binary.links.split_last()?;
    if !link.op.is_comparison() || link.bool {
        return None;
    }
    let written = Sides {
        left: up_to(binary, before.len()),
        link: link.clone(),
    };
    let written = match (written.left.kind(), written.link.right.kind()) {
        (ValueKind::Vector, _) => written,
        (_, ValueKind::Vector) => written.turned(),
        _ => return None,
    };
    Some(Comparison {
        value: Query::of(written.left.clone()),
        operator: written.link.op.text(),
        threshold: Query::of(written.link.right.clone()),
        holds: compares(written.link.op)?,
        written,
    })
}

fn compares(op: Operator) -> Option<fn(f64, f64) -> bool> {
    Some(match op {
        Operator::Equal => |a, b| a == b,
        Operator::NotEqual => |a, b| a != b,
        Operator::Less => |a, b| a < b,
        Operator::LessOrEqual => |a, b| a <= b,
        Operator::Greater => |a, b| a > b,
        Operator::GreaterOrEqual => |a, b| a >= b,
        _ => return None,
    })
}

/// The two sides of a comparison.
#[derive(Clone, Debug)]
struct Sides {
    left: Expr,
    link: Link,
}

impl Sides {
    /// The same the other way round.
    fn turned(&self) -> Self {
        let op = match self.link.op {
            Operator::Less => Operator::Greater,
            Operator::Greater => Operator::Less,
            Operator::LessOrEqual => Operator::GreaterOrEqual,
            Operator::GreaterOrEqual => Operator::LessOrEqual,
            other => other,
        };
        let many = match self.link.matching.many {
            Many::Left => Many::Right,
            Many::Right => Many::Left,
            Many::Neither => Many::Neither,
        };
        Self {
            left: self.link.right.clone(),
            link: Link {
                op,
                right: self.left.clone(),
                bool: false,
                matching: Matching {
                    many,
                    ..self.link.matching.clone()
                },
            },
        }
    }

    /// The left side as far as it finds a partner, whatever comes of comparing: of two comparisons that are opposites, one
    /// lets each pair pass.
    fn unfiltered(&self) -> Query {
        let chain = |first: Expr, link: Link| {
            Expr::Binary(Binary {
                first: Box::new(first),
                links: vec![link],
                kind: ValueKind::Vector,
            })
        };
        let with = |op| {
            let link = Link {
                op,
                ..self.link.clone()
            };
            chain(self.left.clone(), link)
        };
        let or = Link {
            op: Operator::Or,
            right: with(Operator::NotEqual),
            bool: false,
            matching: Matching::default(),
        };
        Query::of(chain(with(Operator::Equal), or))
    }
}

impl Comparison {
    /// Each series that has something to be compared with, whether it passes or not.
    ///
    /// # Errors
    /// As [`Query::instant`].
    pub fn look(
        &self,
        source: &dyn Source,
        at: Timestamp,
        options: &Options,
    ) -> Result<Vec<Compared>, EvalError> {
        let elements = |query: &Query| match query.instant(source, at, options)? {
            QueryValue::Vector(elements) => Ok(elements),
            _ => Ok(Vec::new()),
        };
        if self.threshold.kind() == ValueKind::Scalar
            && let QueryValue::Scalar(threshold) = self.threshold.instant(source, at, options)?
        {
            let values = elements(&self.value)?.into_iter();
            return Ok(values.map(|value| self.compared(value, threshold)).collect());
        }
        let values = elements(&self.written.unfiltered())?;
        let thresholds = elements(&self.written.turned().unfiltered())?;
        let thresholds: HashMap<Labels, f64> = thresholds
            .into_iter()
            .map(|element| (element.labels.nameless(), element.value))
            .collect();
        let both = values.into_iter().filter_map(|value| {
            let threshold = *thresholds.get(&value.labels.nameless())?;
            Some(self.compared(value, threshold))
        });
        Ok(both.collect())
    }

    fn compared(&self, Element { labels, value }: Element, threshold: f64) -> Compared {
        Compared {
            labels,
            value,
            threshold,
            holds: (self.holds)(value, threshold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Matcher, Point, Series};
    use super::*;

    struct Literal(Vec<Series>);

    impl Source for Literal {
        fn select(&self, matchers: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
            let all = |series: &&Series| matchers.iter().all(|matcher| matcher.matches(&series.labels));
            self.0.iter().filter(all).cloned().collect()
        }
    }

    fn source(series: &[(&[(&str, &str)], f64)]) -> Literal {
        let time = Timestamp::from_millis(1_000);
        let series = series.iter().map(|(labels, value)| Series {
            labels: Labels::new(labels.iter().copied()),
            points: vec![Point { time, value: *value }].into(),
        });
        Literal(series.collect())
    }

    fn lines(text: &str) -> Vec<String> {
        let clauses = Query::parse(text).unwrap().clauses();
        let line = |clause: &Clause| {
            let words = [&*clause.joined_by, &*clause.text].join(" ");
            let mark = if clause.is_group { ":" } else { "" };
            format!("{}{}{mark}", "  ".repeat(clause.depth), words.trim())
        };
        clauses.iter().map(line).collect()
    }

    #[test]
    fn conditions_are_told_apart_where_sets_join_them() {
        assert_eq!(
            lines("max by (c) (a) == 1 unless on (c) b < 0.9 and on () d"),
            ["max by (c) (a) == 1", "unless on (c) b < 0.9", "and on () d"]
        );
        assert_eq!(
            lines("(a > 1 or b) and c"),
            ["a > 1", "or b", "and c"],
            "what stands on the left was there before"
        );
        assert_eq!(
            lines("a or b > 2 and (c unless d)"),
            ["a", "or:", "  b > 2", "  and:", "    c", "    unless d"]
        );
        assert_eq!(
            lines("count by (c) (max by (c) (a) == 1)"),
            ["count by (c):", "  max by (c) (a) == 1"]
        );
        // A comparison's own value tells more than what is inside of it.
        assert_eq!(lines("max(a or b) < 2"), ["max(a or b) < 2"]);
        assert_eq!(lines("vector(1)"), ["vector(1)"]);
    }

    #[test]
    fn what_is_left_up_to_a_condition_is_an_expression() {
        let clauses = Query::parse("a > 1 and b unless c").unwrap().clauses();
        let so_far: Vec<String> = clauses
            .iter()
            .map(|clause| clause.so_far.as_ref().unwrap().canonical())
            .collect();
        assert_eq!(so_far, ["a > 1", "a > 1 and b", "a > 1 and b unless c"]);
        let nested = Query::parse("a and (b or c)").unwrap().clauses();
        let told: Vec<bool> = nested.iter().map(|clause| clause.so_far.is_some()).collect();
        assert_eq!(told, [true, true, false, false]);
        assert_eq!(nested[1].so_far.as_ref().unwrap().canonical(), "a and (b or c)");
    }

    #[test]
    fn both_sides_of_a_comparison_are_told_whether_it_passes_or_not() {
        let window = source(&[
            (&[("__name__", "a"), ("m", "x"), ("d", "1")], 3.0),
            (&[("__name__", "a"), ("m", "y"), ("d", "1")], f64::NAN),
            (&[("__name__", "a"), ("m", "z"), ("d", "1")], 1.0),
            (&[("__name__", "b"), ("m", "x")], 2.0),
            (&[("__name__", "b"), ("m", "y")], 2.0),
        ]);
        let look = |text: &str| -> Vec<(String, f64, f64, bool)> {
            let clauses = Query::parse(text).unwrap().clauses();
            let comparison = clauses[0].comparison.as_ref().expect("a comparison");
            let at = Timestamp::from_millis(2_000);
            let compared = comparison.look(&window, at, &Options::default()).unwrap();
            let told = compared.into_iter();
            let mut told: Vec<_> = told
                .map(|of| (of.labels.get("m").to_owned(), of.value, of.threshold, of.holds))
                .collect();
            told.sort_by(|one, other| one.0.cmp(&other.0));
            told
        };
        let scalar = look("a > 2");
        assert_eq!(scalar[0], ("x".into(), 3.0, 2.0, true));
        assert!(scalar[1].1.is_nan() && !scalar[1].3);
        assert_eq!(scalar[2], ("z".into(), 1.0, 2.0, false));
        assert_eq!(look("2 < a")[2], scalar[2], "its series stand on the left");
        let vector = look("a > on (m) group_left () b");
        assert_eq!(vector.len(), 2, "z has no partner");
        assert_eq!(vector[0], ("x".into(), 3.0, 2.0, true));
        assert!(vector[1].1.is_nan() && vector[1].2 == 2.0);
        let one_side = look("b < on (m) group_right () a");
        assert_eq!(one_side[0], ("x".into(), 2.0, 3.0, true));
    }

    #[test]
    fn what_does_not_filter_is_no_comparison() {
        for text in ["a > bool 1", "1 > bool 2", "a + 1", "a"] {
            let clauses = Query::parse(text).unwrap().clauses();
            assert!(clauses[0].comparison.is_none(), "{text}");
        }
    }
}
