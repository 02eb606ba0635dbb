//! One condition on one label.

use super::ParseError;
use super::regex::anchored;
use crate::model::{Labels, METRIC_NAME};

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub label: String,
    /// The condition as written: `=`, `!=`, `=~` or `!~`.
    pub op: MatchOp,
    /// The value or the regular expression as written.
    pub value: String,
    /// The regular expression, for the two conditions that have one.
    regex: Option<::regex::Regex>,
}

/// How a matcher compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl Matcher {
    /// A matcher, with its regular expression compiled.
    ///
    /// # Errors
    /// When the regular expression is not valid RE2 or cannot be matched exactly as RE2 would.
    pub fn new(label: &str, op: MatchOp, value: &str) -> Result<Self, ParseError> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(value)?),
        };
        Ok(Self {
            label: label.to_owned(),
            op,
            value: value.to_owned(),
            regex,
        })
    }

    /// `__name__="metric"`.
    pub fn metric(name: &str) -> Self {
        Self {
            label: METRIC_NAME.to_owned(),
            op: MatchOp::Equal,
            value: name.to_owned(),
            regex: None,
        }
    }

    /// Whether a series with these labels meets the condition. A missing label has the value `""`.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.label))
    }

    /// Whether a label with this value meets the condition.
    pub fn matches_value(&self, value: &str) -> bool {
        let found = |regex: &::regex::Regex| regex.is_match(value);
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => self.regex.as_ref().is_some_and(found),
            MatchOp::NotRegex => !self.regex.as_ref().is_some_and(found),
        }
    }

    /// Whether it has a regular expression.
    pub fn is_pattern(&self) -> bool {
        self.regex.is_some()
    }

    /// The metric's name, when this matcher gives it literally.
    pub fn literal_metric(&self) -> Option<&str> {
        (self.label == METRIC_NAME && self.op == MatchOp::Equal).then_some(&*self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(op: MatchOp, written: &str, value: &str) -> bool {
        Matcher::new("a", op, written)
            .unwrap()
            .matches(&Labels::new([("a", value), ("b", "other")]))
    }

    #[test]
    fn regular_expressions_match_the_whole_value() {
        assert!(matches(MatchOp::Regex, "x|yz", "yz"));
        assert!(!matches(MatchOp::Regex, "x|y", "yz"));
        assert!(matches(MatchOp::NotRegex, "y", "yz"));
        assert!(matches(MatchOp::Regex, "a.b", "a\nb"));
    }

    #[test]
    fn a_missing_label_is_empty() {
        assert!(matches(MatchOp::Equal, "", ""));
        assert!(matches(MatchOp::NotEqual, "x", ""));
        assert!(!matches(MatchOp::Regex, ".+", ""));
        assert!(matches(MatchOp::Regex, ".*", ""));
    }
}
