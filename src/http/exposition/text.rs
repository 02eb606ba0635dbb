//! Prometheus' text format 0.0.4, from OpenMetrics.
//!
//! One encoder writes both formats, so that they cannot tell different values: here only what the older format spells
//! otherwise is spelled anew. A counter's family has the `_total` of its samples, there are no units and no end mark,
//! quotes in a help text stand for themselves, and `le` is the shortest number. What comes in is what prometheus-client
//! writes (`# HELP`, then `# TYPE`, and `le` as the first label), not OpenMetrics at large.

use std::fmt::Write;

/// Writes an OpenMetrics text as text format 0.0.4.
pub(super) fn from_openmetrics(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            write_head(&mut text, rest, help.take());
        } else if !line.starts_with('#') {
            write_sample(&mut text, line);
        }
    }
    text
}

fn write_head(text: &mut String, name_and_kind: &str, help: Option<&str>) {
    let Some((stem, kind)) = name_and_kind.split_once(' ') else {
        return;
    };
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        same => ("", same),
    };
    // Writing into a string cannot fail.
    let _infallible = match help {
        Some(help) => writeln!(text, "# HELP {stem}{suffix} {}", help.replace("\\\"", "\"")),
        None => Ok(()),
    };
    let _infallible = writeln!(text, "# TYPE {stem}{suffix} {kind}");
}

fn write_sample(text: &mut String, line: &str) {
    const BOUND: &str = "_bucket{le=\"";
    let bound = line.split_once(BOUND).and_then(|(name, rest)| {
        let (bound, rest) = rest.split_once('"')?;
        // A brace before it: this is some label's value that looks like a bucket.
        let bound: f64 = bound.parse().ok().filter(|bound: &f64| bound.is_finite())?;
        (!name.contains('{')).then_some((name, bound, rest))
    });
    // Writing into a string cannot fail.
    let _infallible = match bound {
        Some((name, bound, rest)) => writeln!(text, "{name}{BOUND}{bound}\"{rest}"),
        None => writeln!(text, "{line}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_family_is_named_like_its_samples() {
        assert_eq!(
            from_openmetrics(
                "# HELP x_seconds Time \\\"spent\\\" in a\\\\b\\n.\n# TYPE x_seconds counter\n\
                 # UNIT x_seconds seconds\nx_seconds_total{a=\"b\"} 1\n# EOF\n"
            ),
            "# HELP x_seconds_total Time \"spent\" in a\\\\b\\n.\n# TYPE x_seconds_total counter\n\
             x_seconds_total{a=\"b\"} 1\n"
        );
    }

    #[test]
    fn gauges_keep_their_name() {
        let gauge = "# HELP x_bytes Size.\n# TYPE x_bytes gauge\nx_bytes{a=\"\\\"\\\\\\n\"} 0.5\n";
        assert_eq!(from_openmetrics(gauge), gauge);
    }

    #[test]
    fn bounds_are_the_shortest_numbers() {
        for (openmetrics, text) in [
            ("1.0", "1"),
            ("0.001", "0.001"),
            ("8.192", "8.192"),
            ("1e-5", "0.00001"),
            ("+Inf", "+Inf"),
        ] {
            let line = |bound| format!("x_bucket{{le=\"{bound}\",m=\"a\"}} 3\n");
            assert_eq!(from_openmetrics(&line(openmetrics)), line(text));
        }
    }

    #[test]
    fn a_label_that_looks_like_a_bucket_is_left_alone() {
        let line = "x_total{a=\"_bucket{le=\\\"1.0\\\"\"} 3\n";
        assert_eq!(from_openmetrics(line), line);
        let line = "x{a=\"b\",x_bucket{le=\"1.0\"} 3\n";
        assert_eq!(from_openmetrics(line), line);
    }
}
