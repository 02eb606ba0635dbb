//! The API without a socket, over windows with literal series. That the answers are those of a real Prometheus is
//! compared in `tests/it/conformance`.

use std::sync::Arc;

use axum::http::StatusCode;
use futures::FutureExt;
use serde_json::{Value, json};

use super::super::fixtures::{Answer, Api, NOW, snapshot};
use crate::model::Labels;
use crate::promql::Window;
use crate::rules::{self, Evaluator, RuleSet};
use crate::snapshot::Snapshot;

const RULES: &str = r#"
groups:
- name: first
  interval: 1m
  limit: 7
  rules:
  - record: members:up
    expr: sum  by (job) (up)
    labels: {kind: recorded}
  - alert: Down
    expr: up == 0
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.instance }} is down", action: start it}
- name: second
  rules:
  - alert: Slow
    expr: up == 1
    for: 5m
    keep_firing_for: 90s
  - alert: Broken
    expr: up + on () up
"#;

/// Clusters with two targets each, one of them down, and the rules above evaluated.
fn api(clusters: &[&str]) -> Api {
    let api = Api::unobserved(clusters.iter().copied());
    let rules = Arc::new(RuleSet::new(rules::load("rules.yaml", RULES).unwrap()));
    for (index, cluster) in clusters.iter().enumerate() {
        let window = api.state.watched.borrow().clusters[index].window.clone();
        let target = |instance: &str| {
            Labels::new([
                ("__name__", "up"),
                ("job", "etcd"),
                ("instance", instance),
                ("cluster", *cluster),
            ])
        };
        window.write().advance(NOW);
        let up = vec![(target("a:1"), 1.0), (target("b:1"), 0.0)];
        window.write().record("targets", NOW, up);
        let reports = Evaluator::new(rules.clone()).evaluate(&mut *window.write(), NOW);
        api.publish(
            index,
            Snapshot {
                reports,
                rules: rules.clone(),
                ..snapshot(cluster)
            },
        );
    }
    api
}

async fn get(path: &str) -> Answer {
    api(&["one"]).get(&format!("/api/v1/{path}")).await
}

async fn data(path: &str) -> Value {
    let answer = get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()["data"].clone()
}

#[tokio::test]
async fn instant_queries_give_each_kind_of_value() {
    assert_eq!(
        get("query?query=up==1").await.body,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","cluster":"one","instance":"a:1","job":"etcd"},"value":[1700000000,"1"]}]}}"#
    );
    assert_eq!(
        data("query?query=1.5&time=7.25").await,
        json!({"resultType": "scalar", "result": [7.25, "1.5"]})
    );
    assert_eq!(
        data("query?query=%22a%22").await["result"],
        json!([1_700_000_000, "a"])
    );
    let matrix = data("query?query=up{instance=%22b:1%22}[1m]").await;
    assert_eq!(matrix["resultType"], "matrix");
    assert_eq!(matrix["result"][0]["values"], json!([[1_700_000_000, "0"]]));
}

#[tokio::test]
async fn range_queries_give_series_with_their_steps() {
    let path = "query_range?query=sum(up)&start=1699999995&end=2023-11-14T22:13:25Z&step=5s";
    assert_eq!(
        data(path).await,
        json!({"resultType": "matrix", "result": [
            {"metric": {}, "values": [[1_700_000_000, "1"], [1_700_000_005, "1"]]}
        ]})
    );
}

#[tokio::test]
async fn a_form_counts_before_the_url() {
    let body = "query=vector(2)&time=5";
    let answer = api(&["one"])
        .post_form("/api/v1/query?query=vector(1)", body)
        .await;
    assert_eq!(answer.json()["data"]["result"][0]["value"], json!([5, "2"]));
    let headers = [(
        "content-type",
        "Application/X-WWW-Form-Urlencoded ; charset=utf-8",
    )];
    let answer = api(&["one"])
        .post("/api/v1/query?query=1", &headers, "query=2")
        .await;
    assert_eq!(answer.json()["data"]["result"][1], "2");
}

