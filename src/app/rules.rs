//! The rules in force: the shipped ones and the user's own, read in one go.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::client;
use crate::config::Config;
use crate::render::ToolInfo;
use crate::rules::convention::check_convention;
use crate::rules::{self, RuleSet, builtin};

/// Rules as they were read, in one go, so that the digest is that of the rules in force.
#[derive(Clone)]
pub struct Rules {
    /// The rules.
    pub set: Arc<RuleSet>,
    /// This version and the rules' digest, for reports.
    pub tool: ToolInfo,
    /// The files, names and texts, in the order of evaluation.
    pub texts: Arc<[(String, String)]>,
}

/// Loads the shipped rules and the user's own.
///
/// # Errors
/// When a file cannot be read or is refused; every mistake with file, line, group and rule.
pub fn load_rules(config: &Config) -> anyhow::Result<Rules> {
    rules_of(rule_texts(config)?)
}

/// The rules of these files, names and texts, in the order of evaluation.
///
/// # Errors
/// When a file is refused; every mistake with file, line, group and rule.
pub fn rules_of(texts: Vec<(String, String)>) -> anyhow::Result<Rules> {
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    let tool = tool(&texts);
    // Each file on a thread of its own: reading the shipped ones takes a one-shot diagnosis as long as asking a cluster.
    let loaded: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = texts
            .iter()
            .map(|(name, text)| scope.spawn(|| rules::load(name, text)))
            .collect();
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for outcome in loaded {
        match outcome {
            Ok(loaded) => groups.extend(loaded),
            Err(refused) => errors.extend(refused),
        }
    }
    let rules = RuleSet::new(groups);
    errors.extend(check_convention(&rules));
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        errors.is_empty(),
        "the rules cannot be used:\n{}",
        errors.join("\n")
    );
    Ok(Rules {
        set: Arc::new(rules),
        tool,
        texts: texts.into(),
    })
}

/// This version and the rules that it judges by.
fn tool(texts: &[(String, String)]) -> ToolInfo {
    let mut digest = Sha256::new();
    for (_, text) in texts {
        // The length goes in first, so that moving a line from one file to the next gives another digest.
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    let rules_digest = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    ToolInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_digest: format!("sha256:{rules_digest}"),
    }
}

/// The names and texts of all rule files in force, in the order of evaluation.
fn rule_texts(config: &Config) -> anyhow::Result<Vec<(String, String)>> {
    let shipped = builtin::FILES.iter().filter(|_| config.rules.builtin);
    let shipped = shipped.map(|(name, text)| Ok(((*name).to_owned(), (*text).to_owned())));
    let own = config.rules.files.iter().map(|path| {
        let text = client::read_text(path).map_err(|why| anyhow::anyhow!("rule file {why}"))?;
        Ok((path.display().to_string(), text))
    });
    shipped.chain(own).collect()
}
