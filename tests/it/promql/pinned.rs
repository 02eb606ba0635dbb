//! Rewrites an expression so that its value no longer depends on when it is evaluated.

use std::time::{Duration, SystemTime};

use etcd_doctor::model::Timestamp;
use promql_parser::parser::{self, AtModifier, Expr};

/// Functions that read the time of the evaluation itself.
const READ_THE_TIME: &[&str] = &[
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

/// The expression with `@ at` on every selector and subquery that has no `@`; none when that does not fix its value.
pub fn pinned(text: &str, at: Timestamp) -> Option<String> {
    let mut expr = parser::parse(text).ok()?;
    let seconds = Duration::from_millis(u64::try_from(at.millis()).ok()?);
    pin(&mut expr, &AtModifier::At(SystemTime::UNIX_EPOCH + seconds)).then(|| expr.to_string())
}

/// False when a function reads the time.
fn pin(expr: &mut Expr, at: &AtModifier) -> bool {
    let set = |place: &mut Option<AtModifier>| {
        place.get_or_insert_with(|| at.clone());
        true
    };
    match expr {
        Expr::VectorSelector(selector) => set(&mut selector.at),
        Expr::MatrixSelector(selector) => set(&mut selector.vs.at),
        // What is inside is evaluated at times that the subquery fixes.
        Expr::Subquery(subquery) => set(&mut subquery.at),
        Expr::Aggregate(aggregate) => {
            aggregate.param.as_mut().is_none_or(|param| pin(param, at)) && pin(&mut aggregate.expr, at)
        }
        Expr::Unary(unary) => pin(&mut unary.expr, at),
        Expr::Binary(binary) => pin(&mut binary.lhs, at) && pin(&mut binary.rhs, at),
        Expr::Paren(paren) => pin(&mut paren.expr, at),
        Expr::Call(call) => {
            !READ_THE_TIME.contains(&call.func.name) && call.args.args.iter_mut().all(|arg| pin(arg, at))
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => true,
    }
}
