//! Members that come, go, wait or belong elsewhere, on real clusters.

use etcd_doctor::client::Connection;
use etcd_doctor::model::{Batch, Reason};

use crate::support::{EtcdCluster, Observer, Version, failures, shown, value};

const BOTH: [Version; 2] = [Version::V3_4, Version::V3_5];

fn assert_values(batch: &Batch, wanted: &[(&str, f64)]) {
    for (series, wanted) in wanted {
        assert_eq!(value(batch, series), Some(*wanted), "{series}");
    }
}

#[tokio::test]
async fn a_member_that_never_started_counts_for_the_quorum() {
    for version in BOTH {
        let cluster = EtcdCluster::builder(version).start().await;
        let mut observer = Observer::on(&Observer::connection(&cluster));
        observer.until("cluster_failure_tolerance", 1.0).await;
        let id = cluster.add_member(false).await.id;
        let batch = observer.until("cluster_unstarted_members", 1.0).await;
        assert_values(
            &batch,
            &[
                ("cluster_voters", 4.0),
                ("cluster_learners", 0.0),
                ("cluster_quorum_size", 3.0),
                ("cluster_reachable_voters", 3.0),
                ("cluster_failure_tolerance", 0.0),
                (&format!(r#"member_started{{member="{id}"}}"#), 0.0),
                (&format!(r#"member_reachable{{member="{id}"}}"#), 0.0),
                (r#"member_started{member="etcd-0"}"#, 1.0),
            ],
        );
        let member = batch.facts.members.iter().find(|member| *member.name == *id);
        let why = &member.expect("it is listed").unreachable_because;
        assert!(why.contains("never started"), "{why}");
    }
}

#[tokio::test]
async fn a_learner_has_no_vote_before_and_after_it_starts() {
    for version in BOTH {
        let mut cluster = EtcdCluster::builder(version).members(1).start().await;
        let mut observer = Observer::on(&Observer::connection(&cluster));
        let added = cluster.add_member(true).await;
        let id = added.id.clone();
        let batch = observer.until("cluster_learners", 1.0).await;
        let alone = [
            ("cluster_voters", 1.0),
            ("cluster_quorum_size", 1.0),
            ("cluster_failure_tolerance", 0.0),
        ];
        assert_values(&batch, &alone);
        assert_values(
            &batch,
            &[
                ("cluster_unstarted_members", 1.0),
                (&format!(r#"member_started{{member="{id}"}}"#), 0.0),
            ],
        );

        cluster.start_added(added).await;
        let batch = observer.until(r#"member_is_learner{member="etcd-1"}"#, 1.0).await;
        assert_values(&batch, &alone);
        assert_values(
            &batch,
            &[
                ("cluster_learners", 1.0),
                ("cluster_unstarted_members", 0.0),
                ("cluster_reachable_members", 2.0),
                ("cluster_reachable_voters", 1.0),
            ],
        );
        // It refuses linearizable reads, which is no fault of it.
        let asked = value(&batch, r#"probe_success{member="etcd-1", probe="linearizable"}"#);
        assert_eq!(asked, None);
        assert!(
            !shown(&batch)
                .iter()
                .any(|series| series.contains(&format!(r#" member="{id}""#))),
            "its label is its name now: {:?}",
            shown(&batch)
        );
    }
}

#[tokio::test]
async fn a_removed_member_leaves_no_series() {
    for version in BOTH {
        let cluster = EtcdCluster::builder(version).start().await;
        // Asked at the two that stay; the third is found.
        let connection = Connection {
            endpoints: cluster.endpoints()[..2].to_vec(),
            ..Connection::default()
        };
        let mut observer = Observer::on(&connection);
        let batch = observer.until("cluster_reachable_voters", 3.0).await;
        let third = &batch.facts.members[2];
        assert_eq!(&*third.name, "etcd-2");
        let id = format!("{:x}", third.id.expect("it told its id"));
        cluster.remove_member(2, &id).await;

        observer.until("cluster_voters", 2.0).await;
        let batch = observer.cycle().await;
        let left: Vec<String> = shown(&batch)
            .into_iter()
            .filter(|series| series.contains("etcd-2") || series.contains(&id))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(batch.facts.members.len(), 2);
        assert_eq!(failures(&batch), []);
    }
}

/// A removed member ends by itself; its endpoint may be configured all the same.
#[tokio::test]
async fn the_endpoint_of_a_removed_member_is_said_to_be_one() {
    let cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let mut observer = Observer::on(&Observer::connection(&cluster));
    let batch = observer.until("cluster_reachable_voters", 3.0).await;
    let id = format!("{:x}", batch.facts.members[2].id.expect("it told its id"));
    cluster.remove_member(2, &id).await;
    let words = format!("was that of member {id}, which has left the cluster");
    observer
        .until_true(&words, |batch| {
            let failures = failures(batch);
            failures.len() == 1
                && failures[0].reason == Reason::WrongMember
                && failures[0].words.contains(&words)
                && failures[0].words.contains(&cluster.endpoint(2))
        })
        .await;
}

#[tokio::test]
async fn an_endpoint_of_another_cluster_is_named_and_changes_nothing() {
    let cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let other = EtcdCluster::builder(Version::V3_4)
        .members(1)
        .beside(&cluster)
        .start()
        .await;
    let mut observer = Observer::on(&Observer::connection(&cluster));
    let alone = observer.until("cluster_reachable_voters", 3.0).await;

    let mut endpoints = other.endpoints();
    endpoints.extend(cluster.endpoints());
    let mut observer = Observer::on(&Connection {
        endpoints,
        ..Connection::default()
    });
    for _ in 0..2 {
        let batch = observer.until("cluster_reachable_voters", 3.0).await;
        assert_eq!(batch.facts.cluster_id, alone.facts.cluster_id);
        assert_eq!(value(&batch, "cluster_voters"), Some(3.0));
        let names = |batch: &Batch| -> Vec<_> {
            let members = batch.facts.members.iter();
            members.map(|member| (member.name.clone(), member.id)).collect()
        };
        assert_eq!(names(&batch), names(&alone));
        let failures = failures(&batch);
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(failures[0].reason, Reason::WrongMember);
        for words in [&*other.endpoint(0), "belongs to cluster"] {
            assert!(failures[0].words.contains(words), "{failures:?}");
        }
    }
}

/// Its members advertise where another cluster serves, as after a copied unit file.
#[tokio::test]
async fn answers_of_another_cluster_do_not_pass_for_a_member_s() {
    let other = EtcdCluster::builder(Version::V3_4).members(1).start().await;
    let cluster = EtcdCluster::builder(Version::V3_5)
        .flag(&format!("--advertise-client-urls={}", other.endpoint(0)))
        .beside(&other)
        .start()
        .await;
    let connection = Connection {
        endpoints: cluster.endpoints()[..2].to_vec(),
        ..Connection::default()
    };
    let mut observer = Observer::on(&connection);
    let batch = observer.until("cluster_reachable_voters", 2.0).await;
    assert_values(
        &batch,
        &[
            ("cluster_voters", 3.0),
            ("cluster_failure_tolerance", 0.0),
            (r#"member_reachable{member="etcd-2"}"#, 0.0),
        ],
    );
    assert_eq!(value(&batch, r#"member_db_size_bytes{member="etcd-2"}"#), None);
    assert_eq!(batch.facts.members[2].version, None);
    let wrong: Vec<_> = failures(&batch)
        .into_iter()
        .filter(|failed| failed.member == "etcd-2")
        .collect();
    assert!(!wrong.is_empty());
    for failed in wrong {
        assert_eq!(failed.reason, Reason::WrongMember, "{failed:?}");
        for words in [&*other.endpoint(0), "was expected to be", "answers there"] {
            assert!(failed.words.contains(words), "{failed:?}");
        }
    }
}
