//! Labels: the conditions of a selector, and the lists of `by`, `on` and the like.

use super::{Fault, Parsed, Parser, is_reserved, special_number};
use crate::model::{Labels, METRIC_NAME};
use crate::promql::ast::{Expr, Grouping, Place, VectorSelector};
use crate::promql::lex::Kind;
use crate::promql::{MatchOp, Matcher, SELECTS_EVERYTHING, literal};

impl Parser<'_> {
    pub(super) fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.is_word("without");
        if !self.take_word("without") && !self.take_word("by") {
            return Ok(None);
        }
        let labels = self.label_list()?;
        Ok(Some(Grouping { without, labels }))
    }

    /// `(label, label)`
    pub(super) fn label_list(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.expect_symbol("(", CONTEXT)?;
        let mut labels = Vec::new();
        while !self.take_symbol(")") {
            let token = self.peek().clone();
            match token.kind {
                Kind::Word | Kind::MetricName if special_number(&token).is_none() => {
                    self.advance();
                    labels.push(token.text.to_owned());
                }
                Kind::String => {
                    let label = self.string()?;
                    if label.is_empty() {
                        let message = format!("invalid label name for grouping: {label:?}");
                        return Err(Fault::new(token.at, message));
                    }
                    labels.push(label);
                }
                _ => return Err(self.unexpected(CONTEXT, "label")),
            }
            if !self.take_symbol(",") && !self.is_symbol(")") {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    /// The conditions of a selector, whose name, if any, stands before it.
    pub(super) fn selector(&mut self, name: Option<&str>, at: usize) -> Parsed<Expr> {
        const CONTEXT: &str = "label matching";
        let mut matchers = Vec::new();
        if self.take_symbol("{") {
            while !self.take_symbol("}") {
                let token = self.peek().clone();
                let label = match token.kind {
                    Kind::Label => self.advance().text.to_owned(),
                    Kind::String => self.string()?,
                    _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
                };
                let alone = self.is_symbol(",") || self.is_symbol("}");
                if token.kind == Kind::String && alone {
                    // A name in quotes, as those that are not of letters and digits have to be written.
                    matchers.push(Matcher::metric(&label));
                } else {
                    matchers.push(self.matcher(label, token.at)?);
                }
                if !self.take_symbol(",") && !self.is_symbol("}") {
                    return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
                }
            }
        }
        if let Some(name) = name {
            if let Some(other) = matchers.iter().find(|matcher| matcher.label == METRIC_NAME) {
                let message = format!("metric name must not be set twice: {name:?} or {:?}", other.value);
                self.misfit(at, message);
            }
            matchers.insert(0, Matcher::metric(name));
        }
        if matchers.iter().all(|matcher| matcher.matches_value("")) {
            self.misfit(at, SELECTS_EVERYTHING);
        }
        Ok(Expr::Vector(VectorSelector {
            matchers,
            named: name.is_some(),
            place: Place::default(),
        }))
    }

    /// `name{label="value"}` and nothing else.
    pub(super) fn series(&mut self) -> Parsed<Labels> {
        const CONTEXT: &str = "label set";
        let token = self.peek().clone();
        let mut pairs = Vec::new();
        let named = matches!(token.kind, Kind::Word | Kind::MetricName);
        if named {
            if is_reserved(token.text) || special_number(&token).is_some() {
                return Err(self.unexpected("", ""));
            }
            self.advance();
            pairs.push((METRIC_NAME.to_owned(), token.text.to_owned()));
        }
        if self.take_symbol("{") {
            while !self.take_symbol("}") {
                let token = self.peek().clone();
                let label = match token.kind {
                    Kind::Label => self.advance().text.to_owned(),
                    Kind::String => self.string()?,
                    _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
                };
                let alone = self.is_symbol(",") || self.is_symbol("}");
                let (label, value) = if token.kind == Kind::String && alone {
                    (METRIC_NAME.to_owned(), label)
                } else if !self.take_symbol("=") {
                    return Err(self.unexpected(CONTEXT, "\"=\""));
                } else if self.peek().kind == Kind::String {
                    (label, self.string()?)
                } else {
                    return Err(self.unexpected(CONTEXT, "string"));
                };
                // The name before the braces wins over those in them.
                if !(named && label == METRIC_NAME) {
                    if label.is_empty() || pairs.iter().any(|(other, _)| *other == label) {
                        let why = if label.is_empty() { "valid" } else { "unique" };
                        return Err(Fault::new(token.at, format!("label name {label:?} is not {why}")));
                    }
                    pairs.push((label, value));
                }
                if !self.take_symbol(",") && !self.is_symbol("}") {
                    return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
                }
            }
        } else if pairs.is_empty() {
            return Err(self.unexpected("", ""));
        }
        match self.peek().kind {
            Kind::End => Ok(Labels::new(pairs)),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn matcher(&mut self, label: String, at: usize) -> Parsed<Matcher> {
        const CONTEXT: &str = "label matching";
        let token = self.peek().clone();
        let op = match (token.kind, token.text) {
            (Kind::Symbol, "=") => MatchOp::Equal,
            (Kind::Symbol, "!=") => MatchOp::NotEqual,
            (Kind::Symbol, "=~") => MatchOp::Regex,
            (Kind::Symbol, "!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.advance();
        if self.peek().kind != Kind::String {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let value = self.string()?;
        if label.is_empty() {
            return Err(Fault::new(at, format!("invalid label name {label:?}")));
        }
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            self.pattern(at)?;
        }
        Matcher::new(&label, op, &value).map_err(|error| Fault::new(at, error.0))
    }

    pub(super) fn string(&mut self) -> Parsed<String> {
        let token = self.advance();
        literal::unquoted(token.text).map_err(|why| Fault::new(token.at, why))
    }
}
