//! Which of several representations a client wants: RFC 9110's `Accept`, as far as exposition formats need it.

use axum::http::{HeaderMap, header::ACCEPT};

/// A representation on offer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Such as `text/plain`.
    pub(super) media_type: &'static str,
    /// The value that a range's parameter `version` must have, when it has one. Other parameters are not looked at:
    /// Prometheus 3 sends `escaping`, some clients `charset`, and neither rules an offer out.
    pub(super) version: &'static str,
}

/// How well a media range fits: quality in thousandths, then how exactly it names the offer, then its place.
type Fit = (u16, u8, std::cmp::Reverse<usize>);

/// The index of the offer that the client likes best; the first one when it likes none, all the same, or does not say.
pub(super) fn choose(headers: &HeaderMap, offers: &[Offer]) -> usize {
    let lines = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let ranges: Vec<Range<'_>> = accept
        .iter()
        .flat_map(|line| line.split(','))
        .map(Range::parse)
        .collect();
    let mut best: (Option<Fit>, usize) = (None, 0);
    for (index, offer) in offers.iter().enumerate() {
        let fit = fit(&ranges, offer);
        if fit > best.0 {
            best = (fit, index);
        }
    }
    best.1
}

/// The fit of the range that names the offer most exactly: it alone decides, so that `text/plain;q=0, */*` means
/// "anything but plain text".
fn fit(ranges: &[Range<'_>], offer: &Offer) -> Option<Fit> {
    let fits = ranges.iter().enumerate().filter_map(|(place, range)| {
        let exactness = range.exactness(offer)?;
        Some((exactness, range.quality, std::cmp::Reverse(place)))
    });
    let (exactness, quality, place) = fits.max()?;
    (quality > 0).then_some((quality, exactness, place))
}

/// One media range of an `Accept` header.
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    /// In thousandths, as RFC 9110 allows three digits.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            media_type: parts.next().unwrap_or_default(),
            version: None,
            quality: 1000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim_end(), value.trim_start().trim_matches('"'));
            if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("q") {
                range.quality = quality(value);
            }
        }
        range
    }

    /// None when it does not fit, and a greater number the more exactly it does.
    fn exactness(&self, offer: &Offer) -> Option<u8> {
        let group = offer.media_type.split('/').next().unwrap_or_default();
        if self.media_type == "*/*" {
            return Some(0);
        }
        if let Some(range_group) = self.media_type.strip_suffix("/*") {
            return range_group.eq_ignore_ascii_case(group).then_some(1);
        }
        if !self.media_type.eq_ignore_ascii_case(offer.media_type) {
            return None;
        }
        match self.version {
            None => Some(2),
            Some(version) => (version == offer.version).then_some(3),
        }
    }
}

/// A weight in thousandths. What cannot be read counts as 1, as other exporters have it.
fn quality(text: &str) -> u16 {
    match text.parse::<f32>() {
        // In range, so that the conversion cannot cut anything off but the fraction.
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [Offer; 2] = [
        Offer {
            media_type: "text/plain",
            version: "0.0.4",
        },
        Offer {
            media_type: "application/openmetrics-text",
            version: "1.0.0",
        },
    ];

    fn chosen(accept: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(ACCEPT, line.parse().unwrap());
        }
        OFFERS[choose(&headers, &OFFERS)].media_type
    }

    #[test]
    fn real_scrapers_get_what_they_prefer() {
        let openmetrics = "application/openmetrics-text";
        for (scraper, accept) in [
            (
                "Prometheus 2.42",
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ),
            (
                "Prometheus 3",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            ),
        ] {
            assert_eq!(chosen(&[accept]), openmetrics, "{scraper}");
        }
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(chosen(&[browser]), "text/plain");
        assert_eq!(chosen(&["*/*"]), "text/plain");
        assert_eq!(chosen(&[]), "text/plain");
    }

    #[test]
    fn quality_decides_then_exactness_then_the_clients_order() {
        for (accept, expected) in [
            (
                "text/plain;q=0.9, application/openmetrics-text;q=0.8",
                "text/plain",
            ),
            (
                "text/plain;q=0.8, application/openmetrics-text; q=0.9",
                "application/openmetrics-text",
            ),
            (
                "application/openmetrics-text, text/plain",
                "application/openmetrics-text",
            ),
            ("text/plain, application/openmetrics-text", "text/plain"),
            ("text/*;q=0.2, APPLICATION/*", "application/openmetrics-text"),
            ("text/plain;q=0, */*", "application/openmetrics-text"),
            ("*/*, application/openmetrics-text;q=0", "text/plain"),
        ] {
            assert_eq!(chosen(&[accept]), expected, "{accept}");
        }
        assert_eq!(
            chosen(&["text/plain;q=0.5", "application/openmetrics-text"]),
            "application/openmetrics-text",
            "several header lines are one list"
        );
    }

    #[test]
    fn what_is_not_on_offer_or_unreadable_gets_the_default() {
        for accept in [
            "application/openmetrics-text;version=0.0.1",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            "text/plain;version=1.0.0",
            "text/plain;q=0, application/openmetrics-text;q=0",
            ";;,,q=",
            "image/png",
        ] {
            assert_eq!(chosen(&[accept]), "text/plain", "{accept}");
        }
        assert_eq!(
            chosen(&["text/plain;q=0.5, application/openmetrics-text;q=nonsense"]),
            "application/openmetrics-text"
        );
    }
}
