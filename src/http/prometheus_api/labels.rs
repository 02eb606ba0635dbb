//! `series`, `labels` and `label/{name}/values`: what is in the windows.

use std::collections::BTreeSet;

use axum::extract::{Path, State as Extract};
use axum::response::Response;

use super::super::App;
use super::super::error::ApiError;
use super::json;
use super::limits::Seen;
use super::params::{Params, invalid, selectors};
use crate::model::{Labels, METRIC_NAME, Timestamp};
use crate::promql::{MatchOp, Matcher, Options, Source};

/// The label sets that match any of the selectors.
pub(crate) async fn series(Extract(app): Extract<App>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let found = find(&app, &params, |sets| sets).await?;
    let truncated = limit.is_some_and(|limit| found.len() > limit);
    Ok(json::success(truncated, |out| {
        json::list(
            out,
            ['[', ']'],
            found.iter().take(limit.unwrap_or(usize::MAX)),
            json::labels,
        );
    }))
}

/// The names of the labels.
pub(crate) async fn labels(Extract(app): Extract<App>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let found = find(&app, &params, |sets: BTreeSet<Labels>| {
        let names = sets
            .iter()
            .flat_map(Labels::iter)
            .map(|(name, _)| name.to_owned());
        names.collect()
    });
    Ok(texts(&found.await?, limit))
}

/// The values of one label.
pub(crate) async fn label_values(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let found = find(&app, &params, move |sets: BTreeSet<Labels>| {
        let values = sets.iter().map(|labels| labels.get(&name));
        values
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    });
    Ok(texts(&found.await?, limit))
}

fn texts(found: &BTreeSet<String>, limit: Option<usize>) -> Response {
    let truncated = limit.is_some_and(|limit| found.len() > limit);
    json::success(truncated, |out| {
        let shown = found.iter().take(limit.unwrap_or(usize::MAX));
        json::texts(out, shown.map(String::as_str));
    })
}

/// What `make` makes of all label sets that match any of the selectors, or of all there are when there is no selector.
async fn find<T: Send + 'static>(
    app: &App,
    params: &Params,
    make: impl FnOnce(BTreeSet<Labels>) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let (after, through) = params.time_range()?;
    let written = params.selectors();
    let run = move |seen: &Seen, _: &Options| {
        let mut selectors = selectors(&written).map_err(|why| invalid("match[]", why))?;
        if selectors.is_empty() {
            let any = Matcher::new(METRIC_NAME, MatchOp::NotEqual, "");
            selectors.push(any.into_iter().collect());
        }
        Ok(make(matching(seen, &selectors, after, through)))
    };
    app.queries.run(&app.state, None, run).await
}

fn matching(
    seen: &Seen,
    selectors: &[Vec<Matcher>],
    after: Timestamp,
    through: Timestamp,
) -> BTreeSet<Labels> {
    let found = selectors
        .iter()
        .flat_map(|matchers| seen.select(matchers, after, through));
    found.map(|series| series.labels).collect()
}
