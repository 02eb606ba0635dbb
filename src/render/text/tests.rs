//! What a terminal shows, to the letter.

use super::*;
use crate::model::ClusterFacts;
use crate::render::fixture;

fn rendered(diagnosis: Diagnosis, width: usize, ascii: bool) -> String {
    let style = TextStyle {
        width,
        color: false,
        ascii,
    };
    render(&fixture::report(&[diagnosis]), style)
}

#[test]
fn a_healthy_cluster_takes_few_lines() {
    let expected = r#"PASS  prod: 3 members, all well
  3 of 3 voters reachable, 2 needed: 1 more may fail; leader
  etcd-0, term 7.
  Seen at 2023-11-14T22:13:20.000Z

  MEMBER  ROLE      VERSION  SIZE (OF QUOTA)  BEHIND
  etcd-0  leader    3.5.16   200 MiB 10%      0 entries
  etcd-1  follower  3.5.16   200 MiB 10%      2 entries
  etcd-2  follower  3.5.16   200 MiB 10%      2 entries

  All 2 items of the checklist pass.
"#;
    assert_eq!(rendered(fixture::healthy(), 60, true), expected);
}

/// A window that is still filling, logs that nobody reads and an information that is not certain take a line each.
#[test]
fn what_is_always_so_takes_little_room() {
    let mut diagnosis = fixture::healthy();
    diagnosis.checklist.push(CheckItem {
        step: 3,
        title: "etcd logs",
        status: Status::Unknown,
        detail: "not read here; see `journalctl -u etcd`".into(),
    });
    let gap = |alert: &str, looks_back| crate::diagnosis::Gap {
        alert: alert.into(),
        reason: "looks back further".into(),
        fix: "wait".into(),
        blind: false,
        applies: true,
        looks_back: Some(std::time::Duration::from_secs(looks_back)),
    };
    diagnosis.coverage.gaps = vec![gap("EtcdA", 900), gap("EtcdB", 1800)];
    diagnosis.coverage.watched_for = std::time::Duration::from_secs(15);
    let mut hint = fixture::quota().problems.remove(0);
    (hint.severity, hint.firing, hint.explains) = (Severity::Info, false, vec![]);
    diagnosis.problems = vec![hint];
    let text = rendered(diagnosis, 80, true);
    let (_, end) = text.split_once("BEHIND").unwrap();
    let expected = "     ANSWER
  etcd-0  leader    3.5.16   200 MiB 10%      #.........  0 entries  1.2 ms
  etcd-1  follower  3.5.16   200 MiB 10%      #.........  2 entries  1.2 ms
  etcd-2  follower  3.5.16   200 MiB 10%      #.........  2 entries  1.2 ms

1. INFO  etcd-0 has reached its quota: every write is refused
   EtcdQuotaExceeded - member etcd-0 - pending for 3 min

  2 of 3 items of the checklist pass; unknown: etcd logs (not read here; see
  `journalctl -u etcd`).
  2 alerts would look back further (at most 30 min) and judge by the 15 s
  watched so far: EtcdA, EtcdB.
";
    assert_eq!(end, expected);
    assert!(
        text.contains("Seen at 2023-11-14T22:13:20.000Z, watched for 15 s\n"),
        "{text}"
    );
}

/// Remarks on the set-up stand after the problems, whatever their place in the ranking.
#[test]
fn remarks_are_one_sentence_after_the_problems() {
    let mut diagnosis = fixture::healthy();
    let mut remark = fixture::quota().problems.remove(0);
    (remark.severity, remark.explains) = (Severity::Info, vec![]);
    remark.category = "configuration".into();
    remark.summary = "etcd cluster prod has an even number of voters".into();
    let mut other = remark.clone();
    (other.category, other.summary) = ("security".into(), "a certificate expires in 20 days".into());
    let mut uncertain = remark.clone();
    uncertain.firing = false;
    let mut problem = uncertain.clone();
    (problem.category, problem.alert) = ("election".into(), "EtcdLeaderChanged".into());
    diagnosis.problems = vec![remark, other, uncertain, problem];
    for (rank, problem) in (1..).zip(&mut diagnosis.problems) {
        problem.rank = rank;
    }
    diagnosis.facts.access = fixture::access();
    let text = rendered(diagnosis, 80, true);
    assert!(!text.contains("export"), "no command is shown: {text}");
    let end = &text[text.find("1. INFO").unwrap()..];
    let expected = "\
1. INFO  etcd cluster prod has an even number of voters
   EtcdLeaderChanged - member etcd-0 - pending for 3 min

  Remarks: has an even number of voters; a certificate expires in 20 days (in
  full with -o markdown).

  All 2 items of the checklist pass.
";
    assert_eq!(end, expected);
}

