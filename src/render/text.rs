//! The terminal form: the verdict first, then what to do, in words that hold at 3 a.m.

use super::page::{Ink, Page, TextStyle, column};
use super::remedy::{Piece, steps};
use super::{
    Report, absence, behind, database_size, exports, failures, headline, lacks_beside_members, latency,
    member_fixes, needs_password, not_looked_at, percent, quorum_in_words, quota_share, raft_lag, role,
    state_in_words, still_filling, units,
};
use crate::diagnosis::{CheckItem, Coverage, Diagnosis, Evidence, Problem, Severity, Status};
use crate::model::{MemberFacts, Quota, QuotaSource, Timestamp};

/// Alerts named whose window is still filling: while watching for some seconds most are, and that is no news.
const FILLING_NAMED: usize = 3;

/// Deeper lines leave no room for words.
const MAX_INDENT: usize = 12;

/// Renders for a terminal.
pub fn render(report: &Report<'_>, style: TextStyle) -> String {
    let mut page = Page::new(style);
    if report.diagnoses.len() != 1 {
        overall(&mut page, report);
    }
    for diagnosis in report.diagnoses {
        page.gap();
        cluster(&mut page, diagnosis);
    }
    page.into_text()
}

fn overall(page: &mut Page, report: &Report<'_>) {
    let count = |status| {
        report
            .diagnoses
            .iter()
            .filter(|diagnosis| diagnosis.status == status)
            .count()
    };
    let counts = [Status::Fail, Status::Unknown, Status::Warn, Status::Pass]
        .map(|status| (count(status), status.as_str()))
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, status)| format!("{count} {status}"))
        .collect::<Vec<_>>();
    let text = match report.diagnoses.len() {
        0 => "no cluster has been looked at yet".to_owned(),
        all => format!("{all} clusters: {}", counts.join(", ")),
    };
    verdict(page, report.status(), &text);
}

fn cluster(page: &mut Page, diagnosis: &Diagnosis) {
    verdict(page, diagnosis.status, &headline(diagnosis));
    page.paragraph(
        &[(Ink::Plain, "  ")],
        2,
        Ink::Plain,
        &quorum_in_words(&diagnosis.facts.quorum),
    );
    page.line(2, Ink::Dim, &seen(diagnosis));
    members(page, diagnosis);
    let (remarked, found): (Vec<&Problem>, Vec<&Problem>) =
        diagnosis.problems.iter().partition(|problem| problem.is_remark());
    environment(page, diagnosis, &found);
    // Remarks have a rank, too: what is shown is counted anew.
    for (number, found) in (1..).zip(found) {
        problem(page, number, found, diagnosis.time);
    }
    remarks(page, &remarked, &diagnosis.cluster);
    // In full where there is something to compare it with.
    let in_full = diagnosis.status != Status::Pass
        || diagnosis
            .problems
            .iter()
            .any(|problem| problem.severity > Severity::Info);
    checklist(page, &diagnosis.checklist, in_full);
    practices(page, &diagnosis.best_practices);
    coverage(page, diagnosis, in_full);
    errors(page, diagnosis);
}

fn seen(diagnosis: &Diagnosis) -> String {
    let watched_for = diagnosis.coverage.watched_for;
    match watched_for.as_secs() {
        0 => format!("Seen at {}", diagnosis.time),
        _ => format!(
            "Seen at {}, watched for {}",
            diagnosis.time,
            units::age(watched_for)
        ),
    }
}

fn verdict(page: &mut Page, status: Status, text: &str) {
    let word = format!("{}  ", status.as_str().to_uppercase());
    page.paragraph(&[(status_ink(status), &word)], word.len(), Ink::Bold, text);
}

const fn status_ink(status: Status) -> Ink {
    match status {
        Status::Pass => Ink::Green,
        Status::Warn => Ink::Yellow,
        Status::Fail => Ink::Red,
        Status::Unknown => Ink::Magenta,
    }
}

const fn severity_ink(severity: Severity) -> Ink {
    match severity {
        Severity::Info => Ink::Cyan,
        Severity::Warning => Ink::Yellow,
        Severity::Critical => Ink::Red,
    }
}

