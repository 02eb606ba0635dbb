//! PromQL's grammar: operators by how tightly they bind, and everything else by its first word.
//!
//! What Prometheus 3.5 refuses with its default flags is refused here, at the same place and, where people will look
//! for them, in the same words: a rule that loads here must load there, and mean the same.

mod labels;
mod operands;
mod times;

use super::ast::{
    AGGREGATIONS, Binary, Expr, Link, Many, Matching, OPERATORS, Operator, Place, UNARY_BINDING,
};
use super::lex::{Kind, Token, tokens};
use super::{ParseError, ValueKind, types};
use crate::model::Labels;

/// How deeply an expression may be nested; operators one after the other are no nesting. The deepest known rules stay under
/// 60; the bound keeps a hostile expression from using up the stack.
const MAX_DEPTH: usize = 200;

/// How many regular expressions an expression may have. Each may take 2 MiB compiled; dashboards and rules have a dozen.
pub const MAX_PATTERNS: usize = 64;

/// Words that have a meaning of their own and are no metric's name.
const RESERVED: [&str; 6] = ["on", "ignoring", "group_left", "group_right", "bool", "atan2"];

/// Words that Prometheus names in its messages as `<word>`.
const KEYWORDS: [&str; 10] = [
    "and",
    "or",
    "unless",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Parses and checks.
///
/// # Errors
/// The place, as line and column from 1, and what is wrong there.
pub(super) fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text);
    match (parser.whole(), parser.misfit) {
        (Ok(expr), None) => Ok(expr),
        (Ok(_), Some(fault)) | (Err(fault), _) => Err(fault.placed(text)),
    }
}

/// Reads a series as it is written: `name{label="value"}`, or only one of the two.
///
/// # Errors
/// As for an expression: where the text is wrong, and why.
pub fn series_labels(text: &str) -> Result<Labels, ParseError> {
    let mut parser = Parser::new(text);
    parser.series().map_err(|fault| fault.placed(text))
}

/// Reads a series that a unit test makes up, as [`series_labels`]: Prometheus reads it as the beginning of a line, and no
/// comment or line's end can stand in it, nor a space between name and braces.
///
/// # Errors
/// As for an expression, and for a series without labels.
pub fn made_up_series(text: &str) -> Result<Labels, ParseError> {
    let refuse = |at: usize, message: &str| Err(Fault::new(at, message).placed(text));
    if let Some(at) = text.find('\n') {
        return refuse(at, "a series stands on one line");
    }
    let labels = series_labels(text)?;
    let tokens = tokens(text);
    let ends = tokens.iter().map(|token| token.at + token.text.len());
    for (end, next) in std::iter::once(0).chain(ends).zip(&tokens) {
        if text[end..next.at].contains('#') {
            return refuse(end, "a series has no comment");
        }
    }
    match &tokens[..] {
        [name, brace, ..] if brace.text == "{" && name.at + name.text.len() < brace.at => {
            refuse(brace.at, "unexpected space before \"{\"")
        }
        _ if labels.iter().next().is_none() => refuse(0, "a series needs a label"),
        _ => Ok(labels),
    }
}

/// What is wrong, and at which byte.
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// With the line and the column, from 1.
    fn placed(self, text: &str) -> ParseError {
        let before = &text[..self.at.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        ParseError(format!("{line}:{column}: parse error: {}", self.message))
    }
}

/// A parsed part of the expression.
struct Node {
    expr: Expr,
    /// Where it starts.
    at: usize,
    /// How many levels it has.
    depth: usize,
}