#[test]
fn a_healthy_cluster_on_a_wide_terminal() {
    let expected = r#"PASS  prod: 3 members, all well
  3 of 3 voters reachable, 2 needed: 1 more may fail; leader etcd-0, term 7.
  Seen at 2023-11-14T22:13:20.000Z

  MEMBER  ROLE      VERSION  SIZE (OF QUOTA)              BEHIND     ANSWER
  etcd-0  leader    3.5.16   200 MiB 10%      █░░░░░░░░░  0 entries  1.2 ms
  etcd-1  follower  3.5.16   200 MiB 10%      █░░░░░░░░░  2 entries  1.2 ms
  etcd-2  follower  3.5.16   200 MiB 10%      █░░░░░░░░░  2 entries  1.2 ms

  All 2 items of the checklist pass.
"#;
    assert_eq!(rendered(fixture::healthy(), 100, false), expected);
}

#[test]
fn a_full_database_in_ascii_at_60_columns() {
    let expected = r#"FAIL  prod: etcd-0 has reached its quota: every write is
      refused
  3 of 3 voters reachable, 2 needed: 1 more may fail; leader
  etcd-0, term 7.
  Seen at 2023-11-14T22:13:20.000Z

  MEMBER  ROLE      VERSION  SIZE (OF QUOTA)  BEHIND
  etcd-0  leader    3.5.16   2 GiB 100%       0 entries
          alarm NOSPACE
  etcd-1  follower  3.5.16   1.8 GiB 90%      2 entries
  etcd-2  follower  3.5.16   1.8 GiB 90%      2 entries

1. CRITICAL  etcd-0 has reached its quota: every write is
   refused
   EtcdQuotaExceeded - member etcd-0 - for 3 min

   The database of etcd-0 takes 2 GiB, its whole quota, and
   the alarm NOSPACE is armed. Most of it is old history.

   Impact: Puts and leases fail on all members; reads and
   deletes work.

   EVIDENCE         NOW  REFERENCE
   Database size  2 GiB  >= 2 GiB
   Share in use   4.88%

   What to do
   1. Drop the old history:
        etcdctl --endpoints=https://10.0.0.1:2379,https://10.0.0.2:2379 compact 412345
   2. (load) Give the free pages back, one member after the
      other, with `--command-timeout=60s` or more:
        etcdctl --endpoints=https://10.0.0.1:2379 defrag
   3. Allow writes again:
        etcdctl alarm disarm
   Runbook: https://runbooks.example/EtcdQuotaExceeded

   This explains
     - warning  Database of etcd-0 fills up
       EtcdDatabaseFilling - member etcd-0 - pending for
       42 s

Checklist
  ok        1. Members and quorum: 3 of 3 answer
  fail      2. Database size: etcd-0 at 100% of its quota

  1 of 3 best practices are kept; not: security; 1 cannot be
  judged here (in full with -o markdown).
"#;
    assert_eq!(rendered(fixture::quota(), 60, true), expected);
}

