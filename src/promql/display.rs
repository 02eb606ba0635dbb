//! An expression in the one form that all ways to write it share, as Prometheus prints it.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{
    AGGREGATIONS, Aggregate, Aggregation, At, Expr, Link, Many, Matching, Place, VectorSelector,
};
use super::literal::quote;
use super::number::decimal;
use super::{MatchOp, Matcher, duration};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&decimal(*number)),
            Self::String(text) => f.write_str(&quote(text)),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Negation(inner) => write!(f, "-{inner}"),
            Self::Vector(selector) => {
                write_selector(f, selector)?;
                write_place(f, selector.place)
            }
            Self::Matrix(selector) => {
                write_selector(f, &selector.vector)?;
                write!(f, "[{}]", duration::format(selector.range))?;
                write_place(f, selector.vector.place)
            }
            Self::Subquery(subquery) => {
                let step = subquery.step.map(duration::format).unwrap_or_default();
                write!(
                    f,
                    "{}[{}:{step}]",
                    subquery.expr,
                    duration::format(subquery.range)
                )?;
                write_place(f, subquery.place)
            }
            Self::Call(call) => {
                write!(f, "{}({})", call.name, joined(&call.args))
            }
            Self::Aggregate(aggregate) => write_aggregate(f, aggregate),
            Self::Binary(binary) => {
                write!(f, "{}", binary.first)?;
                binary.links.iter().try_for_each(|link| write_link(f, link))
            }
        }
    }
}

fn joined<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// Labels in parentheses, in quotes where they are not of letters, digits and underscores.
fn labels(labels: &[String]) -> String {
    let shown: Vec<String> = labels.iter().map(|label| label_name(label)).collect();
    format!("({})", shown.join(", "))
}

fn label_name(label: &str) -> String {
    if is_plain(label, false) {
        label.to_owned()
    } else {
        quote(label)
    }
}

fn is_plain(name: &str, colons: bool) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn write_selector(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let mut matchers = selector.matchers.as_slice();
    if let [name, rest @ ..] = matchers
        && selector.named
        && is_plain(&name.value, true)
    {
        f.write_str(&name.value)?;
        matchers = rest;
        if rest.is_empty() {
            return Ok(());
        }
    }
    let mut shown: Vec<String> = matchers.iter().map(matcher).collect();
    shown.sort();
    write!(f, "{{{}}}", shown.join(","))
}

fn matcher(matcher: &Matcher) -> String {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    format!("{}{op}{}", label_name(&matcher.label), quote(&matcher.value))
}

fn write_place(f: &mut Formatter<'_>, place: Place) -> fmt::Result {
    match place.at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(time)) => write!(f, " @ {:.3}", time.seconds())?,
    }
    if place.offset == 0 {
        return Ok(());
    }
    let sign = if place.offset < 0 { "-" } else { "" };
    let length = std::time::Duration::from_millis(place.offset.unsigned_abs());
    write!(f, " offset {sign}{}", duration::format(length))
}

fn aggregation(op: Aggregation) -> &'static str {
    let mut known = AGGREGATIONS.iter();
    known.find(|(_, known)| *known == op).map_or("", |(name, _)| name)
}

fn write_aggregate(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    write_aggregation(f, aggregate)?;
    f.write_char('(')?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

/// What stands before the parenthesis of an aggregation.
pub(super) fn write_aggregation(f: &mut impl fmt::Write, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregation(aggregate.op))?;
    let grouping = &aggregate.grouping;
    if grouping.without {
        write!(f, " without {} ", labels(&grouping.labels))?;
    } else if !grouping.labels.is_empty() {
        write!(f, " by {} ", labels(&grouping.labels))?;
    }
    Ok(())
}

fn write_link(f: &mut Formatter<'_>, link: &Link) -> fmt::Result {
    write!(f, " {}", link.op.text())?;
    if link.bool {
        f.write_str(" bool")?;
    }
    write_matching(f, &link.matching)?;
    write!(f, " {}", link.right)
}

/// What stands between an operator and its right side.
pub(super) fn write_matching(f: &mut impl fmt::Write, matching: &Matching) -> fmt::Result {
    if matching.on || !matching.labels.is_empty() || matching.many != Many::Neither {
        let word = if matching.on { "on" } else { "ignoring" };
        write!(f, " {word} {}", labels(&matching.labels))?;
    }
    match matching.many {
        Many::Neither => Ok(()),
        Many::Left => write!(f, " group_left {}", labels(&matching.include)),
        Many::Right => write!(f, " group_right {}", labels(&matching.include)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Query;

    /// As `promtool promql format` of 3.5 prints them.
    #[test]
    fn expressions_have_one_form() {
        for (text, form) in [
            (
                r#"sum  by(a,b) (rate(x{b="c",a!~"d"}[5m] offset -1h @ 5))"#,
                r#"sum by (a, b) (rate(x{a!~"d",b="c"}[5m] @ 5.000 offset -1h))"#,
            ),
            ("x[1h30m:5m] @ start()", "x[1h30m:5m] @ start()"),
            ("x[5m:]", "x[5m:]"),
            ("a + on(x) group_left(y) b", "a + on (x) group_left (y) b"),
            ("a * on(x) group_right b", "a * on (x) group_right () b"),
            ("a + on() b", "a + on () b"),
            ("a + ignoring() b", "a + b"),
            ("a>bool b", "a > bool b"),
            (
                r#"count_values without() ("x", y)"#,
                r#"count_values without () ("x", y)"#,
            ),
            ("topk(1,x) by (a)", "topk by (a) (1, x)"),
            ("sum by() (x)", "sum(x)"),
            (r#"sum by ("a b") (x)"#, r#"sum by ("a b") (x)"#),
            (r#"x{"a b"="c"}"#, r#"x{"a b"="c"}"#),
            (r#"{"x y", a="b"}"#, r#"{__name__="x y",a="b"}"#),
            (r#"{__name__="x"}"#, r#"{__name__="x"}"#),
            ("x{}", "x"),
            ("1e10", "10000000000"),
            ("Inf", "+Inf"),
            ("-2 ^ x", "-2 ^ x"),
            ("x offset 90m", "x offset 1h30m"),
            ("x[36h]", "x[1d12h]"),
            ("x{a='b\"c'}", r#"x{a="b\"c"}"#),
            ("(a+b)*c", "(a + b) * c"),
            ("time( )", "time()"),
        ] {
            let shown = Query::parse(text).unwrap().canonical();
            assert_eq!(shown, form);
            // And that form is its own.
            assert_eq!(Query::parse(&shown).unwrap().canonical(), form);
        }
    }
}