fn heading(page: &mut Page, text: &str) {
    page.gap();
    page.line(0, Ink::Bold, text);
}

// === Members ===

fn members(page: &mut Page, diagnosis: &Diagnosis) {
    let members = &diagnosis.facts.members;
    let fixes = member_fixes(diagnosis);
    if members.is_empty() {
        return;
    }
    let columns = columns(page, members);
    let taken: usize = columns.iter().map(|column| column.width + 2).sum();
    let longest = members
        .iter()
        .map(|member| member.name.chars().count())
        .chain([6])
        .max()
        .unwrap_or(6);
    // A name that leaves no room for its row stands on a line of its own.
    let name_width = longest.min(page.width().saturating_sub(taken + 2).max(8));

    page.gap();
    let head: Vec<&str> = columns.iter().map(|column| column.head).collect();
    let row = |name: &str, cells: &[&str]| {
        let mut line = column(name, name_width);
        for (cell, of) in cells.iter().zip(&columns) {
            line += &column(cell, of.width);
        }
        line
    };
    page.line(2, Ink::Dim, &row("MEMBER", &head));
    for (at, member) in members.iter().enumerate() {
        let mut name = &*member.name;
        if name.chars().count() > name_width {
            page.line(2, Ink::Plain, name);
            name = "";
        }
        let alarms: Vec<&str> = member.alarms.iter().map(|alarm| alarm.as_str()).collect();
        match absence(member) {
            Some(why) => {
                let role = column(role(member), columns[0].width);
                let lead = format!("  {}{role}", column(name, name_width));
                page.paragraph(&[(Ink::Plain, &lead)], name_width + 4, Ink::Red, &why);
                if let Some((_, fix)) = fixes.iter().find(|(name, _)| *name == &*member.name) {
                    remedy_line(page, name_width + 4, fix);
                }
            }
            None => {
                let cells: Vec<&str> = columns.iter().map(|column| &*column.cells[at]).collect();
                page.line(2, Ink::Plain, &row(name, &cells));
            }
        }
        if !alarms.is_empty() {
            page.line(name_width + 4, Ink::Red, &format!("alarm {}", alarms.join(", ")));
        }
    }
    let unread = |(at, member): (usize, &MemberFacts)| {
        absence(member).is_none() && columns.iter().any(|column| column.cells[at] == "?")
    };
    if members.iter().enumerate().any(unread) {
        page.paragraph(&[(Ink::Dim, "  ? ")], 4, Ink::Dim, "could not be read");
    }
    let assumed = |member: &MemberFacts| matches!(member.quota, Quota::Bytes(_, QuotaSource::Assumed));
    if members
        .iter()
        .any(|member| member.db_size_bytes.is_some() && assumed(member))
    {
        let note = "of etcd's default quota of 2 GiB: the one in force is not known";
        page.paragraph(&[(Ink::Dim, "  * ")], 4, Ink::Dim, note);
    }
}

/// A column of the table of members.
struct Column {
    head: &'static str,
    cells: Vec<String>,
    width: usize,
}

impl Column {
    fn new(head: &'static str, cells: impl Iterator<Item = String>) -> Self {
        let cells: Vec<String> = cells.collect();
        let lengths = cells.iter().map(|cell| cell.chars().count());
        Self {
            width: lengths.chain([head.len()]).max().unwrap_or(0),
            head,
            cells,
        }
    }
}

