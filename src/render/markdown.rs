//! The form of an incident ticket.

use std::fmt::Write;

use super::page::clean;
use super::{
    Report, absence, behind, database_size, exports, failures, headline, lacks_beside_members, latency,
    member_fixes, needs_password, quorum_in_words, raft_lag, role, state_in_words, units,
};
use crate::diagnosis::{Diagnosis, Evidence, Problem};
use crate::model::Timestamp;

/// Renders as Markdown, tables as on GitHub.
pub fn render(report: &Report<'_>) -> String {
    let mut out = String::new();
    for diagnosis in report.diagnoses {
        cluster(&mut out, diagnosis);
    }
    if report.diagnoses.is_empty() {
        paragraph(&mut out, "No cluster has been looked at yet.");
    }
    let (version, time) = (inline(&report.tool.version), report.time);
    let digest = inline(&report.tool.rules_digest);
    paragraph(
        &mut out,
        &format!("*etcd-doctor {version}, rules {digest}, {time}*"),
    );
    out
}

fn cluster(out: &mut String, diagnosis: &Diagnosis) {
    let status = diagnosis.status.as_str().to_uppercase();
    let title = format!("# {status}: {}", inline(&headline(diagnosis)));
    paragraph(out, &title);
    paragraph(
        out,
        &format!(
            "Seen at {}. {}",
            diagnosis.time,
            inline(&quorum_in_words(&diagnosis.facts.quorum))
        ),
    );
    members(out, diagnosis);
    environment(out, diagnosis);
    for problem in &diagnosis.problems {
        section(out, problem, diagnosis.time);
    }
    checklist(out, "## Checklist", "Step", &diagnosis.checklist);
    checklist(out, "## Best practices", "No.", &diagnosis.best_practices);
    coverage(out, diagnosis);
    let failures = failures(diagnosis);
    if !failures.is_empty() {
        paragraph(out, "## What went wrong while looking");
        let line = |(sources, message): (Vec<&str>, &str)| {
            format!("{}: {}", inline(&sources.join(", ")), inline(message))
        };
        list(out, failures.into_iter().map(line));
    }
}

fn members(out: &mut String, diagnosis: &Diagnosis) {
    let members = &diagnosis.facts.members;
    let fixes = member_fixes(diagnosis);
    let rows = members.iter().map(|member| {
        let fix = fixes.iter().find(|(name, _)| *name == &*member.name);
        let with_fix = |why: String| match fix {
            Some((_, fix)) => format!("{why}. To mend it: {fix}"),
            None => why,
        };
        let alarms: Vec<&str> = member.alarms.iter().map(|alarm| alarm.as_str()).collect();
        [
            member.name.to_string(),
            role(member).to_owned(),
            member.version.clone().unwrap_or_else(|| "?".into()),
            database_size(member),
            raft_lag(member, members).map_or_else(|| "?".into(), behind),
            latency(member).unwrap_or_else(|| "?".into()),
            absence(member).map(with_fix).unwrap_or_else(|| {
                if alarms.is_empty() {
                    "ok".into()
                } else {
                    alarms.join(", ")
                }
            }),
        ]
    });
    table(
        out,
        [
            "Member",
            "Role",
            "Version",
            "Database (of quota)",
            "Behind",
            "Answered in",
            "State",
        ],
        rows.collect(),
    );
}

/// The commands' variables, once for all of them.
fn environment(out: &mut String, diagnosis: &Diagnosis) {
    let exports = exports(diagnosis, &diagnosis.problems);
    if exports.is_empty() {
        return;
    }
    let password = match needs_password(diagnosis) {
        true => "; etcdctl asks for the password each time, unless `ETCDCTL_PASSWORD` is set",
        false => "",
    };
    paragraph(out, &format!("Before the commands below{password}:"));
    let lines: Vec<_> = exports.iter().map(|export| clean(export, false)).collect();
    let text = lines.join("\n");
    // A path may hold anything, a fence too.
    let fence = "`".repeat(longest_run(&text, '`').max(2) + 1);
    paragraph(out, &format!("{fence}sh\n{text}\n{fence}"));
}

fn section(out: &mut String, problem: &Problem, now: Timestamp) {
    let severity = problem.severity.as_str();
    paragraph(
        out,
        &format!("## {}. {severity}: {}", problem.rank, title(problem)),
    );
    paragraph(
        out,
        &format!("{}, {}.", code(&problem.alert), state_in_words(problem, now)),
    );
    for (lead, text) in [("", &problem.description), ("**Impact:** ", &problem.impact)] {
        if !text.trim().is_empty() {
            paragraph(out, &format!("{lead}{}", inline(text)));
        }
    }
    if !problem.evidence.is_empty() {
        paragraph(out, "**Evidence**");
        list(out, problem.evidence.iter().map(evidence));
    }
    if !problem.remedy.trim().is_empty() {
        paragraph(out, "**What to do**");
        let lines = problem.remedy.trim().lines().map(step);
        paragraph(out, &lines.collect::<Vec<_>>().join("\n"));
    }
    if !problem.runbook_url.is_empty() {
        paragraph(out, &format!("Runbook: <{}>", clean(&problem.runbook_url, false)));
    }
    if !problem.explains.is_empty() {
        paragraph(out, "**This explains**");
        symptoms(out, &problem.explains, now, 0);
        out.push('\n');
    }
}

