//! Parses an expression and refuses what Prometheus 3.5 refuses with its default flags, and what is not supported
//! here: a rule that loads here must load there, and mean the same.

use std::time::Duration;

use promql_parser::label::Matchers;
use promql_parser::parser::token::{T_LIMIT_RATIO, T_LIMITK};
use promql_parser::parser::{self, BinaryExpr, Call, Expr, Offset};

use super::ParseError;
use super::functions;

/// How deeply an expression may be nested. The deepest known rules stay under 60; the bound keeps a hostile
/// expression from using up the stack.
const MAX_DEPTH: usize = 200;

/// How many operators, brackets and words an expression may have. The parser itself walks the tree before its depth can
/// be measured.
const MAX_OPERATORS: usize = 4_000;

/// Prometheus counts durations in whole nanoseconds of 64 bits: 292 years.
const MAX_DURATION: Duration = Duration::from_nanos(i64::MAX as u64);

/// Parses and checks.
pub(super) fn parse(text: &str) -> Result<Expr, ParseError> {
    check_text(text)?;
    // The parser panics on a few numbers that no duration can hold, as in `x[NaN]`.
    let parsed = std::panic::catch_unwind(|| parser::parse(text))
        .map_err(|_| "it contains a number that is out of range".to_owned())
        .and_then(|parsed| parsed);
    let expr = parsed.map_err(|why| ParseError(format!("cannot parse the expression {text:?}: {why}")))?;
    check_depth(&expr)?;
    check(&expr)?;
    Ok(expr)
}

/// The operands of an expression, in the order in which they are written.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            let param = aggregate.param.iter().map(|param| &**param);
            param.chain([&*aggregate.expr]).collect()
        }
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(|arg| &**arg).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// What must be known before the text may go to the parser: balanced brackets, ended strings, no byte escapes (the
/// parser reads `"\xc3"` as a letter where Prometheus reads a byte), and not too many operators.
fn check_text(text: &str) -> Result<(), ParseError> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut operators = 0;
    let mut space = false;
    let mut chars = text.char_indices().peekable();
    let refuse = |at: usize, why: &str| {
        let column = text[..at].chars().count() + 1;
        Err(ParseError(format!(
            "cannot parse the expression {text:?}: {why} at character {column}"
        )))
    };
    while let Some((at, next)) = chars.next() {
        match next {
            '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '"' | '\'' | '`' => loop {
                match chars.next() {
                    None => return refuse(at, "a string without an end"),
                    Some((_, end)) if end == next => break,
                    Some((escape, '\\')) if next != '`' => {
                        let code = &text[escape + 1..];
                        if is_byte_escape(code) {
                            return refuse(escape, "a byte escape outside ASCII, which is not supported");
                        }
                        chars.next();
                    }
                    Some(_) => {}
                }
            },
            '(' | '[' | '{' => open.push((next, at)),
            ')' | ']' | '}' => match (open.pop(), next) {
                (Some(('(', _)), ')') | (Some(('[', _)), ']') | (Some(('{', _)), '}') => {}
                _ => return refuse(at, &format!("an unexpected {next:?}")),
            },
            _ => {}
        }
        if "([-+*/%^<>=!".contains(next) || (next.is_whitespace() && !space) {
            operators += 1;
        }
        space = next.is_whitespace();
    }
    if let Some((bracket, at)) = open.pop() {
        return refuse(at, &format!("{bracket:?} is not closed; it stands"));
    }
    if operators > MAX_OPERATORS {
        return Err(ParseError(format!(
            "the expression is too long: {operators} operators, brackets and words, at most {MAX_OPERATORS} are allowed"
        )));
    }
    Ok(())
}

