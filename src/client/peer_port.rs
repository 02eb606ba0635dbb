//! The port that a member serves its peers on, asked for one page: whether it answers, how quickly, and what time it is there.

use std::time::Duration;

use tokio::time::Instant;

use super::scrape::Scraper;
use super::{Connection, Network, TlsSettings};
use crate::model::CollectError;

/// What peers ask each other for every 30 s to measure the round trip: answered from memory, whether there is a quorum
/// or not.
const PROBING: &str = "/raft/probing";

/// One member's peer port.
pub struct PeerPort(Scraper);

/// An answer of a peer port.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// How long it took.
    pub took: Duration,
    /// The member's time, in seconds since the epoch; none when the answer does not tell it.
    pub time: Option<f64>,
}

impl PeerPort {
    /// Prepares to ask at a peer URL. Connects with the first call.
    ///
    /// # Errors
    /// In words, when the URL is none.
    pub fn new(url: &str, tls: &TlsSettings, limit: Duration) -> Result<Self, String> {
        let connection = Connection {
            tls: tls.clone(),
            ..Connection::default()
        };
        let network = Network::new(&connection, limit);
        Ok(Self(Scraper::new(
            &network,
            network.endpoint(url)?,
            PROBING.into(),
        )))
    }

    /// Asks once.
    ///
    /// # Errors
    /// Names the URL and the reason. Any HTTP status is an answer.
    pub async fn ask(&self) -> Result<Answer, CollectError> {
        let sent = Instant::now();
        let page = self.0.get(PROBING).await?;
        Ok(Answer {
            took: sent.elapsed(),
            time: time_in(&page.body),
        })
    }
}

/// The time in `{"OK":true,"Now":"2026-11-22T18:27:20.552611354Z"}`, which is written in the member's own time zone.
fn time_in(body: &str) -> Option<f64> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let time: jiff::Timestamp = body.get("Now")?.as_str()?.parse().ok()?;
    Some(time.as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_in_any_time_zone() {
        let of = |now: &str| time_in(&format!(r#"{{"OK":true,"Now":"{now}"}}"#));
        assert_eq!(of("1970-01-01T00:00:01.5Z"), Some(1.5));
        assert_eq!(of("1970-01-01T02:00:01.5+02:00"), Some(1.5));
        assert_eq!(of("noon"), None);
        assert_eq!(time_in("404 page not found"), None);
    }
}