type Parsed<T> = Result<T, Fault>;

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    /// How many calls of this parser are under way, which is where the stack goes.
    levels: usize,
    /// How many regular expressions there were so far.
    patterns: usize,
    /// The first operand that does not fit. What is no PromQL at all comes first, wherever it stands.
    misfit: Option<Fault>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            tokens: tokens(text),
            next: 0,
            levels: 0,
            patterns: 0,
            misfit: None,
        }
    }

    fn whole(&mut self) -> Parsed<Expr> {
        if self.peek().kind == Kind::End {
            return Err(Fault::new(0, "no expression found in input"));
        }
        let node = self.expression(0)?;
        match self.peek().kind {
            Kind::End => Ok(node.expr),
            _ => Err(self.unexpected("", "")),
        }
    }

    // Words.

    fn peek(&self) -> &Token<'a> {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        self.peek().kind == Kind::Symbol && self.peek().text == symbol
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    /// Keywords may be written in any case.
    fn is_word(&self, word: &str) -> bool {
        self.peek().kind == Kind::Word && self.peek().text.eq_ignore_ascii_case(word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: &str, context: &str) -> Parsed<()> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            let expected = if context.is_empty() {
                String::new()
            } else {
                format!("{symbol:?}")
            };
            Err(self.unexpected(context, &expected))
        }
    }

    /// The next word is not what may stand here.
    fn unexpected(&self, context: &str, expected: &str) -> Fault {
        let token = self.peek();
        if let Kind::Bad(why) = &token.kind {
            return Fault::new(token.at, why.clone());
        }
        let mut message = format!("unexpected {}", described(token));
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        Fault::new(token.at, message)
    }

    // Depth.

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.levels += 1;
        if self.levels > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let parsed = parse(self);
        self.levels -= 1;
        parsed
    }

    fn too_deep(&self) -> Fault {
        let message = format!("the expression is nested more than {MAX_DEPTH} levels deep");
        Fault::new(self.peek().at, message)
    }

    /// Counts a regular expression, before it is compiled.
    fn pattern(&mut self, at: usize) -> Parsed<()> {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            let message = format!("more than {MAX_PATTERNS} regular expressions");
            return Err(Fault::new(at, message));
        }
        Ok(())
    }

    fn node(&self, at: usize, expr: Expr, deepest: usize) -> Parsed<Node> {
        let depth = deepest + 1;
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        Ok(Node { expr, at, depth })
    }

    fn misfit(&mut self, at: usize, message: impl Into<String>) {
        self.misfit.get_or_insert(Fault::new(at, message));
    }

    // Operators.

    /// An expression of operators that bind more tightly than `least`.
    fn expression(&mut self, least: u8) -> Parsed<Node> {
        let first = self.deeper(Self::operand)?;
        let (at, mut depth, mut kind) = (first.at, first.depth, first.expr.kind());
        let mut links = Vec::new();
        while let Some((op, binding)) = self.operator().filter(|(_, binding)| *binding > least) {
            let op_at = self.advance().at;
            let (bool, matching) = self.modifiers()?;
            // The power operator groups to the right: 2 ^ 3 ^ 2 is 2 ^ 9.
            let limit = binding - u8::from(op == Operator::Power);
            let right = self.deeper(|parser| parser.expression(limit))?;
            depth = depth.max(right.depth);
            let link = Link {
                op,
                right: right.expr,
                bool,
                matching,
            };
            if let Err((operator, message)) = types::check_link(kind, &link) {
                self.misfit(if operator { op_at } else { at }, message);
            }
            kind = types::combined(kind, link.right.kind());
            links.push(link);
        }
        if links.is_empty() {
            return Ok(first);
        }
        let first = Box::new(first.expr);
        self.node(at, Expr::Binary(Binary { first, links, kind }), depth)
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        let token = self.peek();
        if !matches!(token.kind, Kind::Symbol | Kind::Word) {
            return None;
        }
        let mut known = OPERATORS.iter();
        let found = known.find(|(text, ..)| token.text.eq_ignore_ascii_case(text));
        found.map(|(_, op, binding)| (*op, *binding))
    }

    /// `bool`, `on (…)` or `ignoring (…)`, `group_left (…)` or `group_right (…)`, in this order.
    fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let bool = self.take_word("bool");
        let mut matching = Matching {
            on: self.is_word("on"),
            ..Matching::default()
        };
        if self.take_word("on") || self.take_word("ignoring") {
            matching.labels = self.label_list()?;
            matching.many = if self.take_word("group_left") {
                Many::Left
            } else if self.take_word("group_right") {
                Many::Right
            } else {
                Many::Neither
            };
            if matching.many != Many::Neither && self.is_symbol("(") {
                // What stands in parentheses may also be the right operand; Prometheus takes it for labels.
                matching.include = self.label_list()?;
            }
        }
        Ok((bool, matching))
    }

    /// An operand with its sign before it, and its range, `offset` and `@` behind it.
    fn operand(&mut self) -> Parsed<Node> {
        let at = self.peek().at;
        let negative = self.is_symbol("-");
        if self.take_symbol("-") || self.take_symbol("+") {
            let inner = self.expression(UNARY_BINDING)?;
            let kind = inner.expr.kind();
            if !matches!(kind, ValueKind::Scalar | ValueKind::Vector) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    types::word(kind)
                );
                self.misfit(at, message);
            }
            let expr = match (negative, inner.expr) {
                (false, expr) => expr,
                (true, Expr::Number(number)) => Expr::Number(-number),
                (true, expr) => Expr::Negation(Box::new(expr)),
            };
            return self.node(at, expr, inner.depth);
        }
        let mut node = self.primary()?;
        // Set once each; zero is an offset too.
        let mut offset_set = false;
        loop {
            if self.is_symbol("[") {
                node = self.in_brackets(node, offset_set)?;
                offset_set = false;
            } else if self.take_word("offset") {
                let offset = self.offset()?;
                match place_of(&mut node.expr) {
                    None => {
                        self.misfit(
                            node.at,
                            "offset modifier must be preceded by an instant vector selector or range vector selector \
                             or a subquery",
                        );
                    }
                    Some(_) if offset_set => {
                        return Err(Fault::new(node.at, "offset may not be set multiple times"));
                    }
                    Some(place) => place.offset = offset,
                }
                offset_set = true;
            } else if self.take_symbol("@") {
                let pinned = self.at(node.at)?;
                match place_of(&mut node.expr) {
                    None => {
                        self.misfit(
                            node.at,
                            "@ modifier must be preceded by an instant vector selector or range vector selector or a \
                             subquery",
                        );
                    }
                    Some(place) if place.at.is_some() => {
                        return Err(Fault::new(node.at, "@ <timestamp> may not be set multiple times"));
                    }
                    Some(place) => place.at = Some(pinned),
                }
            } else {
                return Ok(node);
            }
        }
    }
}

