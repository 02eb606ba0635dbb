//! Ranges, steps, offsets and what follows `@`.

use std::time::Duration;

use super::{Fault, Node, Parsed, Parser, special_number};
use crate::model::Timestamp;
use crate::promql::ast::{At, Expr, MatrixSelector, Place, Subquery};
use crate::promql::lex::Kind;
use crate::promql::{ValueKind, duration, literal, number, types};

/// Prometheus counts durations in nanoseconds of 64 bits: 292 years.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

impl Parser<'_> {
    /// `[range]` or `[range:step]` behind `node`.
    pub(super) fn in_brackets(&mut self, node: Node, offset_set: bool) -> Parsed<Node> {
        let bracket = self.advance().at;
        let range = self.positive_duration()?;
        if self.take_symbol(":") {
            let step = if self.is_symbol("]") {
                None
            } else {
                Some(self.positive_duration()?)
            };
            self.close_brackets()?;
            let kind = node.expr.kind();
            if kind != ValueKind::Vector {
                let kind = match kind {
                    ValueKind::Matrix => "matrix",
                    other => types::word(other),
                };
                let message = format!("subquery is only allowed on instant vector, got {kind} instead");
                self.misfit(node.at, message);
            }
            let subquery = Subquery {
                expr: Box::new(node.expr),
                range,
                step,
                place: Place::default(),
            };
            return self.node(node.at, Expr::Subquery(subquery), node.depth);
        }
        self.close_brackets()?;
        match node.expr {
            Expr::Vector(vector) => {
                if offset_set {
                    return Err(Fault::new(bracket, "no offset modifiers allowed before range"));
                }
                if vector.place.at.is_some() {
                    return Err(Fault::new(bracket, "no @ modifiers allowed before range"));
                }
                let expr = Expr::Matrix(MatrixSelector { vector, range });
                self.node(node.at, expr, node.depth)
            }
            _ => Err(Fault::new(bracket, "ranges only allowed for vector selectors")),
        }
    }

    fn close_brackets(&mut self) -> Parsed<()> {
        let token = self.peek();
        if token.kind == Kind::Symbol && !matches!(token.text, "]" | ":") {
            return Err(experimental_duration(token.at));
        }
        self.expect_symbol("]", "subquery or range")
    }

    fn positive_duration(&mut self) -> Parsed<Duration> {
        let at = self.peek().at;
        if self.is_symbol("(") {
            return Err(experimental_duration(at));
        }
        let seconds = self.signed_seconds("subquery or range", "number or duration")?;
        if seconds <= 0.0 {
            return Err(Fault::new(at, "duration must be greater than 0"));
        }
        Ok(Duration::from_secs_f64(seconds))
    }

    /// In milliseconds.
    pub(super) fn offset(&mut self) -> Parsed<i64> {
        if self.is_symbol("(") {
            return Err(experimental_duration(self.peek().at));
        }
        let seconds = self.signed_seconds("offset", "number or duration")?;
        Ok((seconds * 1000.0) as i64)
    }

    /// A number of seconds or a duration, with or without a sign.
    fn signed_seconds(&mut self, context: &str, expected: &str) -> Parsed<f64> {
        let at = self.peek().at;
        // Prometheus takes any number of signs.
        let mut negative = false;
        while self.is_symbol("-") || self.is_symbol("+") {
            negative ^= self.advance().text == "-";
        }
        if !matches!(self.peek().kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected(context, expected));
        }
        let seconds = self.number()?;
        if seconds >= MAX_SECONDS {
            return Err(Fault::new(at, "duration out of range"));
        }
        Ok(if negative { -seconds } else { seconds })
    }

    /// The number or duration that is next.
    pub(super) fn number(&mut self) -> Parsed<f64> {
        let token = self.advance();
        let fault = |message: String| Fault::new(token.at, message);
        match token.kind {
            Kind::Duration => match duration::parse(token.text) {
                Ok(duration) => Ok(duration.as_secs_f64()),
                Err(why) => Err(fault(why)),
            },
            _ => literal::number(token.text).ok_or_else(|| {
                fault(format!(
                    "error parsing number: {:?} is no number or out of range",
                    token.text
                ))
            }),
        }
    }

    /// What follows `@` behind the operand that starts at `operand`.
    pub(super) fn at(&mut self, operand: usize) -> Parsed<At> {
        const EXPECTED: &str = "timestamp";
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.take_word(word) {
                self.expect_symbol("(", "@")?;
                self.expect_symbol(")", "@")?;
                return Ok(at);
            }
        }
        let negative = self.is_symbol("-");
        if negative || self.is_symbol("+") {
            self.advance();
        }
        let seconds = match special_number(self.peek()) {
            Some(number) => {
                self.advance();
                number
            }
            None if matches!(self.peek().kind, Kind::Number | Kind::Duration) => self.number()?,
            None => return Err(self.unexpected("@", EXPECTED)),
        };
        let millis = (seconds * 1000.0).round();
        if !millis.is_finite() || millis >= i64::MAX as f64 {
            let shown = number::decimal(seconds);
            let message = format!("timestamp out of bounds for @ modifier: {shown}");
            return Err(Fault::new(operand, message));
        }
        let millis = millis as i64;
        Ok(At::Time(Timestamp::from_millis(if negative {
            -millis
        } else {
            millis
        })))
    }
}

fn experimental_duration(at: usize) -> Fault {
    Fault::new(at, "experimental duration expression is not enabled")
}