/// What is told of each member. On a narrow terminal the bar is left out first, then the latency: the number beside the
/// bar says as much.
fn columns(page: &Page, members: &[MemberFacts]) -> Vec<Column> {
    let or_unread = |cell: Option<String>| cell.unwrap_or_else(|| "?".into());
    let each = || members.iter();
    let mut columns = vec![
        Column::new("ROLE", each().map(|member| role(member).to_owned())),
        Column::new("VERSION", each().map(|member| or_unread(member.version.clone()))),
        Column::new("SIZE (OF QUOTA)", each().map(database_size)),
        Column::new(
            "BEHIND",
            each().map(|member| or_unread(raft_lag(member, members).map(behind))),
        ),
    ];
    let name = each().map(|member| member.name.chars().count()).chain([6]).max();
    let left = |columns: &[Column]| {
        let taken = columns.iter().map(|column| column.width + 2).sum::<usize>();
        page.width().saturating_sub(taken + name.unwrap_or(0) + 4)
    };
    let mut offer = |at: usize, column: Column, said: bool| {
        if said && column.width + 2 <= left(&columns) + 2 {
            columns.insert(at, column);
        }
    };
    let timed = each().any(|member| member.latency.is_some());
    offer(
        4,
        Column::new("ANSWER", each().map(|member| or_unread(latency(member)))),
        timed,
    );
    let limited = each().any(|member| quota_share(member).is_some());
    offer(
        3,
        Column::new("", each().map(|member| bar(page, member))),
        limited,
    );
    columns
}

/// The share of the quota as a bar of ten.
fn bar(page: &Page, member: &MemberFacts) -> String {
    const CELLS: usize = 10;
    let Some(share) = quota_share(member) else {
        return String::new();
    };
    // As many as the number beside it has tens, and never beyond its end.
    let full = (1..=CELLS)
        .filter(|cell| percent(share) >= (cell * 10) as f64)
        .count();
    let (full_cell, empty_cell) = (page.glyph("█", "#"), page.glyph("░", "."));
    full_cell.repeat(full) + &empty_cell.repeat(CELLS - full)
}

/// The commands' variables, once for all of them.
fn environment(page: &mut Page, diagnosis: &Diagnosis, found: &[&Problem]) {
    let in_full = found.iter().copied().filter(|problem| !is_vague(problem));
    let exports = exports(diagnosis, in_full);
    if exports.is_empty() {
        return;
    }
    heading(page, "Before the commands below");
    for export in exports {
        page.line(4, Ink::Cyan, &export);
    }
    if needs_password(diagnosis) {
        let words = "etcdctl asks for the password each time, unless ETCDCTL_PASSWORD is set.";
        page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Dim, words);
    }
}

// === Problems ===

/// Neither certain nor bad: a page about it would bury what is.
fn is_vague(problem: &Problem) -> bool {
    !problem.firing && problem.severity == Severity::Info && problem.explains.is_empty()
}

fn problem(page: &mut Page, number: usize, problem: &Problem, now: Timestamp) {
    page.gap();
    let head = format!("{number}. ");
    let severity = format!("{}  ", problem.severity.as_str().to_uppercase());
    let lead = [(Ink::Bold, &*head), (severity_ink(problem.severity), &*severity)];
    page.paragraph(&lead, head.len(), Ink::Bold, title(problem));
    page.paragraph(&[(Ink::Plain, "   ")], 3, Ink::Dim, &about(page, problem, now));
    if is_vague(problem) {
        return;
    }
    for (lead, text) in [("", &problem.description), ("Impact: ", &problem.impact)] {
        if !text.trim().is_empty() {
            page.gap();
            page.paragraph(&[(Ink::Plain, "   "), (Ink::Bold, lead)], 3, Ink::Plain, text);
        }
    }
    evidence(page, &problem.evidence);
    remedy(page, problem);
    if !problem.explains.is_empty() {
        page.gap();
        page.line(3, Ink::Bold, "This explains");
        for found in &problem.explains {
            symptom(page, found, now, 5);
        }
    }
}

/// How the cluster is set up, in one sentence: during an incident nobody reads more of it, and what is not certain can wait.
fn remarks(page: &mut Page, remarks: &[&Problem], cluster: &str) {
    let subject = format!("etcd cluster {cluster} ");
    let texts: Vec<&str> = remarks
        .iter()
        .filter(|remark| remark.firing)
        .map(|remark| {
            let title = title(remark);
            title.strip_prefix(&*subject).unwrap_or(title)
        })
        .collect();
    if texts.is_empty() {
        return;
    }
    page.gap();
    let lead = [(Ink::Plain, "  "), (Ink::Bold, "Remarks: ")];
    let text = format!("{} (in full with -o markdown).", texts.join("; "));
    page.paragraph(&lead, 2, Ink::Plain, &text);
}

