//! The diagnoses that the tests of this layer render.

use std::time::Duration;

use super::{Report, ToolInfo};
use crate::diagnosis::{
    CheckItem, Coverage, Diagnosis, Evidence, Gap, Problem, Severity, SourceError, Status,
};
use crate::model::{
    Access, AlarmKind, ClusterFacts, Labels, MemberFacts, Quorum, Quota, QuotaSource, Timestamp,
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub(crate) fn report(diagnoses: &[Diagnosis]) -> Report<'_> {
    let tool = ToolInfo {
        version: "0.1.0".into(),
        rules_digest: "9f86d081".into(),
    };
    Report {
        tool,
        time: NOW,
        diagnoses,
    }
}

fn member(number: u8) -> MemberFacts {
    MemberFacts {
        name: format!("etcd-{number}").into(),
        id: Some(0x8e9e_05c5_2164_694d + u64::from(number)),
        endpoint: Some(format!("https://10.0.0.{}:2379", number + 1).into()),
        reachable: true,
        latency: Some(Duration::from_micros(1200 + u64::from(number))),
        started: true,
        leader: number == 0,
        version: Some("3.5.16".into()),
        db_size_bytes: Some(209_715_200),
        db_in_use_bytes: Some(104_857_600),
        quota: Quota::Bytes(2 << 30, QuotaSource::Metrics),
        revision: Some(412_345),
        raft_index: Some(500_120),
        raft_applied_index: Some(if number == 0 { 500_120 } else { 500_118 }),
        raft_term: Some(7),
        ..MemberFacts::default()
    }
}

fn check(step: usize, title: &'static str, status: Status, detail: &str) -> CheckItem {
    CheckItem {
        step,
        title,
        status,
        detail: detail.into(),
    }
}

fn problem(alert: &str, severity: Severity, member: Option<&str>, since: u64, summary: &str) -> Problem {
    Problem {
        rank: 1,
        alert: alert.into(),
        severity,
        category: "quota".into(),
        firing: true,
        since: NOW.minus(Duration::from_secs(since)),
        member: member.map(str::to_owned),
        labels: Labels::new([("alertname", alert)]),
        summary: summary.into(),
        description: String::new(),
        impact: String::new(),
        remedy: String::new(),
        commands: vec![],
        evidence: vec![],
        runbook_url: String::new(),
        guide: String::new(),
        fingerprint: 0xab,
        explains: vec![],
    }
}

/// Certificates and a user.
pub(crate) fn access() -> Access {
    Access {
        ca_file: Some("/etc/etcd/ca.crt".into()),
        cert_file: Some("/etc/etcd/my client.crt".into()),
        key_file: Some("/etc/etcd/my client.key".into()),
        user: Some("doctor".into()),
        insecure_skip_verify: false,
    }
}

/// Three members, nothing wrong.
pub(crate) fn healthy() -> Diagnosis {
    Diagnosis {
        cluster: "prod".into(),
        time: NOW,
        status: Status::Pass,
        summary: "3 members, all well".into(),
        facts: ClusterFacts {
            access: Access::default(),
            cluster_id: Some(0xcdf8_181e_c9f2_1a0b),
            quorum: Quorum {
                voters: 3,
                reachable: 3,
                required: 2,
                leader: Some("etcd-0".into()),
                term: Some(7),
            },
            members: vec![member(0), member(1), member(2)],
        },
        problems: vec![],
        checklist: vec![
            check(1, "Members and quorum", Status::Pass, "3 of 3 answer"),
            check(2, "Database size", Status::Pass, "10% of the quota"),
        ],
        best_practices: vec![],
        coverage: Coverage {
            rules: 20,
            evaluated: 20,
            gaps: vec![],
            ..Coverage::default()
        },
        errors: vec![],
    }
}