fn title(problem: &Problem) -> String {
    inline(if problem.summary.trim().is_empty() {
        &problem.alert
    } else {
        &problem.summary
    })
}

fn evidence(evidence: &Evidence) -> String {
    let value = evidence.value.map_or_else(
        || "no value".into(),
        |value| units::quantity(value, &evidence.unit),
    );
    let reference = units::reference(&evidence.reference, &evidence.unit);
    let against = if reference.is_empty() {
        String::new()
    } else {
        format!(" (reference {})", inline(&reference))
    };
    let expr = if evidence.expr.is_empty() {
        String::new()
    } else {
        format!("\n  {}", code(&evidence.expr))
    };
    format!(
        "{}: **{}**{against}{expr}",
        inline(&evidence.text),
        inline(&value)
    )
}

fn symptoms(out: &mut String, problems: &[Problem], now: Timestamp, depth: usize) {
    for problem in problems {
        let (indent, severity) = ("  ".repeat(depth), problem.severity.as_str());
        let state = state_in_words(problem, now);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{indent}- {severity}: {} ({}, {state})",
            title(problem),
            code(&problem.alert)
        );
        symptoms(out, &problem.explains, now, depth + 1);
    }
}

fn checklist(out: &mut String, heading: &str, first: &str, items: &[crate::diagnosis::CheckItem]) {
    if items.is_empty() {
        return;
    }
    paragraph(out, heading);
    let row = |item: &crate::diagnosis::CheckItem| {
        [
            item.step.to_string(),
            item.title.to_owned(),
            item.status.as_str().to_owned(),
            item.detail.clone(),
        ]
    };
    table(
        out,
        [first, "What", "Status", "Read"],
        items.iter().map(row).collect(),
    );
}

fn coverage(out: &mut String, diagnosis: &Diagnosis) {
    let coverage = &diagnosis.coverage;
    if coverage.gaps.is_empty() {
        return;
    }
    paragraph(out, "## What could not be seen");
    paragraph(
        out,
        &format!(
            "{} of {} rules had all their data.",
            coverage.evaluated, coverage.rules
        ),
    );
    let line = |lack: super::lacks::Lack| {
        let fix = if lack.fix.is_empty() {
            String::new()
        } else {
            format!(" To mend it: {}", inline(&lack.fix))
        };
        format!("{}.{fix}", inline(&lack.text))
    };
    list(out, lacks_beside_members(diagnosis).into_iter().map(line));
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

fn list(out: &mut String, items: impl Iterator<Item = String>) {
    for item in items {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "- {item}");
    }
    out.push('\n');
}

fn table<const N: usize>(out: &mut String, head: [&str; N], rows: Vec<[String; N]>) {
    let line = |cells: [String; N]| format!("| {} |\n", cells.join(" | "));
    out.push_str(&line(head.map(str::to_owned)));
    out.push_str(&line([(); N].map(|()| "---".to_owned())));
    for row in rows {
        out.push_str(&line(row.map(|text| cell(&text))));
    }
    out.push('\n');
}

