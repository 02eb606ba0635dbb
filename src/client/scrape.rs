//! HTTP GET of a member's pages, over the same dialling and TLS as gRPC.

use std::error::Error as _;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::dial::{Dialer, Shown, Trail};
use super::endpoint::{Address, Endpoint};
use super::tls::Alpn;
use super::{Network, Secret};
use crate::model::{CollectError, Reason};

/// The largest page that is read, before and after decompression. etcd's are 0.2 MB, those of a whole k3s process a
/// few; more is not a metrics page, or meant to exhaust memory.
const PAGE_LIMIT: usize = 64 << 20;

/// How much of an error page is quoted.
const QUOTE_LIMIT: usize = 200;

/// Reads pages of one member, over one connection that is kept.
pub struct Scraper {
    endpoint: Endpoint,
    metrics_path: String,
    client: Client<Dialer, Empty<Bytes>>,
    trail: Arc<Trail>,
    timeout: Duration,
    /// A user and a password for pages that ask for them; never etcd's.
    authorization: Option<HeaderValue>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body as text, decompressed.
    pub body: String,
}

impl Scraper {
    pub(super) fn new(network: &Network, endpoint: Endpoint, metrics_path: String) -> Self {
        let trail = Arc::new(Trail::default());
        let dialer = Dialer {
            endpoint: endpoint.clone(),
            tls: Arc::clone(&network.tls),
            alpn: Alpn::Http1,
            limit: network.timeout,
            trail: Arc::clone(&trail),
        };
        Self {
            endpoint,
            metrics_path,
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(1)
                .build(dialer),
            trail,
            timeout: network.timeout,
            authorization: None,
        }
    }

    /// Sends a user and a password along.
    pub(super) fn authorize(&mut self, user: &str, password: &Secret) {
        let text = STANDARD.encode(format!("{user}:{}", password.reveal()));
        // Base64 has no letter that a header may not have.
        self.authorization = HeaderValue::try_from(format!("Basic {text}"))
            .ok()
            .map(|mut header| {
                header.set_sensitive(true);
                header
            });
    }

    pub(super) fn at_url(network: &Network, url: &str) -> Result<Self, String> {
        let endpoint = network.endpoint(url)?;
        let path = url
            .split_once("://")
            .map_or(url, |(_, rest)| rest)
            .split_once('/')
            .map_or("", |(_, path)| path);
        let path = if path.is_empty() { "metrics" } else { path };
        Ok(Self::new(network, endpoint, format!("/{path}")))
    }

    /// What the host showed in the TLS handshake of the connection in use.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.trail.shown()
    }

    /// `host:port` of the pages, as Prometheus' label `instance`.
    pub fn instance(&self) -> String {
        self.endpoint.authority()
    }

    /// The URL of the pages, without its query, which may hold a secret. None on a Unix socket.
    pub fn url(&self) -> Option<String> {
        match self.endpoint.address {
            Address::Unix(_) => None,
            Address::Tcp { .. } => {
                let path = self.metrics_path.split('?').next().unwrap_or_default();
                Some(format!("{}{path}", self.endpoint.as_str()))
            }
        }
    }

    /// The member's `/metrics`.
    ///
    /// # Errors
    /// Names the URL and the reason; also for any status but 200.
    pub async fn metrics(&self) -> Result<String, CollectError> {
        let page = self.get(&self.metrics_path).await?;
        if page.status != StatusCode::OK {
            let quote: String = page.body.trim().chars().take(QUOTE_LIMIT).collect();
            return Err(CollectError {
                reason: Reason::Refused,
                message: format!(
                    "GET {}{}: {} {quote}",
                    self.endpoint, self.metrics_path, page.status
                ),
                fix: "check that etcd serves its metrics there; set metrics_urls if they are elsewhere"
                    .into(),
            });
        }
        Ok(page.body)
    }

    /// Any page of the same host.
    ///
    /// # Errors
    /// Names the URL and the reason. An HTTP status is an answer, not an error.
    pub async fn get(&self, path: &str) -> Result<Page, CollectError> {
        let (status, body) = self.bytes(path).await?;
        let body = String::from_utf8(body).map_err(|error| self.malformed(path, &error.to_string()))?;
        Ok(Page { status, body })
    }

    /// The same, of what may be no text.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn bytes(&self, path: &str) -> Result<(StatusCode, Vec<u8>), CollectError> {
        let what = format!("GET {path}");
        match timeout(self.timeout, self.fetch(path)).await {
            Ok(result) => result,
            Err(_) => Err(self.trail.timed_out(&what, &self.endpoint, self.timeout)),
        }
    }

    async fn fetch(&self, path: &str) -> Result<(StatusCode, Vec<u8>), CollectError> {
        let authority = match self.endpoint.address {
            Address::Tcp { .. } => self.endpoint.authority(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::get(format!("http://{authority}{path}"))
            .header(header::ACCEPT, "text/plain;version=0.0.4")
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(Empty::new())
            .map_err(|error| self.malformed(path, &error.to_string()))?;
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization.clone());
        }
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                let words = match error.source() {
                    Some(source) => source.to_string(),
                    None => error.to_string(),
                };
                if let Some(failure) = super::etcd::source_of::<CollectError>(&error) {
                    return Err(failure.clone());
                }
                return Err(self.trail.failure().unwrap_or_else(|| CollectError {
                    reason: Reason::Unreachable,
                    message: format!("GET {}{path}: {words}", self.endpoint),
                    fix: "check that etcd serves HTTP there".into(),
                }));
            }
        };
        let status = response.status();
        let zipped = response
            .headers()
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
        let body = Limited::new(response.into_body(), PAGE_LIMIT)
            .collect()
            .await
            .map_err(|error| self.malformed(path, &error.to_string()))?
            .to_bytes();
        let body = if zipped {
            unzip(&body).map_err(|error| self.malformed(path, &error))?
        } else {
            body.to_vec()
        };
        Ok((status, body))
    }

    fn malformed(&self, path: &str, why: &str) -> CollectError {
        CollectError {
            reason: Reason::Malformed,
            message: format!("GET {}{path}: the page cannot be read: {why}", self.endpoint),
            fix: "check that the URL is that of etcd's own metrics".into(),
        }
    }
}

/// Decompresses at most [`PAGE_LIMIT`] bytes, so that a small body cannot become a huge one.
fn unzip(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::with_capacity(body.len().saturating_mul(8).min(PAGE_LIMIT));
    flate2::read::GzDecoder::new(body)
        .take(PAGE_LIMIT as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| format!("gzip: {error}"))?;
    if text.len() > PAGE_LIMIT {
        return Err(format!("more than {PAGE_LIMIT} bytes after decompression"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_page_that_grows_past_the_limit_is_refused() {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![0; 1 << 20];
        for _ in 0..65 {
            zip.write_all(&zeros).unwrap();
        }
        let error = unzip(&zip.finish().unwrap()).unwrap_err();
        assert!(error.contains("after decompression"), "{error}");
    }
}
