//! Parameters as Prometheus reads them: from the URL, and from the form in the body of a POST, which counts first.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;

use super::super::error::ApiError;
use super::limits::MAX_POINTS;
use crate::model::Timestamp;
use crate::promql::{self, Matcher, Query, duration};

/// The earliest and the latest time, as Prometheus' own clients write them.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// The most seconds that a time or a duration may have: beyond, Prometheus' nanoseconds overflow.
const MAX_SECONDS: f64 = 9_223_372_036.0;

/// The parameters of one request.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let content_type = request.headers().get(CONTENT_TYPE);
        let form = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| {
                kind.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        let body = if request.method() == Method::POST && form {
            Bytes::from_request(request, state).await.map_err(|error| {
                ApiError::refused(error.status(), format!("error parsing form values: {error}"))
            })?
        } else {
            Bytes::new()
        };
        let pairs = [&*body, query.as_bytes()]
            .into_iter()
            .flat_map(|form| form.split(|byte| *byte == b'&'));
        let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            Ok((decoded(&pair[..at])?, decoded(value)?))
        });
        let pairs: Result<_, String> = pairs.collect();
        let refused = |why| ApiError::bad_data(format!("error parsing form values: {why}"));
        pairs.map(Self).map_err(refused)
    }
}

/// A name or a value of a form. What it says must be clear: another text than was meant would find other series.
fn decoded(written: &[u8]) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written;
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = after.get(..2).unwrap_or(after);
                let code = std::str::from_utf8(digits).ok();
                let code = code.filter(|code| code.len() == 2 && !code.starts_with('+'));
                let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
                rest = after.get(2..).unwrap_or_default();
                let shown = String::from_utf8_lossy(digits);
                code.ok_or_else(|| format!("invalid URL escape {:?}", format!("%{shown}")))?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
        format!("{shown:?} is not UTF-8")
    })
}

/// A parameter that cannot be used.
pub(super) fn invalid(name: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::bad_data(format!("invalid parameter {name:?}: {why}"))
}

impl Params {
    /// The first value of a parameter, or `""`.
    pub(super) fn get(&self, name: &str) -> &str {
        let pair = self.0.iter().find(|(other, _)| other == name);
        pair.map_or("", |(_, value)| value)
    }