/// One line, without what a terminal would obey or a browser would take for a tag, a link or a picture to load.
fn inline(text: &str) -> String {
    prose(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The same of a line as it is. What stands in a pair of single backquotes is code and stays what it is.
fn prose(line: &str) -> String {
    let line = clean(line, false);
    let harmless = |text: &str| text.replace('<', "&lt;").replace('[', "\\[");
    if longest_run(&line, '`') > 1 || line.matches('`').count() % 2 == 1 {
        // Not as our rules write code: where it begins and ends is anybody's guess.
        return harmless(&line).replace('`', "'");
    }
    let parts = line.split('`').enumerate();
    let parts: Vec<String> = parts
        .map(|(at, part)| {
            if at % 2 == 0 {
                harmless(part)
            } else {
                part.to_owned()
            }
        })
        .collect();
    parts.join("`")
}

/// A cell of a table. Where a backslash escapes the bar, one before it must not escape the backslash.
fn cell(text: &str) -> String {
    let text = inline(text);
    match text.contains('|') {
        true => text.replace('\\', "\\\\").replace('|', "\\|"),
        false => text,
    }
}

/// A line of a remedy, whose list is the rule's own; a heading or a table is not.
fn step(line: &str) -> String {
    let line = prose(line);
    let first = line.trim_start();
    let rules_off = first.contains("--") && first.chars().all(|letter| "-:| ".contains(letter));
    match first.starts_with(['#', '|', '>', '=']) || rules_off {
        true => format!("\\{first}"),
        false => line,
    }
}

/// How often a letter stands in a row at most.
fn longest_run(text: &str, letter: char) -> usize {
    text.split(|other| other != letter)
        .map(str::len)
        .max()
        .unwrap_or(0)
}

/// A code span, also of a text with backquotes.
fn code(text: &str) -> String {
    let text = clean(text.trim(), false);
    match longest_run(&text, '`') {
        0 => format!("`{text}`"),
        run => {
            let fence = "`".repeat(run + 1);
            format!("{fence} {text} {fence}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn a_ticket_has_all_that_the_next_person_needs() {
        let expected = "\
# FAIL: prod: etcd-0 has reached its quota: every write is refused

Seen at 2023-11-14T22:13:20.000Z. 3 of 3 voters reachable, 2 needed: 1 more may fail; leader etcd-0, term 7.

| Member | Role | Version | Database (of quota) | Behind | Answered in | State |
| --- | --- | --- | --- | --- | --- | --- |
| etcd-0 | leader | 3.5.16 | 2 GiB 100% | 0 entries | 1.2 ms | NOSPACE |
| etcd-1 | follower | 3.5.16 | 1.8 GiB 90% | 2 entries | 1.2 ms | ok |
| etcd-2 | follower | 3.5.16 | 1.8 GiB 90% | 2 entries | 1.2 ms | ok |

## 1. critical: etcd-0 has reached its quota: every write is refused

`EtcdQuotaExceeded`, for 3 min.

The database of etcd-0 takes 2 GiB, its whole quota, and the alarm NOSPACE is armed. Most of it is old history.

**Impact:** Puts and leases fail on all members; reads and deletes work.

**Evidence**

- Database size: **2 GiB** (reference >= 2 GiB)
  `etcd_doctor_member_db_size_bytes{cluster=\"prod\", member=\"etcd-0\"}`
- Share in use: **4.88%**
  `etcd_doctor_member_db_in_use_bytes / etcd_doctor_member_db_size_bytes`

**What to do**

1. Drop the old history: `etcdctl --endpoints=https://10.0.0.1:2379,https://10.0.0.2:2379 compact 412345`
2. (load) Give the free pages back, one member after the other, with `--command-timeout=60s` or more:
   `etcdctl --endpoints=https://10.0.0.1:2379 defrag`
3. Allow writes again: `etcdctl alarm disarm`

Runbook: <https://runbooks.example/EtcdQuotaExceeded>

**This explains**

- warning: Database of etcd-0 fills up (`EtcdDatabaseFilling`, pending for 42 s)

## Checklist

| Step | What | Status | Read |
| --- | --- | --- | --- |
| 1 | Members and quorum | pass | 3 of 3 answer |
| 2 | Database size | fail | etcd-0 at 100% of its quota |

## Best practices

| No. | What | Status | Read |
| --- | --- | --- | --- |
| 1 | regular backups | pass | the newest is 3 h old |
| 2 | test restores | unknown | no program can see it |
| 7 | security | warn | no TLS |

*etcd-doctor 0.1.0, rules 9f86d081, 2023-11-14T22:13:20.000Z*

";
        assert_eq!(render(&fixture::report(&[fixture::quota()])), expected);
    }

    #[test]
    fn nothing_from_a_cluster_becomes_markup() {
        assert_eq!(inline("<b>\na\u{1b}"), "&lt;b> a\\u{1b}");
        assert_eq!(code("a ` b"), "`` a ` b ``");
        let mut out = String::new();
        table(&mut out, ["x"], vec![["a|b".to_owned()]]);
        assert_eq!(out, "| x |\n| --- |\n| a\\|b |\n\n");
    }

    #[test]
    fn the_variables_of_the_commands_are_told_once() {
        let mut diagnosis = fixture::quota();
        diagnosis.facts.access = fixture::access();
        diagnosis.facts.access.ca_file = Some("/a```b".into());
        let text = render(&fixture::report(&[diagnosis]));
        let expected = "Before the commands below; etcdctl asks for the password each time, unless `ETCDCTL_PASSWORD` is set:\n\n\
            ````sh\nexport ETCDCTL_CACERT='/a```b'\nexport ETCDCTL_CERT='/etc/etcd/my client.crt'\n";
        assert!(text.contains(expected), "{text}");
        assert_eq!(
            text.matches("export ETCDCTL_USER=root\n# root: etcd-doctor's own user may not do what follows\n````\n\n## 1.")
                .count(),
            1,
            "{text}"
        );
    }
}
