//! One line for Nagios and its kin: the verdict, and performance data. The exit status is the command line's business.

use super::page::clean;
use super::{Report, headline, raft_lag};
use crate::diagnosis::{Diagnosis, Problem, Severity, Status};
use crate::model::{MemberFacts, Quota};

/// Renders as one line with a line feed at the end: `ETCD CRITICAL - text | performance data`.
pub fn render(report: &Report<'_>) -> String {
    let word = match report.status() {
        Status::Pass => "OK",
        Status::Warn => "WARNING",
        Status::Fail => "CRITICAL",
        Status::Unknown => "UNKNOWN",
    };
    let mut verdicts: Vec<String> = Vec::new();
    let mut data: Vec<String> = Vec::new();
    for diagnosis in report.diagnoses {
        verdicts.push(verdict(diagnosis));
        // The names must be the same at each run, and differ between clusters.
        let prefix = if report.diagnoses.len() > 1 {
            format!("{}_", diagnosis.cluster)
        } else {
            String::new()
        };
        let quorum = &diagnosis.facts.quorum;
        let voters = quorum.voters;
        data.push(format!(
            "{}={};;;0",
            label(&format!("{prefix}problems")),
            diagnosis.problems.len()
        ));
        data.push(format!(
            "{}={};;;0;{voters}",
            label(&format!("{prefix}reachable_voters")),
            quorum.reachable
        ));
        data.push(format!(
            "{}={}",
            label(&format!("{prefix}failure_tolerance")),
            quorum.failure_tolerance()
        ));
        let members = &diagnosis.facts.members;
        for member in members {
            data.extend(database(&prefix, member));
            data.extend(lag(&prefix, member, members));
            data.extend(latency(&prefix, member));
        }
    }
    if verdicts.is_empty() {
        verdicts.push("no cluster has been looked at yet".into());
    }
    let text = one_line(&verdicts.join("; "));
    let bar = if data.is_empty() { "" } else { " | " };
    format!("ETCD {word} - {text}{bar}{}\n", data.join(" "))
}

/// The line of a check that failed: `ETCD UNKNOWN - reason`.
pub fn failure(reason: &str) -> String {
    format!("ETCD UNKNOWN - {}\n", one_line(reason))
}

/// The headline. Where no member answers the status cannot be said; that something critical fires can.
fn verdict(diagnosis: &Diagnosis) -> String {
    let headline = headline(diagnosis);
    let fires = |problem: &&Problem| problem.firing && problem.severity > Severity::Info;
    match diagnosis.problems.iter().find(fires) {
        Some(Problem { alert, severity, .. }) if diagnosis.status == Status::Unknown => {
            format!("{headline}, {alert} fires ({})", severity.as_str())
        }
        _ => headline.into_owned(),
    }
}

fn database(prefix: &str, member: &MemberFacts) -> Option<String> {
    let maximum = match member.quota {
        Quota::Bytes(quota, _) => quota.to_string(),
        _ => String::new(),
    };
    let name = label(&format!("{prefix}{}_db_size", member.name));
    Some(format!("{name}={}B;;;0;{maximum}", member.db_size_bytes?))
}

fn lag(prefix: &str, member: &MemberFacts, members: &[MemberFacts]) -> Option<String> {
    let lag = raft_lag(member, members)?;
    Some(format!(
        "{}={lag};;;0",
        label(&format!("{prefix}{}_lag", member.name))
    ))
}

fn latency(prefix: &str, member: &MemberFacts) -> Option<String> {
    let name = label(&format!("{prefix}{}_latency", member.name));
    Some(format!("{name}={:.6}s;;;0", member.latency?.as_secs_f64()))
}

/// The bar separates the text from the data and may not stand in it.
fn one_line(text: &str) -> String {
    clean(&text.split_whitespace().collect::<Vec<_>>().join(" "), false).replace('|', "/")
}

/// Quoted; neither a quote nor an equals sign may stand in it.
fn label(name: &str) -> String {
    format!("'{}'", one_line(name).replace(['\'', '='], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn one_line_with_the_verdict_and_the_data() {
        assert_eq!(
            render(&fixture::report(&[fixture::quota()])),
            "ETCD CRITICAL - prod: etcd-0 has reached its quota: every write is refused | 'problems'=1;;;0 \
             'reachable_voters'=3;;;0;3 'failure_tolerance'=1 \
             'etcd-0_db_size'=2147483648B;;;0;2147483648 'etcd-0_lag'=0;;;0 'etcd-0_latency'=0.001200s;;;0 \
             'etcd-1_db_size'=1932735283B;;;0;2147483648 'etcd-1_lag'=2;;;0 'etcd-1_latency'=0.001201s;;;0 \
             'etcd-2_db_size'=1932735283B;;;0;2147483648 'etcd-2_lag'=2;;;0 'etcd-2_latency'=0.001202s;;;0\n"
        );
        assert_eq!(
            render(&fixture::report(&[])),
            "ETCD UNKNOWN - no cluster has been looked at yet\n"
        );
    }

    #[test]
    fn a_failure_is_one_line() {
        assert_eq!(
            failure("could not connect:\n a|b\u{1b}"),
            "ETCD UNKNOWN - could not connect: a/b\\u{1b}\n"
        );
    }

    #[test]
    fn a_cluster_that_cannot_be_judged_names_what_fires() {
        let mut diagnosis = fixture::quorum_lost();
        diagnosis.summary = "none of 3 members answers".into();
        diagnosis.problems[0].alert = "EtcdClusterUnreachable".into();
        let start = |diagnosis: &Diagnosis| {
            let line = render(&fixture::report(std::slice::from_ref(diagnosis)));
            line.split(" | ").next().unwrap_or_default().to_owned()
        };
        assert_eq!(
            start(&diagnosis),
            "ETCD CRITICAL - prod: none of 3 members answers"
        );
        diagnosis.status = Status::Unknown;
        assert_eq!(
            start(&diagnosis),
            "ETCD UNKNOWN - prod: none of 3 members answers, EtcdClusterUnreachable fires (critical)"
        );
        diagnosis.problems[0].firing = false;
        assert_eq!(
            start(&diagnosis),
            "ETCD UNKNOWN - prod: none of 3 members answers"
        );
    }

    #[test]
    fn nothing_from_a_cluster_breaks_the_line() {
        let mut diagnosis = fixture::healthy();
        diagnosis.summary = "a | b\nc\u{7}".into();
        diagnosis.facts.members.truncate(1);
        diagnosis.facts.members[0].name = "it's=x|".into();
        let line = render(&fixture::report(&[diagnosis]));
        assert!(
            line.starts_with("ETCD OK - prod: a / b c\\u{7} | 'problems'=0;;;0 "),
            "{line}"
        );
        assert!(line.contains(" 'it_s_x/_db_size'="), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn clusters_are_told_apart() {
        let line = render(&fixture::report(&[fixture::healthy(), fixture::quorum_lost()]));
        assert!(line.starts_with("ETCD CRITICAL - prod: "), "{line}");
        assert!(
            line.contains("'prod_problems'=0;;;0 ") && line.contains("'prod_problems'=1;;;0 "),
            "{line}"
        );
    }
}
