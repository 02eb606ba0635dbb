//! `GET /api/v1/sd`: the members as targets, in the form of Prometheus' HTTP service discovery.
//!
//! Prometheus keeps its last list when it gets anything but 200, and drops all targets when it gets an empty list. So
//! whenever the list may lack members, the answer is an error: a cluster that was not observed yet or no more, one whose
//! members are not known yet. A member that is down stays in the list: that it is down is what `up` is for.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use serde::{Deserialize, Serialize};

use super::State;
use super::error::ApiError;
use super::seen::Seen;
use crate::model::{MemberFacts, hex_id};

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this cluster; all without it.
    cluster: Option<String>,
}

/// One member. Its labels are set on all of its series, those with two underscores only while it is relabelled.
#[derive(Serialize, PartialEq, Debug)]
pub(super) struct Target {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

pub(super) async fn targets(
    Extract(state): Extract<State>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<Target>>, ApiError> {
    let Query(Wanted { cluster: wanted }) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let all = state.look();
    if let Some(wanted) = wanted
        .as_deref()
        .filter(|wanted| all.iter().all(|seen| *seen.name != **wanted))
    {
        let names: Vec<&str> = all.iter().map(|seen| &*seen.name).collect();
        return Err(ApiError::not_found(format!(
            "no cluster is named {wanted:?}; known clusters: {}",
            names.join(", ")
        )));
    }
    let chosen = all
        .iter()
        .filter(|seen| wanted.as_deref().is_none_or(|wanted| *seen.name == *wanted));
    let mut targets = Vec::new();
    for seen in chosen {
        targets.extend(of_cluster(seen).map_err(ApiError::unavailable)?);
    }
    if targets.is_empty() {
        return Err(ApiError::unavailable(
            "no member serves its metrics at an address of the network, so there is no target",
        ));
    }
    Ok(Json(targets))
}

/// A target for each member; why there are none to tell, in words.
fn of_cluster(seen: &Seen) -> Result<Vec<Target>, String> {
    if let Some(trouble) = seen.trouble() {
        return Err(trouble);
    }
    let members = seen
        .fresh()
        .map_or(&[][..], |last| &last.snapshot.diagnosis.facts.members);
    // Before a first answer only the configured endpoints are known, and these may be some of the members.
    if members.iter().all(|member| member.id.is_none()) {
        return Err(format!(
            "no member of cluster {} has told yet who its members are",
            seen.name
        ));
    }
    let targets = members.iter().filter_map(|member| target(&seen.name, member));
    Ok(targets.collect())
}

/// None where no network leads to its metrics: a socket, or a member that never started.
fn target(cluster: &str, member: &MemberFacts) -> Option<Target> {
    let (scheme, rest) = member.metrics_url.as_deref()?.split_once("://")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (address, path) = rest.split_at(slash);
    let mut labels = BTreeMap::from([
        ("__scheme__", scheme.to_owned()),
        ("__metrics_path__", path.to_owned()),
        ("cluster", cluster.to_owned()),
        ("member", member.name.to_string()),
        ("__meta_etcd_cluster", cluster.to_owned()),
        ("__meta_etcd_member_name", member.name.to_string()),
        ("__meta_etcd_member_learner", member.learner.to_string()),
    ]);
    if let Some(id) = member.id {
        labels.insert("__meta_etcd_member_id", hex_id(id));
    }
    if let Some(version) = &member.version {
        labels.insert("__meta_etcd_member_version", version.clone());
    }
    Some(Target {
        targets: [address.to_owned()],
        labels,
    })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::super::fixtures::{Api, snapshot};
    use super::*;
    use crate::snapshot::Snapshot;

    fn member(name: &str, url: Option<&str>) -> MemberFacts {
        MemberFacts {
            name: name.into(),
            id: Some(0xabc),
            metrics_url: url.map(Into::into),
            reachable: true,
            version: Some("3.5.16".to_owned()),
            ..MemberFacts::default()
        }
    }

    fn with_members(cluster: &str, members: Vec<MemberFacts>) -> Snapshot {
        let mut snapshot = snapshot(cluster);
        snapshot.diagnosis.facts.members = members;
        snapshot
    }

    #[tokio::test]
    async fn each_member_is_a_target_wherever_its_metrics_are() {
        let down = MemberFacts {
            reachable: false,
            learner: true,
            version: None,
            ..member("etcd-2", Some("http://[::1]:2381/own/metrics"))
        };
        let never_started = MemberFacts {
            id: Some(1),
            ..member("1", None)
        };
        let api = Api::of([with_members(
            "prod",
            vec![
                member("etcd-1", Some("https://10.0.0.1:2379/metrics")),
                down,
                never_started,
            ],
        )]);
        let answer = api.get("/api/v1/sd").await;
        assert_eq!(answer.status, StatusCode::OK);
        // What Prometheus insists on.
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(
            answer.json(),
            json!([
                { "targets": ["10.0.0.1:2379"], "labels": {
                    "__scheme__": "https", "__metrics_path__": "/metrics", "cluster": "prod", "member": "etcd-1",
                    "__meta_etcd_cluster": "prod", "__meta_etcd_member_name": "etcd-1",
                    "__meta_etcd_member_id": "abc", "__meta_etcd_member_learner": "false",
                    "__meta_etcd_member_version": "3.5.16",
                }},
                { "targets": ["[::1]:2381"], "labels": {
                    "__scheme__": "http", "__metrics_path__": "/own/metrics", "cluster": "prod", "member": "etcd-2",
                    "__meta_etcd_cluster": "prod", "__meta_etcd_member_name": "etcd-2",
                    "__meta_etcd_member_id": "abc", "__meta_etcd_member_learner": "true",
                }},
            ])
        );
    }

    #[tokio::test]
    async fn one_cluster_of_several() {
        let of = |name: &str| with_members(name, vec![member(name, Some("http://a:1/metrics"))]);
        let api = Api::of([of("one"), of("two")]);
        let names = async |query: &str| {
            let list = api.get(&format!("/api/v1/sd{query}")).await.json();
            let targets = list.as_array().cloned().unwrap_or_default();
            let names = targets
                .iter()
                .map(|target| target["labels"]["cluster"].to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names("").await, ["\"one\"", "\"two\""]);
        assert_eq!(names("?cluster=two").await, ["\"two\""]);
        let answer = api.get("/api/v1/sd?cluster=tow").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let answer = api.get("/api/v1/sd?clustre=two").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_list_that_may_lack_members_is_an_error() {
        let whole = || with_members("one", vec![member("a", Some("http://a:1/metrics"))]);
        let mut old = with_members("two", vec![member("b", Some("http://b:1/metrics"))]);
        old.time = old.time.minus(std::time::Duration::from_secs(60));
        let only_configured = MemberFacts {
            id: None,
            reachable: false,
            ..member("b:1", Some("http://b:1/metrics"))
        };
        for (second, why) in [
            (Some(old), "cluster two was last observed 60 s ago"),
            (None, "cluster two has not been observed yet"),
            (
                Some(with_members("two", vec![only_configured])),
                "no member of cluster two has told yet who its members are",
            ),
        ] {
            let api = Api::unobserved(["one", "two"]);
            api.publish(0, whole());
            if let Some(second) = second {
                api.publish(1, second);
            }
            let answer = api.get("/api/v1/sd").await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            let error = answer.json()["error"].to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(api.get("/api/v1/sd?cluster=one").await.status, StatusCode::OK);
        }
        let on_sockets = Api::of([with_members("one", vec![member("a", None)])]);
        let answer = on_sockets.get("/api/v1/sd").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
