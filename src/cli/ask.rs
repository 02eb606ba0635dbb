//! `diagnose --server` and `healthcheck`: asking a running etcd-doctor.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::{Format, terminal};
use crate::client::{Connection, Link, Network};
use crate::diagnosis::Status;
use crate::render::TextStyle;

/// Enough for a server that is busy; it answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked whether it lives answers at once, and before those lose patience who ask: Docker is told 5 s.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// What is asked.
pub(super) struct Question<'a> {
    /// Where the server is.
    pub server: &'a str,
    /// Only this cluster.
    pub cluster: Option<&'a str>,
    /// How the report is to be written.
    pub format: Format,
    /// TLS towards it, and the user that it may ask for.
    pub connection: Connection,
}

/// Asks, and gives the report with its status. The status is that of the JSON report; any other form is asked for right
/// after it, so that it may be newer by as much.
pub(super) async fn ask(question: Question<'_>) -> anyhow::Result<(Status, String)> {
    let (link, prefix) = reach(question.server, &question.connection, TIMEOUT)?;
    let get = async |format: &str| {
        let query = query(format, question.cluster).finish();
        let path = format!("{prefix}/api/v1/diagnosis?{query}");
        let page = link
            .scraper()
            .get(&path)
            .await
            .map_err(|error| anyhow!(error.message))?;
        if !page.status.is_success() {
            bail!(
                "{} answered {} to {path}: {}",
                question.server,
                page.status,
                message(&page.body)
            );
        }
        Ok(page.body)
    };
    let json = get("json").await?;
    let report: Value = serde_json::from_str(&json)
        .with_context(|| format!("{} did not answer with a diagnosis", question.server))?;
    let status = status(&report["status"])
        .with_context(|| format!("{} answered without a status that is known", question.server))?;
    let text = match question.format {
        Format::Json => json,
        Format::Nagios => get("nagios").await?,
        Format::Text => get("text").await?,
        Format::Markdown => get("markdown").await?,
    };
    Ok((status, text))
}

/// One alert, as a server explains it.
pub(super) async fn explanation(
    server: &str,
    alert: &str,
    cluster: Option<&str>,
    format: &str,
    connection: &Connection,
) -> anyhow::Result<String> {
    let (link, prefix) = reach(server, connection, TIMEOUT)?;
    let query = query(format, cluster).append_pair("alert", alert).finish();
    let path = format!("{prefix}/api/v1/explanation?{query}");
    let page = link.scraper().get(&path).await;
    let page = page.map_err(|error| anyhow!(error.message))?;
    match page.status.as_u16() {
        200 => Ok(page.body),
        // Its words name what there is.
        404 => bail!("{}", message(&page.body)),
        _ => bail!(
            "{server} answered {} to {path}: {}",
            page.status,
            message(&page.body)
        ),
    }
}

/// Everything that a server's report is made from, as a bundle that was looked at: it is one.
pub(super) async fn bundle(
    server: &str,
    cluster: Option<&str>,
    connection: &Connection,
) -> anyhow::Result<Vec<u8>> {
    let (link, prefix) = reach(server, connection, TIMEOUT)?;
    let mut path = format!("{prefix}/api/v1/bundle");
    if let Some(cluster) = cluster {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        path = format!("{path}?{}", query.append_pair("cluster", cluster).finish());
    }
    let answer = link.scraper().bytes(&path).await;
    let (status, body) = answer.map_err(|error| anyhow!(error.message))?;
    if !status.is_success() {
        let words = message(&String::from_utf8_lossy(&body));
        bail!("{server} answered {status} to {path}: {words}");
    }
    crate::bundle::read(&body).with_context(|| format!("{server} did not answer with a bundle"))?;
    Ok(body)
}