/// One member at its quota.
pub(crate) fn quota() -> Diagnosis {
    let summary = "etcd-0 has reached its quota: every write is refused";
    let mut diagnosis = healthy();
    diagnosis.status = Status::Fail;
    diagnosis.summary = summary.into();
    for (at, member) in diagnosis.facts.members.iter_mut().enumerate() {
        member.db_size_bytes = Some(if at == 0 { 2 << 30 } else { 1_932_735_283 });
    }
    diagnosis.facts.members[0].alarms = vec![AlarmKind::NoSpace];
    diagnosis.checklist[1] = check(2, "Database size", Status::Fail, "etcd-0 at 100% of its quota");
    diagnosis.best_practices = vec![
        check(1, "regular backups", Status::Pass, "the newest is 3 h old"),
        check(2, "test restores", Status::Unknown, "no program can see it"),
        check(7, "security", Status::Warn, "no TLS"),
    ];

    let mut cause = problem(
        "EtcdQuotaExceeded",
        Severity::Critical,
        Some("etcd-0"),
        185,
        summary,
    );
    cause.description =
        "The database of etcd-0 takes 2 GiB, its whole quota, and the alarm NOSPACE is armed. \
                         Most of it is old history."
            .into();
    cause.impact = "Puts and leases fail on all members; reads and deletes work.".into();
    cause.remedy = "1. Drop the old history: `etcdctl --endpoints=https://10.0.0.1:2379,https://10.0.0.2:2379 compact 412345`\n\
                    2. (load) Give the free pages back, one member after the other, with `--command-timeout=60s` or more:\n   \
                    `etcdctl --endpoints=https://10.0.0.1:2379 defrag`\n\
                    3. Allow writes again: `etcdctl alarm disarm`\n"
        .into();
    cause.commands = vec![
        "etcdctl --endpoints=https://10.0.0.1:2379,https://10.0.0.2:2379 compact 412345".into(),
        "etcdctl --endpoints=https://10.0.0.1:2379 defrag".into(),
        "etcdctl alarm disarm".into(),
    ];
    let evidence = |text: &str, expr: &str, value, unit: &str, reference: &str| Evidence {
        text: text.into(),
        expr: expr.into(),
        value: Some(value),
        unit: unit.into(),
        reference: reference.into(),
    };
    cause.evidence = vec![
        evidence(
            "Database size",
            r#"etcd_doctor_member_db_size_bytes{cluster="prod", member="etcd-0"}"#,
            2_147_483_648.0,
            "bytes",
            ">= 2147483648",
        ),
        evidence(
            "Share in use",
            "etcd_doctor_member_db_in_use_bytes / etcd_doctor_member_db_size_bytes",
            0.048_828,
            "ratio",
            "",
        ),
    ];
    cause.runbook_url = "https://runbooks.example/EtcdQuotaExceeded".into();
    let mut symptom = problem(
        "EtcdDatabaseFilling",
        Severity::Warning,
        Some("etcd-0"),
        42,
        "Database of etcd-0 fills up",
    );
    symptom.firing = false;
    cause.explains = vec![symptom];
    diagnosis.problems = vec![cause];
    diagnosis
}

