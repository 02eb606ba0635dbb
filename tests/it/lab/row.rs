//! A row of the table: what was seen of one fault on one release.

use std::fmt::Write;
use std::time::Duration;

use super::{Fault, ShownBy, seconds};
use crate::support::Version;

/// What was seen of one fault on one release.
pub(super) struct Row {
    pub(super) fault: &'static str,
    about: &'static str,
    shown_by: ShownBy,
    pub(super) version: Version,
    /// The alert that is the cause, with its member.
    pub(super) expected: String,
    /// What was ranked first when it fired.
    pub(super) first: String,
    /// From the fault to the cause pending, to the cause firing.
    pub(super) pending: Option<Duration>,
    pub(super) firing: Option<Duration>,
    /// What stood beneath it.
    pub(super) beneath: Vec<String>,
    /// What else was reported beside it.
    pub(super) beside: Vec<String>,
    /// What etcd's mixin said in a real Prometheus, in words.
    pub(super) mixin: String,
    /// Whether the remedy was typed in, in words.
    pub(super) remedy: String,
    pub(super) failure: Option<String>,
}

impl Row {
    pub(super) fn new(fault: &Fault, version: Version) -> Self {
        Self {
            fault: fault.name,
            about: fault.about,
            shown_by: fault.shown_by,
            version,
            expected: String::new(),
            first: String::new(),
            pending: None,
            firing: None,
            beneath: Vec::new(),
            beside: Vec::new(),
            mixin: String::new(),
            remedy: String::new(),
            failure: None,
        }
    }

    /// The fault could not be brought about on this machine, and why.
    pub(super) fn skipped(&mut self, why: &str) {
        eprintln!("{} on {} is SKIPPED: {why}", self.fault, self.release());
        self.first = format!("**skipped**: {why}");
    }

    /// The release as the table writes it.
    pub(super) const fn release(&self) -> &'static str {
        self.version.release()
    }

    /// In one line, for a terminal.
    pub(super) fn line(&self) -> String {
        let mut line = format!("{} on {}: ", self.fault, self.release());
        if let Some(failure) = &self.failure {
            return line + "FAILED: " + failure;
        }
        // Writing to a String cannot fail.
        let _ = write!(line, "{}", self.first);
        for (word, time) in [("pending", self.pending), ("firing", self.firing)] {
            if let Some(time) = time {
                let _ = write!(line, ", {word} after {}", seconds(time));
            }
        }
        for (word, list) in [("beneath", &self.beneath), ("beside", &self.beside)] {
            if !list.is_empty() {
                let _ = write!(line, "; {word}: {}", list.join(", "));
            }
        }
        for (word, text) in [("mixin", &self.mixin), ("remedy", &self.remedy)] {
            if !text.is_empty() {
                let _ = write!(line, "; {word}: {text}");
            }
        }
        line
    }

    /// As a row of a Markdown table.
    pub(super) fn markdown(&self) -> String {
        let or_dash = |text: &str| {
            if text.is_empty() {
                "–".to_owned()
            } else {
                text.replace('|', "\\|")
            }
        };
        let time = |time: Option<Duration>| time.map_or("–".to_owned(), seconds);
        let (first, about) = match &self.failure {
            Some(failure) => (
                format!("**failed**: {}", failure.lines().next().unwrap_or_default()),
                self.about.to_owned(),
            ),
            None => (self.first.clone(), self.about.to_owned()),
        };
        let about = match self.shown_by {
            ShownBy::Real => about,
            ShownBy::Fixture(why) => format!("{about} (fixture: {why})"),
            ShownBy::Fake(why) => format!("{about} (fake: {why})"),
        };
        let cells = [
            format!("`{}`", self.fault),
            self.release().to_owned(),
            or_dash(&about),
            or_dash(&self.expected),
            or_dash(&first),
            time(self.pending),
            time(self.firing),
            or_dash(&self.mixin),
            or_dash(&self.beneath.join(", ")),
            or_dash(&self.beside.join(", ")),
            or_dash(&self.remedy),
        ];
        format!("| {} |", cells.join(" | "))
    }
}
