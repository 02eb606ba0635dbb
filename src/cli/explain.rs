//! `rules explain`: one alert looked at closely, on a cluster, in a running etcd-doctor or in a bundle.

use anyhow::{anyhow, bail};

use super::{Explain, ListFormat, ask, bundle, settings, terminal};
use crate::app;
use crate::bundle::{Recording, Replay};
use crate::cycle;
use crate::diagnosis::inspection::Inspection;
use crate::render::alert;

pub(super) async fn explain(options: Explain) -> anyhow::Result<u8> {
    let Explain {
        alert,
        output,
        window,
        server,
        cluster,
        bundle,
        settings: flags,
    } = options;
    if let Some(server) = server {
        let format = match output {
            ListFormat::Text => "text",
            ListFormat::Json => "json",
        };
        let connection = settings::towards_server(flags.server())?;
        let text = ask::explanation(&server, &alert, cluster.as_deref(), format, &connection).await?;
        terminal::print(&text)?;
        return Ok(0);
    }
    if let Some(file) = bundle {
        let mut bundle = bundle::open(&file)?;
        bundle::only(&mut bundle, cluster.as_deref())?;
        let rules = bundle::rules(&bundle)?;
        return told(&alert, &bundle.recordings, &rules, output);
    }
    let mut config = settings::load_quietly(flags).await?;
    if let Some(name) = cluster {
        settings::only(&mut config, &name)?;
    }
    let rules = app::load_rules(&config)?;
    // Before a window is spent on it.
    known(&alert, &rules)?;
    let found = terminal::with_progress(window, app::diagnose(&config, &rules, window)).await?;
    let recordings: Vec<Recording> = found.into_iter().map(|(_, recording)| recording).collect();
    told(&alert, &recordings, &rules, output)
}

fn known(alert: &str, rules: &app::Rules) -> anyhow::Result<()> {
    if rules.set.alerting().any(|(_, _, rule)| rule.alert == alert) {
        return Ok(());
    }
    let near: Vec<String> = rules.set.near(alert).into_iter().map(str::to_owned).collect();
    bail!("{}", alert::unknown(alert, &near));
}

fn told(name: &str, recordings: &[Recording], rules: &app::Rules, output: ListFormat) -> anyhow::Result<u8> {
    known(name, rules)?;
    let providers = cycle::providers();
    let found: Vec<Inspection> = recordings
        .iter()
        .filter_map(|recording| Replay::new(recording, &providers).inspection(&rules.set, name))
        .collect();
    if found.is_empty() {
        return Err(anyhow!("no cluster was looked at"));
    }
    terminal::print(&match output {
        ListFormat::Text => alert::text::render(&found, terminal::style()),
        ListFormat::Json => alert::json::render(name, &found, &rules.tool),
    })?;
    Ok(0)
}
