//! The support's own tests: what the other tests rest on.

use std::time::Duration;

use super::{EtcdCluster, Prometheus, Version, http};

#[tokio::test]
async fn a_cluster_elects_again_when_its_leader_is_killed() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut cluster = EtcdCluster::builder(version).start().await;
        let load = cluster.write_load().await;
        let old = cluster.leader().await.expect("a healthy cluster has a leader");
        cluster.kill(old);
        let new = cluster.new_leader(old).await;
        cluster.restart(old).await;
        assert_eq!(
            cluster.leader().await,
            Some(new),
            "the one that came back does not take over"
        );
        assert!(load.written() > 0);
        let health = cluster.etcdctl(&["endpoint", "health"]).await;
        assert!(health.success, "{health:?}");
    }
}

#[tokio::test]
async fn a_paused_member_says_nothing_and_comes_back() {
    let cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let old = cluster.leader().await.expect("a healthy cluster has a leader");
    cluster.pause(old);
    cluster.new_leader(old).await;
    cluster.resume(old);
    super::wait_for(
        "the resumed one to follow",
        Duration::from_secs(10),
        async || match http::get(&cluster.metrics_url(old)).await {
            Ok(page) if page.body.contains("\netcd_server_is_leader 0\n") => Ok(()),
            Ok(_) => Err("it still says that it leads".to_owned()),
            Err(e) => Err(e),
        },
    )
    .await;
}

#[tokio::test]
async fn a_full_quota_refuses_writes_until_mended_by_hand() {
    let cluster = EtcdCluster::builder(Version::V3_5)
        .members(1)
        .quota(8 << 20)
        .start()
        .await;
    cluster.fill_quota().await;
    let alarms = cluster.etcdctl(&["alarm", "list"]).await.unwrap();
    assert!(alarms.contains("alarm:NOSPACE"), "{alarms}");

    let etcdctl = format!("etcdctl --endpoints={}", cluster.endpoint(0));
    let status = cluster
        .shell(&format!("{etcdctl} endpoint status -w json"))
        .await
        .unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let revision = &status[0]["Status"]["header"]["revision"];
    for command in [
        format!("compact {revision}"),
        "defrag".to_owned(),
        "alarm disarm".to_owned(),
    ] {
        cluster.shell(&format!("{etcdctl} {command}")).await.unwrap();
    }
    cluster.etcdctl(&["put", "key", "value"]).await.unwrap();
}

#[tokio::test]
async fn tls_and_authentication_let_only_the_known_in() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).members(1).tls().start().await;
    cluster.add_user("doctor", "secret").await;
    cluster.enable_auth().await;
    cluster.etcdctl(&["put", "key", "value"]).await.unwrap();
    let endpoint = cluster.endpoint(0);
    let stranger = cluster
        .shell(&format!(
            "etcdctl --endpoints={endpoint} --user=doctor:secret get key"
        ))
        .await;
    assert!(stranger.stderr.contains("permission denied"), "{stranger:?}");
    let plain = cluster
        .shell(&format!(
            "unset ETCDCTL_CERT ETCDCTL_KEY; etcdctl --endpoints={endpoint} get key"
        ))
        .await;
    assert!(!plain.success, "{plain:?}");
}

#[tokio::test]
async fn a_slow_disk_shows_in_the_member_s_own_histogram() {
    let cluster = EtcdCluster::builder(Version::V3_5).members(1).start().await;
    let _load = cluster.write_load().await;
    let slow = cluster.slow_disk(0, Duration::from_millis(80)).await;
    let seconds = async || {
        let page = http::get(&cluster.metrics_url(0)).await.unwrap().body;
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<f64>().unwrap()
        };
        let name = "etcd_disk_wal_fsync_duration_seconds";
        (value(&format!("{name}_sum")), value(&format!("{name}_count")))
    };
    let (sum, count) = seconds().await;
    let mean = super::wait_for("ten more fsyncs", Duration::from_secs(20), async || {
        let (now_sum, now_count) = seconds().await;
        if now_count >= count + 10.0 {
            Ok((now_sum - sum) / (now_count - count))
        } else {
            Err(now_count)
        }
    })
    .await;
    assert!(mean > 0.05, "{mean} s");
    drop(slow);
    cluster.etcdctl(&["put", "key", "value"]).await.unwrap();
}

