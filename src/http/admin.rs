//! `/-/healthy`, `/-/ready` and `/-/reload`, as Prometheus has them.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State as Extract};
use axum::http::StatusCode;
use axum::http::request::Parts;
use tokio::sync::oneshot;

use super::State;
use super::error::ApiError;
use super::seen::Seen;

/// The process answers: nothing about etcd, so that no orchestrator restarts etcd-doctor because etcd is down.
pub(super) async fn healthy() -> &'static str {
    "etcd-doctor is healthy.\n"
}

/// Every cluster was observed not long ago.
pub(super) async fn ready(Extract(state): Extract<State>) -> (StatusCode, String) {
    let clusters = state.look();
    let troubles: Vec<String> = clusters.iter().filter_map(Seen::trouble).collect();
    if clusters.is_empty() {
        not_ready("no cluster is being watched yet")
    } else if troubles.is_empty() {
        (StatusCode::OK, "etcd-doctor is ready.\n".to_owned())
    } else {
        not_ready(&troubles.join("; "))
    }
}

fn not_ready(why: &str) -> (StatusCode, String) {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("etcd-doctor is not ready: {why}.\n"),
    )
}

/// Reads the configuration anew and answers when it is in force, or what is wrong with it.
pub(super) async fn reload(Extract(state): Extract<State>, request: Parts) -> Result<&'static str, ApiError> {
    if !state.protection.remote_reload_is_enabled() && !is_local(&request) {
        return Err(ApiError::forbidden(
            "a reload is taken from the host of etcd-doctor itself only; send it there, send the process SIGHUP, or \
             allow reloads from other hosts in the configuration",
        ));
    }
    let gone = || ApiError::unavailable("no reload is possible now: etcd-doctor is shutting down");
    let (reply, answer) = oneshot::channel();
    state.reload.send(reply).await.map_err(|_| gone())?;
    match answer.await.map_err(|_| gone())? {
        Ok(()) => Ok("etcd-doctor has reloaded its configuration.\n"),
        Err(why) => Err(ApiError::internal(format!(
            "the configuration was not reloaded and the old one stays in force: {why}"
        ))),
    }
}

/// Whether the connection comes from this host. An address that is not known is not local. A reverse proxy on this
/// host makes everyone look local: it is the place to refuse this path then.
fn is_local(request: &Parts) -> bool {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixtures::{Api, snapshot};
    use super::*;

    #[tokio::test]
    async fn healthy_even_when_nothing_was_observed() {
        let answer = Api::unobserved(["etcd"]).get("/-/healthy").await;
        assert_eq!(
            (answer.status, &*answer.body),
            (StatusCode::OK, "etcd-doctor is healthy.\n")
        );
    }

    #[tokio::test]
    async fn ready_once_every_cluster_was_observed() {
        let api = Api::unobserved(["one", "two"]);
        api.publish(0, snapshot("one"));
        let answer = api.get("/-/ready").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            answer.body,
            "etcd-doctor is not ready: cluster two has not been observed yet.\n"
        );
        api.publish(1, snapshot("two"));
        assert_eq!(api.get("/-/ready").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn not_ready_when_observations_have_stopped() {
        let mut old = snapshot("etcd");
        old.time = old.time.minus(Duration::from_secs(25));
        let api = Api::of([old]);
        assert_eq!(
            api.get("/-/ready").await.status,
            StatusCode::OK,
            "25 s is still allowed"
        );
        let mut older = snapshot("etcd");
        older.time = older.time.minus(Duration::from_millis(25_001));
        api.publish(0, older);
        let answer = api.get("/-/ready").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body.contains("cycles have stalled"), "{}", answer.body);
    }

    #[tokio::test]
    async fn without_a_cluster_it_is_not_ready() {
        assert_eq!(
            Api::of([]).get("/-/ready").await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }

    #[tokio::test]
    async fn a_reload_is_for_this_host_only() {
        for (peer, code) in [
            (Some("127.0.0.1:1"), 200),
            (Some("[::1]:1"), 200),
            (Some("[::ffff:127.0.0.1]:1"), 200),
            (Some("192.0.2.1:1"), 403),
            (None, 403),
        ] {
            let mut api = Api::of([snapshot("etcd")]).answering_reloads(Ok(()));
            api.peer = peer.map(|peer| peer.parse().unwrap());
            for method in ["POST", "PUT"] {
                assert_eq!(api.send(method, "/-/reload").await.status, code, "{peer:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_reload_from_elsewhere_may_be_enabled() {
        let mut api = Api::of([snapshot("etcd")]).answering_reloads(Ok(()));
        api.state.protection.enable_remote_reload(true);
        api.peer = Some("192.0.2.1:1".parse().unwrap());
        let answer = api.send("POST", "/-/reload").await;
        assert_eq!(answer.body, "etcd-doctor has reloaded its configuration.\n");
        // And forbidden again.
        api.state.protection.enable_remote_reload(false);
        assert_eq!(api.send("POST", "/-/reload").await.status, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn a_bad_configuration_is_told_in_words() {
        let why = "etcd-doctor.yaml: unknown field `clusterz`";
        let api = Api::of([snapshot("etcd")]).answering_reloads(Err(why.to_owned()));
        let answer = api.send("POST", "/-/reload").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let error = answer.json()["error"].to_string();
        assert!(error.contains(why) && error.contains("old one stays"), "{error}");
    }

    #[tokio::test]
    async fn reading_the_reload_route_is_no_reload() {
        let answer = Api::of([snapshot("etcd")]).get("/-/reload").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        let mut allowed: Vec<String> = answer.header("allow").split(',').map(str::to_owned).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["POST", "PUT"]);
    }

    #[tokio::test]
    async fn a_reload_while_shutting_down_is_an_error() {
        let answer = Api::of([snapshot("etcd")]).send("POST", "/-/reload").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
