//! Texts that a cluster may hold, in every form: nothing of them is obeyed by a terminal, becomes markup or breaks a line.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::fixture::{HOSTILE, hostile, report};
use super::page::is_obeyed;
use super::{TextStyle, json, markdown, nagios, text};

fn nothing_is_obeyed(shown: &str, what: &str) {
    let obeyed = shown.chars().find(|letter| *letter != '\n' && is_obeyed(*letter));
    assert_eq!(obeyed, None, "{what}: {shown:?}");
}

#[test]
fn a_terminal_obeys_nothing_but_our_own_colours() {
    let colour = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for text in HOSTILE {
        for width in [60, 80, 120] {
            let style = |color| TextStyle {
                width,
                color,
                ascii: false,
            };
            let plain = text::render(&report(&hostile(text)), style(false));
            nothing_is_obeyed(&plain, text);
            let colored = text::render(&report(&hostile(text)), style(true));
            assert_eq!(colour.replace_all(&colored, ""), plain, "{text:?}");
        }
    }
}

#[test]
fn json_gives_the_text_back_and_shows_a_terminal_nothing_to_obey() {
    for text in HOSTILE {
        let shown = json::render(&report(&hostile(text)));
        nothing_is_obeyed(&shown, text);
        let back: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let cluster = &back["clusters"][0];
        for place in [
            &cluster["name"],
            &cluster["members"][0]["version"],
            &cluster["problems"][0]["labels"]["member"],
            &cluster["problems"][0]["evidence"][0]["text"],
        ] {
            assert_eq!(place, text);
        }
    }
}

#[test]
fn nagios_gets_one_line_with_one_bar() {
    // A label in quotes, and a value: nothing else, and no quote inside.
    let datum = r"'[^'=|]+'=-?[0-9.]+(B|s)?(;[^; ]*)*";
    let whole = regex::Regex::new(&format!("^{datum}( {datum})*$")).unwrap();
    for text in HOSTILE {
        let line = nagios::render(&report(&hostile(text)));
        nothing_is_obeyed(&line, text);
        assert_eq!(line.lines().count(), 1, "{line:?}");
        assert_eq!(line.matches('|').count(), 1, "{line:?}");
        let (_, data) = line.trim_end().split_once(" | ").unwrap();
        assert!(whole.is_match(data), "{data:?}");
    }
}

#[test]
fn markdown_has_the_same_parts_whatever_a_cluster_is_called() {
    let parts = |text: &str| {
        let shown = markdown::render(&report(&hostile(text)));
        nothing_is_obeyed(&shown, text);
        let mut parts: Vec<String> = Vec::new();
        for event in Parser::new_ext(&shown, Options::ENABLE_TABLES) {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => panic!("{text:?} became {html}"),
                // The runbook's, which the rule names.
                Event::Start(Tag::Link { dest_url, .. }) => {
                    assert!(
                        dest_url.starts_with("https://runbooks.example/"),
                        "{text:?}: {dest_url}"
                    );
                }
                Event::Start(Tag::Image { dest_url, .. }) => panic!("{text:?} loads {dest_url}"),
                Event::Start(tag @ (Tag::Heading { .. } | Tag::Table(_) | Tag::TableCell)) => {
                    parts.push(format!("{tag:?}"))
                }
                Event::End(TagEnd::TableRow) => parts.push("row".to_owned()),
                _ => {}
            }
        }
        parts
    };
    let expected = parts("harmless");
    for text in HOSTILE {
        assert_eq!(parts(text), expected, "{text:?}");
    }
}