#[test]
fn a_full_database_at_100_columns() {
    let expected = r#"FAIL  prod: etcd-0 has reached its quota: every write is refused
  3 of 3 voters reachable, 2 needed: 1 more may fail; leader etcd-0, term 7.
  Seen at 2023-11-14T22:13:20.000Z

  MEMBER  ROLE      VERSION  SIZE (OF QUOTA)              BEHIND     ANSWER
  etcd-0  leader    3.5.16   2 GiB 100%       ██████████  0 entries  1.2 ms
          alarm NOSPACE
  etcd-1  follower  3.5.16   1.8 GiB 90%      █████████░  2 entries  1.2 ms
  etcd-2  follower  3.5.16   1.8 GiB 90%      █████████░  2 entries  1.2 ms

1. CRITICAL  etcd-0 has reached its quota: every write is refused
   EtcdQuotaExceeded · member etcd-0 · for 3 min

   The database of etcd-0 takes 2 GiB, its whole quota, and the alarm NOSPACE is armed. Most of it
   is old history.

   Impact: Puts and leases fail on all members; reads and deletes work.

   EVIDENCE         NOW  REFERENCE
   Database size  2 GiB  >= 2 GiB
   Share in use   4.88%

   What to do
   1. Drop the old history:
        etcdctl --endpoints=https://10.0.0.1:2379,https://10.0.0.2:2379 compact 412345
   2. (load) Give the free pages back, one member after the other, with `--command-timeout=60s` or
      more:
        etcdctl --endpoints=https://10.0.0.1:2379 defrag
   3. Allow writes again:
        etcdctl alarm disarm
   Runbook: https://runbooks.example/EtcdQuotaExceeded

   This explains
     - warning  Database of etcd-0 fills up
       EtcdDatabaseFilling · member etcd-0 · pending for 42 s

Checklist
  ok        1. Members and quorum: 3 of 3 answer
  fail      2. Database size: etcd-0 at 100% of its quota

  1 of 3 best practices are kept; not: security; 1 cannot be judged here (in full with -o markdown).
"#;
    assert_eq!(rendered(fixture::quota(), 100, false), expected);
}

#[test]
fn a_lost_quorum_in_ascii_at_60_columns() {
    let expected = r#"FAIL  prod: quorum is lost: 1 of 3 voters answers
  1 of 3 voters reachable, 2 needed: quorum is lost; no
  leader, term 9.
  Seen at 2023-11-14T22:13:20.000Z

  MEMBER  ROLE      VERSION  SIZE (OF QUOTA)  BEHIND
  etcd-0  follower  3.5.16   200 MiB 10%*     0 entries
  etcd-1  voter     unreachable: connection refused by
          10.0.0.2:2379
  etcd-2  voter     unreachable: no answer from
          10.0.0.3:2379 within 2 s
  * of etcd's default quota of 2 GiB: the one in force is
    not known

1. CRITICAL  Quorum is lost: 1 of 3 voters answers
   EtcdQuorumLost - for 2 h

   Impact: No write and no linearizable read succeeds.

   EVIDENCE
   Voters that answer, of the members that were last known:
     1 member (reference >= 2 members)

   What to do
   1. Start what is stopped:
        systemctl start etcd

   This explains
     - critical  etcd-1 does not answer
       EtcdMemberDown - member etcd-1 - for 2 h
       - critical  There is no leader
         EtcdNoLeader - for 20 s

Checklist
  fail      1. Members and quorum: 1 of 3 answers
  unknown   2. Database size: 2 of 3 members are not to be
               seen

What could not be seen
  15 of 20 rules had all their data.
  - etcd-1 and etcd-2 do not answer (judged by the rest:
    EtcdFsyncSlow, EtcdCommitSlow, EtcdPeerSlow,
    EtcdQuotaLow, EtcdApplySlow)
    -> start them, or give an endpoint that can be reached
       from here

What went wrong while looking
  - status etcd-1: could not connect to 10.0.0.2:2379:
    connection refused
"#;
    assert_eq!(rendered(fixture::quorum_lost(), 60, true), expected);
}

