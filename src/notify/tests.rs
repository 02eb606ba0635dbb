//! Snapshots in, requests out: against a server that answers as it is told to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::fixtures::{NOW, snapshot};
use super::*;
use crate::client::alertmanager::Credentials;
use crate::model::Value as SampleValue;
use crate::rules::{AlertState, RuleReport, RuleSet};

/// For what comes at once, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(5);

/// Takes the place of an Alertmanager.
struct Fake {
    url: String,
    received: mpsc::UnboundedReceiver<Request>,
    task: JoinHandle<()>,
}

struct Request {
    head: String,
    alerts: Vec<Value>,
}

impl Fake {
    /// Answers every request with this status and body; not at all without one.
    async fn answering(answer: Option<(u16, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (received, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                if received.send(request).is_err() {
                    return;
                }
                match answer {
                    Some((status, body)) => {
                        let length = body.len();
                        let text = format!(
                            "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                        );
                        let _ = stream.write_all(text.as_bytes()).await;
                    }
                    None => open.push(stream),
                }
            }
        });
        Self {
            url,
            received: requests,
            task,
        }
    }

    async fn good() -> Self {
        Self::answering(Some((200, ""))).await
    }

    async fn next(&mut self) -> Request {
        let request = tokio::time::timeout(LIMIT, self.received.recv()).await;
        request.expect("a request comes").expect("the server runs")
    }

    /// The alert names of the next request.
    async fn names(&mut self) -> Vec<String> {
        let alerts = self.next().await.alerts;
        let names = alerts.iter().map(|alert| alert["labels"]["alertname"].as_str());
        names.map(|name| name.unwrap().to_owned()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.expect("a length").parse::<usize>().unwrap() {
                return Request {
                    head: head.to_owned(),
                    alerts: serde_json::from_str(body).unwrap(),
                };
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "a whole request");
    }
}

fn target(url: &str) -> alertmanager::Settings {
    alertmanager::Settings {
        url: alertmanager::Url::parse(url, false).unwrap(),
        tls: crate::client::TlsSettings::default(),
        credentials: Credentials::None,
        timeout: LIMIT,
    }
}

fn settings(urls: &[&str]) -> Settings {
    Settings {
        resend_delay: Duration::from_secs(60),
        watchdog: false,
        external_labels: Labels::empty(),
        external_url: "http://doctor:9379".to_owned(),
        relabel: Vec::new(),
        alertmanagers: vec![Group {
            targets: urls.iter().map(|url| target(url)).collect(),
            relabel: Vec::new(),
        }],
    }
}

fn alert(name: &str, state: AlertState) -> Alert {
    Alert {
        labels: Labels::new([("alertname", name), ("cluster", "prod"), ("severity", "critical")]),
        annotations: vec![("summary".to_owned(), "it is".to_owned())],
        state,
        value: 1.0,
        active_at: NOW.minus(Duration::from_secs(30)),
        fired_at: (state != AlertState::Pending).then(|| NOW.minus(Duration::from_secs(20))),
        resolved_at: (state == AlertState::Inactive).then_some(NOW),
    }
}

fn firing(names: &[&str]) -> Vec<Alert> {
    names.iter().map(|name| alert(name, AlertState::Firing)).collect()
}

impl Notifier {
    /// One cycle of a cluster.
    fn cycle(&self, snapshot: &Snapshot, sent: &mut Sent) {
        let routes = Arc::clone(&self.routes.borrow());
        routes.send(snapshot, INTERVAL, NOW, sent);
    }

    /// Numbers of one metric by Alertmanager.
    fn numbers(&self, metric: &str) -> BTreeMap<String, f64> {
        let samples = self.instruments().samples().into_iter();
        let of_metric = samples.filter(|sample| sample.desc.name == metric);
        of_metric
            .map(|sample| {
                let value = match &sample.value {
                    SampleValue::Number(number) => *number,
                    SampleValue::Histogram(histogram) => histogram.count,
                };
                (sample.labels.get("alertmanager").to_owned(), value)
            })
            .collect()
    }

