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