#[tokio::test]
async fn both_releases_of_prometheus_start_and_scrape() {
    for peer in ["prometheus-2", "prometheus-3"] {
        let cluster = EtcdCluster::builder(Version::V3_5).members(1).start().await;
        let target = cluster
            .metrics_url(0)
            .replace("http://", "")
            .replace("/metrics", "");
        let prometheus = Prometheus::start(peer, &[target], &[]).await;
        prometheus.all_up(Duration::from_secs(20)).await;
        assert_eq!(
            prometheus
                .query_when_any("etcd_server_is_leader", Duration::from_secs(20))
                .await
                .len(),
            1
        );
        assert!(prometheus.query("sum(").await.is_err());
    }
}

/// For what a member sees of its peers, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_member_behind_a_stalled_link_loses_the_leader_and_finds_it_again() {
    for version in [Version::V3_4, Version::V3_5] {
        let cluster = EtcdCluster::builder(version).proxied().start().await;
        let leader = cluster.leader().await.expect("a healthy cluster has a leader");
        let other = (leader + 1) % 3;
        cluster.network().of(other).stall();
        has_leader(&cluster, other, false).await;
        has_leader(&cluster, leader, true).await;
        cluster.network().of(other).mend();
        has_leader(&cluster, other, true).await;
        cluster.etcdctl(&["put", "mended", "1"]).await.unwrap();
    }
}

#[tokio::test]
async fn a_direction_that_is_cut_leaves_the_other_and_other_links_alone() {
    let cluster = EtcdCluster::builder(Version::V3_5).proxied().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let (deaf, third) = ((leader + 1) % 3, (leader + 2) % 3);
    // Its heartbeats no longer come, so it asks for votes, which come through and are refused: the third has a leader.
    cluster.network().one_way(leader, deaf).stall();
    has_leader(&cluster, deaf, false).await;
    has_leader(&cluster, third, true).await;
    assert_eq!(cluster.leader().await, Some(leader));
    cluster.network().everywhere().mend();
    has_leader(&cluster, deaf, true).await;
}

#[tokio::test]
async fn a_delay_slows_writes_and_a_reset_link_is_dialled_again() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).proxied().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let network = cluster.network();
    network
        .everywhere()
        .delay(Duration::from_millis(100), Duration::from_millis(10));
    let begun = std::time::Instant::now();
    cluster
        .etcdctl_at(&cluster.endpoint(leader), &["put", "late", "1"])
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200), "there and back");
    network.everywhere().mend();
    network.everywhere().reset();
    // One that was under way is lost, and fails after its 5 s.
    super::wait_for("a write", LIMIT, async || {
        let put = cluster.etcdctl(&["put", "dialled-again", "1"]).await;
        if put.success { Ok(()) } else { Err(put.stderr) }
    })
    .await;
    let other = (leader + 1) % 3;
    network.of(other).cut();
    has_leader(&cluster, other, false).await;
    network.of(other).mend();
    // A process that starts anew is known to the network as well.
    cluster.restart(other).await;
    has_leader(&cluster, other, true).await;
    cluster.network().of(other).stall();
    has_leader(&cluster, other, false).await;
}

async fn has_leader(cluster: &EtcdCluster, member: usize, wanted: bool) {
    let line = format!("\netcd_server_has_leader {}\n", u8::from(wanted));
    super::wait_for(&format!("{line} of {member}"), LIMIT, async || {
        match http::get(&cluster.metrics_url(member)).await {
            Ok(page) if page.body.contains(&line) => Ok(()),
            Ok(_) => Err("the opposite".to_owned()),
            Err(e) => Err(e),
        }
    })
    .await;
}
