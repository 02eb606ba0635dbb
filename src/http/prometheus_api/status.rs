//! `metadata` and `status/buildinfo`.

use std::collections::BTreeMap;

use axum::extract::State as Extract;
use axum::response::Response;

use super::super::App;
use super::super::error::ApiError;
use super::json;
use super::params::Params;
use crate::model::{Desc, Kind};

/// The version of Prometheus whose API and PromQL this is. Clients choose by it what they may ask.
const VERSION: &str = "3.5.0";

/// Kind, unit and help of etcd-doctor's own metrics. Of etcd's own pages they are not kept.
pub(crate) async fn metadata(Extract(app): Extract<App>, params: Params) -> Result<Response, ApiError> {
    let number = |name| match params.get(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(limit) => Ok(usize::try_from(limit).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    };
    let (limit, per_metric) = (number("limit")?, number("limit_per_metric")?);
    let wanted = params.get("metric");
    let seen = app.state.look();
    let observed = seen.iter().filter_map(|cluster| cluster.last.as_ref());
    let samples = observed.flat_map(|last| &last.snapshot.samples);
    let descs: BTreeMap<&str, &Desc> = samples
        .map(|sample| (sample.desc.name, sample.desc))
        .filter(|(name, _)| wanted.is_empty() || wanted == *name)
        .collect();
    // There is one of each metric: a limit of none leaves nothing to show of it.
    let shown = if per_metric == Some(0) {
        0
    } else {
        limit.unwrap_or(usize::MAX)
    };
    Ok(json::success(false, |out| {
        json::list(
            out,
            ['{', '}'],
            descs.into_iter().take(shown),
            |out, (name, desc)| {
                json::text(out, name);
                out.push_str(":[");
                let kind = match desc.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram => "histogram",
                };
                let unit = desc.unit.unwrap_or_default();
                json::pairs(out, [("type", kind), ("unit", unit), ("help", desc.help)]);
                out.push(']');
            },
        );
    }))
}

/// Which Prometheus this answers like, and, in the revision, what it is.
pub(crate) async fn build_info() -> Response {
    json::success(false, |out| {
        json::pairs(
            out,
            [
                ("version", VERSION),
                ("revision", concat!("etcd-doctor ", env!("CARGO_PKG_VERSION"))),
                ("branch", ""),
                ("buildUser", ""),
                ("buildDate", ""),
                ("goVersion", ""),
            ],
        );
    })
}
