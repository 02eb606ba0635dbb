//! What holds for every route: limits, headers, compression, counting.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate};
use tower_http::compression::{CompressionLayer, DefaultPredicate};
use tower_http::limit::RequestBodyLimitLayer;

use super::bundle;
use super::error::ApiError;
use super::instruments::Requests;
use super::protection::{self, Protection};

/// The most time that a handler may take. Handlers read memory; only a reload, which reads files, takes longer.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest request body. A query sent as a form is a few kilobytes; nothing else has a body.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Headers that any answer has unless its handler set another value. Nothing here is to be framed, sniffed, cached (it
/// is of now) or to load anything; the page allows itself its style.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Puts all layers around the routes. The last one here is the outermost: what an inner layer refuses is counted and
/// gets its headers too.
pub(super) fn apply(routes: Router, requests: Requests, protection: Arc<Protection>) -> Router {
    routes
        // Fast, because a scrape is read once and from nearby; its text still shrinks to a tenth.
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(
                    DefaultPredicate::new().and(NotForContentType::const_new(bundle::CONTENT_TYPE)),
                ),
        )
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(map_response(word_too_large))
        .layer(from_fn_with_state(Arc::clone(&protection), protection::admit))
        .layer(from_fn(limit_time))
        .layer(CatchPanicLayer::custom(word_panic))
        .layer(from_fn_with_state(requests, count))
        .layer(from_fn_with_state(protection, add_headers))
}

async fn limit_time(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout(format!(
            "{path} was not answered within {} s",
            HANDLER_TIMEOUT.as_secs()
        ))
        .into_response(),
    }
}

async fn word_too_large(response: Response) -> Response {
    if response.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return response;
    }
    ApiError::too_large(format!("a request body may have {MAX_BODY_BYTES} bytes")).into_response()
}

fn word_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(
        panic = message,
        "a request handler panicked: this is a bug in etcd-doctor"
    );
    ApiError::internal("this request met a bug in etcd-doctor; its log has the details").into_response()
}

async fn count(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    // Routes and not paths: a path is the client's choice, and each would be a new series.
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    requests.count(route, response.status());
    response
}

async fn add_headers(State(protection): State<Arc<Protection>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // What the operator's file says goes before what we or a handler would say.
    for (name, value) in &protection.current().headers {
        response.headers_mut().insert(name, value.clone());
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;

    async fn answer(routes: Router, request: Request) -> (StatusCode, String) {
        let response = apply(routes, Requests::default(), Arc::new(Protection::none()))
            .oneshot(request)
            .await;
        let response = response.expect("a router never fails");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_error_in_json_without_its_message() {
        async fn broken() -> &'static str {
            panic!("secret")
        }
        let request = Request::get("/").body(Body::empty()).unwrap();
        let (status, body) = answer(Router::new().route("/", get(broken)), request).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(
            body.contains(r#""errorType":"internal""#) && !body.contains("secret"),
            "{body}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_ended() {
        let routes = Router::new().route("/slow", get(std::future::pending::<()>));
        let request = Request::get("/slow").body(Body::empty()).unwrap();
        let (status, body) = answer(routes, request).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(body.contains("/slow was not answered within 10 s"), "{body}");
    }

    #[tokio::test]
    async fn a_large_body_is_refused_whether_or_not_its_length_is_given() {
        let large = || vec![b'x'; MAX_BODY_BYTES + 1];
        let routes = || Router::new().route("/", post(|body: axum::body::Bytes| async { body }));
        let declared = Request::post("/").header("content-length", MAX_BODY_BYTES + 1);
        let (status, body) = answer(routes(), declared.body(large().into()).unwrap()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(body.contains("a request body may have 65536 bytes"), "{body}");

        let chunks = futures::stream::iter([Ok::<_, std::io::Error>(large())]);
        let chunked = Request::post("/").body(Body::from_stream(chunks)).unwrap();
        assert_eq!(answer(routes(), chunked).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
