//! Real faults on real three-member clusters, each found and named by its cause, as its user would read it.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Doctor, EtcdCluster, Version, problems, wait_for};

/// For what is found by a gauge, within a cycle or two, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(30);
/// For what is found by a rate over a minute.
const BY_RATE: Duration = Duration::from_secs(150);

fn cluster(diagnosis: &Value) -> &Value {
    &diagnosis["clusters"][0]
}

/// The first problem, as `alert/member`.
fn first(diagnosis: &Value) -> String {
    problems(diagnosis).first().cloned().unwrap_or_default()
}

fn finds(diagnosis: &Value, alert: &str) -> bool {
    problems(diagnosis)
        .iter()
        .any(|problem| problem == alert || problem.starts_with(&format!("{alert}/")))
}

fn fires(diagnosis: &Value, alert: &str) -> bool {
    fn any(list: &Value, alert: &str) -> bool {
        list.as_array().into_iter().flatten().any(|problem| {
            (problem["alert"] == alert && problem["state"] == "firing") || any(&problem["explains"], alert)
        })
    }
    any(&cluster(diagnosis)["problems"], alert)
}

async fn counter(doctor: &Doctor, name: &str) -> f64 {
    doctor.metric(name).await.first().map_or(0.0, |(_, value)| *value)
}

async fn cycles(doctor: &Doctor) -> f64 {
    counter(doctor, "etcd_doctor_cycles_total").await
}

