//! `diagnose`: a report of clusters, of a running etcd-doctor or of a bundle, once or again and again.

use std::path::Path;

use super::ask::{self, Question, ask};
use super::settings::{load_quietly, only, towards_server};
use super::{Diagnose, Format, UNKNOWN, bundle, terminal, watch};
use crate::app;
use crate::diagnosis::Status;
use crate::model::Timestamp;
use crate::render::{self, Report};

/// How often `diagnose --watch --server` asks: as often as servers with the shortest sensible interval know more.
const WATCH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// Prints a report. A plugin's reader looks at standard output only, so a failure is told there, too.
pub(super) async fn diagnose(options: Diagnose) -> anyhow::Result<u8> {
    let output = options.output;
    let outcome = report(options).await;
    if let (Format::Nagios, Err(error)) = (output, &outcome) {
        terminal::print(&render::nagios::failure(&format!("{error:#}")))?;
    }
    outcome
}

async fn report(options: Diagnose) -> anyhow::Result<u8> {
    let Diagnose {
        window,
        output,
        server,
        cluster,
        watch,
        save,
        bundle,
        settings,
    } = options;
    if let Some(file) = bundle {
        return diagnose_bundle(&file, cluster.as_deref(), output);
    }
    if let Some(server) = server {
        let connection = towards_server(settings.server())?;
        let question = || Question {
            server: &server,
            cluster: cluster.as_deref(),
            format: output,
            connection: connection.clone(),
        };
        if watch {
            let mut asked = false;
            let look = async || {
                if std::mem::replace(&mut asked, true) {
                    tokio::time::sleep(WATCH_INTERVAL).await;
                }
                ask(question()).await
            };
            return watched(watch::watch(look).await?);
        }
        let (status, text) = ask(question()).await?;
        terminal::print(&text)?;
        if let Some(file) = save {
            let bytes = ask::bundle(&server, cluster.as_deref(), &connection).await?;
            bundle::keep(&file, &bytes)?;
        }
        return Ok(exit_status(status));
    }
    let mut config = load_quietly(settings).await?;
    if let Some(name) = cluster {
        only(&mut config, &name)?;
    }
    let rules = app::load_rules(&config)?;
    if watch {
        let mut watcher = app::Watcher::new(&config, &rules)?;
        let look = async || {
            let diagnoses = watcher.look().await;
            let report = Report {
                tool: rules.tool.clone(),
                time: Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
                diagnoses: &diagnoses,
            };
            Ok((report.status(), rendered(&report, output)))
        };
        return watched(watch::watch(look).await?);
    }
    let found = terminal::with_progress(window, app::diagnose(&config, &rules, window)).await?;
    let (diagnoses, recordings): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let report = Report {
        tool: rules.tool.clone(),
        time: Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
        diagnoses: &diagnoses,
    };
    terminal::print(&rendered(&report, output))?;
    if let Some(file) = save {
        bundle::save(&file, &config, &rules, &report, recordings)?;
    }
    Ok(exit_status(report.status()))
}

/// The exit status after watching: that of the last report.
fn watched(last: Option<Status>) -> anyhow::Result<u8> {
    Ok(last.map_or(UNKNOWN, exit_status))
}

fn diagnose_bundle(file: &Path, cluster: Option<&str>, output: Format) -> anyhow::Result<u8> {
    let mut bundle = bundle::open(file)?;
    bundle::only(&mut bundle, cluster)?;
    let (rules, diagnoses) = bundle::diagnoses(&bundle)?;
    let report = Report {
        tool: rules.tool,
        time: bundle.created,
        diagnoses: &diagnoses,
    };
    terminal::print(&rendered(&report, output))?;
    Ok(exit_status(report.status()))
}

fn rendered(report: &Report<'_>, output: Format) -> String {
    match output {
        Format::Text => render::text::render(report, terminal::style()),
        Format::Json => render::json::render(report),
        Format::Markdown => render::markdown::render(report),
        Format::Nagios => render::nagios::render(report),
    }
}

/// The exit status of monitoring plugins.
fn exit_status(status: Status) -> u8 {
    match status {
        Status::Pass => 0,
        Status::Warn => 1,
        Status::Fail => 2,
        Status::Unknown => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_those_of_monitoring_plugins() {
        let statuses = [Status::Pass, Status::Warn, Status::Fail, Status::Unknown].map(exit_status);
        assert_eq!(statuses, [0, 1, 2, 3]);
    }
}
