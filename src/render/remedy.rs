//! A remedy taken apart: its steps, and in each the prose and the commands.

use super::page::words;

/// One item of the list, or a paragraph outside it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// `1.` or `-`; empty for a paragraph.
    pub marker: String,
    /// What it consists of, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a step.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// Prose, with code that is no command still in backquotes.
    Prose(String),
    /// A command to copy as a whole.
    Command(String),
}

/// Takes a remedy apart. What stands in backquotes and is among `commands` is a command.
pub(crate) fn steps(remedy: &str, commands: &[String]) -> Vec<Step> {
    let mut items: Vec<(String, String)> = Vec::new();
    for line in remedy.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (marker(line), items.last_mut()) {
            (Some((marker, text)), _) => items.push((marker.to_owned(), text.to_owned())),
            (None, Some((_, text))) => {
                text.push(' ');
                text.push_str(line);
            }
            (None, None) => items.push((String::new(), line.to_owned())),
        }
    }
    items
        .into_iter()
        .map(|(marker, text)| Step {
            marker,
            pieces: pieces(&text, commands),
        })
        .collect()
}

fn marker(line: &str) -> Option<(&str, &str)> {
    let (marker, text) = line.split_once(' ')?;
    let number = marker.strip_suffix(['.', ')']).unwrap_or("");
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (numbered || matches!(marker, "-" | "*")).then_some((marker, text.trim_start()))
}

fn pieces(text: &str, commands: &[String]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut prose = String::new();
    let flush = |prose: &mut String, pieces: &mut Vec<Piece>| {
        // What a sentence goes on with after a command that it does not hold any more.
        let rest = prose.trim().trim_start_matches([',', ';', '.', ':']).trim();
        if words(rest).next().is_some() {
            pieces.push(Piece::Prose(rest.to_owned()));
        }
        prose.clear();
    };
    let parts: Vec<&str> = text.split('`').collect();
    for (at, part) in parts.iter().enumerate() {
        let is_code = at % 2 == 1 && at + 1 < parts.len();
        if is_code && commands.iter().any(|command| command == part) {
            flush(&mut prose, &mut pieces);
            pieces.push(Piece::Command((*part).to_owned()));
        } else if at % 2 == 1 {
            prose.push('`');
            prose.push_str(part);
            prose.push_str(if is_code { "`" } else { "" });
        } else {
            prose.push_str(&part.replace("**", ""));
        }
    }
    flush(&mut prose, &mut pieces);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_apart_and_other_code_stays_in_the_sentence() {
        let commands = ["etcdctl compact 7".to_owned()];
        let remedy =
            "First read on.\n\n1. **(load)** Compact: `etcdctl compact 7`, as `root`\n   or so.\n2) Wait.";
        let prose = |text: &str| Piece::Prose(text.to_owned());
        let step = |marker: &str, pieces| Step {
            marker: marker.to_owned(),
            pieces,
        };
        assert_eq!(
            steps(remedy, &commands),
            [
                step("", vec![prose("First read on.")]),
                step(
                    "1.",
                    vec![
                        prose("(load) Compact:"),
                        Piece::Command(commands[0].clone()),
                        prose("as `root` or so.")
                    ]
                ),
                step("2)", vec![prose("Wait.")]),
            ]
        );
    }

    #[test]
    fn an_unpaired_backquote_loses_nothing() {
        let [step] = &steps("- a `b c", &[])[..] else {
            panic!()
        };
        assert_eq!(step.pieces, [Piece::Prose("a `b c".to_owned())]);
        assert_eq!(steps("", &[]), []);
    }
}
