//! What must not be in a bundle. The configuration hides secrets by itself; this takes them out wherever else they may
//! have come, such as an address in the words of an error.

use std::borrow::Cow;

/// What stands in place of a secret, as in `config show`.
const HIDDEN: &str = "<hidden>";

/// Shorter ones would take ordinary words away. They are nowhere but in the configuration, which hides them.
const SHORTEST: usize = 6;

/// Texts that must not be in a bundle.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// From texts; the short ones are dropped.
    pub fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        for text in texts {
            // As they stand, and as JSON writes them.
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            let escaped = quoted[1..quoted.len() - 1].to_owned();
            for text in [text, escaped] {
                if text.len() >= SHORTEST && !secrets.contains(&text) {
                    secrets.push(text);
                }
            }
        }
        // A secret may be a part of another one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// The text without any.
    pub(super) fn hidden_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret) {
                text = Cow::Owned(text.replace(secret, HIDDEN));
            }
        }
        text
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_whole_escaped_and_inside_one_another() {
        let secrets = Secrets::new([
            "hunter2".into(),
            "hunter2hunter2".into(),
            "a\"b\\cdef".into(),
            "etcd".into(),
        ]);
        for (text, expected) in [
            ("say hunter2!", "say <hidden>!"),
            ("hunter2hunter2", "<hidden>"),
            (r#"{"x":"a\"b\\cdef"}"#, r#"{"x":"<hidden>"}"#),
            ("etcd", "etcd"),
        ] {
            assert_eq!(secrets.hidden_in(text), expected);
        }
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
