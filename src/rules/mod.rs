//! Prometheus rule files: loading, recording rules, alert states, templates. No I/O, no clock.

mod alert;
pub mod builtin;
pub mod convention;
mod evaluator;
mod file;
pub mod inhibit;
mod record;
pub mod rehearsal;
mod state;
mod template;
mod unit;
pub(crate) mod yaml;

pub use alert::{Alert, AlertState};
pub use evaluator::{Environment, Evaluator, MAX_SAMPLES, OPTIONS, RuleReport};
pub use file::{RuleFileError, load};
pub use state::States;
pub use template::{Scope, Template};
pub use unit::UnitTests;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::model::Labels;
use crate::promql::{DEFAULT_LOOKBACK, Query, Selector};

/// The rules in force, in the order of evaluation. Immutable; shared by all clusters.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// The groups, in the order of the files.
    pub groups: Vec<Group>,
    /// Worked out once: finding them parses every expression of every annotation.
    selectors: Vec<Selector>,
    /// What [`Self::history`] tells of each alert's expression, asked for in every cycle.
    histories: HashMap<String, Vec<Selector>>,
}

/// One group of a rule file. Its rules run in order, each seeing what the ones before it recorded.
#[derive(Debug)]
pub struct Group {
    /// The file it stands in, as named on loading.
    pub file: String,
    /// Its name, unique in the file.
    pub name: String,
    /// How often it runs; none means every cycle.
    pub interval: Option<Duration>,
    /// How far in the past it evaluates, and dates what it writes.
    pub query_offset: Duration,
    /// The most series or alerts that one of its rules may yield; none means any number.
    pub limit: Option<usize>,
    /// Labels for all of its rules. [`load`] has added them to the labels of each rule already.
    pub labels: Vec<(String, String)>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug)]
pub enum Rule {
    /// `record:`
    Recording(RecordingRule),
    /// `alert:`
    Alerting(AlertingRule),
}

/// A recording rule.
#[derive(Debug)]
pub struct RecordingRule {
    /// The name of the series that it gives.
    pub record: String,
    /// Its expression.
    pub query: Query,
    /// Labels to set, with `""` to remove.
    pub labels: Vec<(String, String)>,
}

/// An alerting rule.
#[derive(Debug)]
pub struct AlertingRule {
    /// The alert's name.
    pub alert: String,
    /// Its expression: every element of the result is an active alert.
    pub query: Query,
    /// How long the condition must hold before it fires.
    pub hold: Duration,
    /// How long it goes on firing after the condition is gone.
    pub keep_firing: Duration,
    /// Labels to set on its alerts.
    pub labels: Vec<(String, Template)>,
    /// What to say of its alerts, in the order of the file.
    pub annotations: Vec<(String, Template)>,
    /// Where it stands in its file: line and column, from 1.
    pub position: (usize, usize),
}

/// Recording rules that one looks through, one behind the other, for how far back an alert sees. People stack four or five;
/// the stack of the walk ends somewhere.
const LONGEST_WAY: usize = 64;

/// Selectors at the ends of such ways of one expression; past it their history is not told.
const MOST_ENDS: usize = 10_000;

/// Names that are offered in place of an unknown one: as many as one reads.
const MOST_NEAR: usize = 5;

/// How alike a name must be to be offered, from 0 to 1: half of its letters in place.
const LEAST_LIKENESS: f64 = 0.5;

/// Letters from which on a part of a name says something.
const SHORTEST_PART: usize = 3;

impl RuleSet {
    /// The rules of several files, in the order of the files.
    pub fn new(groups: Vec<Group>) -> Self {
        let selectors = selectors_of(&groups);
        let mut set = Self {
            groups,
            selectors,
            histories: HashMap::new(),
        };
        let queries = set.alerting().map(|(_, _, rule)| &rule.query);
        let histories = queries.map(|query| (query.text().to_owned(), set.trace(query)));
        set.histories = histories.collect();
        set
    }

    /// A rule by the index of its group and its index in the group, as in [`RuleReport::rule`].
    pub fn rule(&self, (group, rule): (usize, usize)) -> Option<&Rule> {
        self.groups.get(group)?.rules.get(rule)
    }

    /// All rules in the order of evaluation, each with its group and its index as in [`RuleReport::rule`].
    pub fn rules(&self) -> impl Iterator<Item = ((usize, usize), &Group, &Rule)> {
        self.groups.iter().enumerate().flat_map(|(at, group)| {
            let rules = group.rules.iter().enumerate();
            rules.map(move |(index, rule)| ((at, index), group, rule))
        })
    }

    /// The alerting rules, as [`Self::rules`].
    pub fn alerting(&self) -> impl Iterator<Item = ((usize, usize), &Group, &AlertingRule)> {
        self.rules().filter_map(|(index, group, rule)| match rule {
            Rule::Alerting(rule) => Some((index, group, rule)),
            Rule::Recording(_) => None,
        })
    }

