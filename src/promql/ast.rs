//! The tree of a parsed expression.

use std::time::Duration;

use super::{Matcher, ValueKind};
use crate::model::Timestamp;

/// An expression whose types fit. A unary `+` leaves no trace: it changes nothing.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Number(f64),
    String(String),
    /// Kept, since some functions look at whether their argument is a plain selector.
    Paren(Box<Expr>),
    Negation(Box<Expr>),
    Vector(VectorSelector),
    Matrix(MatrixSelector),
    Subquery(Subquery),
    Call(Call),
    Aggregate(Aggregate),
    Binary(Binary),
}

/// `name{label="value"} @ 1 offset 1m`
#[derive(Clone, Debug)]
pub(super) struct VectorSelector {
    /// All conditions, the one on the name included.
    pub(super) matchers: Vec<Matcher>,
    /// Whether the first of them is a name that stands before the braces.
    pub(super) named: bool,
    pub(super) place: Place,
}

impl VectorSelector {
    /// Whether all its series have the same metric name, so that they are told apart without it.
    pub(super) fn has_one_name(&self) -> bool {
        let names = |matcher: &Matcher| matcher.literal_metric().is_some();
        self.matchers.iter().any(names)
    }
}

/// `selector[5m]`
#[derive(Clone, Debug)]
pub(super) struct MatrixSelector {
    pub(super) vector: VectorSelector,
    pub(super) range: Duration,
}

/// `expr[5m:1m]`
#[derive(Clone, Debug)]
pub(super) struct Subquery {
    pub(super) expr: Box<Expr>,
    pub(super) range: Duration,
    /// None where the default applies.
    pub(super) step: Option<Duration>,
    pub(super) place: Place,
}

/// Where `@` and `offset` move the time at which something is evaluated.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Place {
    pub(super) at: Option<At>,
    /// Into the past, in milliseconds; may be negative.
    pub(super) offset: i64,
}

/// What follows `@`.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Start,
    End,
    Time(Timestamp),
}

/// `name(args)`
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) args: Vec<Expr>,
}

/// `sum by (label) (expr)`
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) op: Aggregation,
    /// Of `topk`, `bottomk`, `quantile` and `count_values`.
    pub(super) param: Option<Box<Expr>>,
    pub(super) expr: Box<Expr>,
    pub(super) grouping: Grouping,
}

/// `by (…)` or `without (…)`; neither is `by ()`.
#[derive(Clone, Default, Debug)]
pub(super) struct Grouping {
    pub(super) without: bool,
    pub(super) labels: Vec<String>,
}

/// The aggregations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aggregation {
    Sum,
    Avg,
    Count,
    Group,
    Min,
    Max,
    Stddev,
    Stdvar,
    Quantile,
    Topk,
    Bottomk,
    CountValues,
}

/// Every aggregation by its name.
pub(super) const AGGREGATIONS: &[(&str, Aggregation)] = &[
    ("sum", Aggregation::Sum),
    ("avg", Aggregation::Avg),
    ("count", Aggregation::Count),
    ("group", Aggregation::Group),
    ("min", Aggregation::Min),
    ("max", Aggregation::Max),
    ("stddev", Aggregation::Stddev),
    ("stdvar", Aggregation::Stdvar),
    ("quantile", Aggregation::Quantile),
    ("topk", Aggregation::Topk),
    ("bottomk", Aggregation::Bottomk),
    ("count_values", Aggregation::CountValues),
];

/// Operands that are combined from left to right: `a + b - c`. In one list, since as a tree a rule of some hundred `or` would
/// be as deep as it is long.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) first: Box<Expr>,
    /// At least one.
    pub(super) links: Vec<Link>,
    /// What all of it gives.
    pub(super) kind: ValueKind,
}

/// An operator with its right operand: `+ on (label) right`
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) op: Operator,
    pub(super) right: Expr,
    /// `bool`: 0 or 1 in place of a filter.
    pub(super) bool: bool,
    pub(super) matching: Matching,
}

/// How the elements of two vectors find each other.
#[derive(Clone, Default, Debug)]
pub(super) struct Matching {
    /// On these labels (`on`), or on all but these (`ignoring`, or nothing written).
    pub(super) on: bool,
    pub(super) labels: Vec<String>,
    pub(super) many: Many,
    /// Labels that `group_left` or `group_right` take over from the "one" side.
    pub(super) include: Vec<String>,
}