    /// Every value of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(other, _)| other == name);
        pairs.map(|(_, value)| &**value)
    }

    /// A time that may be left out.
    pub(super) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => {
                time(text).map_err(|why| invalid(name, format!("invalid time value for '{name}': {why}")))
            }
        }
    }

    /// A time that may not be left out.
    pub(super) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        time(self.get(name)).map_err(|why| invalid(name, why))
    }

    /// A duration in milliseconds, which may be negative.
    pub(super) fn millis(&self, name: &str) -> Result<i64, ApiError> {
        millis(self.get(name)).map_err(|why| invalid(name, why))
    }

    /// How long the query may take, when the client says.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        if self.get("timeout").is_empty() {
            return Ok(None);
        }
        let millis = self.millis("timeout")?;
        Ok(Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0))))
    }

    /// How far back an instant selector looks, when the client says.
    pub(super) fn lookback(&self) -> Result<Option<Duration>, ApiError> {
        let text = self.get("lookback_delta");
        if text.is_empty() {
            return Ok(None);
        }
        let millis = millis(text)
            .map_err(|why| ApiError::bad_data(format!("error parsing lookback delta duration: {why}")))?;
        // Prometheus takes its default for what is not positive.
        Ok(u64::try_from(millis)
            .ok()
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis))
    }

    /// The most entries that are wanted; none for any number.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<i64>() {
            Ok(limit) if limit < 0 => Err(invalid("limit", "limit must be non-negative")),
            Ok(limit) => Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0)),
            Err(_) => Err(invalid(
                "limit",
                format!("strconv.Atoi: parsing {text:?}: invalid syntax"),
            )),
        }
    }

    /// The expression. It is parsed where it is evaluated: its regular expressions take time to compile.
    pub(super) fn query(&self) -> String {
        self.get("query").to_owned()
    }

    /// The selectors of `match[]`, to be read by [`selectors`] away from the threads that serve.
    pub(super) fn selectors(&self) -> Vec<String> {
        self.all("match[]").map(str::to_owned).collect()
    }

    /// The time range of a question for series, which is everything unless the client says.
    pub(super) fn time_range(&self) -> Result<(Timestamp, Timestamp), ApiError> {
        let start = self.time_or("start", Timestamp::from_millis(i64::MIN))?;
        let end = self.time_or("end", Timestamp::from_millis(i64::MAX))?;
        // A window begins after its first time.
        Ok((start.minus(Duration::from_millis(1)), end))
    }

    /// The steps of a range query: from, to, and how long each is in milliseconds.
    pub(super) fn steps(&self) -> Result<(Timestamp, Timestamp, Duration), ApiError> {
        let (start, end) = (self.time("start")?, self.time("end")?);
        if end < start {
            return Err(invalid("end", "end timestamp must not be before start time"));
        }
        let step = self.millis("step")?;
        let Some(step) = u64::try_from(step).ok().filter(|step| *step > 0) else {
            return Err(invalid(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        };
        let points = end.millis().saturating_sub(start.millis()) / i64::try_from(step).unwrap_or(i64::MAX);
        if points > MAX_POINTS {
            return Err(ApiError::bad_data(
                "exceeded maximum resolution of 10,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        Ok((start, end, Duration::from_millis(step)))
    }
}

/// Reads an expression.
pub(super) fn parsed(text: &str) -> Result<Query, ApiError> {
    if text.trim().is_empty() {
        return Err(invalid(
            "query",
            "unknown position: parse error: no expression found in input",
        ));
    }
    Query::parse(text).map_err(|error| invalid("query", error))
}

/// Reads selectors. An error is what is wrong with one, or with all of them.
pub(super) fn selectors(texts: &[String]) -> Result<Vec<Vec<Matcher>>, String> {
    let mut selectors = Vec::with_capacity(texts.len());
    let mut patterns = 0;
    for text in texts {
        let matchers = selector(text)?;
        patterns += matchers.iter().filter(|matcher| matcher.is_pattern()).count();
        if patterns > promql::MAX_PATTERNS {
            return Err(format!("more than {} regular expressions", promql::MAX_PATTERNS));
        }
        selectors.push(matchers);
    }
    Ok(selectors)
}

fn selector(text: &str) -> Result<Vec<Matcher>, String> {
    match Query::parse(text) {
        Ok(query) => match query.plain_selector() {
            Some(matchers) => Ok(matchers.to_vec()),
            None => Err(format!("parse error: {text:?} is not a plain series selector")),
        },
        Err(error) if error.0.contains(promql::SELECTS_EVERYTHING) => {
            Err("match[] must contain at least one non-empty matcher".to_owned())
        }
        Err(error) => Err(error.0),
    }
}

/// Seconds since the epoch, or RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|seconds| seconds.abs() <= MAX_SECONDS);
    if let Some(seconds) = seconds {
        return Ok(Timestamp::from_millis((seconds * 1000.0).round() as i64));
    }
    match text {
        EARLIEST => return Ok(Timestamp::from_millis(i64::MIN)),
        LATEST => return Ok(Timestamp::from_millis(i64::MAX)),
        _ => {}
    }
    // The parser also reads forms that RFC 3339 does not have, such as a time without seconds.
    let is_rfc_3339 = text.as_bytes().get(10) == Some(&b'T') && text.as_bytes().get(16) == Some(&b':');
    match text.parse::<jiff::Timestamp>() {
        Ok(time) if is_rfc_3339 => Ok(Timestamp::from_millis(time.as_millisecond())),
        _ => Err(format!("cannot parse {text:?} to a valid timestamp")),
    }
}

/// Seconds, or a duration such as `1h30m`.
fn millis(text: &str) -> Result<i64, String> {
    let refused = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        if seconds.abs() > MAX_SECONDS {
            return Err(format!("{}. It overflows int64", refused()));
        }
        // Of NaN nothing, as in Prometheus.
        return Ok((seconds * 1000.0) as i64);
    }
    let length = duration::parse(text).map_err(|_| refused())?;
    i64::try_from(length.as_millis()).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let time = |text| time(text).map(Timestamp::millis);
        for (text, expected) in [
            ("1", 1000),
            ("1.5", 1500),
            ("-2", -2000),
            ("1e3", 1_000_000),
            ("1795628572.744", 1_795_628_572_744),
            ("1970-01-01T00:00:01Z", 1000),
            ("1970-01-01T01:00:01.25+01:00", 1250),
            (EARLIEST, i64::MIN),
            (LATEST, i64::MAX),
        ] {
            assert_eq!(time(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "foo",
            "NaN",
            "Inf",
            "1e300",
            "2015-07-01",
            "2015-07-01T20:10Z",
            "1970-01-01 00:00:01Z",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_with_units() {
        for (text, expected) in [
            ("15", 15_000),
            ("0.5", 500),
            ("-1", -1000),
            ("1h30m", 5_400_000),
            ("0", 0),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        assert_eq!(millis("NaN"), Ok(0));
        for text in ["", "x", "1e300", "5 m", "1.5m"] {
            assert!(millis(text).is_err(), "{text}");
        }
    }

    #[test]
    fn forms_are_decoded_or_refused() {
        let decoded = |text: &str| decoded(text.as_bytes());
        assert_eq!(decoded("a+b%2B%c3%A9é"), Ok("a b+éé".to_owned()));
        for (text, why) in [
            ("%FF", "is not UTF-8"),
            ("a%zz", r#"invalid URL escape "%zz""#),
            ("a%+1", r#"invalid URL escape "%+1""#),
            ("a%4", r#"invalid URL escape "%4""#),
            ("%", r#"invalid URL escape "%""#),
        ] {
            assert!(decoded(text).unwrap_err().contains(why), "{text}");
        }
    }
}