/// The summary; the alert's name where a rule has none.
fn title(problem: &Problem) -> &str {
    if problem.summary.trim().is_empty() {
        &problem.alert
    } else {
        &problem.summary
    }
}

fn about(page: &Page, problem: &Problem, now: Timestamp) -> String {
    let dot = page.glyph(" · ", " - ");
    let member = problem
        .member
        .as_ref()
        .map_or_else(String::new, |member| format!("{dot}member {member}"));
    format!("{}{member}{dot}{}", problem.alert, state_in_words(problem, now))
}

/// A symptom in short: its remedy is the cause's.
fn symptom(page: &mut Page, problem: &Problem, now: Timestamp, indent: usize) {
    let indent = indent.min(MAX_INDENT);
    let bullet = format!("{:indent$}- ", "");
    let severity = format!("{}  ", problem.severity.as_str());
    let lead = [
        (Ink::Plain, &*bullet),
        (severity_ink(problem.severity), &*severity),
    ];
    page.paragraph(&lead, indent + 2, Ink::Plain, title(problem));
    let blanks = " ".repeat(indent + 2);
    page.paragraph(
        &[(Ink::Plain, &blanks)],
        indent + 2,
        Ink::Dim,
        &about(page, problem, now),
    );
    for found in &problem.explains {
        symptom(page, found, now, indent + 2);
    }
}

/// Values beside what they are compared with.
fn evidence(page: &mut Page, evidence: &[Evidence]) {
    if evidence.is_empty() {
        return;
    }
    let rows: Vec<[String; 3]> = evidence
        .iter()
        .map(|evidence| {
            let value = evidence.value.map_or_else(
                || "no value".into(),
                |value| units::quantity(value, &evidence.unit),
            );
            [
                evidence.text.clone(),
                value,
                units::reference(&evidence.reference, &evidence.unit),
            ]
        })
        .collect();
    let head = ["EVIDENCE", "NOW", "REFERENCE"];
    let [texts, values, references] = [0, 1, 2].map(|at| {
        let lengths = rows.iter().map(|row| row[at].chars().count());
        lengths.chain([head[at].len()]).max().unwrap_or(0)
    });
    page.gap();
    if 3 + texts + values + references + 4 <= page.width() {
        let row = |[text, value, reference]: [&str; 3]| {
            format!(
                "{}{}{reference}",
                column(text, texts),
                column(&format!("{value:>values$}"), values)
            )
        };
        page.line(3, Ink::Dim, &row(head));
        for cells in &rows {
            page.line(3, Ink::Plain, &row(cells.each_ref().map(String::as_str)));
        }
        return;
    }
    page.line(3, Ink::Dim, "EVIDENCE");
    for [text, value, reference] in &rows {
        let against = if reference.is_empty() {
            String::new()
        } else {
            format!(" (reference {reference})")
        };
        page.paragraph(
            &[(Ink::Plain, "   ")],
            5,
            Ink::Plain,
            &format!("{text}: {value}{against}"),
        );
    }
}

fn remedy(page: &mut Page, problem: &Problem) {
    let steps = steps(&problem.remedy, &problem.commands);
    if steps.is_empty() {
        return;
    }
    page.gap();
    page.line(3, Ink::Bold, "What to do");
    for step in steps {
        let marker = if step.marker.is_empty() {
            String::new()
        } else {
            format!("{} ", step.marker)
        };
        let hang = 3 + marker.chars().count();
        let mut lead = format!("   {marker}");
        for piece in step.pieces {
            match piece {
                Piece::Prose(text) => page.paragraph(&[(Ink::Plain, &lead)], hang, Ink::Plain, &text),
                Piece::Command(command) => {
                    if !lead.trim().is_empty() {
                        page.line(0, Ink::Plain, &lead);
                    }
                    page.line(hang + 2, Ink::Cyan, &command);
                }
            }
            lead = " ".repeat(hang);
        }
    }
    if !problem.runbook_url.is_empty() {
        page.line(3, Ink::Dim, &format!("Runbook: {}", problem.runbook_url));
    }
}

// === What was checked, and what could not be ===

