//! The source of the dashboards, `dashboards/source/*.yaml`: what each panel asks, concludes and is judged by.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// One dashboard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its name in `dashboards/`.
    pub file: String,
    pub uid: String,
    pub title: String,
    pub description: String,
    pub scope: Scope,
    pub rows: Vec<Row>,
}

/// What a dashboard is about.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All clusters, or some.
    Fleet,
    /// One cluster, with all its members, or some.
    Cluster,
    /// One member.
    Member,
}

impl Scope {
    /// An expression of the source with the matchers that `@cluster` and `@member` stand for.
    pub fn expression(self, expr: &str) -> String {
        let (cluster, member) = match self {
            Self::Fleet => (r#"cluster=~"$cluster""#, r#"cluster=~"$cluster""#),
            Self::Cluster => (r#"cluster="$cluster""#, r#"cluster="$cluster",member=~"$member""#),
            Self::Member => (r#"cluster="$cluster""#, r#"cluster="$cluster",member="$member""#),
        };
        expr.replace("@cluster", cluster).replace("@member", member)
    }
}

/// A row of a dashboard: its panels by their names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    pub panels: Vec<String>,
}

/// One panel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    #[serde(default)]
    pub kind: Kind,
    pub title: String,
    /// What its reader is to conclude; its alerts are told behind it.
    pub conclude: String,
    /// Width of 24 and height.
    pub size: Option<(u32, u32)>,
    /// A unit of Grafana.
    #[serde(default = "plain")]
    pub unit: String,
    /// The top of its axis.
    pub max: Option<f64>,
    /// Whether it may be negative: other axes begin at 0.
    #[serde(default)]
    pub signed: bool,
    /// What a stat shows: its value, the name of its series, or both.
    #[serde(default)]
    pub show: Show,
    /// What a stat shows where there is nothing, and what that means.
    pub none: Option<(String, Colour)>,
    #[serde(default)]
    pub queries: Vec<Query>,
    #[serde(flatten)]
    pub judged: Judged,
    /// Of a table: the labels that are columns, and their titles.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Of a table: the labels that are none.
    #[serde(default)]
    pub hide: Vec<String>,
    /// Of a table: the label whose cells lead to the dashboard of that name.
    pub open: Option<String>,
    /// Of a table: the column by which it is sorted, the largest first.
    pub sort: Option<String>,
    #[serde(default)]
    pub columns: Vec<Column>,
}

/// How a panel is drawn.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Timeseries,
    Stat,
    /// States over time.
    Timeline,
    Table,
}

/// What a stat shows.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    #[default]
    Value,
    Name,
    Both,
}

/// One query of a panel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub expr: String,
    /// What is put around the expression, where it is shared: `topk(1, …)`.
    pub wrap: Option<String>,
    #[serde(default)]
    pub legend: String,
    /// Why it gives nothing on a healthy cluster.
    pub empty: Option<String>,
}

impl Query {
    pub fn whole(&self) -> String {
        match &self.wrap {
            Some(wrap) => wrap.replace('…', &self.expr),
            None => self.expr.clone(),
        }
    }
}

/// One column of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    pub expr: String,
    #[serde(default = "plain")]
    pub unit: String,
    #[serde(flatten)]
    pub judged: Judged,
    /// Only its labels are shown.
    #[serde(default)]
    pub hidden: bool,
    /// As that of a query.
    pub empty: Option<String>,
}

/// By what a value is judged.
#[derive(Deserialize, Default)]
pub struct Judged {
    #[serde(default)]
    pub worse: Worse,
    /// From the best to the worst where more is worse, else the other way round: the smallest first.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    /// What numbers mean, where they are states: a text and a colour.
    #[serde(default)]
    pub states: BTreeMap<i64, (String, Colour)>,
    /// Further alerts that it helps to understand.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// No alert looks at it.
    #[serde(default)]
    pub unjudged: bool,
}

/// On which side of a bound a value is bad.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    #[default]
    Above,
    Below,
}

/// A value, and the alert of a shipped rule that compares with it; or, in place of the alert, why it is one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    pub at: f64,
    /// Where it is good again, when that is not at the bound: the rule compares with `==` or `<=`.
    pub from: Option<f64>,
    info: Option<String>,
    warning: Option<String>,
    critical: Option<String>,
}

impl Bound {
    /// How bad it is beyond, and the alert or the reason.
    pub fn beyond(&self) -> (Colour, &str) {
        let all = [
            (Colour::Info, &self.info),
            (Colour::Warning, &self.warning),
            (Colour::Critical, &self.critical),
        ];
        let mut named = all
            .into_iter()
            .filter_map(|(colour, by)| Some((colour, by.as_deref()?)));
        let found = named.next().expect("a bound has a severity");
        assert!(named.next().is_none(), "a bound has one severity: {}", found.1);
        found
    }

    /// The alert, where it is one's.
    pub fn alert(&self) -> Option<&str> {
        Some(self.beyond().1).filter(|by| by.starts_with("Etcd") && !by.contains(' '))
    }
}

/// The colours, one a severity.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Good,
    Info,
    Warning,
    Critical,
    Unknown,
}

impl Colour {
    /// Its name in Grafana.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Info => "blue",
            Self::Warning => "orange",
            Self::Critical => "red",
            Self::Unknown => "purple",
        }
    }

    /// The severity of the rules that have it.
    pub const fn severity(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Good | Self::Unknown => "",
        }
    }
}

fn plain() -> String {
    "short".to_owned()
}

/// The file that says which panels each dashboard has; the others have the panels.
const LAYOUT: &str = "dashboards.yaml";

/// The dashboards, and all panels by name.
pub fn read() -> (Vec<Dashboard>, BTreeMap<String, Panel>) {
    // Read when it runs, so that a change of a panel needs no compiler.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/source");
    let (mut dashboards, mut panels) = (Vec::new(), BTreeMap::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        if name == LAYOUT {
            dashboards = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            continue;
        }
        let found: BTreeMap<String, Panel> =
            serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (panel, of) in found {
            assert!(
                panels.insert(panel.clone(), of).is_none(),
                "{name}: another file has a panel {panel}"
            );
        }
    }
    (dashboards, panels)
}