#[test]
fn a_lost_quorum_at_100_columns() {
    let expected = r#"FAIL  prod: quorum is lost: 1 of 3 voters answers
  1 of 3 voters reachable, 2 needed: quorum is lost; no leader, term 9.
  Seen at 2023-11-14T22:13:20.000Z

  MEMBER  ROLE      VERSION  SIZE (OF QUOTA)              BEHIND     ANSWER
  etcd-0  follower  3.5.16   200 MiB 10%*     █░░░░░░░░░  0 entries  1.2 ms
  etcd-1  voter     unreachable: connection refused by 10.0.0.2:2379
  etcd-2  voter     unreachable: no answer from 10.0.0.3:2379 within 2 s
  * of etcd's default quota of 2 GiB: the one in force is not known

1. CRITICAL  Quorum is lost: 1 of 3 voters answers
   EtcdQuorumLost · for 2 h

   Impact: No write and no linearizable read succeeds.

   EVIDENCE                                                      NOW  REFERENCE
   Voters that answer, of the members that were last known  1 member  >= 2 members

   What to do
   1. Start what is stopped:
        systemctl start etcd

   This explains
     - critical  etcd-1 does not answer
       EtcdMemberDown · member etcd-1 · for 2 h
       - critical  There is no leader
         EtcdNoLeader · for 20 s

Checklist
  fail      1. Members and quorum: 1 of 3 answers
  unknown   2. Database size: 2 of 3 members are not to be seen

What could not be seen
  15 of 20 rules had all their data.
  - etcd-1 and etcd-2 do not answer (judged by the rest: EtcdFsyncSlow, EtcdCommitSlow,
    EtcdPeerSlow, EtcdQuotaLow, EtcdApplySlow)
    → start them, or give an endpoint that can be reached from here

What went wrong while looking
  - status etcd-1: could not connect to 10.0.0.2:2379: connection refused
"#;
    assert_eq!(rendered(fixture::quorum_lost(), 100, false), expected);
}

/// Colours add to the text and change nothing in it: the verdict, the severity and the command have theirs.
#[test]
fn colours_are_the_same_text() {
    let style = TextStyle {
        width: 100,
        color: true,
        ascii: false,
    };
    let colored = render(&fixture::report(&[fixture::quota()]), style);
    for painted in [
        "\x1b[1;31mFAIL\x1b[0m  \x1b[1mprod: etcd-0 has reached its quota: every write is refused\x1b[0m\n",
        "\x1b[1m1.\x1b[0m \x1b[1;31mCRITICAL\x1b[0m  \x1b[1metcd-0 has reached",
        "        \x1b[36metcdctl alarm disarm\x1b[0m\n",
        "- \x1b[1;33mwarning\x1b[0m  Database of etcd-0 fills up\n",
    ] {
        assert!(colored.contains(painted), "{painted:?} is missing in {colored}");
    }
    let mut parts = colored.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    let plain = parts.fold(first, |text, part| text + part.split_once('m').unwrap().1);
    assert_eq!(plain, rendered(fixture::quota(), 100, false));
}

#[test]
fn no_line_but_a_command_is_wider_than_the_terminal() {
    for width in [0, 60, 75, 100, 500] {
        for diagnosis in [fixture::healthy(), fixture::quota(), fixture::quorum_lost()] {
            let text = rendered(diagnosis, width, false);
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with("etcdctl"))
            {
                assert!(line.chars().count() <= width.clamp(60, 100), "{line}");
            }
            assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
        }
    }
}

#[test]
fn a_cluster_cannot_make_the_terminal_obey() {
    let mut diagnosis = fixture::quota();
    let attack = "x\x1b]0;owned\x07\u{9b}2J\u{202e}y\rz";
    diagnosis.facts.members[0].name = attack.into();
    diagnosis.facts.members[0].version = Some(attack.into());
    diagnosis.facts.members[1].reachable = false;
    diagnosis.facts.members[1].unreachable_because = attack.into();
    diagnosis.summary = attack.into();
    diagnosis.problems[0].summary = attack.into();
    diagnosis.problems[0].remedy = format!("1. `etcdctl {attack}`");
    diagnosis.problems[0].commands = vec![format!("etcdctl {attack}")];
    let text = rendered(diagnosis, 100, false);
    assert!(
        !text.chars().any(|letter| letter != '\n' && letter.is_control()),
        "{text:?}"
    );
    assert!(!text.contains('\u{202e}'));
    assert!(text.contains(r"\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}y"));
}

#[test]
fn a_long_name_stands_on_a_line_of_its_own() {
    let mut diagnosis = fixture::healthy();
    let name = "etcd-0.etcd.a-rather-long-namespace.svc.cluster.local";
    diagnosis.facts.members[0].name = name.into();
    let text = rendered(diagnosis, 60, false);
    assert!(text.contains(&format!("\n  {name}\n   ")), "{text}");
}