#[tokio::test]
async fn a_healthy_cluster_under_write_load_passes() {
    for version in [Version::V3_4, Version::V3_5] {
        let cluster_under_test = EtcdCluster::builder(version).alone().start().await;
        let load = cluster_under_test.write_load().await;
        let doctor = Doctor::watching(&cluster_under_test).await;
        // Every cycle of these must be clean, not only the last.
        let until = cycles(&doctor).await + 15.0;
        while cycles(&doctor).await < until {
            let diagnosis = doctor.diagnosis().await;
            let worse_than_info: Vec<&Value> = cluster(&diagnosis)["problems"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|problem| problem["severity"] != "info" && problem["state"] == "firing")
                .collect();
            assert!(worse_than_info.is_empty(), "{version:?}: {worse_than_info:#?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let diagnosis = doctor.diagnosis().await;
        assert_eq!(cluster(&diagnosis)["status"], "pass", "{diagnosis:#}");
        let quorum = &cluster(&diagnosis)["quorum"];
        assert_eq!(
            (
                &quorum["voters"],
                &quorum["reachable"],
                &quorum["required"],
                &quorum["failureTolerance"]
            ),
            (&3.into(), &3.into(), &2.into(), &1.into()),
            "{diagnosis:#}"
        );
        assert!(load.written() > 0);
    }
}

#[tokio::test]
async fn a_full_quota_is_found_and_mended_by_its_remedy() {
    for version in [Version::V3_4, Version::V3_5] {
        let etcd = EtcdCluster::builder(version).quota(16 << 20).start().await;
        let doctor = Doctor::watching(&etcd).await;
        etcd.fill_quota().await;
        let before = cycles(&doctor).await;
        let found = doctor
            .diagnosis_when("the full quota", AT_ONCE, |diagnosis| {
                first(diagnosis).starts_with("EtcdQuotaAlarmFull")
            })
            .await;
        assert!(
            cycles(&doctor).await - before <= 2.0,
            "within two cycles of the refused write"
        );
        assert_eq!(cluster(&found)["status"], "fail");
        assert!(!finds(&found, "EtcdQuotaAlarmSpaceFreed"), "{found:#}");

        // Everything but the disarming, as it stands there.
        let commands = commands(&found);
        let (disarm, free): (Vec<String>, Vec<String>) = commands
            .into_iter()
            .partition(|command| command.contains("alarm disarm"));
        assert!(
            free.iter().any(|command| command.contains(" compact ")),
            "{free:?}"
        );
        assert!(free.iter().any(|command| command.contains(" defrag")), "{free:?}");
        assert_eq!(disarm.len(), 1, "{disarm:?}");
        for command in free {
            etcd.shell(&command).await.unwrap();
        }
        let freed = doctor
            .diagnosis_when("the alarm left armed", AT_ONCE, |diagnosis| {
                first(diagnosis).starts_with("EtcdQuotaAlarmSpaceFreed")
            })
            .await;
        assert!(!fires(&freed, "EtcdQuotaAlarmFull"), "{freed:#}");
        let writes = etcd.etcdctl(&["put", "still", "refused"]).await;
        assert!(writes.stderr.contains("space exceeded"), "{writes:?}");

        let commands = self::commands(&freed);
        assert!(
            commands.iter().any(|command| command.contains("alarm disarm")),
            "{commands:?}"
        );
        for command in commands {
            etcd.shell(&command).await.unwrap();
        }
        doctor
            .diagnosis_when("no quota alarm", AT_ONCE, |diagnosis| {
                !finds(diagnosis, "EtcdQuotaAlarmFull") && !finds(diagnosis, "EtcdQuotaAlarmSpaceFreed")
            })
            .await;
        etcd.etcdctl(&["put", "accepted", "again"]).await.unwrap();
    }
}

/// The commands of the first problem.
fn commands(diagnosis: &Value) -> Vec<String> {
    let commands = cluster(diagnosis)["problems"][0]["commands"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    commands
        .iter()
        .filter_map(|command| command.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_killed_leader_is_one_election() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut etcd = EtcdCluster::builder(version).alone().start().await;
        let doctor = Doctor::watching(&etcd).await;
        assert_eq!(counter(&doctor, "etcd_doctor_elections_total").await, 0.0);
        let old = etcd.leader().await.expect("a healthy cluster has a leader");
        etcd.kill(old);
        etcd.new_leader(old).await;
        one_election(&doctor).await;
        etcd.restart(old).await;
        // The member that comes back starts its counters anew, which is no election either.
        let until = cycles(&doctor).await + 5.0;
        wait_for("five cycles", AT_ONCE, async || {
            let now = cycles(&doctor).await;
            if now >= until { Ok(()) } else { Err(now) }
        })
        .await;
        assert_eq!(
            counter(&doctor, "etcd_doctor_elections_total").await,
            1.0,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_leader_paused_for_five_seconds_is_one_election() {
    for version in [Version::V3_4, Version::V3_5] {
        let etcd = EtcdCluster::builder(version).alone().start().await;
        let doctor = Doctor::watching(&etcd).await;
        let old = etcd.leader().await.expect("a healthy cluster has a leader");
        etcd.pause(old);
        // The length of the pause is the fault, not a wait for something.
        tokio::time::sleep(Duration::from_secs(5)).await;
        etcd.resume(old);
        one_election(&doctor).await;
        let until = cycles(&doctor).await + 5.0;
        wait_for("five cycles", AT_ONCE, async || {
            let now = cycles(&doctor).await;
            if now >= until { Ok(()) } else { Err(now) }
        })
        .await;
        assert_eq!(counter(&doctor, "etcd_doctor_elections_total").await, 1.0);
    }
}

async fn one_election(doctor: &Doctor) {
    wait_for("an election", AT_ONCE, async || {
        let elections = counter(doctor, "etcd_doctor_elections_total").await;
        if elections >= 1.0 { Ok(()) } else { Err(elections) }
    })
    .await;
    assert_eq!(counter(doctor, "etcd_doctor_elections_total").await, 1.0);
}

#[tokio::test]
async fn a_stopped_member_is_named_and_a_second_one_loses_the_quorum() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut etcd = EtcdCluster::builder(version).start().await;
        let doctor = Doctor::watching(&etcd).await;
        etcd.terminate(0).await;
        let down = doctor
            .diagnosis_when("the member that is down", AT_ONCE * 2, |diagnosis| {
                problems(diagnosis)
                    .iter()
                    .any(|problem| problem == "EtcdMemberDown/etcd-0")
                    && finds(diagnosis, "EtcdNoFailureTolerance")
            })
            .await;
        assert_eq!(cluster(&down)["quorum"]["failureTolerance"], 0);
        assert_eq!(cluster(&down)["quorum"]["reachable"], 2);
        let member = &cluster(&down)["members"][0];
        assert_eq!(
            (&member["name"], &member["reachable"]),
            (&"etcd-0".into(), &false.into())
        );

        etcd.terminate(1).await;
        let lost = doctor
            .diagnosis_when("the lost quorum", AT_ONCE * 2, |diagnosis| {
                first(diagnosis).starts_with("EtcdQuorumLost") && fires(diagnosis, "EtcdQuorumLost")
            })
            .await;
        let quorum = &cluster(&lost)["quorum"];
        assert_eq!(cluster(&lost)["status"], "fail");
        assert_eq!(
            (&quorum["voters"], &quorum["reachable"], &quorum["required"]),
            (&3.into(), &1.into(), &2.into()),
            "quorum counts the last known members: {lost:#}"
        );
        // It goes on answering, cycle after cycle, although two members do not.
        let until = cycles(&doctor).await + 3.0;
        wait_for("three more cycles", AT_ONCE, async || {
            let now = cycles(&doctor).await;
            if now >= until { Ok(()) } else { Err(now) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_slow_disk_of_the_leader_is_the_cause_on_that_member() {
    for version in [Version::V3_4, Version::V3_5] {
        let etcd = EtcdCluster::builder(version).alone().start().await;
        let doctor = Doctor::watching(&etcd).await;
        let leader = etcd.leader().await.expect("a healthy cluster has a leader");
        let load = etcd.write_load().await;
        let slow = etcd.slow_disk(leader, Duration::from_millis(80)).await;
        let name = etcd.name(leader).to_owned();
        let found = doctor
            .diagnosis_when("the slow disk", BY_RATE, |diagnosis| {
                cluster(diagnosis)["problems"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|problem| {
                        let alert = problem["alert"].as_str().unwrap_or_default();
                        problem["rank"] == 1
                            && ["EtcdWalFsyncSlow", "EtcdSlowDiskCausesElections"].contains(&alert)
                            && problem["member"] == name
                            && problem["state"] == "firing"
                    })
            })
            .await;
        let tops: Vec<&Value> = cluster(&found)["problems"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        // What follows from it stands beneath it, and no other member's disk is blamed.
        let beside = tops.iter().skip(1).filter(|problem| {
            ["disk", "election"].contains(&problem["category"].as_str().unwrap_or_default())
                && problem["severity"] != "info"
                && problem["state"] == "firing"
        });
        assert_eq!(beside.count(), 0, "{found:#}");
        drop(slow);
        assert!(load.written() > 0);
    }
}

#[tokio::test]
async fn tls_with_client_certificates_is_watched_like_any_other() {
    for version in [Version::V3_4, Version::V3_5] {
        let etcd = EtcdCluster::builder(version).tls().start().await;
        let doctor = Doctor::watching(&etcd).await;
        let diagnosis = doctor
            .diagnosis_when("a pass", AT_ONCE, |diagnosis| {
                cluster(diagnosis)["status"] == "pass"
            })
            .await;
        assert_eq!(cluster(&diagnosis)["quorum"]["reachable"], 3);
    }
}

#[tokio::test]
async fn a_role_less_user_is_refused_status_and_the_quota_alarm_is_found_all_the_same() {
    let mut etcd = EtcdCluster::builder(Version::V3_5).quota(16 << 20).start().await;
    etcd.add_user("doctor", "s3cret").await;
    etcd.enable_auth().await;
    let password = etcd.dir().join("password");
    std::fs::write(&password, "s3cret\n").expect("the folder is ours");
    let mut config: Value =
        serde_json::from_str(&Doctor::config_for(&etcd)).expect("it is JSON, which is YAML");
    config["clusters"][0]["username"] = "doctor".into();
    config["clusters"][0]["password_file"] = password.to_str().expect("a plain path").into();
    let doctor = Doctor::start(&config.to_string()).await;
    let diagnosis = doctor.diagnosis().await;
    assert_eq!(cluster(&diagnosis)["quorum"]["reachable"], 3, "{diagnosis:#}");
    let coverage = cluster(&diagnosis)["coverage"]["gaps"].to_string();
    assert!(
        coverage.contains("3.5.32"),
        "the gap names the release that opens Status: {coverage}"
    );

    etcd.fill_quota().await;
    let found = doctor
        .diagnosis_when("the full quota", AT_ONCE, |diagnosis| {
            finds(diagnosis, "EtcdQuotaAlarmFull")
        })
        .await;
    assert_eq!(cluster(&found)["status"], "fail");
}