    /// The same of the only one, once it is so much.
    async fn counts(&self, metric: &str, wanted: f64) {
        let begun = std::time::Instant::now();
        loop {
            let numbers = self.numbers(metric);
            if numbers.values().next() == Some(&wanted) {
                return;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{metric} is {numbers:?} and not {wanted}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const SENT: &str = "etcd_doctor_notifications_sent_total";
const ERRORS: &str = "etcd_doctor_notifications_errors_total";
const DROPPED: &str = "etcd_doctor_notifications_dropped_total";

#[tokio::test]
async fn a_cycles_alerts_are_posted_as_alertmanager_takes_them() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(settings(&[&format!("{}/am", fake.url)]));
    let (publish, snapshots) = watch::channel(None);
    let following = tokio::spawn(notifier.clone().follow(INTERVAL, snapshots));
    let alerts = vec![
        alert("Fires", AlertState::Firing),
        alert("Waits", AlertState::Pending),
        alert("Is over", AlertState::Inactive),
    ];
    publish.send_replace(Some(Arc::new(snapshot(alerts, 0))));
    let Request { head, alerts } = fake.next().await;
    assert!(head.starts_with("POST /am/api/v2/alerts HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(
        Value::from(alerts),
        serde_json::json!([
            {
                "labels": {"alertname": "Fires", "cluster": "prod", "severity": "critical"},
                "annotations": {"summary": "it is"},
                "startsAt": "2023-11-14T22:13:00.000Z",
                // Four times the resend delay of a minute.
                "endsAt": "2023-11-14T22:17:20.000Z",
                "generatorURL": "http://doctor:9379/alerts/Fires?cluster=prod",
            },
            {
                "labels": {"alertname": "Is over", "cluster": "prod", "severity": "critical"},
                "annotations": {"summary": "it is"},
                "startsAt": "2023-11-14T22:13:00.000Z",
                "endsAt": "2023-11-14T22:13:20.000Z",
                "generatorURL": "http://doctor:9379/alerts/Is%20over?cluster=prod",
            },
        ])
    );
    notifier.counts(SENT, 2.0).await;
    drop(publish);
    following.await.unwrap();
}

#[tokio::test]
async fn an_alert_is_valid_for_four_intervals_where_those_are_longer_than_the_resend_delay() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(settings(&[&fake.url]));
    let text = "groups: [{name: g, interval: 10m, rules: [{alert: A, expr: '1'}]}]";
    let seen = Snapshot {
        rules: Arc::new(RuleSet::new(crate::rules::load("f.yaml", text).unwrap())),
        ..snapshot(firing(&["A"]), 0)
    };
    notifier.cycle(&seen, &mut Sent::default());
    assert_eq!(fake.next().await.alerts[0]["endsAt"], "2023-11-14T22:53:20.000Z");
}

#[tokio::test]
async fn causes_are_told_in_requests_before_their_symptoms() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(settings(&[&fake.url]));
    let text = "groups: [{name: g, rules: [
        {alert: Slow, expr: up, annotations: {explains: Slower}},
        {alert: Slower, expr: up},
        {alert: Full, expr: up, annotations: {explains: 'Slow, Slower'}}]}]";
    let report = |(rule, name)| RuleReport {
        rule: (0, rule),
        error: None,
        alerts: firing(&[name]),
    };
    let seen = Snapshot {
        rules: Arc::new(RuleSet::new(crate::rules::load("f.yaml", text).unwrap())),
        reports: [(0, "Slow"), (1, "Slower"), (2, "Full")].map(report).into(),
        ..snapshot(Vec::new(), 0)
    };
    notifier.cycle(&seen, &mut Sent::default());
    for name in ["Full", "Slow", "Slower"] {
        assert_eq!(fake.names().await, [name]);
    }
}

#[tokio::test]
async fn a_symptom_is_not_sent_where_its_cause_never_arrived() {
    let wave = |wave| Message {
        text: "{}".into(),
        wave,
    };
    for (fake, sent, dropped) in [
        // It is not there: no second request is made.
        (None, 1, 2),
        // It answers, though with an error: the second one may be to its liking.
        (Some(Fake::answering(Some((400, "no"))).await), 2, 2),
    ] {
        let url = fake.as_ref().map_or("http://127.0.0.1:1", |fake| &fake.url);
        let sender = Sender::start(target(url));
        sender.queue().push([wave(0), wave(1)].into_iter());
        let samples = sender.instrument();
        sender.drain(LIMIT).await;
        let number = |name: &str| {
            let samples = samples.samples();
            let sample = samples.iter().find(|sample| sample.desc.name == name).unwrap();
            sample.value.clone()
        };
        assert_eq!(number(SENT), SampleValue::Number(f64::from(sent)), "{url}");
        assert_eq!(number(DROPPED), SampleValue::Number(f64::from(dropped)), "{url}");
    }
}

#[tokio::test]
async fn no_request_has_more_than_64_alerts() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(settings(&[&fake.url]));
    let names: Vec<String> = (0..150).map(|number| format!("A{number:03}")).collect();
    let alerts = firing(&names.iter().map(String::as_str).collect::<Vec<_>>());
    notifier.cycle(&snapshot(alerts, 0), &mut Sent::default());
    let mut told = Vec::new();
    for size in [64, 64, 22] {
        let batch = fake.names().await;
        assert_eq!(batch.len(), size);
        told.extend(batch);
    }
    assert_eq!(told, names);
    notifier.counts(SENT, 150.0).await;
    notifier
        .counts("etcd_doctor_notifications_latency_seconds", 3.0)
        .await;
    assert_eq!(notifier.numbers(ERRORS).into_values().collect::<Vec<_>>(), [0.0]);
}

