//! An alert looked at closely, for a terminal.

use super::{number_of, obstacle, outcome, relative, standing, state, subject, timing, verdict};
use crate::diagnosis::inspection::{Activity, Inspected, Inspection, Part, Reading, Relative};
use crate::render::page::{Ink, Page, TextStyle, column};
use crate::render::units;

/// Renders for a terminal, a cluster after the other.
pub fn render(inspections: &[Inspection], style: TextStyle) -> String {
    let mut page = Page::new(style);
    for inspection in inspections {
        page.gap();
        one(&mut page, inspection);
    }
    page.into_text()
}

const fn ink(activity: Activity) -> Ink {
    match activity {
        Activity::Silent => Ink::Plain,
        Activity::Pending => Ink::Yellow,
        Activity::Firing => Ink::Red,
    }
}

fn one(page: &mut Page, inspection: &Inspection) {
    let activity = inspection.activity();
    let word = format!("{}  ", activity.as_str().to_uppercase());
    let title = format!("{} in cluster {}", inspection.alert, inspection.cluster);
    page.paragraph(&[(ink(activity), &word)], word.len(), Ink::Bold, &title);
    let seen = format!("Seen at {}. {}", inspection.time, verdict(inspection));
    page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Plain, &seen);
    for gap in &inspection.gaps {
        page.paragraph(&[(Ink::Plain, "  Cannot see: ")], 4, Ink::Yellow, &gap.reason);
        if !gap.fix.is_empty() {
            let lead = format!("    {} ", page.glyph("→", "->"));
            page.paragraph(&[(Ink::Plain, &lead)], 6, Ink::Plain, &gap.fix);
        }
    }
    for inspected in &inspection.rules {
        rule(page, inspected, inspection);
    }
    history(page, inspection);
    relatives(page, "It explains", &inspection.explains);
    relatives(page, "It is explained by", &inspection.explained_by);
}

fn rule(page: &mut Page, rule: &Inspected, inspection: &Inspection) {
    page.gap();
    let about = [
        rule.severity.as_str(),
        &*rule.category,
        &*timing(rule),
        &*rule.file,
    ];
    let about: Vec<&str> = about.into_iter().filter(|word| !word.is_empty()).collect();
    page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Dim, &about.join("; "));
    if rule.active.is_empty() && !rule.summary.is_empty() {
        page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Plain, &rule.summary);
    }
    if let Some(error) = &rule.error {
        page.paragraph(
            &[(Ink::Plain, "  ")],
            2,
            Ink::Red,
            &format!("It could not be evaluated: {error}"),
        );
    }
    for active in &rule.active {
        let lead = format!("  {}: ", state(active, inspection.time));
        let color = if active.firing { Ink::Red } else { Ink::Yellow };
        let title = match active.summary.is_empty() {
            true => subject(&active.labels, &inspection.cluster),
            false => active.summary.clone(),
        };
        page.paragraph(&[(color, &lead)], 4, Ink::Plain, &title);
    }
    if let Some(obstacle) = obstacle(rule) {
        page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Bold, &obstacle);
    }
    page.gap();
    page.line(2, Ink::Bold, "Expression");
    for line in rule.expr.lines() {
        page.line(4, Ink::Plain, line);
    }
    page.gap();
    page.line(2, Ink::Bold, "Its parts now");
    for (at, found) in rule.parts.iter().enumerate() {
        part(page, at + 1, found, &inspection.cluster);
    }
    if !rule.runbook_url.is_empty() {
        page.gap();
        page.line(2, Ink::Dim, &format!("Runbook: {}", rule.runbook_url));
    }
}

fn part(page: &mut Page, number: usize, part: &Part, cluster: &str) {
    let indent = 4 + 2 * part.depth.min(4);
    let lead = format!("{:indent$}{number}. ", "");
    let words = [&*part.joined_by, &*part.text].join(" ");
    let words = match (words.trim(), part.is_group) {
        ("", _) => "all of:".to_owned(),
        (words, true) => format!("{words}:"),
        (words, false) => words.to_owned(),
    };
    let hang = lead.len();
    page.paragraph(&[(Ink::Plain, &lead)], hang, Ink::Cyan, &words);
    let blank = " ".repeat(hang);
    let color = if part.error.is_some() { Ink::Red } else { Ink::Dim };
    page.paragraph(&[(Ink::Plain, &blank)], hang, color, &outcome(part));
    let rows: Vec<[String; 4]> = part
        .readings
        .iter()
        .map(|reading| row(reading, part, cluster))
        .collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2].map(width);
    for (row, reading) in rows.iter().zip(&part.readings) {
        let line: String = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| column(cell, width))
            .collect();
        let ink = if reading.passes && reading.threshold.is_some() {
            Ink::Bold
        } else {
            Ink::Plain
        };
        let standing = &row[3];
        page.line(hang, ink, (line + standing).trim_end());
    }
    if part.left_out > 0 {
        page.line(hang, Ink::Dim, &format!("and {} more", part.left_out));
    }
}

fn row(reading: &Reading, part: &Part, cluster: &str) -> [String; 4] {
    let reference = match (&part.comparison, reading.threshold) {
        (Some((_, operator)), Some(threshold)) => format!("{operator} {}", number_of(threshold)),
        _ => String::new(),
    };
    [
        subject(&reading.labels, cluster),
        number_of(reading.value),
        reference,
        standing(reading),
    ]
}

fn history(page: &mut Page, inspection: &Inspection) {
    page.gap();
    page.line(2, Ink::Bold, "When it was active, in the window");
    let history = &inspection.history;
    if history.episodes.is_empty() {
        page.line(4, Ink::Plain, "never");
    }
    if history.left_out > 0 {
        page.line(
            4,
            Ink::Dim,
            &format!("{} earlier times are left out", history.left_out),
        );
    }
    for episode in &history.episodes {
        let activity = episode.activity();
        let lead = format!("    {}", column(activity.as_str(), 7));
        let until = match episode.to {
            Some(to) => format!("for {}", units::age(to.since(episode.from))),
            None => format!("for {} by now", units::age(inspection.time.since(episode.from))),
        };
        let subject = subject(&episode.labels, &inspection.cluster);
        let words = format!("from {} {until}: {subject}", episode.from);
        page.paragraph(&[(ink(activity), &lead)], 13, Ink::Plain, &words);
    }
}

fn relatives(page: &mut Page, title: &str, relatives: &[Relative]) {
    if relatives.is_empty() {
        return;
    }
    page.gap();
    page.line(2, Ink::Bold, title);
    for found in relatives {
        page.paragraph(&[(Ink::Plain, "    ")], 6, ink(found.activity), &relative(found));
    }
}
