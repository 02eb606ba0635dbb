//! Alertmanager: `POST /api/v2/alerts`, over the same dialling and TLS as everything else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::dial::{Dialer, Trail};
use super::endpoint::Endpoint;
use super::tls::{Alpn, TlsFiles};
use super::{TlsSettings, etcd, read_secret};
use crate::model::{CollectError, Reason};

/// Where alerts are posted, beneath the prefix of an Alertmanager.
const PATH: &str = "/api/v2/alerts";

/// How much of an answer is read: the reason of a refusal is a line for each alert of a batch.
const ANSWER_LIMIT: usize = 64 << 10;

/// How much of it is quoted.
const QUOTE_LIMIT: usize = 200;

/// How one Alertmanager is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Where it is.
    pub url: Url,
    /// Certificates.
    pub tls: TlsSettings,
    /// What it is shown.
    pub credentials: Credentials,
    /// The deadline of one request, connecting included.
    pub timeout: Duration,
}

/// The base URL of an Alertmanager: `http://host:9093`, with a path when it is served beneath one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    endpoint: Endpoint,
    /// Host and, unless it is the scheme's own, port, as a browser would send them.
    authority: String,
    /// The path that [`PATH`] stands beneath: empty, or begins with a slash and does not end in one.
    prefix: String,
}

/// Who we say that we are. Files are read for each request, so that a changed one counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// Name and password, of HTTP's basic authentication.
    Basic {
        /// The name.
        username: String,
        /// The file with the password; one line break at its end is not part of it.
        password_file: PathBuf,
    },
    /// Whoever has this token.
    Bearer {
        /// The file with the token; one line break at its end is not part of it.
        token_file: PathBuf,
    },
}

impl Url {
    /// Parses `http://…`, `https://…` or `host:port`, which is TLS when `tls_without_scheme`.
    ///
    /// # Errors
    /// In words, with what is expected.
    pub fn parse(text: &str, tls_without_scheme: bool) -> Result<Self, String> {
        let expected = || format!("expected a URL such as http://127.0.0.1:9093, found {text:?}");
        let full = match (text.contains("://"), tls_without_scheme) {
            (true, _) => text.to_owned(),
            (false, true) => format!("https://{text}"),
            (false, false) => format!("http://{text}"),
        };
        let url = url::Url::parse(&full).map_err(|error| format!("{}: {error}", expected()))?;
        let (host, port) = match (url.scheme(), url.host_str(), url.port_or_known_default()) {
            ("http" | "https", Some(host), Some(port)) => (host, port),
            _ => return Err(expected()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user does not belong in a URL: use username and password_file".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{}, without ? and #", expected()));
        }
        let prefix = url.path().trim_end_matches('/');
        if prefix.ends_with(PATH) || prefix.ends_with("/api/v1/alerts") {
            return Err(format!(
                "{text:?} is the path of the API: give the URL without it, up to /api"
            ));
        }
        Ok(Self {
            endpoint: Endpoint::parse(&format!("{}://{host}:{port}", url.scheme()), false)?,
            authority: match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            prefix: prefix.to_owned(),
        })
    }

    /// Where alerts are posted, as Prometheus names an Alertmanager: `http://127.0.0.1:9093/api/v2/alerts`.
    pub fn of_alerts(&self) -> String {
        format!("{}{PATH}", self.base())
    }

    /// As it was given, with a scheme and without a slash at its end.
    pub fn base(&self) -> String {
        let scheme = if self.endpoint.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.prefix)
    }
}

/// One Alertmanager, never balanced over others.
pub struct Alertmanager {
    settings: Settings,
    client: Client<Dialer, Full<Bytes>>,
    trail: Arc<Trail>,
}

impl Alertmanager {
    /// Does not connect yet.
    pub fn new(settings: Settings) -> Self {
        let trail = Arc::new(Trail::default());
        let dialer = Dialer {
            endpoint: settings.url.endpoint.clone(),
            tls: Arc::new(TlsFiles::new(settings.tls.clone())),
            alpn: Alpn::Http1,
            limit: settings.timeout,
            trail: Arc::clone(&trail),
        };
        // A connection for each batch: they are a minute apart, and one that is kept is the one that a restart of the other
        // side breaks.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(dialer);
        Self {
            settings,
            client,
            trail,
        }
    }

