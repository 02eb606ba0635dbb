//! Go templates in labels and annotations, as Prometheus expands them.

mod budget;
mod compare;
mod functions;
mod gofmt;
mod humanize;
mod syntax;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::{FuncMap, TemplateError, Value};

use crate::model::{Labels, Timestamp};
use crate::promql::{Options, Query, QueryValue, Source, TIMED_OUT};
use budget::{Expansion, Printed};

/// What Prometheus puts before every template of a rule file.
const PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                      {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// The name under which a template's own tree is kept, beside those of its `{{define}}`s.
const BODY: &str = "__body";

/// The most queries that one template may make. Each new one expands the template once more.
const MAX_QUERIES: usize = 100;

/// The most iterations that all `{{range}}`s of one expansion may take together: far above what a text of a rule
/// needs, and low enough not to hold up the cycle.
const MAX_ITERATIONS: u64 = 100_000;

/// A template of a rule file, checked when it is made.
#[derive(Clone)]
pub struct Template {
    /// None for a text without actions.
    compiled: Option<Arc<Compiled>>,
    text: String,
}

struct Compiled {
    template: gotmpl::Template,
    uses: syntax::Uses,
}

/// Where and when templates are expanded.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What `query` reads.
    pub source: &'a dyn Source,
    /// The time of `query`.
    pub at: Timestamp,
    /// How `query` is evaluated.
    pub options: &'a Options,
    /// `$externalLabels`.
    pub external_labels: &'a Labels,
    /// `$externalURL`.
    pub external_url: &'a str,
}

