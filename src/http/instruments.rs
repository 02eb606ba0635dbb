//! The server's own instruments.

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::model::Desc;

pub(super) static REQUESTS: Desc = Desc::counter(
    "etcd_doctor_http_requests_total",
    None,
    "HTTP requests answered since the start, by route and status code.",
)
.labels(&["route", "code"]);

/// Requests answered, by route and status code. Clones count into the same rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Family<RequestLabels, Counter>);

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    code: u16,
}

impl Requests {
    /// Counts one. `route` is one of a closed set, never a path that a client made up.
    pub(super) fn count(&self, route: &str, code: StatusCode) {
        let labels = RequestLabels {
            route: route.to_owned(),
            code: code.as_u16(),
        };
        self.0.get_or_create(&labels).inc();
    }

    /// Names it in a registry. The registry adds `_total` to the name and a full stop to the help.
    pub(super) fn register(&self, registry: &mut Registry) {
        let name = REQUESTS.name.trim_end_matches("_total");
        registry.register(name, REQUESTS.help.trim_end_matches('.'), self.0.clone());
    }
}