    /// Posts alerts, a JSON array. Tried once.
    ///
    /// # Errors
    /// Names the URL and the reason; for any status but 2xx what was answered. Of a batch that is answered with 400
    /// Alertmanager keeps what is good in it.
    pub async fn post(&self, alerts: Bytes) -> Result<(), CollectError> {
        match timeout(self.settings.timeout, self.send(alerts)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let Settings { url, timeout, .. } = &self.settings;
                Err(self.trail.timed_out("POST", &url.endpoint, *timeout))
            }
        }
        // The way there is told with what to do about an etcd.
        .map_err(|error| match error.reason {
            Reason::Unreachable | Reason::Timeout => CollectError {
                fix: "see that Alertmanager runs and answers there, or correct its URL".to_owned(),
                ..error
            },
            _ => error,
        })
    }

    async fn send(&self, alerts: Bytes) -> Result<(), CollectError> {
        let url = &self.settings.url;
        // The scheme is the dialler's business.
        let mut request = Request::post(format!("http://{}{}{PATH}", url.authority, url.prefix))
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("etcd-doctor/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(authorization) = self.authorization()? {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::new(alerts))
            .map_err(|error| self.failed(Reason::Malformed, &error.to_string()))?;
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                if let Some(failure) = etcd::source_of::<CollectError>(&error) {
                    return Err(failure.clone());
                }
                let unknown = || self.failed(Reason::Unreachable, &error.to_string());
                return Err(self.trail.failure().unwrap_or_else(unknown));
            }
        };
        self.judge(response).await
    }

    async fn judge(&self, response: Response<Incoming>) -> Result<(), CollectError> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let elsewhere = response.headers().get(header::LOCATION);
        let elsewhere = elsewhere.and_then(|place| place.to_str().ok());
        let words = match elsewhere {
            Some(place) => format!("it is elsewhere: {place}"),
            None => match Limited::new(response.into_body(), ANSWER_LIMIT).collect().await {
                Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
                Err(error) => error.to_string(),
            },
        };
        let quote: String = words.chars().take(QUOTE_LIMIT).collect();
        let reason = match status.as_u16() {
            401 => Reason::Unauthenticated,
            403 => Reason::PermissionDenied,
            // From a proxy, or on the way up: nothing was told to any Alertmanager.
            502..=504 => Reason::Unreachable,
            _ => Reason::Refused,
        };
        Err(self.failed(reason, format!("{status} {quote}").trim_end()))
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, CollectError> {
        let text = match &self.settings.credentials {
            Credentials::None => return Ok(None),
            Credentials::Basic {
                username,
                password_file,
            } => {
                let password = read_secret(password_file, "password_file")?;
                let pair = format!("{username}:{}", password.reveal());
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
            Credentials::Bearer { token_file } => {
                format!(
                    "Bearer {}",
                    read_secret(token_file, "bearer_token_file")?.reveal().trim()
                )
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            self.failed(
                Reason::Unauthenticated,
                "the file with the token has what no header can carry, such as a line break",
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn failed(&self, reason: Reason, why: &str) -> CollectError {
        CollectError {
            reason,
            message: format!("POST {}: {why}", self.settings.url.of_alerts()),
            fix: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_named_as_prometheus_names_them() {
        for (text, tls, named) in [
            ("http://am:9093", false, "http://am:9093/api/v2/alerts"),
            ("am:9093", false, "http://am:9093/api/v2/alerts"),
            ("am:9093", true, "https://am:9093/api/v2/alerts"),
            ("https://am/", false, "https://am/api/v2/alerts"),
            (
                "http://[::1]:9093/alert/manager/",
                true,
                "http://[::1]:9093/alert/manager/api/v2/alerts",
            ),
        ] {
            assert_eq!(Url::parse(text, tls).unwrap().of_alerts(), named);
        }
        let port = |text| Url::parse(text, false).unwrap().endpoint.authority();
        assert_eq!([port("https://am"), port("http://am")], ["am:443", "am:80"]);
    }

    #[test]
    fn what_is_no_url_is_refused_in_words() {
        for (text, why) in [
            ("ftp://am:1", "expected a URL"),
            ("", "expected a URL"),
            ("http://am:99999", "invalid port"),
            ("http://user:secret@am:9093", "username and password_file"),
            ("http://am:9093/?x=1", "without ? and #"),
            ("http://am:9093/api/v2/alerts", "without it"),
        ] {
            let error = Url::parse(text, false).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