/// Whether a server lives: its own words when it does.
pub(super) async fn health(server: &str, connection: &Connection) -> anyhow::Result<String> {
    let (link, prefix) = reach(server, connection, HEALTH_TIMEOUT)?;
    let path = format!("{prefix}/-/healthy");
    let page = link.scraper().get(&path).await;
    let page = page.map_err(|error| anyhow!(error.message))?;
    let words = message(&page.body);
    if !page.status.is_success() {
        bail!("{server} answered {} to {path}: {words}", page.status);
    }
    Ok(words)
}

/// A link to a server, and the path before its routes.
fn reach(server: &str, connection: &Connection, timeout: Duration) -> anyhow::Result<(Link, String)> {
    let (origin, prefix) = parts(server)?;
    let network = Network::new(connection, timeout);
    let link = network
        .endpoint(&origin)
        .and_then(|endpoint| Link::new(&network, endpoint, None))
        .map_err(|words| anyhow!(words))
        .with_context(|| format!("cannot ask {server}"))?;
    let link = match (&connection.username, &connection.password) {
        (Some(user), Some(password)) => link.authorized(user, password),
        _ => link,
    };
    Ok((link, prefix))
}

/// The origin with its port, and the path before the API's routes.
fn parts(server: &str) -> anyhow::Result<(String, String)> {
    // As with etcd's endpoints, an address alone is plain HTTP.
    let given = server;
    let server = &if server.contains("://") || server.is_empty() {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let url = url::Url::parse(server).with_context(|| format!("--server {given:?} is no URL"))?;
    let (Some(host), Some(port), "http" | "https") =
        (url.host_str(), url.port_or_known_default(), url.scheme())
    else {
        bail!("--server {given:?} is no URL such as http://127.0.0.1:9379");
    };
    Ok((
        format!("{}://{host}:{port}", url.scheme()),
        url.path().trim_end_matches('/').to_owned(),
    ))
}

/// What is asked for. A text is to look as one that is made here would.
fn query(format: &str, cluster: Option<&str>) -> url::form_urlencoded::Serializer<'static, String> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("format", format);
    if format == "text" {
        let TextStyle { width, color, ascii } = terminal::style();
        query.append_pair("width", &width.to_string());
        query.append_pair("color", &color.to_string());
        query.append_pair("ascii", &ascii.to_string());
    }
    if let Some(cluster) = cluster {
        query.append_pair("cluster", cluster);
    }
    query
}

/// The words of an error answer: its `error` where it is JSON.
fn message(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let words = ["message", "error"]
        .into_iter()
        .find_map(|key| json[key].as_str());
    words.unwrap_or(body).trim().to_owned()
}

fn status(word: &Value) -> Option<Status> {
    [Status::Pass, Status::Warn, Status::Fail, Status::Unknown]
        .into_iter()
        .find(|status| word == status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_port_and_may_have_a_path() {
        assert_eq!(
            parts("http://a:9379").unwrap(),
            ("http://a:9379".into(), String::new())
        );
        for (short, origin) in [
            ("127.0.0.1:9379", "http://127.0.0.1:9379"),
            ("a:9379", "http://a:9379"),
            ("localhost:9379/", "http://localhost:9379"),
            ("[::1]:9379", "http://[::1]:9379"),
        ] {
            assert_eq!(parts(short).unwrap().0, origin);
        }
        assert_eq!(
            parts("https://a/doctor/").unwrap(),
            ("https://a:443".into(), "/doctor".into())
        );
        assert_eq!(
            parts("http://[::1]:1/").unwrap(),
            ("http://[::1]:1".into(), String::new())
        );
        for wrong in ["ftp://a", "", "http://", "a:b", "/"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cluster_names_are_escaped() {
        assert_eq!(
            query("json", Some("a&b c")).finish(),
            "format=json&cluster=a%26b+c"
        );
    }

    #[test]
    fn an_error_answer_is_told_in_its_words() {
        assert_eq!(
            message(r#"{"status":"error","errorType":"not_found","error":"no cluster \"x\""}"#),
            "no cluster \"x\""
        );
        assert_eq!(message("nope\n"), "nope");
    }
}
