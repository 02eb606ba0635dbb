//! Prometheus' HTTP API over the windows of all clusters: what Grafana and promtool ask of a Prometheus.
//!
//! | route | file |
//! |---|---|
//! | `/api/v1/query`, `/api/v1/query_range` | `query` |
//! | `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/{name}/values` | `labels` |
//! | `/api/v1/rules`, `/api/v1/alerts` | `rules` |
//! | `/api/v1/metadata`, `/api/v1/status/buildinfo` | `status` |
//!
//! Answers and errors are those of Prometheus 3.5, texts included. Where they differ: a mistake in an expression is told
//! in this parser's words, there are no annotations (`infos`, and `warnings` of an evaluation), no exemplars, no `stats`,
//! and what costs too much is refused earlier (`limits`).

mod json;
mod labels;
mod limits;
mod params;
mod query;
mod rules;
mod status;

pub(super) use labels::{label_values, labels, series};
pub(super) use limits::Queries;
pub(super) use query::{query, query_range};
pub(super) use rules::{alerts, rules};
pub(super) use status::{build_info, metadata};

#[cfg(test)]
mod tests;