/// The best practices in a line or two: what is not kept with the reason, what cannot be seen by its name. The other formats have them in full.
/// Which of the guide's practices are not kept: a reminder, and no part of the verdict. The reasons are in the other forms.
fn practices(page: &mut Page, items: &[CheckItem]) {
    if items.is_empty() {
        return;
    }
    let of = |status: Status| items.iter().filter(move |item| item.status == status);
    let mut text = format!(
        "{} of {} best practices are kept",
        of(Status::Pass).count(),
        items.len()
    );
    let broken: Vec<&str> = of(Status::Warn).map(|item| item.title).collect();
    if !broken.is_empty() {
        text += &format!("; not: {}", broken.join(", "));
    }
    match of(Status::Unknown).count() {
        0 => {}
        unknown => text += &format!("; {unknown} cannot be judged here"),
    }
    page.gap();
    page.paragraph(
        &[(Ink::Plain, "  ")],
        2,
        Ink::Plain,
        &(text + " (in full with -o markdown)."),
    );
}

fn checklist(page: &mut Page, items: &[CheckItem], in_full: bool) {
    if items.is_empty() {
        return;
    }
    let (unknown, read): (Vec<&CheckItem>, Vec<&CheckItem>) =
        items.iter().partition(|item| item.status == Status::Unknown);
    if !in_full && read.iter().all(|item| item.status == Status::Pass) {
        let mut text = match unknown.len() {
            0 => format!("All {} items of the checklist pass", items.len()),
            _ => format!("{} of {} items of the checklist pass", read.len(), items.len()),
        };
        let of = |item: &&CheckItem| format!("{} ({})", item.title, item.detail);
        if !unknown.is_empty() {
            text += &format!(
                "; unknown: {}",
                unknown.iter().map(of).collect::<Vec<_>>().join(", ")
            );
        }
        page.gap();
        page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Plain, &(text + "."));
        return;
    }
    heading(page, "Checklist");
    for item in items {
        let mark = match item.status {
            Status::Pass => "ok",
            status => status.as_str(),
        };
        let lead = [
            (status_ink(item.status), &*format!("  {}", column(mark, 7))),
            (Ink::Plain, &*format!("{:>2}. ", item.step)),
        ];
        let detail = if item.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", item.detail)
        };
        page.paragraph(&lead, 15, Ink::Plain, &format!("{}{detail}", item.title));
    }
}

fn coverage(page: &mut Page, diagnosis: &Diagnosis, apart: bool) {
    let coverage = &diagnosis.coverage;
    let lacks = lacks_beside_members(diagnosis);
    if !lacks.is_empty() {
        heading(page, "What could not be seen");
        let Coverage { rules, evaluated, .. } = coverage;
        page.line(
            2,
            Ink::Plain,
            &format!("{evaluated} of {rules} rules had all their data."),
        );
        for lack in lacks {
            page.paragraph(&[(Ink::Plain, "  - ")], 4, Ink::Plain, &lack.text);
            if !lack.fix.is_empty() {
                remedy_line(page, 4, &lack.fix);
            }
        }
    }
    // Nothing that should be seen is hidden by these: a line each will do.
    let beside = [still_filling(coverage, FILLING_NAMED), not_looked_at(coverage)];
    for (at, text) in beside.into_iter().flatten().enumerate() {
        if apart && at == 0 {
            page.gap();
        }
        page.paragraph(&[(Ink::Plain, "  ")], 2, Ink::Dim, &(text + "."));
    }
}

/// How to mend what stands above it.
fn remedy_line(page: &mut Page, indent: usize, fix: &str) {
    let lead = format!("{:indent$}{} ", "", page.glyph("→", "->"));
    page.paragraph(&[(Ink::Plain, &lead)], lead.chars().count(), Ink::Plain, fix);
}

fn errors(page: &mut Page, diagnosis: &Diagnosis) {
    let failures = failures(diagnosis);
    if failures.is_empty() {
        return;
    }
    heading(page, "What went wrong while looking");
    for (sources, message) in failures {
        page.paragraph(
            &[(Ink::Plain, "  - ")],
            4,
            Ink::Plain,
            &format!("{}: {message}", sources.join(", ")),
        );
    }
}

#[cfg(test)]
mod tests;
