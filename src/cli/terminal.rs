//! The terminal: what it can show, and writing to it when the reader may have gone.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, MissedTickBehavior};

use crate::render::TextStyle;

/// The width where nothing tells it: what logs, mails and consoles agree on.
const DEFAULT_WIDTH: usize = 80;

/// What standard output can show.
pub(super) fn style() -> TextStyle {
    let size = rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col));
    from(io::stdout().is_terminal(), size, |name| std::env::var(name).ok())
}

/// The same, of anything: whether it is a terminal, its width when that is known, and the environment.
fn from(terminal: bool, columns: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> TextStyle {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let given = set("COLUMNS").and_then(|columns| columns.parse().ok());
    let width = given
        .or(columns)
        .filter(|width| *width > 0)
        .unwrap_or(DEFAULT_WIDTH);
    let dumb = set("TERM").is_some_and(|term| term == "dumb");
    // The first that is set counts, as in the C library.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(set)
        .unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    TextStyle {
        width,
        color: terminal && !dumb && set("NO_COLOR").is_none(),
        ascii: !(locale.contains("utf-8") || locale.contains("utf8")),
    }
}

/// Writes to standard output. A reader who has seen enough (`… | head`) is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("could not write to standard output"),
    }
}

/// Waits for `work`, which takes about `window`, and meanwhile tells somebody at a terminal how long that will be. It is
/// told on standard error, and wiped away in the end.
pub(super) async fn with_progress<T>(window: Duration, work: impl Future<Output = T>) -> T {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if dumb || !io::stderr().is_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => {
                eprint!("\r\x1b[K");
                return outcome;
            }
            _ = ticks.tick() => eprint!("\r\x1b[K{}", progress(begun.elapsed(), window)),
        }
    }
}

fn progress(passed: Duration, window: Duration) -> String {
    match window.saturating_sub(passed).as_secs_f64().ceil() {
        0.0 => "Looking ...".to_owned(),
        left => format!("Watching, {left} s to go ..."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(terminal: bool, columns: Option<usize>, variables: &[(&str, &str)]) -> TextStyle {
        from(terminal, columns, |name| {
            variables
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn colour_needs_a_terminal_that_wants_it() {
        assert!(with(true, None, &[("TERM", "xterm"), ("NO_COLOR", "")]).color);
        assert!(!with(false, None, &[("TERM", "xterm")]).color);
        assert!(!with(true, None, &[("NO_COLOR", "1")]).color);
        assert!(!with(true, None, &[("TERM", "dumb")]).color);
    }

    #[test]
    fn the_width_is_columns_else_the_terminals_else_80() {
        assert_eq!(with(true, Some(120), &[]).width, 120);
        assert_eq!(with(true, Some(120), &[("COLUMNS", "66")]).width, 66);
        assert_eq!(with(true, Some(120), &[("COLUMNS", "wide")]).width, 120);
        assert_eq!(with(false, Some(0), &[]).width, 80);
        assert_eq!(with(false, None, &[]).width, 80);
    }

    #[test]
    fn the_locale_decides_on_ascii() {
        for (variables, ascii) in [
            (&[("LANG", "en_US.UTF-8")][..], false),
            (&[("LANG", "de_DE.utf8")], false),
            (&[("LANG", "C")], true),
            (&[], true),
            (&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], true),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], false),
        ] {
            assert_eq!(with(true, None, variables).ascii, ascii, "{variables:?}");
        }
    }

    #[test]
    fn progress_counts_down_to_a_last_look() {
        let at = |passed| progress(Duration::from_millis(passed), Duration::from_secs(15));
        assert_eq!(
            [at(0), at(14_500), at(15_000), at(17_000)],
            [
                "Watching, 15 s to go ...",
                "Watching, 1 s to go ...",
                "Looking ...",
                "Looking ..."
            ]
        );
    }
}
