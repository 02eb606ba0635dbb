//! What one expansion may cost: the templates of a file are expanded while the window is held, for each of its alerts.
//!
//! Functions of templates are shared and know nothing of the expansion that calls them, which runs on one thread from
//! beginning to end. So the thread keeps the account.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use gotmpl::Value;
use regex::Regex;

use crate::promql;

/// Calls of functions, among which each `{{ … }}`, `.Name` and `{{template}}` counts: a table of a thousand samples takes
/// ten thousand. A large argument counts as several.
const MAX_CALLS: usize = 250_000;

/// Bytes of all texts that functions give: `print $x $x` doubles one.
const MAX_MADE: usize = 16 << 20;

/// Bytes of the text that comes out. Alertmanager's receivers cut far earlier.
const MAX_PRINTED: usize = 1 << 20;

/// Regular expressions, which take up to 2 MiB each.
const MAX_PATTERNS: usize = 64;

/// Elements, and bytes of text, of an argument that count as one more call.
const ELEMENTS_A_CALL: usize = 16;
const BYTES_A_CALL: usize = 256;

thread_local! {
    static ACCOUNT: RefCell<Account> = RefCell::default();
}

#[derive(Default)]
struct Account {
    calls: usize,
    made: usize,
    patterns: HashMap<String, Regex>,
}

/// An expansion that is under way on this thread.
pub(super) struct Expansion(());

impl Expansion {
    pub(super) fn begin() -> Self {
        ACCOUNT.take();
        Self(())
    }
}

impl Drop for Expansion {
    fn drop(&mut self) {
        ACCOUNT.take();
    }
}

/// Counts a call of a function.
///
/// # Errors
/// When there were too many.
pub(super) fn call(args: &[Value]) -> Result<(), String> {
    let more = args.iter().map(|arg| match arg {
        Value::String(text) => text.len() / BYTES_A_CALL,
        Value::List(elements) => elements.len() / ELEMENTS_A_CALL,
        _ => 0,
    });
    let calls = 1 + more.sum::<usize>();
    ACCOUNT.with_borrow_mut(|account| {
        account.calls += calls;
        within(account.calls, MAX_CALLS, "calls of functions")
    })
}

/// Counts what a function gave.
///
/// # Errors
/// When the texts are too long together.
pub(super) fn made(value: Value) -> Result<Value, String> {
    if let Value::String(text) = &value {
        let made = ACCOUNT.with_borrow_mut(|account| {
            account.made += text.len();
            account.made
        });
        within(made, MAX_MADE, "bytes of text from functions")?;
    }
    Ok(value)
}

/// A regular expression, compiled once an expansion.
///
/// # Errors
/// When it is none, or one too many.
pub(super) fn pattern(written: &str) -> Result<Regex, String> {
    ACCOUNT.with_borrow_mut(|account| {
        if let Some(known) = account.patterns.get(written) {
            return Ok(known.clone());
        }
        within(account.patterns.len() + 1, MAX_PATTERNS, "regular expressions")?;
        let regex = promql::unanchored(written).map_err(|error| error.0)?;
        account.patterns.insert(written.to_owned(), regex.clone());
        Ok(regex)
    })
}

/// All matches replaced, in Go's notation.
///
/// # Errors
/// When the text becomes too long.
pub(super) fn replaced(regex: &Regex, text: &str, replacement: &str) -> Result<String, String> {
    let mut left = Some(MAX_PRINTED);
    let replaced = regex.replace_all(text, |captures: &regex::Captures<'_>| {
        let expanded = left.and_then(|left| promql::expand(captures, replacement, left));
        left = left.zip(expanded.as_ref()).map(|(left, text)| left - text.len());
        expanded.unwrap_or_default()
    });
    match left {
        Some(_) => Ok(replaced.into_owned()),
        None => Err(over(MAX_PRINTED, "bytes of text")),
    }
}

fn within(count: usize, most: usize, what: &str) -> Result<(), String> {
    if count > most {
        Err(over(most, what))
    } else {
        Ok(())
    }
}

fn over(most: usize, what: &str) -> String {
    format!("the template takes more than {most} {what}")
}

/// The text that comes out.
#[derive(Default)]
pub(super) struct Printed {
    text: String,
    is_full: bool,
}

impl Printed {
    /// The text.
    ///
    /// # Errors
    /// When it would have been too long.
    pub(super) fn finish(self) -> Result<String, String> {
        if self.is_full {
            return Err(over(MAX_PRINTED, "bytes of text"));
        }
        Ok(self.text)
    }
}

impl fmt::Write for Printed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > MAX_PRINTED {
            self.is_full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}
