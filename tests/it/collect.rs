//! What the collectors see of a whole cluster, cycle by cycle.

use std::time::Duration;

use crate::support::{EtcdCluster, Observer, Version, failures, value, wait_for};

/// For members to tell each other of their alarms, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_healthy_cluster_is_found_from_one_endpoint() {
    for version in [Version::V3_4, Version::V3_5] {
        let cluster = EtcdCluster::builder(version).start().await;
        // A member that has just started may not have told its peers yet where it serves.
        let mut connection = Observer::connection(&cluster);
        let mut observer = Observer::on(&connection);
        observer.until("cluster_reachable_voters", 3.0).await;

        connection.endpoints.truncate(1);
        let batch = Observer::on(&connection).cycle().await;
        assert_eq!(failures(&batch), []);
        for (series, wanted) in [
            ("cluster_voters", 3.0),
            ("cluster_reachable_voters", 3.0),
            ("cluster_quorum_size", 2.0),
            ("cluster_failure_tolerance", 1.0),
            ("cluster_has_leader", 1.0),
            ("elections_total", 0.0),
            (r#"cluster_alarm{alarm="NOSPACE"}"#, 0.0),
            (r#"member_reachable{member="etcd-2"}"#, 1.0),
            (r#"member_quota_bytes{member="etcd-1"}"#, 2_147_483_648.0),
            (r#"member_quota_info{member="etcd-1", source="metrics"}"#, 1.0),
            (r#"probe_success{member="etcd-0", probe="linearizable"}"#, 1.0),
            (r#"collector_success{collector="metrics", member="etcd-0"}"#, 1.0),
            (r#"collector_success{collector="members"}"#, 1.0),
        ] {
            assert_eq!(value(&batch, series), Some(wanted), "{series}");
        }
        let members = &batch.facts.members;
        let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["etcd-0", "etcd-1", "etcd-2"]);
        assert_eq!(members.iter().filter(|member| member.leader).count(), 1);
        assert!(batch.facts.quorum.leader.is_some());
        for page in &batch.pages {
            assert!(page.series.as_ref().is_some_and(|series| series.len() > 1000));
        }
    }
}

#[tokio::test]
async fn members_that_stop_are_named_and_delay_nothing() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let mut observer = Observer::on(&Observer::connection(&cluster));
    observer.until("cluster_reachable_voters", 3.0).await;
    cluster.kill(2);
    let batch = observer.cycle().await;
    assert_eq!(value(&batch, r#"member_reachable{member="etcd-2"}"#), Some(0.0));
    assert_eq!(value(&batch, "cluster_failure_tolerance"), Some(0.0));
    assert_eq!(value(&batch, "cluster_voters"), Some(3.0));
    // The call in this cycle may be the one that learns that its connection is gone.
    let why = &batch.facts.members[2].unreachable_because;
    assert!(
        why.contains("connection refused") || why.contains("lost the connection"),
        "{why}"
    );
    let batch = observer.cycle().await;
    let why = &batch.facts.members[2].unreachable_because;
    assert!(why.contains("connection refused"), "{why}");

    // Paused, a member accepts connections and says nothing.
    cluster.pause(1);
    // It ends while the member is still paused.
    let batch = observer.cycle().await;
    cluster.resume(1);
    assert_eq!(value(&batch, "cluster_failure_tolerance"), Some(-1.0));
    let why = &batch.facts.members[1].unreachable_because;
    assert!(why.contains("no answer within 2s"), "{why}");

    observer.until(r#"member_reachable{member="etcd-1"}"#, 1.0).await;
    cluster.restart(2).await;
    observer
        .until(r#"member_restarts_total{member="etcd-2"}"#, 1.0)
        .await;
}

#[tokio::test]
async fn the_quota_alarm_is_that_of_the_members_that_raised_it() {
    for version in [Version::V3_4, Version::V3_5] {
        let cluster = EtcdCluster::builder(version).quota(4 << 20).start().await;
        let mut observer = Observer::on(&Observer::connection(&cluster));
        let quota = r#"member_quota_bytes{member="etcd-0"}"#;
        observer.until(quota, f64::from(4 << 20)).await;
        cluster.fill_quota().await;
        observer.until(r#"cluster_alarm{alarm="NOSPACE"}"#, 1.0).await;
        // One member after the other may raise it: only what etcd lists alike before and after a cycle can be compared.
        let (listed, batch) = wait_for("the list of alarms to stand still", LIMIT, async || {
            let before = sorted(&cluster.etcdctl(&["alarm", "list"]).await.unwrap());
            let batch = observer.cycle().await;
            let after = sorted(&cluster.etcdctl(&["alarm", "list"]).await.unwrap());
            if before == after {
                Ok((after, batch))
            } else {
                Err(format!("{before:?}, then {after:?}"))
            }
        })
        .await;
        for member in &batch.facts.members {
            let id = member.id.expect("every member told its id");
            let named = listed
                .iter()
                .any(|line| line.contains(&format!("memberID:{id} alarm:NOSPACE")));
            assert_eq!(!member.alarms.is_empty(), named, "{listed:?}");
        }
    }
}

/// The lines of a list whose order changes from call to call.
fn sorted(list: &str) -> Vec<String> {
    let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
