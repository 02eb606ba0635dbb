//! Running a command: from the parsed line to an exit status.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::diagnose::diagnose;
use super::explain::explain;
use super::{
    Cli, Command, ConfigCommand, RulesCommand, ServerFlags, UNKNOWN, ask, manual, rules, settings, terminal,
    unit,
};
use crate::app::App;
use crate::config;
use crate::render;
use crate::telemetry;

/// A command other than `diagnose` that failed.
pub(super) const FAILED: u8 = 1;

/// Runs a command. Errors go to standard error, in one place.
pub async fn run(cli: Cli) -> ExitCode {
    let (outcome, on_failure) = match cli.command {
        Command::Serve { web, settings } => (serve(settings.into_flags(Some(web))).await, FAILED),
        Command::Diagnose(options) => (diagnose(*options).await, UNKNOWN),
        Command::Healthcheck { server, access } => (healthcheck(&server, access).await, FAILED),
        Command::Rules(RulesCommand::Check { files }) => (rules::check(&files), FAILED),
        Command::Rules(RulesCommand::Test {
            bundle: Some(bundle),
            files,
        }) => (rules::test(&bundle, &files), FAILED),
        Command::Rules(RulesCommand::Test { bundle: None, files }) => (
            unit::test(&files).map(|good| if good { 0 } else { FAILED }),
            FAILED,
        ),
        Command::Rules(RulesCommand::Explain(options)) => (explain(*options).await, FAILED),
        Command::Rules(RulesCommand::Inhibit { file }) => (rules::inhibit(file.config_file).await, FAILED),
        Command::Rules(RulesCommand::List { output, file }) => {
            (rules::list(output, file.config_file).await, FAILED)
        }
        Command::Completion { shell } => (manual::completion(shell), FAILED),
        Command::Man { dir } => (manual::man(dir.as_deref()), FAILED),
        Command::Config(ConfigCommand::Init { settings }) => {
            (settings::init(settings.into_flags(None)).await, FAILED)
        }
        Command::Config(ConfigCommand::Check { web, settings }) => {
            (settings::check(settings.into_flags(Some(web))).await, FAILED)
        }
        Command::Config(ConfigCommand::Show { web, settings }) => {
            (settings::show(settings.into_flags(Some(web))).await, FAILED)
        }
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(on_failure)
        }
    }
}

/// Writes to standard error; nobody is left to be told when that is closed.
pub(super) fn complain(text: &str) {
    for line in text.lines() {
        // It may tell what a cluster or a process of this host said.
        eprintln!("etcd-doctor: {}", render::printable(line));
    }
}

async fn serve(flags: config::Flags) -> anyhow::Result<u8> {
    let config = settings::load(flags).await?;
    let level = telemetry::start(config.log)?;
    // Before the port is bound: from then on somebody may want to stop it.
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("could not listen for SIGHUP")?;
    let (ask_reload, reload) = mpsc::channel(1);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            if ask_reload.send(()).await.is_err() {
                return;
            }
        }
    });
    let app = App::build(config).await?;
    tracing::info!(address = %app.addr()?, protection = app.protection(), version = env!("CARGO_PKG_VERSION"), "listening");
    let shutdown = async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping; requests under way may finish");
    };
    app.run(shutdown, reload, level).await?;
    Ok(0)
}

async fn healthcheck(server: &str, access: ServerFlags) -> anyhow::Result<u8> {
    let words = ask::health(server, &settings::towards_server(access)?).await?;
    terminal::print(&format!("{words}\n"))?;
    Ok(0)
}
