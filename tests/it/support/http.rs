//! Plain HTTP requests, as curl would send them.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// An answer.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// All headers.
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub bytes: bytes::Bytes,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// A header as text, or `""`.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.body))
    }
}

/// Asks once. An error tells the address and why.
pub async fn get(url: &str) -> Result<Response, String> {
    get_with(url, &[], Duration::from_secs(10)).await
}

/// Posts an empty body once.
pub async fn post(url: &str) -> Result<Response, String> {
    send("POST", url, &[], Duration::from_secs(10)).await
}

/// Asks once, with headers and a limit.
pub async fn get_with(url: &str, headers: &[(&str, &str)], limit: Duration) -> Result<Response, String> {
    send("GET", url, headers, limit).await
}

/// Posts a body once.
pub async fn post_bytes(url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Response, String> {
    send_body("POST", url, headers, body, Duration::from_secs(30)).await
}

/// Sends a request without a body, with headers and a limit.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    limit: Duration,
) -> Result<Response, String> {
    send_body(method, url, headers, Vec::new(), limit).await
}

async fn send_body(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
    limit: Duration,
) -> Result<Response, String> {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(bytes::Bytes::from(body)))
        .map_err(|e| format!("{url}: {e}"))?;
    let ask = async {
        // A client for each request: no connection outlives its peer's restart.
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client
            .request(request)
            .await
            .map_err(|e| format!("{url}: {e:?}"))?;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|e| format!("{url}: {e}"))?
            .to_bytes();
        let content_type = head
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        Ok(Response {
            status: head.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            bytes: body,
            headers: head.headers,
        })
    };
    match tokio::time::timeout(limit, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{url}: no answer within {limit:?}")),
    }
}

/// `query` with what an URL cannot carry escaped.
pub fn escape(query: &str) -> String {
    url::form_urlencoded::byte_serialize(query.as_bytes()).collect()
}