    /// The names of alerts that somebody may have meant who wrote this one, the likeliest first.
    pub fn near(&self, wanted: &str) -> Vec<&str> {
        let wanted = wanted.to_lowercase();
        let names: BTreeSet<&str> = self.alerting().map(|(_, _, rule)| &*rule.alert).collect();
        let likeness = |name: &str| match name.to_lowercase() {
            // Part of a name is what people remember of it.
            name if wanted.len() >= SHORTEST_PART && name.contains(&wanted) => 1.0,
            name => strsim::normalized_damerau_levenshtein(&name, &wanted),
        };
        let mut near: Vec<(f64, &str)> = names.into_iter().map(|name| (likeness(name), name)).collect();
        near.retain(|(likeness, _)| *likeness >= LEAST_LIKENESS);
        near.sort_by(|one, other| other.0.total_cmp(&one.0));
        near.truncate(MOST_NEAR);
        near.into_iter().map(|(_, name)| name).collect()
    }

    /// How much history an expression needs before it sees as far back as it looks, by each of its selectors, over the
    /// recording rules whose series it selects: the selectors at the end of each such way, with the whole reach.
    pub fn history(&self, query: &Query) -> Vec<Selector> {
        match self.histories.get(query.text()) {
            Some(known) => known.clone(),
            None => self.trace(query),
        }
    }

    fn trace(&self, query: &Query) -> Vec<Selector> {
        let mut found = Vec::new();
        self.follow(
            query,
            Duration::ZERO,
            &mut Vec::new(),
            &mut HashMap::new(),
            &mut found,
        );
        found
    }

    fn follow<'a>(
        &'a self,
        query: &Query,
        before: Duration,
        way: &mut Vec<&'a str>,
        followed: &mut HashMap<&'a str, Duration>,
        found: &mut Vec<Selector>,
    ) {
        for mut selector in query.selectors() {
            let recorded = self.rules().filter_map(|(_, _, rule)| match rule {
                Rule::Recording(rule) if Some(&rule.record) == selector.metric.as_ref() => Some(rule),
                _ => None,
            });
            // A recorded series exists from the first cycle on: what counts is what it was recorded from.
            let lookback = if selector.is_range {
                Duration::ZERO
            } else {
                DEFAULT_LOOKBACK
            };
            let reach = before + selector.reach.saturating_sub(lookback);
            let mut is_recorded = false;
            for rule in recorded {
                is_recorded = true;
                // Two rules that record from each other have no end.
                let in_a_circle = way.contains(&&*rule.record);
                // What was followed from as far back already has told all that it can.
                let known = followed.get(&*rule.record).is_some_and(|before| *before >= reach);
                if !in_a_circle && !known && way.len() < LONGEST_WAY && found.len() < MOST_ENDS {
                    followed.insert(&rule.record, reach);
                    way.push(&rule.record);
                    self.follow(&rule.query, reach, way, followed, found);
                    way.pop();
                }
            }
            if !is_recorded || selector.is_range {
                if !before.is_zero() {
                    selector.reach = reach;
                    selector.is_range = true;
                }
                found.push(selector);
            }
        }
    }

    /// All that the rules select: in their expressions, in queries that stand literally in their templates, and in
    /// their `evidence`. A group's `query_offset` is in the reach.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }
}

fn selectors_of(groups: &[Group]) -> Vec<Selector> {
    let mut selectors = Vec::new();
    for (group, rule) in groups
        .iter()
        .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    {
        let mut of_rule = rule.query().selectors();
        for selector in &mut of_rule {
            selector.reach += group.query_offset;
        }
        selectors.append(&mut of_rule);
        let Rule::Alerting(rule) = rule else { continue };
        let in_templates = rule.templates().flat_map(Template::queries).map(str::to_owned);
        for text in in_templates.chain(convention::sample_evidence(rule)) {
            // What cannot be parsed is reported by `check_convention`, or when the template is expanded.
            if let Ok(query) = Query::parse(&text) {
                selectors.extend(query.selectors());
            }
        }
    }
    selectors
}

impl Rule {
    /// The alert's name, or that of the recorded series.
    pub fn name(&self) -> &str {
        match self {
            Self::Recording(rule) => &rule.record,
            Self::Alerting(rule) => &rule.alert,
        }
    }

    /// Its expression.
    pub fn query(&self) -> &Query {
        match self {
            Self::Recording(rule) => &rule.query,
            Self::Alerting(rule) => &rule.query,
        }
    }

    /// Its labels as written.
    pub fn labels(&self) -> Labels {
        match self {
            Self::Recording(rule) => Labels::new(rule.labels.iter().map(|(name, value)| (&**name, &**value))),
            Self::Alerting(rule) => {
                Labels::new(rule.labels.iter().map(|(name, value)| (&**name, value.text())))
            }
        }
    }
}

impl AlertingRule {
    /// A label as written, or `""`.
    pub fn label(&self, name: &str) -> &str {
        find(&self.labels, name).map_or("", Template::text)
    }

    /// An annotation as written, or `""`.
    pub fn annotation(&self, name: &str) -> &str {
        find(&self.annotations, name).map_or("", Template::text)
    }

    /// The templates of its labels and annotations.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.labels
            .iter()
            .chain(&self.annotations)
            .map(|(_, template)| template)
    }
}

fn find<'a>(pairs: &'a [(String, Template)], wanted: &str) -> Option<&'a Template> {
    pairs
        .iter()
        .find(|(name, _)| name == wanted)
        .map(|(_, template)| template)
}
