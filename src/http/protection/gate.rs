//! The gate that every request passes: the rate first, then the user, as in the toolkit.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::error::ApiError;
use super::pace::{Bucket, Rate};
use super::{Protection, Settings};

/// What a client is asked for.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Basic realm="etcd-doctor", charset="UTF-8""#);

/// Lets a request through, or answers it with 429 or 401. On every route, those that tell health included.
pub(in super::super) async fn admit(
    State(protection): State<Arc<Protection>>,
    request: Request,
    next: Next,
) -> Response {
    let settings = protection.current();
    if let Some(rate) = settings.rate
        && let Err(wait) = protection.pace(rate, Instant::now())
    {
        return too_many(wait);
    }
    match protection.knows(&settings, request.headers()).await {
        true => next.run(request).await,
        false => unauthorized(),
    }
}

impl Protection {
    fn pace(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *bucket {
            Some(bucket) if bucket.rate() == rate => bucket.take(now),
            other => other.insert(Bucket::new(rate, now)).take(now),
        }
    }

    async fn knows(&self, settings: &Settings, headers: &HeaderMap) -> bool {
        let Some(users) = &settings.users else {
            return true;
        };
        match credentials(headers) {
            Some((user, password)) => self.judge.admits(users, &user, &password).await,
            None => false,
        }
    }
}

/// User and password of basic authentication.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((user, decoded[colon + 1..].to_vec()))
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil() as u64;
    let error = ApiError::too_many("more requests than rate_limit of the web configuration allows");
    let mut response = error.into_response();
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

fn unauthorized() -> Response {
    let error = ApiError::unauthorized("a user and a password of the web configuration are needed");
    let mut response = error.into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    response
}
