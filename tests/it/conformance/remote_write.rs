//! Prometheus' remote write 1.0, as far as samples go.

use etcd_doctor::model::{Labels, Timestamp};
use prost::Message;

use crate::support::post_bytes;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Samples of one time.
pub type Samples = (Timestamp, Vec<(Labels, f64)>);

/// How many samples go into one request: with all their labels some 250 bytes each, of the 32 MiB that Prometheus takes.
const BATCH: usize = 50_000;

/// Sends samples, in the order of time.
pub async fn send(url: &str, samples: &[Samples]) {
    let all: Vec<(Timestamp, &Labels, f64)> = samples
        .iter()
        .flat_map(|(at, samples)| samples.iter().map(|(labels, value)| (*at, labels, *value)))
        .collect();
    for batch in all.chunks(BATCH) {
        let timeseries = batch.iter().map(|(at, labels, value)| TimeSeries {
            labels: labels
                .iter()
                .map(|(name, value)| Label {
                    name: name.to_owned(),
                    value: value.to_owned(),
                })
                .collect(),
            samples: vec![Sample {
                value: *value,
                timestamp: at.millis(),
            }],
        });
        let request = WriteRequest {
            timeseries: timeseries.collect(),
        };
        let body = snap::raw::Encoder::new()
            .compress_vec(&request.encode_to_vec())
            .unwrap();
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ];
        let answer = post_bytes(&format!("{url}/api/v1/write"), &headers, body)
            .await
            .unwrap();
        assert!(
            answer.status < 300,
            "remote write was refused: {} {}",
            answer.status,
            answer.body
        );
    }
}
