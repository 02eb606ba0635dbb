//! Alarms: from the texts of `Status.errors`, or of `/health` where Status is refused.
//!
//! `Maintenance.Alarm` is never asked: it is a raft proposal even for a list.

use crate::model::{AlarmKind, Desc, Labels, Sample};

static MEMBER_ALARM: Desc = Desc::gauge(
    "etcd_doctor_member_alarm",
    None,
    "Whether an alarm is raised for this member, from the errors of Maintenance.Status.",
)
.labels(&["member", "alarm"]);
static CLUSTER_ALARM: Desc = Desc::gauge(
    "etcd_doctor_cluster_alarm",
    None,
    "Whether an alarm is raised, for any member or for none in particular, from the errors of Maintenance.Status, or \
     from /health where Status is refused.",
)
.labels(&["alarm"]);

pub(super) const DESCS: &[&Desc] = &[&MEMBER_ALARM, &CLUSTER_ALARM];

/// What etcd says when it knows no leader.
const NO_LEADER: &str = "etcdserver: no leader";

/// An alarm, and the member that it is raised for where etcd names one.
pub(super) type Alarm = (Option<u64>, AlarmKind);

/// Reads `Status.errors`: whether there is no leader, and the alarms in a stable order (etcd's changes from call to
/// call).
pub(super) fn parse_errors(errors: &[String]) -> (bool, Vec<Alarm>) {
    let mut alarms: Vec<Alarm> = errors.iter().filter_map(|error| parse_alarm(error)).collect();
    alarms.sort();
    alarms.dedup();
    (errors.iter().any(|error| error == NO_LEADER), alarms)
}

/// `memberID:123 alarm:NOSPACE ` or `alarm:CORRUPT `, each with a blank at its end.
fn parse_alarm(text: &str) -> Option<Alarm> {
    let mut member = None;
    let mut kind = None;
    for word in text.split_whitespace() {
        match word.split_once(':')? {
            ("memberID", id) => member = Some(id.parse().ok()?).filter(|id| *id != 0),
            ("alarm", name) => kind = Some(kind_of(name)),
            _ => return None,
        }
    }
    Some((member, kind?))
}

fn kind_of(name: &str) -> AlarmKind {
    match name {
        "NOSPACE" => AlarmKind::NoSpace,
        "CORRUPT" => AlarmKind::Corrupt,
        other => AlarmKind::Other(other.to_owned()),
    }
}

/// Where etcd 3.5 and newer tell an alarm without asking their peers.
pub(super) const HEALTH: &str = "/health?serializable=true";

/// Whether a version may be asked for [`HEALTH`]: before 3.5 each such request is a raft proposal.
pub(super) fn health_is_free(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    matches!((numbers.next().flatten(), numbers.next().flatten()), (Some(major), Some(minor)) if (major, minor) >= (3, 5))
}

/// Reads the body of `GET /health?serializable=true` of etcd 3.5 and newer: the first alarm, or none. `None` when
/// the body says neither healthy nor an alarm.
pub(super) fn parse_health(body: &str) -> Option<Vec<Alarm>> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    if body.get("health")?.as_str()? == "true" {
        return Some(Vec::new());
    }
    let kind = body.get("reason")?.as_str()?.strip_prefix("ALARM ")?;
    Some(vec![(None, kind_of(kind.trim()))])
}

/// The samples of the alarms that `told` lists. `members` are the label values and ids of all members; without any
/// that alarms can be told apart by (`/health` names none), only the cluster's are given.
pub(super) fn samples(told: &[Alarm], members: Option<&[(&str, Option<u64>)]>) -> Vec<Sample> {
    let mut kinds = vec![AlarmKind::NoSpace, AlarmKind::Corrupt];
    kinds.extend(told.iter().map(|(_, kind)| kind.clone()));
    kinds.sort();
    kinds.dedup();
    let flag = |raised: bool| f64::from(u8::from(raised));
    let mut samples = Vec::new();
    for kind in &kinds {
        let known_before = matches!(kind, AlarmKind::NoSpace | AlarmKind::Corrupt);
        let raised = told.iter().any(|(_, other)| other == kind);
        let labels = Labels::new([("alarm", kind.as_str())]);
        samples.push(Sample::number(&CLUSTER_ALARM, labels.clone(), flag(raised)));
        for (name, id) in members.unwrap_or_default() {
            let raised = id.is_some_and(|id| told.contains(&(Some(id), kind.clone())));
            if raised || known_before {
                samples.push(Sample::number(
                    &MEMBER_ALARM,
                    labels.with("member", name),
                    flag(raised),
                ));
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn errors(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn reads_what_etcd_writes_in_a_stable_order() {
        let one = errors(&[
            "alarm:CORRUPT ",
            "memberID:7 alarm:NOSPACE ",
            "memberID:3 alarm:NOSPACE ",
        ]);
        let mut other = one.clone();
        other.reverse();
        let expected = vec![
            (None, AlarmKind::Corrupt),
            (Some(3), AlarmKind::NoSpace),
            (Some(7), AlarmKind::NoSpace),
        ];
        assert_eq!(parse_errors(&one), (false, expected.clone()));
        assert_eq!(parse_errors(&other), (false, expected));
    }

    #[test]
    fn no_leader_is_not_an_alarm_and_unknown_kinds_are_kept() {
        let (no_leader, alarms) =
            parse_errors(&errors(&["etcdserver: no leader", "memberID:1 alarm:FROZEN "]));
        assert!(no_leader);
        assert_eq!(alarms, [(Some(1), AlarmKind::Other("FROZEN".into()))]);
        assert_eq!(
            parse_errors(&errors(&["something else: at all"])),
            (false, vec![])
        );
    }

    #[test]
    fn health_tells_one_alarm_without_a_member() {
        assert_eq!(parse_health(r#"{"health":"true","reason":""}"#), Some(vec![]));
        assert_eq!(
            parse_health(r#"{"health":"false","reason":"ALARM NOSPACE"}"#),
            Some(vec![(None, AlarmKind::NoSpace)])
        );
        assert_eq!(
            parse_health(r#"{"health":"false","reason":"RAFT NO LEADER"}"#),
            None
        );
        assert_eq!(parse_health("404 page not found"), None);
    }

    #[test]
    fn health_of_3_4_is_never_asked() {
        for (version, free) in [
            ("3.4.45", false),
            ("3.5.0", true),
            ("3.10.1-rc.0", true),
            ("4.0.0", true),
            ("", false),
        ] {
            assert_eq!(health_is_free(version), free, "{version}");
        }
    }

    #[test]
    fn every_member_has_a_sample_of_the_two_known_kinds() {
        let members = [("a", Some(3)), ("b", Some(7))];
        let shown: Vec<String> = samples(
            &[(Some(7), AlarmKind::NoSpace), (None, AlarmKind::Corrupt)],
            Some(&members),
        )
        .iter()
        .map(|sample| {
            let Value::Number(value) = &sample.value else {
                panic!()
            };
            format!(
                "{}{} {value}",
                sample.desc.name.trim_start_matches("etcd_doctor_"),
                sample.labels
            )
        })
        .collect();
        assert_eq!(
            shown,
            [
                r#"cluster_alarm{alarm="NOSPACE"} 1"#,
                r#"member_alarm{alarm="NOSPACE", member="a"} 0"#,
                r#"member_alarm{alarm="NOSPACE", member="b"} 1"#,
                r#"cluster_alarm{alarm="CORRUPT"} 1"#,
                r#"member_alarm{alarm="CORRUPT", member="a"} 0"#,
                r#"member_alarm{alarm="CORRUPT", member="b"} 0"#,
            ]
        );
    }
}