#[tokio::test]
async fn a_post_that_fails_is_counted_and_told_again_only_by_the_resend() {
    let mut fake = Fake::answering(Some((503, "out of order"))).await;
    let notifier = Notifier::start(settings(&[&fake.url]));
    let mut sent = Sent::default();
    notifier.cycle(&snapshot(firing(&["A", "B"]), 0), &mut sent);
    assert_eq!(fake.names().await, ["A", "B"]);
    notifier.counts(ERRORS, 2.0).await;
    notifier.counts(DROPPED, 2.0).await;
    // Had the first been tried again, it would come before this one.
    notifier.cycle(&snapshot(firing(&["A", "B"]), 55), &mut sent);
    notifier.cycle(&snapshot(firing(&["A", "B", "C"]), 60), &mut sent);
    assert_eq!(fake.names().await, ["A", "B", "C"]);
    notifier.counts(SENT, 5.0).await;
}

#[tokio::test]
async fn one_that_hangs_and_one_that_is_not_there_hold_up_nobody() {
    let (mut hangs, mut good) = (Fake::answering(None).await, Fake::good().await);
    let nobody = "http://127.0.0.1:1";
    let notifier = Notifier::start(settings(&[&hangs.url, nobody, &good.url]));
    let mut sent = Sent::default();
    for (seconds, name) in [(0, "A"), (5, "B"), (10, "C")] {
        notifier.cycle(&snapshot(firing(&[name]), seconds), &mut sent);
        assert_eq!(good.names().await, [name]);
    }
    assert_eq!(hangs.names().await, ["A"]);
    let waiting = notifier.numbers("etcd_doctor_notifications_queue_length");
    assert_eq!(waiting[&format!("{}/api/v2/alerts", hangs.url)], 2.0);
    assert_eq!(
        notifier.numbers("etcd_doctor_notifications_alertmanagers_discovered")[""],
        3.0
    );
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(settings(&[&fake.url]));
    let names: Vec<String> = (0..100).map(|number| format!("A{number}")).collect();
    let alerts = firing(&names.iter().map(String::as_str).collect::<Vec<_>>());
    notifier.cycle(&snapshot(alerts, 0), &mut Sent::default());
    notifier.drain().await;
    let told = [fake.received.try_recv(), fake.received.try_recv()];
    assert_eq!(told.map(|request| request.unwrap().alerts.len()), [64, 36]);
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever_and_counts_what_was_not_sent() {
    let mut fake = Fake::answering(None).await;
    let sender = Sender::start(target(&fake.url));
    let (queue, instrument) = (sender.queue(), sender.instrument());
    queue.push((0..100).map(|number| Message {
        text: format!("{number}").into(),
        wave: 0,
    }));
    fake.next().await;
    sender.drain(Duration::from_millis(1)).await;
    // Those under way, and those that wait.
    assert_eq!((queue.len(), instrument.queue.dropped()), (0, 100));
}

#[tokio::test]
async fn a_reload_keeps_who_stays_and_tells_the_new_one_everything() {
    let (mut first, mut second) = (Fake::good().await, Fake::good().await);
    let notifier = Notifier::start(settings(&[&first.url]));
    let (publish, snapshots) = watch::channel(None);
    let _following = tokio::spawn(notifier.clone().follow(INTERVAL, snapshots));
    let cycle = |seconds| publish.send_replace(Some(Arc::new(snapshot(firing(&["A"]), seconds))));
    cycle(0);
    assert_eq!(first.names().await, ["A"]);
    notifier.counts(SENT, 1.0).await;

    notifier.reload(settings(&[&first.url, &second.url]));
    cycle(5);
    assert_eq!(second.names().await, ["A"]);
    assert_eq!(first.names().await, ["A"]);
    let name = |fake: &Fake| format!("{}/api/v2/alerts", fake.url);
    let both = [name(&first), name(&second)];
    assert!(
        both.iter().all(|name| notifier.numbers(SENT).contains_key(name)),
        "{:?}",
        notifier.numbers(SENT)
    );
    assert!(notifier.numbers(SENT)[&both[0]] >= 1.0, "it goes on counting");

    notifier.reload(settings(&[&second.url]));
    assert_eq!(notifier.numbers(SENT).into_keys().collect::<Vec<_>>(), both[1..]);
    cycle(10);
    assert_eq!(second.names().await, ["A"]);
    assert!(first.received.try_recv().is_err(), "nobody tells it any more");
}

#[tokio::test]
async fn each_group_is_told_under_its_own_labels() {
    let (mut one, mut other) = (Fake::good().await, Fake::good().await);
    let step = |source: &str, regex: &str, action: &str| {
        Relabel::new(relabel::Written {
            source_labels: vec![source.to_owned()],
            regex: Some(regex.to_owned()),
            action: Some(action.to_owned()),
            ..relabel::Written::default()
        })
        .unwrap()
    };
    let mut told = settings(&[&one.url]);
    told.external_labels = Labels::new([("site", "ams"), ("severity", "never: the alert has one")]);
    told.relabel = vec![step("alertname", "Internal", "drop")];
    told.alertmanagers.push(Group {
        targets: vec![target(&other.url)],
        relabel: vec![step("alertname", "B", "keep")],
    });
    let notifier = Notifier::start(told);
    let alerts = firing(&["A", "B", "Internal"]);
    notifier.cycle(&snapshot(alerts, 0), &mut Sent::default());
    let alerts = one.next().await.alerts;
    assert_eq!(alerts.len(), 2);
    assert_eq!(
        alerts[0]["labels"],
        serde_json::json!({"alertname": "A", "cluster": "prod", "severity": "critical", "site": "ams"})
    );
    assert_eq!(other.names().await, ["B"]);
}

#[tokio::test]
async fn where_relabelling_makes_two_alerts_one_the_one_that_fires_counts() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(Settings {
        relabel: vec![
            Relabel::new(relabel::Written {
                regex: Some("member".to_owned()),
                action: Some("labeldrop".to_owned()),
                ..relabel::Written::default()
            })
            .unwrap(),
        ],
        ..settings(&[&fake.url])
    });
    let of_member = |member: &str, state| {
        let alert = alert("A", state);
        Alert {
            labels: alert.labels.with("member", member),
            ..alert
        }
    };
    let alerts = vec![
        of_member("m1", AlertState::Inactive),
        of_member("m2", AlertState::Firing),
        of_member("m3", AlertState::Inactive),
    ];
    notifier.cycle(&snapshot(alerts, 0), &mut Sent::default());
    let told = fake.next().await.alerts;
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0]["endsAt"], "2023-11-14T22:17:20.000Z",
        "it fires: {told:?}"
    );
}

