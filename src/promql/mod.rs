//! PromQL: an expression, a source of series and a time give a value. Prometheus 3.5 semantics with its default flags,
//! no clock, no I/O.
//!
//! | file | subject |
//! |---|---|
//! | `lex`, `literal`, `duration` | the words of an expression, and what they stand for |
//! | `parse`, `types` | the grammar, and whether operands fit: refuses what Prometheus 3.5 refuses |
//! | `ast` | the tree that they give |
//! | `matcher`, `regex` | conditions on labels; RE2 expressions as Rust understands them |
//! | `select` | which series and points each selector of an expression needs |
//! | `eval`, `patience` | walks the expression, and for how long |
//! | `binary`, `aggregate`, `grouping` | operators, and what they match and group elements by |
//! | `clauses` | an expression taken apart into its conditions, for people |
//! | `functions` | the table of functions; `range`, `histogram`, `labels`, `dates` hold the larger families |

mod aggregate;
mod ast;
mod binary;
mod clauses;
#[cfg(test)]
mod covered;
mod dates;
mod display;
pub mod duration;
mod eval;
mod functions;
mod grouping;
mod histogram;
mod labels;
mod lex;
mod literal;
mod matcher;
mod number;
mod parse;
mod patience;
mod range;
mod regex;
mod select;
mod steps;
mod types;
mod value;

pub use clauses::{Clause, Compared, Comparison};
pub use literal::{number, quote};
pub use matcher::{MatchOp, Matcher};
pub use number::{format_bound, format_exponential, format_general};
pub use parse::{MAX_PATTERNS, made_up_series, series_labels};
pub use patience::{Patience, Patient};
pub use regex::{anchored, expand, unanchored};
pub use value::{Element, Point, Points, QueryValue, Series, window};

use std::sync::Arc;
use std::time::Duration;

use ast::Expr;

use crate::model::{Labels, Timestamp};

/// Prometheus' lookback: how far an instant selector looks back for the newest sample of a series.
pub const DEFAULT_LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// What is wrong with a selector that nothing narrows, in Prometheus' words.
pub const SELECTS_EVERYTHING: &str = "vector selector must contain at least one non-empty matcher";

/// Where an expression finds its series: the window, or a literal in tests.
pub trait Source {
    /// Every series that all matchers match, with its points where `after < time <= through`, oldest first, stale
    /// markers included. Series without a point there may be left out.
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series>;

    /// Whether nobody waits for the answer any more, or has waited long enough. Asked again and again during an
    /// evaluation, which then fails.
    fn given_up(&self) -> bool {
        false
    }
}

/// A source that recording rules and alerts write back into.
pub trait Window: Source {
    /// Takes what one rule yields at `at`. Series that the same `writer` yielded the time before and not now end
    /// with a stale marker at `at`.
    fn record(&mut self, writer: &str, at: Timestamp, series: Vec<(Labels, f64)>);
}

/// A parsed expression that this evaluator supports.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    expr: Arc<Expr>,
    /// In the order in which `select::walk` meets them.
    selectors: Vec<Selector>,
}

/// What an evaluation may cost and what its defaults are.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How far an instant selector looks back. Prometheus: 5 min.
    pub lookback: Duration,
    /// The step of a subquery that names none: the global evaluation interval. Prometheus: 1 min.
    pub subquery_step: Duration,
    /// The most points that one evaluation may load and give. Past it, it fails.
    pub max_samples: usize,
}

impl Options {
    /// Prometheus' defaults.
    pub const PROMETHEUS: Self = Self {
        lookback: DEFAULT_LOOKBACK,
        subquery_step: Duration::from_secs(60),
        max_samples: 50_000_000,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::PROMETHEUS
    }
}

/// A vector or matrix selector of an expression: what it needs from the window.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The metric's name, when it is given literally.
    pub metric: Option<String>,
    /// All matchers, the name's included.
    pub matchers: Vec<Matcher>,
    /// How far back from the evaluation time it may look: range (or lookback), offset and enclosing subqueries added
    /// up. `@` with a fixed time counts as the evaluation time.
    pub reach: Duration,
    /// Whether it selects a range: of one point in it no rate can be made.
    pub is_range: bool,
}

/// What kind of value an expression gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
    /// A number.
    Scalar,
    /// A string literal.
    String,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

impl Query {
    /// Parses an expression and refuses what Prometheus 3.5 refuses and what is not supported here.
    ///
    /// # Errors
    /// `line:column: parse error: reason`, as Prometheus says it; lines and columns of the expression, from 1.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let expr = parse::parse(text)?;
        let selectors = select::selectors(&expr);
        Ok(Self {
            text: text.to_owned(),
            expr: Arc::new(expr),
            selectors,
        })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression in the one form that all ways to write it share: one blank around an operator, and no comments.
    pub fn canonical(&self) -> String {
        self.expr.to_string()
    }

    /// What kind of value it gives.
    pub fn kind(&self) -> ValueKind {
        self.expr.kind()
    }

    /// Every selector in it: what the window must keep for it.
    pub fn selectors(&self) -> Vec<Selector> {
        self.selectors.clone()
    }

    /// The matchers, when the expression is one plain instant selector, as the `match[]` of Prometheus' API is.
    pub fn plain_selector(&self) -> Option<&[Matcher]> {
        match (&*self.expr, &*self.selectors) {
            (Expr::Vector(written), [selector])
                if written.place.offset == 0 && written.place.at.is_none() =>
            {
                Some(&selector.matchers)
            }
            _ => None,
        }
    }

    /// The same with `@ at` on every selector and subquery that has none, so that it gives the same whenever it is
    /// evaluated. None when a function in it reads the time itself.
    pub fn pinned(&self, at: Timestamp) -> Option<Self> {
        let mut expr = Expr::clone(&self.expr);
        expr.pin(ast::At::Time(at)).then(|| Self {
            text: self.text.clone(),
            selectors: select::selectors(&expr),
            expr: Arc::new(expr),
        })
    }

    /// Its value at one time.
    ///
    /// # Errors
    /// When the labels of the operands do not allow the operation, or it costs more than `options` allow.
    pub fn instant(
        &self,
        source: &dyn Source,
        at: Timestamp,
        options: &Options,
    ) -> Result<QueryValue, EvalError> {
        eval::instant(&self.expr, &self.selectors, source, at, options)
    }

    /// Whether it can be evaluated over a time range.
    ///
    /// # Errors
    /// When it gives neither a number nor an instant vector, in Prometheus' words.
    pub fn ranges(&self) -> Result<(), EvalError> {
        match self.kind() {
            ValueKind::Scalar | ValueKind::Vector => Ok(()),
            kind @ (ValueKind::String | ValueKind::Matrix) => Err(EvalError(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                types::word(kind)
            ))),
        }
    }

    /// Its values from `from` to `to`, both included, every `step`: series sorted by their labels.
    ///
    /// # Errors
    /// As [`Query::instant`], and for an expression that gives neither a number nor an instant vector.
    pub fn range(
        &self,
        source: &dyn Source,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
        options: &Options,
    ) -> Result<Vec<Series>, EvalError> {
        self.ranges()?;
        let span = select::Span { from, to };
        eval::range(&self.expr, &self.selectors, source, span, step, options)
    }
}

/// An expression that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

/// What an evaluation says that was given up, in Prometheus' words.
pub const TIMED_OUT: &str = "query timed out in expression evaluation";

/// An evaluation that failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(pub String);
