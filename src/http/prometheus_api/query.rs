//! `query` and `query_range`.

use axum::extract::State as Extract;
use axum::response::Response;

use super::super::App;
use super::super::error::ApiError;
use super::json;
use super::limits::Seen;
use super::params::{Params, invalid, parsed};
use crate::model::Timestamp;
use crate::promql::{Element, Options, QueryValue, Series};

/// The value of an expression at one time.
pub(crate) async fn query(Extract(app): Extract<App>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let at = params.time_or("time", (app.state.clock)())?;
    let timeout = params.timeout()?;
    let lookback = params.lookback()?;
    let query = params.query();
    let run = move |seen: &Seen, options: &Options| {
        let options = with_lookback(options, lookback);
        let value = parsed(&query)?
            .instant(seen, at, &options)
            .map_err(|error| seen.refusal(error))?;
        Ok(instant(value, at, limit))
    };
    app.queries.run(&app.state, timeout, run).await
}

/// The values of an expression at every step of a time range.
pub(crate) async fn query_range(Extract(app): Extract<App>, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let (from, to, step) = params.steps()?;
    let timeout = params.timeout()?;
    let lookback = params.lookback()?;
    let query = params.query();
    let run = move |seen: &Seen, options: &Options| {
        let query = parsed(&query)?;
        query.ranges().map_err(|why| invalid("query", why))?;
        let options = with_lookback(options, lookback);
        let series = query.range(seen, from, to, step, &options);
        let mut series = series.map_err(|error| seen.refusal(error))?;
        let truncated = truncate(&mut series, limit);
        Ok(json::success(truncated, |out| {
            result(out, "matrix", |out| matrix(out, &series));
        }))
    };
    app.queries.run(&app.state, timeout, run).await
}

fn with_lookback(options: &Options, lookback: Option<std::time::Duration>) -> Options {
    Options {
        lookback: lookback.unwrap_or(options.lookback),
        ..*options
    }
}

fn truncate<T>(items: &mut Vec<T>, limit: Option<usize>) -> bool {
    let over = limit.filter(|limit| items.len() > *limit);
    if let Some(limit) = over {
        items.truncate(limit);
    }
    over.is_some()
}

fn instant(value: QueryValue, at: Timestamp, limit: Option<usize>) -> Response {
    match value {
        QueryValue::Scalar(number) => json::success(false, |out| {
            result(out, "scalar", |out| json::point(out, at, number));
        }),
        QueryValue::String(text) => json::success(false, |out| {
            result(out, "string", |out| {
                out.push('[');
                json::timestamp(out, at);
                out.push(',');
                json::text(out, &text);
                out.push(']');
            });
        }),
        QueryValue::Vector(mut elements) => {
            let truncated = truncate(&mut elements, limit);
            json::success(truncated, |out| {
                result(out, "vector", |out| vector(out, &elements, at));
            })
        }
        QueryValue::Matrix(mut series) => {
            let truncated = truncate(&mut series, limit);
            json::success(truncated, |out| result(out, "matrix", |out| matrix(out, &series)))
        }
    }
}

fn result(out: &mut String, kind: &str, write: impl FnOnce(&mut String)) {
    out.push_str(r#"{"resultType":"#);
    json::text(out, kind);
    json::next(out, "result");
    write(out);
    out.push('}');
}

fn vector(out: &mut String, elements: &[Element], at: Timestamp) {
    json::list(out, ['[', ']'], elements, |out, element| {
        out.push_str(r#"{"metric":"#);
        json::labels(out, &element.labels);
        json::next(out, "value");
        json::point(out, at, element.value);
        out.push('}');
    });
}

fn matrix(out: &mut String, series: &[Series]) {
    json::list(out, ['[', ']'], series, |out, series| {
        out.push_str(r#"{"metric":"#);
        json::labels(out, &series.labels);
        json::next(out, "values");
        json::list(out, ['[', ']'], &*series.points, |out, point| {
            json::point(out, point.time, point.value);
        });
        out.push('}');
    });
}