/// Whether what follows a backslash is `xHH` or an octal code of 0x80 and more.
fn is_byte_escape(code: &str) -> bool {
    let code = code.as_bytes();
    match code.first() {
        Some(b'x') => matches!(code.get(1), Some(b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F')),
        Some(b'2'..=b'7') => matches!(code.get(1), Some(b'0'..=b'7')),
        _ => false,
    }
}

/// Without recursion, so that any depth can be measured.
fn check_depth(expr: &Expr) -> Result<(), ParseError> {
    let mut pending = vec![(expr, 1)];
    while let Some((expr, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(ParseError(format!(
                "the expression is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        pending.extend(children(expr).into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

fn check(expr: &Expr) -> Result<(), ParseError> {
    match expr {
        Expr::Aggregate(aggregate) => {
            if [T_LIMITK, T_LIMIT_RATIO].contains(&aggregate.op.id()) {
                return Err(ParseError(format!(
                    "{} is experimental in Prometheus 3.5 and not supported",
                    aggregate.op
                )));
            }
        }
        Expr::Binary(binary) => check_binary(binary)?,
        Expr::Subquery(subquery) => {
            check_range(subquery.range)?;
            subquery.step.map_or(Ok(()), check_range)?;
            check_offset(subquery.offset.as_ref())?;
        }
        Expr::VectorSelector(selector) => {
            check_matchers(&selector.matchers)?;
            check_offset(selector.offset.as_ref())?;
        }
        Expr::MatrixSelector(selector) => {
            check_range(selector.range)?;
            check_matchers(&selector.vs.matchers)?;
            check_offset(selector.vs.offset.as_ref())?;
        }
        Expr::Call(call) => check_call(call)?,
        Expr::Extension(_) => {
            return Err(ParseError("extensions of PromQL are not supported".to_owned()));
        }
        Expr::Unary(_) | Expr::Paren(_) | Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
    }
    children(expr).into_iter().try_for_each(check)
}

fn check_binary(binary: &BinaryExpr) -> Result<(), ParseError> {
    let fill = binary.modifier.as_ref().map(|modifier| &modifier.fill_values);
    if fill.is_some_and(|fill| fill.lhs.is_some() || fill.rhs.is_some()) {
        return Err(ParseError(
            "the modifiers fill, fill_left and fill_right are newer than Prometheus 3.5".to_owned(),
        ));
    }
    Ok(())
}

fn check_call(call: &Call) -> Result<(), ParseError> {
    let name = call.func.name;
    if functions::find(name).is_none() {
        return Err(ParseError(format!(
            "the function {name} is not supported: it is experimental in, or newer than, Prometheus 3.5, or for native \
             histograms only"
        )));
    }
    // The parser lets some numbers through where a vector is due, as in `ln(Inf)`.
    let last = call.func.arg_types.last();
    for (at, arg) in call.args.args.iter().enumerate() {
        let (given, due) = (arg.value_type(), call.func.arg_types.get(at).or(last));
        if due.is_some_and(|due| *due != given) {
            return Err(ParseError(format!(
                "argument {} of {name} has the wrong type: {given}",
                at + 1
            )));
        }
    }
    Ok(())
}

fn check_matchers(matchers: &Matchers) -> Result<(), ParseError> {
    if matchers.or_matchers.is_empty() {
        Ok(())
    } else {
        Err(ParseError(
            "\"or\" between label matchers is not PromQL".to_owned(),
        ))
    }
}

fn check_range(range: Duration) -> Result<(), ParseError> {
    if range < Duration::from_millis(1) {
        return Err(ParseError("a duration must be greater than 0".to_owned()));
    }
    check_length(range)
}

fn check_offset(offset: Option<&Offset>) -> Result<(), ParseError> {
    match offset {
        Some(Offset::Pos(duration) | Offset::Neg(duration)) => check_length(*duration),
        None => Ok(()),
    }
}

fn check_length(duration: Duration) -> Result<(), ParseError> {
    if duration > MAX_DURATION {
        return Err(ParseError(
            "a duration is out of range: at most 292 years".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Matcher, Options, Query, Series, Source};
    use crate::model::Timestamp;

    #[test]
    fn refuses_what_prometheus_refuses_or_would_read_otherwise() {
        for (text, why) in [
            ("", "no expression"),
            ("sum(x", "character 4"),
            ("x{a=\"b\"", "character 2"),
            ("x)", "unexpected"),
            (r#"x{a="b}"#, "without an end"),
            (r#"{a="b" or c="d"}"#, "or"),
            ("limitk(1, x)", "limitk"),
            ("x + fill(0) y", "fill"),
            ("first_over_time(x[5m])", "first_over_time"),
            ("mad_over_time(x[5m])", "mad_over_time"),
            ("holt_winters(x[5m], 0.5, 0.5)", "holt_winters"),
            ("info(x)", "info"),
            ("histogram_count(x)", "histogram_count"),
            ("x[0s]", "greater than 0"),
            ("x[9.5e10]", "out of range"),
            ("x[NaN]", ""),
            ("x[1e300]", ""),
            ("ln(Inf)", "type"),
            (r#"x{a="\xff"}"#, "byte escape"),
            (r#"x{a=~"a{1001}"}"#, "1000"),
            (r#"x{a=~"a**"}"#, "repet"),
            (r#"{a=""}"#, "matcher"),
            (r#"{a=~".*"}"#, "matcher"),
            ("1 < 2", "BOOL"),
        ] {
            match Query::parse(text) {
                Ok(_) => panic!("{text} was accepted"),
                Err(error) => assert!(error.0.contains(why), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn refuses_what_would_use_up_the_stack() {
        for text in [
            format!("{}1{}", "(".repeat(3000), ")".repeat(3000)),
            format!("{}x", "-".repeat(3000)),
            format!("1{}", "+1".repeat(3000)),
            format!("{}1{}", "(".repeat(90_000), ")".repeat(90_000)),
        ] {
            assert!(Query::parse(&text).is_err());
        }
    }

    #[test]
    fn the_deepest_expression_can_be_evaluated() {
        struct Nothing;
        impl Source for Nothing {
            fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
                Vec::new()
            }
        }
        let depth = super::MAX_DEPTH - 1;
        for text in [
            format!("{}vector(1){}", "abs(".repeat(depth - 1), ")".repeat(depth - 1)),
            format!("1{}", " + 1".repeat(depth)),
        ] {
            let query = Query::parse(&text).unwrap();
            query
                .instant(&Nothing, Timestamp::from_millis(0), &Options::default())
                .unwrap();
        }
    }

    #[test]
    fn accepts_comments_and_long_flat_rules() {
        let text = format!("# (\nabsent(x) # \"\n{}", "or absent(y)\n".repeat(60));
        Query::parse(&text).unwrap();
        Query::parse(r#"x{a="\"(", b='\u00e9', c=`\xff`}"#).unwrap();
    }
}
