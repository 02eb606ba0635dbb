//! `diagnose --watch`: the report, always the present one, in place.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::terminal;
use crate::diagnosis::Status;

/// A terminal whose size cannot be read.
const DEFAULT_HEIGHT: usize = 24;

/// How long to wait after a look that failed before the next.
const RETRY: Duration = Duration::from_secs(2);

/// Shows what each look finds until it is told to stop, and leaves the last report on the terminal. A look that fails is
/// shown too: whoever looks on waits for it to succeed.
pub(super) async fn watch(
    mut look: impl AsyncFnMut() -> anyhow::Result<(Status, String)>,
) -> anyhow::Result<Option<Status>> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let screen = Screen::open()?;
    screen.show("Looking ...\n");
    let mut last = None;
    loop {
        let looked = tokio::select! {
            looked = look() => looked,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        match looked {
            Ok((status, text)) => {
                screen.show(&text);
                last = Some((status, text));
            }
            Err(error) => {
                screen.show(&format!("{error:#}\n"));
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                }
            }
        }
    }
    drop(screen);
    let Some((status, text)) = last else {
        return Ok(None);
    };
    terminal::print(&text)?;
    Ok(Some(status))
}

/// The terminal's other screen, as pagers use it: what was there before comes back when this is dropped.
struct Screen;

impl Screen {
    fn open() -> anyhow::Result<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if dumb || !io::stdout().is_terminal() {
            bail!("--watch needs a terminal; `etcd-doctor serve` watches without one");
        }
        put("\x1b[?1049h\x1b[?25l");
        Ok(Self)
    }

    fn show(&self, text: &str) {
        let height = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
        let height = if height == 0 { DEFAULT_HEIGHT } else { height };
        put(&page(text, height));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put("\x1b[?25h\x1b[?1049l");
    }
}

/// Nobody is left to be shown anything when the terminal is gone.
fn put(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A text over what was there before, without flicker: each line wipes the rest of its own, the last one all below. What
/// does not fit is counted.
fn page(text: &str, height: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = height.saturating_sub(2).max(1);
    let shown = if lines.len() <= room + 1 {
        lines.len()
    } else {
        room
    };
    let mut page = String::from("\x1b[H");
    for line in &lines[..shown] {
        page += line;
        page += "\x1b[0m\x1b[K\r\n";
    }
    if shown < lines.len() {
        page += &format!(
            "... {} more lines; they stay when this ends (Ctrl-C)\x1b[K",
            lines.len() - shown
        );
    }
    page + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_and_counts_what_does_not() {
        assert_eq!(
            page("a\nb\n", 24),
            "\x1b[Ha\x1b[0m\x1b[K\r\nb\x1b[0m\x1b[K\r\n\x1b[J"
        );
        let long = page(&"x\n".repeat(10), 5);
        assert_eq!(long.matches('x').count(), 3);
        assert!(long.contains("... 7 more lines"), "{long}");
        assert_eq!(page(&"x\n".repeat(4), 5).matches('x').count(), 4);
    }
}