#[test]
fn a_member_that_never_started_and_a_learner_are_told() {
    let mut diagnosis = fixture::healthy();
    let members = &mut diagnosis.facts.members;
    members[1].learner = true;
    members[2] = MemberFacts {
        name: "8e9e05c52164694f".into(),
        ..MemberFacts::default()
    };
    let text = rendered(diagnosis, 80, false);
    assert!(text.contains("etcd-1            learner    3.5.16"), "{text}");
    assert!(
        text.contains("8e9e05c52164694f  unstarted  added, but never started\n"),
        "{text}"
    );
}

#[test]
fn several_clusters_begin_with_the_worst_of_them() {
    let style = TextStyle {
        width: 80,
        color: false,
        ascii: true,
    };
    let text = render(&fixture::report(&[fixture::healthy(), fixture::quota()]), style);
    assert!(
        text.starts_with("FAIL  2 clusters: 1 fail, 1 pass\n\nPASS  prod: "),
        "{text}"
    );
    assert_eq!(
        render(&fixture::report(&[]), style),
        "UNKNOWN  no cluster has been looked at yet\n"
    );
}

#[test]
fn nothing_is_said_of_what_is_not_known() {
    let mut diagnosis = fixture::healthy();
    diagnosis.facts = ClusterFacts::default();
    diagnosis.checklist.clear();
    let expected = "PASS  prod: 3 members, all well\n  The member list could not be read: neither the members nor their quorum are\n  known.\n  Seen at 2023-11-14T22:13:20.000Z\n";
    assert_eq!(rendered(diagnosis, 80, true), expected);
}

/// What mends a member stands beside it and nowhere else.
#[test]
fn the_remedy_of_a_member_that_does_not_answer_stands_beneath_it() {
    let mut diagnosis = fixture::quorum_lost();
    let [_, one, other] = &mut diagnosis.facts.members[..] else {
        panic!("three members")
    };
    other.unreachable_because.clone_from(&one.unreachable_because);
    let why = one.unreachable_because.clone();
    let fix = "give the CA that signed it";
    diagnosis.coverage.fixes.insert(why, fix.into());
    for gap in &mut diagnosis.coverage.gaps {
        gap.fix = fix.into();
    }
    let text = rendered(diagnosis, 100, false);
    let lines: Vec<&str> = text.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.contains("etcd-1  voter"))
        .unwrap();
    assert_eq!(lines[at + 1].trim(), format!("→ {fix}"), "{text}");
    assert_eq!(text.matches(fix).count(), 1, "{text}");
}

/// The commands work as they stand when these were typed once; a password is not among them.
#[test]
fn the_variables_of_the_commands_are_told_once() {
    let mut diagnosis = fixture::quota();
    diagnosis.facts.access = fixture::access();
    let expected = "
Before the commands below
    export ETCDCTL_CACERT=/etc/etcd/ca.crt
    export ETCDCTL_CERT='/etc/etcd/my client.crt'
    export ETCDCTL_KEY='/etc/etcd/my client.key'
    export ETCDCTL_USER=root
    # root: etcd-doctor's own user may not do what follows
  etcdctl asks for the password each time, unless ETCDCTL_PASSWORD is set.

1. CRITICAL  etcd-0";
    let text = rendered(diagnosis, 80, true);
    assert!(text.contains(expected), "{text}");
    assert!(!rendered(fixture::quota(), 80, true).contains("export"));
    let mut healthy = fixture::healthy();
    healthy.facts.access = fixture::access();
    assert!(
        !rendered(healthy, 80, true).contains("export"),
        "nothing is to be typed"
    );
}

#[test]
fn a_nearly_full_database_is_not_said_to_be_full() {
    let mut diagnosis = fixture::healthy();
    let quota = 2 << 30;
    for (at, size) in [quota - 1, quota, 2 * quota].into_iter().enumerate() {
        diagnosis.facts.members[at].db_size_bytes = Some(size);
    }
    let text = rendered(diagnosis, 80, true);
    for cells in [
        "2 GiB 99%        #########.",
        "2 GiB 100%       ##########",
        "4 GiB 200%       ##########",
    ] {
        assert!(text.contains(cells), "{cells} is not in\n{text}");
    }
}