impl Template {
    /// Parses a template and refuses what Go refuses: a block that is not closed, an unknown function or variable.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_owned();
        if !text.contains("{{") {
            return Ok(Self { compiled: None, text });
        }
        let syntax = syntax::parse(PREFIX, &text)?;
        let template = gotmpl::Template::new(BODY)
            .max_range_iters(MAX_ITERATIONS)
            .funcs(functions::functions());
        let template = syntax
            .defines
            .into_iter()
            .fold(template, |template, define| {
                template.add_parse_tree(&define.name, define.body)
            })
            .add_parse_tree(BODY, syntax.body);
        let compiled = Compiled {
            template,
            uses: syntax.uses,
        };
        Ok(Self {
            compiled: Some(Arc::new(compiled)),
            text,
        })
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the labels that it shows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.compiled
            .iter()
            .flat_map(|compiled| compiled.uses.labels.iter().map(String::as_str))
    }

    /// The texts of its queries, of those that stand in it literally.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.compiled
            .iter()
            .flat_map(|compiled| compiled.uses.queries.iter().map(String::as_str))
    }

    /// The text for one sample: its labels, with the metric name where it has one, and its value.
    ///
    /// # Errors
    /// When a function cannot work on what it is given, or a query fails.
    pub fn expand(&self, labels: &Labels, value: f64, scope: &Scope<'_>) -> Result<String, String> {
        let Some(compiled) = &self.compiled else {
            return Ok(self.text.clone());
        };
        let data = record([
            ("Labels", label_map(labels)),
            ("ExternalLabels", label_map(scope.external_labels)),
            ("ExternalURL", Value::String(scope.external_url.into())),
            ("Value", Value::Float(value)),
        ]);
        let _expansion = Expansion::begin();
        if compiled.uses.bound {
            return expand_with_queries(&compiled.template, &data, scope);
        }
        printed(&compiled.template, &data)
    }

    /// As [`Self::expand`]; a failure becomes the text that Prometheus shows, so that the alert fires all the same.
    pub fn expand_or_complain(&self, labels: &Labels, value: f64, scope: &Scope<'_>) -> String {
        self.expand(labels, value, scope)
            .unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The answers to a template's queries so far, and the first query that has none yet.
#[derive(Default)]
struct Answers {
    known: HashMap<String, Result<Value, String>>,
    wanted: Option<String>,
}

/// Expands a template that queries the window.
///
/// Functions of a template must own what they use and cannot borrow the window. So a query without an answer stops
/// the expansion, is answered here, and the template is expanded anew.
fn expand_with_queries(
    template: &gotmpl::Template,
    data: &Value,
    scope: &Scope<'_>,
) -> Result<String, String> {
    let answers = Arc::new(Mutex::new(Answers::default()));
    let template = template.clone().funcs(bound_functions(&answers, scope));
    for _ in 0..=MAX_QUERIES {
        if scope.source.given_up() {
            return Err(TIMED_OUT.to_owned());
        }
        let outcome = printed(&template, data);
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(query) = answers.wanted.take() else {
            return outcome;
        };
        let answer = answer(&query, scope);
        answers.known.insert(query, answer);
    }
    Err(format!("the template makes more than {MAX_QUERIES} queries"))
}

/// The text of a template whose functions have all that they need.
fn printed(template: &gotmpl::Template, data: &Value) -> Result<String, String> {
    let mut printed = Printed::default();
    let outcome = template.execute_template_fmt(&mut printed, BODY, data);
    // What is too long fails to be written, in no words of its own.
    let text = printed.finish()?;
    outcome.map(|()| text).map_err(reason)
}

/// Why an expansion failed, without gotmpl's preamble.
fn reason(error: TemplateError) -> String {
    match error {
        TemplateError::Exec(message) => message,
        other => other.to_string(),
    }
}

/// The functions of [`functions::BOUND`].
fn bound_functions(answers: &Arc<Mutex<Answers>>, scope: &Scope<'_>) -> FuncMap {
    let answers = Arc::clone(answers);
    let query = move |args: &[Value]| {
        let failed = |reason: &str| TemplateError::Exec(format!("error calling query: {reason}"));
        let [Value::String(text)] = args else {
            return Err(failed("expected one argument, a string"));
        };
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answers.known.get(&**text) {
            Some(Ok(samples)) => Ok(samples.clone()),
            Some(Err(reason)) => Err(failed(reason)),
            None => {
                answers.wanted.get_or_insert_with(|| text.to_string());
                Err(failed("not answered yet"))
            }
        }
    };
    let url = Value::String(scope.external_url.into());
    let path = Value::String(path_prefix(scope.external_url).into());
    let constant = |value: Value| -> gotmpl::ValueFunc { Arc::new(move |_: &[Value]| Ok(value.clone())) };
    FuncMap::from([
        ("query".to_owned(), Arc::new(query) as gotmpl::ValueFunc),
        ("externalURL".to_owned(), constant(url)),
        ("pathPrefix".to_owned(), constant(path)),
    ])
}

/// The path of a URL.
fn path_prefix(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').map_or("", |at| &after_scheme[at..])
}

/// The samples that a template's query gives.
fn answer(query: &str, scope: &Scope<'_>) -> Result<Value, String> {
    let query = Query::parse(query).map_err(|error| error.to_string())?;
    let value = query
        .instant(scope.source, scope.at, scope.options)
        .map_err(|error| error.to_string())?;
    let sample =
        |labels: &Labels, value| record([("Labels", label_map(labels)), ("Value", Value::Float(value))]);
    match value {
        QueryValue::Scalar(value) => Ok(Value::List(Arc::new([sample(&Labels::empty(), value)]))),
        QueryValue::Vector(elements) => {
            let samples = elements
                .iter()
                .map(|element| sample(&element.labels, element.value));
            Ok(Value::List(samples.collect()))
        }
        QueryValue::String(_) | QueryValue::Matrix(_) => {
            Err("query result is not a vector or scalar".to_owned())
        }
    }
}

fn record<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(
        entries
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    ))
}

fn label_map(labels: &Labels) -> Value {
    let entries = labels
        .iter()
        .map(|(name, value)| (name.into(), Value::String(value.into())));
    Value::Map(Arc::new(entries.collect::<BTreeMap<_, _>>()))
}

/// Names of labels over several templates.
pub(super) fn labels_used<'a>(templates: impl IntoIterator<Item = &'a Template>) -> BTreeSet<&'a str> {
    templates.into_iter().flat_map(Template::labels).collect()
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