/// Two of three members do not answer; the rules about them are blind.
pub(crate) fn quorum_lost() -> Diagnosis {
    let mut diagnosis = healthy();
    diagnosis.status = Status::Fail;
    diagnosis.summary = "quorum is lost: 1 of 3 voters answers".into();
    diagnosis.facts.quorum = Quorum {
        voters: 3,
        reachable: 1,
        required: 2,
        leader: None,
        term: Some(9),
    };
    for member in &mut diagnosis.facts.members {
        member.leader = false;
        member.quota = Quota::Bytes(2 << 30, QuotaSource::Assumed);
    }
    for (at, why) in [
        (1, "connection refused by 10.0.0.2:2379"),
        (2, "no answer from 10.0.0.3:2379 within 2 s"),
    ] {
        let member = &mut diagnosis.facts.members[at];
        *member = MemberFacts {
            name: member.name.clone(),
            id: member.id,
            endpoint: member.endpoint.clone(),
            started: true,
            unreachable_because: why.into(),
            ..MemberFacts::default()
        };
    }
    let mut cause = problem(
        "EtcdQuorumLost",
        Severity::Critical,
        None,
        7300,
        "Quorum is lost: 1 of 3 voters answers",
    );
    cause.evidence = vec![Evidence {
        text: "Voters that answer, of the members that were last known".into(),
        expr: "etcd_doctor_cluster_reachable_voters".into(),
        value: Some(1.0),
        unit: "members".into(),
        reference: ">= 2".into(),
    }];
    cause.impact = "No write and no linearizable read succeeds.".into();
    cause.remedy = "1. Start what is stopped: `systemctl start etcd`".into();
    cause.commands = vec!["systemctl start etcd".into()];
    let mut symptom = problem(
        "EtcdMemberDown",
        Severity::Critical,
        Some("etcd-1"),
        7300,
        "etcd-1 does not answer",
    );
    symptom.explains = vec![problem(
        "EtcdNoLeader",
        Severity::Critical,
        None,
        20,
        "There is no leader",
    )];
    cause.explains = vec![symptom];
    diagnosis.problems = vec![cause];
    diagnosis.checklist = vec![
        check(1, "Members and quorum", Status::Fail, "1 of 3 answers"),
        check(
            2,
            "Database size",
            Status::Unknown,
            "2 of 3 members are not to be seen",
        ),
    ];
    let gap = |alert: &str| Gap {
        alert: alert.into(),
        reason: "etcd-1 and etcd-2 do not answer".into(),
        fix: "start them, or give an endpoint that can be reached from here".into(),
        blind: false,
        applies: true,
        looks_back: None,
    };
    let gaps = [
        "EtcdFsyncSlow",
        "EtcdCommitSlow",
        "EtcdPeerSlow",
        "EtcdQuotaLow",
        "EtcdApplySlow",
    ]
    .map(gap);
    diagnosis.coverage = Coverage {
        rules: 20,
        evaluated: 15,
        gaps: gaps.into(),
        ..Coverage::default()
    };
    diagnosis.errors = vec![SourceError {
        source: "status etcd-1".into(),
        message: "could not connect to 10.0.0.2:2379: connection refused".into(),
    }];
    diagnosis
}

/// What a cluster might be called by somebody who means harm, or by accident.
pub(crate) const HOSTILE: [&str; 9] = [
    "\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[31m",
    "\u{9b}2J\u{90}q\u{9c}\u{7f}\u{8}",
    "\u{202e}drawkcab\u{2066}\u{61c}\u{2028}x",
    "two\nlines\r\n| a | b |\n|---|---|\n# heading",
    "a|b \\|c \\\\| d|",
    "`one` ``two ```three` `",
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;",
    "![beacon](http://evil.example/x) [click](javascript:alert(1)) [ref][1] <http://evil.example>",
    "it's='x';1;2|rta=5ms;;;0",
];

/// Diagnoses with this text wherever one from a cluster or a rule's template stands.
pub(crate) fn hostile(text: &str) -> Vec<Diagnosis> {
    let mut diagnoses = vec![quota(), quorum_lost()];
    for diagnosis in &mut diagnoses {
        diagnosis.cluster = text.into();
        diagnosis.summary = text.into();
        for member in &mut diagnosis.facts.members {
            member.name = format!("{}{text}", member.name).into();
            member.version = Some(text.into());
            member.endpoint = Some(text.into());
            if !member.reachable {
                member.unreachable_because = text.into();
            }
        }
        diagnosis.facts.quorum.leader = Some(text.into());
        for item in diagnosis
            .checklist
            .iter_mut()
            .chain(&mut diagnosis.best_practices)
        {
            item.detail = text.into();
        }
        for gap in &mut diagnosis.coverage.gaps {
            (gap.reason, gap.fix) = (text.into(), text.into());
        }
        for error in &mut diagnosis.errors {
            (error.source, error.message) = (text.into(), text.into());
        }
        poison(&mut diagnosis.problems, text);
    }
    diagnoses
}

fn poison(problems: &mut [Problem], text: &str) {
    for problem in problems {
        let texts = [
            &mut problem.alert,
            &mut problem.category,
            &mut problem.summary,
            &mut problem.description,
            &mut problem.impact,
            &mut problem.remedy,
        ];
        texts.into_iter().for_each(|place| *place = text.to_owned());
        problem.member = Some(text.to_owned());
        problem.labels = Labels::new([("alertname", text), ("member", text)]);
        for evidence in &mut problem.evidence {
            (evidence.text, evidence.expr) = (text.to_owned(), text.to_owned());
            (evidence.unit, evidence.reference) = (text.to_owned(), text.to_owned());
        }
        poison(&mut problem.explains, text);
    }
}