#[tokio::test]
async fn several_clusters_are_asked_at_once() {
    let api = api(&["one", "two"]);
    let sum = api.get("/api/v1/query?query=sum+by+(cluster)+(up)").await.json();
    let clusters: Vec<&Value> = sum["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|element| &element["metric"]["cluster"])
        .collect();
    assert_eq!(clusters, ["one", "two"]);
    // Recorded without the label, it would be one series of two clusters.
    let recorded = api
        .get("/api/v1/query?query=members:up{cluster=%22two%22}")
        .await
        .json();
    assert_eq!(
        recorded["data"]["result"].as_array().unwrap().len(),
        1,
        "{recorded}"
    );
    let rules = api.get("/api/v1/rules?rule_name[]=Down").await.json();
    assert_eq!(rules["data"]["groups"][0]["rules"].as_array().unwrap().len(), 1);
    assert_eq!(
        rules["data"]["groups"][0]["rules"][0]["alerts"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn labels_and_series_are_listed() {
    let up = |instance| json!({"__name__": "up", "cluster": "one", "instance": instance, "job": "etcd"});
    assert_eq!(data("series?match[]=up").await, json!([up("a:1"), up("b:1")]));
    assert_eq!(
        data("series?match[]=up&match[]={instance=%22a:1%22}&end=1").await,
        json!([])
    );
    assert_eq!(
        data("labels?match[]=members:up").await,
        json!(["__name__", "job", "kind"])
    );
    assert_eq!(data("label/instance/values").await, json!(["a:1", "b:1"]));
    assert_eq!(data("label/none/values").await, json!([]));
    let cut = get("labels?limit=1").await.json();
    assert_eq!(cut["data"], json!(["__name__"]));
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn rules_are_told_with_their_alerts() {
    let groups = data("rules").await["groups"].clone();
    let first = &groups[0];
    assert_eq!(
        (&first["name"], &first["file"]),
        (&json!("first"), &json!("rules.yaml"))
    );
    assert_eq!((&first["interval"], &first["limit"]), (&json!(60), &json!(7)));
    let recording = &first["rules"][0];
    assert_eq!(recording["type"], "recording");
    assert_eq!(recording["query"], "sum by (job) (up)");
    assert_eq!(recording["labels"], json!({"kind": "recorded"}));
    assert_eq!(
        first["rules"][1]["alerts"],
        json!([{
            "labels": {"alertname": "Down", "cluster": "one", "instance": "b:1", "job": "etcd", "severity": "critical"},
            "annotations": {"action": "start it", "summary": "b:1 is down"},
            "state": "firing",
            "activeAt": "2023-11-14T22:13:20Z",
            "value": "0e+00",
        }])
    );
    let slow = &groups[1]["rules"][0];
    assert_eq!(
        (&slow["state"], &slow["duration"], &slow["keepFiringFor"]),
        (&json!("pending"), &json!(300), &json!(90))
    );
    let broken = &groups[1]["rules"][1];
    assert_eq!(
        (&broken["health"], &broken["state"]),
        (&json!("err"), &json!("inactive"))
    );
    assert!(
        broken["lastError"].as_str().unwrap().contains("many-to-many"),
        "{broken}"
    );
}

#[tokio::test]
async fn rules_can_be_narrowed() {
    for (parameters, names) in [
        ("type=record", &["members:up"][..]),
        ("type=alert&rule_group[]=second", &["Slow", "Broken"]),
        ("rule_name[]=Slow&rule_name[]=Down", &["Down", "Slow"]),
        ("match[]={severity=%22critical%22}", &["Down"]),
        ("file[]=other.yaml", &[]),
    ] {
        let groups = data(&format!("rules?{parameters}")).await["groups"].clone();
        let rules = groups
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let found: Vec<&Value> = rules.map(|rule| &rule["name"]).collect();
        assert_eq!(found, names, "{parameters}");
    }
    let quiet = data("rules?exclude_alerts=true").await;
    assert_eq!(quiet["groups"][0]["rules"][1]["alerts"], json!([]));
}

#[tokio::test]
async fn alerts_are_those_that_are_active() {
    let alerts = data("alerts").await["alerts"].clone();
    let states: Vec<(&Value, &Value)> = alerts
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| (&alert["labels"]["alertname"], &alert["state"]))
        .collect();
    assert_eq!(
        states,
        [
            (&json!("Down"), &json!("firing")),
            (&json!("Slow"), &json!("pending"))
        ]
    );
}

#[tokio::test]
async fn mistakes_are_told_in_the_words_of_prometheus() {
    for (path, status, kind, error) in [
        (
            "query",
            400,
            "bad_data",
            r#"invalid parameter "query": unknown position: parse error: no expression found in input"#,
        ),
        (
            "query?query=up&time=x",
            400,
            "bad_data",
            r#"invalid parameter "time": invalid time value for 'time': cannot parse "x" to a valid timestamp"#,
        ),
        (
            "query?query=up&timeout=x",
            400,
            "bad_data",
            r#"invalid parameter "timeout": cannot parse "x" to a valid duration"#,
        ),
        (
            "query?query=up&limit=-1",
            400,
            "bad_data",
            r#"invalid parameter "limit": limit must be non-negative"#,
        ),
        (
            "query?query=up&lookback_delta=x",
            400,
            "bad_data",
            r#"error parsing lookback delta duration: cannot parse "x" to a valid duration"#,
        ),
        (
            "query_range?query=up",
            400,
            "bad_data",
            r#"invalid parameter "start": cannot parse "" to a valid timestamp"#,
        ),
        (
            "query_range?query=up&start=5&end=1&step=1",
            400,
            "bad_data",
            r#"invalid parameter "end": end timestamp must not be before start time"#,
        ),
        (
            "query_range?query=up&start=0&end=1&step=0",
            400,
            "bad_data",
            r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        (
            "query_range?query=up&start=0&end=10001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 10,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range?query=up[1m]&start=0&end=1&step=1",
            400,
            "bad_data",
            r#"invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector"#,
        ),
        (
            "query?query=up+%2B+on()+up",
            422,
            "execution",
            r#"found duplicate series for the match group {} on the right hand-side of the operation"#,
        ),
        (
            "query?query=up{a=%22%FF%22}",
            400,
            "bad_data",
            "error parsing form values: ",
        ),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        (
            "series?match[]={}",
            400,
            "bad_data",
            r#"invalid parameter "match[]": match[] must contain at least one non-empty matcher"#,
        ),
        (
            "series?match[]=up+offset+1m",
            400,
            "bad_data",
            "plain series selector",
        ),
        (
            "rules?type=x",
            400,
            "bad_data",
            r#"invalid parameter "type": not supported value "x""#,
        ),
        (
            &format!("series?{}", r"match[]={a=~%22.*b%22}&".repeat(65)),
            400,
            "bad_data",
            "more than 64 regular expressions",
        ),
        ("metadata?limit=x", 400, "bad_data", "limit must be a number"),
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        let told = answer.json();
        assert_eq!(
            (&told["status"], &told["errorType"]),
            (&json!("error"), &json!(kind)),
            "{path}"
        );
        assert!(
            told["error"].as_str().unwrap().contains(error),
            "{path}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn expressions_are_parsed_where_they_are_evaluated() {
    for path in [
        "query?query=sum(",
        "query_range?query=sum(&start=0&end=1&step=1",
        "series?match[]=sum(",
        "labels?match[]=sum(",
        "rules?match[]=sum(",
    ] {
        let api = api(&["one"]);
        let window = api.state.watched.borrow().clusters[0].window.clone();
        let path = format!("/api/v1/{path}");
        let mut asked = Box::pin(api.get(&path));
        {
            // Who evaluates waits for the window; the threads that serve do not.
            let _cycle = window.write();
            assert!((&mut asked).now_or_never().is_none(), "{path}");
        }
        assert_eq!(asked.await.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up() {
    let answer = get("query?query=up&timeout=0").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["errorType"], "timeout");
}

#[tokio::test]
async fn a_query_that_needs_too_much_is_refused() {
    let inner = "sum_over_time(vector(1)[9000s:1ms])";
    let answer = get(&format!("query?query={inner}")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    assert!(answer.body.contains("samples"), "{}", answer.body);
}

#[tokio::test]
async fn clients_learn_which_prometheus_it_answers_like() {
    let info = data("status/buildinfo").await;
    assert_eq!(info["version"], "3.5.0");
    assert!(info["revision"].as_str().unwrap().starts_with("etcd-doctor "));
}