/// Where an expression can be moved in time: of selectors and subqueries only.
fn place_of(expr: &mut Expr) -> Option<&mut Place> {
    match expr {
        Expr::Vector(selector) => Some(&mut selector.place),
        Expr::Matrix(selector) => Some(&mut selector.vector.place),
        Expr::Subquery(subquery) => Some(&mut subquery.place),
        _ => None,
    }
}

/// `Inf` and `NaN`, in any case.
fn special_number(token: &Token<'_>) -> Option<f64> {
    let is = |word: &str| token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word);
    if is("inf") {
        Some(f64::INFINITY)
    } else if is("nan") {
        Some(f64::NAN)
    } else {
        None
    }
}

/// Whether a word cannot be a metric's name.
fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether a word cannot be a function's name.
fn is_keyword(word: &str) -> bool {
    let is = |known: &&str| word.eq_ignore_ascii_case(known);
    KEYWORDS.iter().any(is) || is_reserved(word) || ["start", "end"].iter().any(is)
}

/// A word as Prometheus' messages name it.
fn described(token: &Token<'_>) -> String {
    let text = token.text;
    match token.kind {
        Kind::End => "end of input".to_owned(),
        Kind::Number => format!("number {text:?}"),
        Kind::Duration => format!("duration {text:?}"),
        Kind::String => format!("string {text:?}"),
        Kind::MetricName => format!("metric identifier {text:?}"),
        Kind::Word if special_number(token).is_some() => format!("number {text:?}"),
        Kind::Word if is_operator(text) => format!("<op:{}>", text.to_ascii_lowercase()),
        Kind::Word if is_keyword(text) => format!("<{}>", text.to_ascii_lowercase()),
        Kind::Word
            if AGGREGATIONS
                .iter()
                .any(|(name, _)| text.eq_ignore_ascii_case(name)) =>
        {
            format!("<aggr:{}>", text.to_ascii_lowercase())
        }
        Kind::Word | Kind::Label => format!("identifier {text:?}"),
        Kind::Symbol if is_operator(text) => format!("<op:{text}>"),
        Kind::Symbol | Kind::Bad(_) => format!("{text:?}"),
    }
}

fn is_operator(text: &str) -> bool {
    OPERATORS
        .iter()
        .any(|(known, ..)| text.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests;