/// Which side may have several elements of a group.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Many {
    #[default]
    Neither,
    /// `group_left`
    Left,
    /// `group_right`
    Right,
}

/// The operators between two values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Atan2,
    Power,
}

/// How tightly unary operators bind: as multiplication does, so that `-2 ^ 2` is `-(2 ^ 2)`.
pub(super) const UNARY_BINDING: u8 = 5;

/// Every operator: how it is written, and how tightly it binds.
pub(super) const OPERATORS: &[(&str, Operator, u8)] = &[
    ("or", Operator::Or, 1),
    ("and", Operator::And, 2),
    ("unless", Operator::Unless, 2),
    ("==", Operator::Equal, 3),
    ("!=", Operator::NotEqual, 3),
    ("<", Operator::Less, 3),
    ("<=", Operator::LessOrEqual, 3),
    (">", Operator::Greater, 3),
    (">=", Operator::GreaterOrEqual, 3),
    ("+", Operator::Add, 4),
    ("-", Operator::Subtract, 4),
    ("*", Operator::Multiply, 5),
    ("/", Operator::Divide, 5),
    ("%", Operator::Modulo, 5),
    ("atan2", Operator::Atan2, 5),
    ("^", Operator::Power, 6),
];

impl Operator {
    /// Whether it combines label sets and not numbers.
    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// Whether it compares, so that it filters or takes `bool`.
    pub(super) fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessOrEqual
                | Self::Greater
                | Self::GreaterOrEqual
        )
    }

    /// As it is written.
    pub(super) fn text(self) -> &'static str {
        let mut known = OPERATORS.iter();
        known.find(|(_, op, _)| *op == self).map_or("", |(text, ..)| text)
    }
}

impl Expr {
    /// What kind of value it gives.
    pub(super) fn kind(&self) -> ValueKind {
        match self {
            Self::Number(_) => ValueKind::Scalar,
            Self::String(_) => ValueKind::String,
            Self::Paren(inner) | Self::Negation(inner) => inner.kind(),
            Self::Vector(_) | Self::Aggregate(_) => ValueKind::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueKind::Matrix,
            Self::Call(call) => super::types::returns(call.name),
            Self::Binary(binary) => binary.kind,
        }
    }

    /// The expression inside any parentheses.
    pub(super) fn unwrapped(&self) -> &Self {
        let mut inner = self;
        while let Self::Paren(wrapped) = inner {
            inner = wrapped;
        }
        inner
    }

    /// The operands, in the order in which they are written.
    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Paren(inner) | Self::Negation(inner) => vec![inner],
            Self::Subquery(subquery) => vec![&subquery.expr],
            Self::Call(call) => call.args.iter().collect(),
            Self::Aggregate(aggregate) => {
                let param = aggregate.param.iter().map(|param| &**param);
                param.chain([&*aggregate.expr]).collect()
            }
            Self::Binary(binary) => {
                let rights = binary.links.iter().map(|link| &link.right);
                [&*binary.first].into_iter().chain(rights).collect()
            }
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => Vec::new(),
        }
    }

    /// Puts `@ at` on every selector and subquery that has none. Whether that fixes the value: not when a function
    /// reads the time of the evaluation itself.
    pub(super) fn pin(&mut self, at: At) -> bool {
        let set = |place: &mut Place| {
            place.at.get_or_insert(at);
            true
        };
        match self {
            Self::Number(_) | Self::String(_) => true,
            Self::Paren(inner) | Self::Negation(inner) => inner.pin(at),
            Self::Vector(selector) => set(&mut selector.place),
            Self::Matrix(selector) => set(&mut selector.vector.place),
            // What is inside is evaluated at times that the subquery fixes.
            Self::Subquery(subquery) => set(&mut subquery.place),
            Self::Call(call) => {
                !READ_THE_TIME.contains(&call.name) && call.args.iter_mut().all(|arg| arg.pin(at))
            }
            Self::Aggregate(aggregate) => {
                aggregate.param.as_mut().is_none_or(|param| param.pin(at)) && aggregate.expr.pin(at)
            }
            Self::Binary(binary) => {
                binary.first.pin(at) && binary.links.iter_mut().all(|link| link.right.pin(at))
            }
        }
    }
}

/// Functions whose value depends on when they are evaluated, even over a fixed selector.
const READ_THE_TIME: [&str; 11] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "time",
    "timestamp",
    "year",
];
