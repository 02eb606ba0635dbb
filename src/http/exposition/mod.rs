//! Exposition formats: samples to the text of `/metrics`. No I/O.

mod openmetrics;
mod text;

pub(super) use openmetrics::{Samples, finish, render};

use super::negotiate::Offer;

/// A format of `/metrics`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The default first: what a client gets that names neither.
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// What is held against the header `Accept`, in the order of [`Self::ALL`].
    pub(super) const OFFERS: [Offer; 2] = [
        Offer {
            media_type: "text/plain",
            version: "0.0.4",
        },
        Offer {
            media_type: "application/openmetrics-text",
            version: "1.0.0",
        },
    ];

    /// Exactly as the formats' documents spell it: Prometheus 3 refuses to guess.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// An OpenMetrics text, without its end mark, in the format wanted.
pub(super) fn convert(openmetrics: &str, format: Format) -> std::borrow::Cow<'_, str> {
    match format {
        Format::OpenMetrics => openmetrics.into(),
        Format::Text => text::from_openmetrics(openmetrics).into(),
    }
}
