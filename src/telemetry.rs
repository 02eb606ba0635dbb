//! Logging: one line an event on standard error, logfmt or JSON, in UTC; the level can be changed while it runs.

use std::fmt::{self, Write as _};
use std::io;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

/// Whose events are ours. Libraries (rustls, hyper, h2, the resolver) speak of single connections below `warn`: what
/// matters of that reaches the log as our own errors, with the endpoint's name.
const OURS: &str = "etcd_doctor";

/// What is logged, and how it looks.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The least severe level that is written.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// `ts=… level=info msg="…" key=value`
    #[default]
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The word in files and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        }
    }
}

/// Changes the level while the process runs.
pub struct LevelHandle(reload::Handle<Targets, Registry>);

/// Starts logging to standard error. To be called once, at the start of the process.
///
/// # Errors
/// When logging was started already.
pub fn start(log: Settings) -> anyhow::Result<LevelHandle> {
    let (filter, handle) = reload::Layer::new(targets(log.level));
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Logfmt => {
            let lines = tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                .event_format(Logfmt { now });
            registry.with(lines).try_init()?;
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_target(false)
                .with_timer(Utc)
                .with_writer(io::stderr);
            registry.with(lines).try_init()?;
        }
    }
    Ok(LevelHandle(handle))
}

impl LevelHandle {
    /// Writes events of this level and worse from now on.
    pub fn set(&self, level: LevelFilter) {
        if let Err(error) = self.0.reload(targets(level)) {
            tracing::warn!(%error, "could not change the log level");
        }
    }
}

fn targets(level: LevelFilter) -> Targets {
    // At `trace` the libraries are let in as well, for who hunts a connection's problem.
    let others = if level == LevelFilter::TRACE {
        LevelFilter::DEBUG
    } else {
        level.min(LevelFilter::WARN)
    };
    Targets::new().with_default(others).with_target(OURS, level)
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.3}", now())
    }
}

/// `ts=2026-11-23T07:04:14.000Z level=info msg="listening" address=[::]:9379`, as Prometheus and its exporters log.
struct Logfmt {
    now: fn() -> jiff::Timestamp,
}

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        write!(writer, "ts={:.3} level={level}", (self.now)())?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "{}{}", fields.message, fields.rest)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn push(&mut self, name: &str, value: &str) {
        let bare = !value.is_empty()
            && !value.contains(|c: char| c.is_whitespace() || c.is_control() || "\"=".contains(c));
        let value = if bare {
            value.to_owned()
        } else {
            format!("{value:?}")
        };
        // Writing to a `String` cannot fail.
        let _ = match name {
            "message" => write!(self.message, " msg={value}"),
            _ => write!(self.rest, " {name}={value}"),
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        self.push(field.name(), &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(level: LevelFilter, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let format = Logfmt {
            now: || jiff::Timestamp::UNIX_EPOCH,
        };
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .event_format(format);
        let subscriber = tracing_subscriber::registry().with(targets(level)).with(lines);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_logfmt_in_utc() {
        let line = written(LevelFilter::INFO, || {
            tracing::info!(target: "etcd_doctor::x", address = "[::]:9379", error = "a \"b\"\nc", count = 3, empty = "", "now listening");
        });
        let expected = "ts=1970-01-01T00:00:00.000Z level=info msg=\"now listening\" address=[::]:9379 \
                        error=\"a \\\"b\\\"\\nc\" count=3 empty=\"\"\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn libraries_are_heard_from_warn_on() {
        let lines = written(LevelFilter::DEBUG, || {
            tracing::debug!(target: "rustls::client", "noise");
            tracing::info!(target: "hyper", "noise");
            tracing::warn!(target: "h2", "heard");
            tracing::debug!(target: "etcd_doctor", "ours");
        });
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert_eq!(
            written(LevelFilter::OFF, || tracing::error!(target: "h2", "silent")),
            ""
        );
    }
}