#[tokio::test]
async fn the_watchdog_is_sent_for_as_long_as_cycles_run() {
    let mut fake = Fake::good().await;
    let notifier = Notifier::start(Settings {
        watchdog: true,
        ..settings(&[&fake.url])
    });
    let mut sent = Sent::default();
    notifier.cycle(&snapshot(Vec::new(), 0), &mut sent);
    let alerts = fake.next().await.alerts;
    assert_eq!(
        alerts[0]["labels"],
        serde_json::json!({"alertname": WATCHDOG, "cluster": "prod", "severity": "none"})
    );
    notifier.cycle(&snapshot(Vec::new(), 55), &mut sent);
    notifier.cycle(&snapshot(firing(&["A"]), 60), &mut sent);
    assert_eq!(fake.names().await, ["A", WATCHDOG]);
}

#[tokio::test]
async fn a_changed_secret_counts_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = || -> PathBuf { file.path().into() };
    let mut fake = Fake::good().await;
    for (credentials, headers) in [
        (
            Credentials::Bearer { token_file: path() },
            ["Bearer one", "Bearer two"],
        ),
        (
            Credentials::Basic {
                username: "doctor".to_owned(),
                password_file: path(),
            },
            // `doctor:one`, `doctor:two`
            ["Basic ZG9jdG9yOm9uZQ==", "Basic ZG9jdG9yOnR3bw=="],
        ),
    ] {
        let alertmanager = alertmanager::Alertmanager::new(alertmanager::Settings {
            credentials,
            ..target(&fake.url)
        });
        for (secret, header) in ["one\n", "two\r\n"].iter().zip(headers) {
            std::fs::write(file.path(), secret).unwrap();
            alertmanager.post("[]".into()).await.unwrap();
            let head = fake.next().await.head;
            assert!(head.contains(&format!("authorization: {header}")), "{head}");
        }
    }
    file.close().unwrap();
    let gone = alertmanager::Settings {
        credentials: Credentials::Bearer {
            token_file: "/nonexistent/token".into(),
        },
        ..target(&fake.url)
    };
    let error = alertmanager::Alertmanager::new(gone).post("[]".into()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("bearer token file /nonexistent/token"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_quoted() {
    let fake = Fake::answering(Some((400, "\"bad startsAt\"\n"))).await;
    let error = alertmanager::Alertmanager::new(target(&fake.url))
        .post("[]".into())
        .await
        .unwrap_err();
    let expected = format!(
        "POST {}/api/v2/alerts: 400 Bad Request \"bad startsAt\"",
        fake.url
    );
    assert_eq!(error.to_string(), expected);
}
