//! One panel of the source in Grafana's JSON model.

use serde_json::{Value, json};

use super::grafana::{datasource, link, uid_about};
use super::source::{Colour, Judged, Kind, Panel, Scope, Show, Worse};

/// A panel, without its id and its place.
pub fn panel(of: &Panel, scope: Scope) -> Value {
    let mut panel = json!({
        "type": match of.kind {
            Kind::Timeseries => "timeseries",
            Kind::Stat => "stat",
            Kind::Timeline => "state-timeline",
            Kind::Table => "table",
        },
        "title": of.title,
        "description": description(of),
        "links": links(of, scope),
        "datasource": datasource(),
        "fieldConfig": {"defaults": defaults(of), "overrides": overrides(of)},
        "options": options(of),
        "targets": targets(of, scope),
    });
    if of.kind == Kind::Table {
        panel["transformations"] = transformations(of);
    }
    panel
}

/// What is to be concluded, and the alerts that belong to it, with the values at which they look.
fn description(of: &Panel) -> String {
    let mut text = of.conclude.trim().to_owned();
    let judged = of.columns.iter().map(|column| (&column.judged, &*column.unit));
    for (judged, unit) in std::iter::once((&of.judged, &*of.unit)).chain(judged) {
        let side = match judged.worse {
            Worse::Above => "from",
            Worse::Below => "below",
        };
        for bound in &judged.bounds {
            let (colour, by) = bound.beyond();
            let at = shown(bound.from.unwrap_or(bound.at), unit);
            let line = match bound.alert() {
                Some(alert) => format!("\n- {alert}: {} {side} {at}", colour.severity()),
                None => format!("\n- {} {side} {at}: {by}", colour.severity()),
            };
            if !text.contains(&line) {
                text.push_str(if text.contains("\n- ") { "" } else { "\n" });
                text.push_str(&line);
            }
        }
    }
    let further = alerts(of);
    let further: Vec<_> = further
        .iter()
        .filter(|alert| !text.contains(&format!("- {alert}: ")))
        .collect();
    for alert in &further {
        text.push_str(if text.contains("\n- ") { "" } else { "\n" });
        text.push_str(&format!("\n- {alert}"));
    }
    if of.judged.unjudged {
        text.push_str("\n\nNo alert judges it by itself.");
    }
    text
}

/// A number as it is read.
fn shown(value: f64, unit: &str) -> String {
    let with = |value: f64, unit: &str| format!("{} {unit}", (value * 1000.0).round() / 1000.0);
    match unit {
        "percentunit" => with(value * 100.0, "%"),
        "s" if value < 1.0 => with(value * 1000.0, "ms"),
        "s" if value < 120.0 => with(value, "s"),
        "s" if value < 2.0 * 86400.0 => with(value / 3600.0, "h"),
        "s" => with(value / 86400.0, "days"),
        "bytes" | "Bps" if value >= 1_048_576.0 => with(value / 1_048_576.0, "MiB"),
        "bytes" | "Bps" => with(value / 1024.0, "KiB"),
        _ => value.to_string(),
    }
}

/// All alerts that belong to a panel, in the order of the source, each once.
pub fn alerts(of: &Panel) -> Vec<&str> {
    let mut all = Vec::new();
    for judged in std::iter::once(&of.judged).chain(of.columns.iter().map(|column| &column.judged)) {
        let bounds = judged.bounds.iter().filter_map(super::source::Bound::alert);
        for alert in bounds.chain(judged.alerts.iter().map(String::as_str)) {
            if !all.contains(&alert) {
                all.push(alert);
            }
        }
    }
    all
}

/// To the page of each alert: why it fires, or what is missing.
fn links(of: &Panel, scope: Scope) -> Vec<Value> {
    let cluster = if scope == Scope::Fleet {
        ""
    } else {
        "?cluster=${cluster:percentencode}"
    };
    let to = |alert: &&str| {
        let url = format!("${{doctor}}/alerts/{alert}{cluster}");
        link(
            &format!("{alert}: why it fires, or does not"),
            "external link",
            &url,
        )
    };
    alerts(of).iter().map(to).collect()
}

fn defaults(of: &Panel) -> Value {
    let mut defaults = json!({
        "unit": of.unit,
        "thresholds": thresholds(&of.judged),
        // Of several series each has its own colour, of states and single values the one that judges them.
        "color": {"mode": if of.kind == Kind::Timeseries { "palette-classic" } else { "thresholds" }},
    });
    if let Some((none, _)) = &of.none {
        defaults["noValue"] = json!(none);
    }
    let nothing = of.none.as_ref().map(|(none, colour)| (&**none, colour.name()));
    defaults["mappings"] = match of.kind {
        Kind::Stat => mappings(&of.judged, nothing.unwrap_or(("No data", Colour::Unknown.name()))),
        _ => json!(states(&of.judged)),
    };
    match of.kind {
        Kind::Timeseries => {
            if !of.signed {
                defaults["min"] = json!(0);
            }
            let line = if of.judged.bounds.is_empty() {
                "off"
            } else {
                "dashed"
            };
            defaults["custom"] = json!({
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 5,
                "showPoints": "auto",
                "spanNulls": false,
                "thresholdsStyle": {"mode": line},
            });
            if let Some(max) = of.max {
                // What is above is drawn all the same: a quota that was lowered is exceeded.
                defaults["custom"]["axisSoftMax"] = json!(max);
            }
        }
        Kind::Timeline => defaults["custom"] = json!({"fillOpacity": 80, "lineWidth": 0}),
        Kind::Table => {
            defaults["custom"] = json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false})
        }
        Kind::Stat => {}
    }
    defaults
}

/// The steps of colour: the first is from below everything.
fn thresholds(judged: &Judged) -> Value {
    let good = if judged.unjudged {
        "text"
    } else {
        Colour::Good.name()
    };
    let colours = judged.bounds.iter().map(|bound| bound.beyond().0.name());
    // Of the n + 1 colours and n bounds, each bound is where its neighbours meet.
    let colours: Vec<_> = match judged.worse {
        Worse::Above => std::iter::once(good).chain(colours).collect(),
        Worse::Below => colours.chain([good]).collect(),
    };
    let values = judged
        .bounds
        .iter()
        .map(|bound| Some(bound.from.unwrap_or(bound.at)));
    let steps: Vec<_> = colours
        .iter()
        .zip(std::iter::once(None).chain(values))
        .map(|(colour, value)| json!({"color": colour, "value": value}))
        .collect();
    json!({"mode": "absolute", "steps": steps})
}

/// The states of a value, and what there is in place of none: Grafana would give that the first colour, which is the worst
/// where less is worse.
fn mappings(judged: &Judged, (nothing, colour): (&str, &str)) -> Value {
    let null = json!({
        "type": "special",
        "options": {"match": "null", "result": {"text": nothing, "color": colour, "index": judged.states.len()}},
    });
    let mut all = states(judged);
    all.push(null);
    json!(all)
}

fn states(judged: &Judged) -> Vec<Value> {
    if judged.states.is_empty() {
        return Vec::new();
    }
    let mut options = json!({});
    for (index, (state, (text, colour))) in judged.states.iter().enumerate() {
        options[state.to_string()] = json!({"text": text, "color": colour.name(), "index": index});
    }
    vec![json!({"type": "value", "options": options})]
}

/// Of a table, what each column is; of other panels nothing.
fn overrides(of: &Panel) -> Vec<Value> {
    let by_name = |name: &str, properties: Vec<Value>| json!({"matcher": {"id": "byName", "options": name}, "properties": properties});
    let property = |id: &str, value: Value| json!({"id": id, "value": value});
    let mut all = Vec::new();
    for column in of.columns.iter().filter(|column| !column.hidden) {
        let mut properties = vec![
            property("unit", json!(column.unit)),
            property("thresholds", thresholds(&column.judged)),
        ];
        properties.push(property(
            "mappings",
            mappings(&column.judged, ("", "transparent")),
        ));
        if !column.judged.unjudged {
            properties.push(property(
                "custom.cellOptions",
                json!({"type": "color-background", "mode": "basic"}),
            ));
        }
        all.push(by_name(&column.name, properties));
    }
    let leads = |title: &str, url: String, blank: bool| {
        property(
            "links",
            json!([{"title": title, "url": url, "targetBlank": blank}]),
        )
    };
    for (label, title) in &of.labels {
        // The cluster is that of the row where it is a column, else that of the dashboard.
        let row = |label: &str| {
            of.labels
                .get(label)
                .map(|title| format!("${{__data.fields.{title}}}"))
        };
        let cluster = row("cluster").unwrap_or_else(|| "${cluster}".to_owned());
        if label == "alert" {
            let url = format!("${{doctor}}/alerts/${{__value.raw}}?cluster={cluster}");
            all.push(by_name(
                title,
                vec![leads("Why it fires, and what to type", url, true)],
            ));
        }
        if of.open.as_ref() == Some(label) {
            let mut url = format!(
                "/d/{}?${{datasource:queryparam}}&${{doctor:queryparam}}&var-cluster={cluster}&${{__url_time_range}}",
                uid_about(label)
            );
            if label != "cluster" {
                url.push_str(&format!("&var-{label}=${{__value.raw}}"));
            }
            all.push(by_name(
                title,
                vec![leads(&format!("Open this {label}"), url, false)],
            ));
        }
    }
    all
}

fn options(of: &Panel) -> Value {
    let legend = json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []});
    match of.kind {
        Kind::Timeseries => json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}),
        Kind::Timeline => json!({
            "legend": legend,
            "tooltip": {"mode": "single", "sort": "none"},
            "mergeValues": true,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.8,
        }),
        Kind::Stat => json!({
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            "orientation": "auto",
            "textMode": match of.show { Show::Value => "value", Show::Name => "name", Show::Both => "value_and_name" },
            "colorMode": if of.judged.unjudged { "value" } else { "background" },
            "graphMode": "none",
            "percentChangeColorMode": "standard",
            "justifyMode": "auto",
            "showPercentChange": false,
            "wideLayout": true,
        }),
        Kind::Table => {
            let sort = of
                .sort
                .iter()
                .map(|name| json!({"displayName": name, "desc": true}));
            json!({"frameIndex": 0, "showHeader": true, "cellHeight": "sm", "sortBy": sort.collect::<Vec<_>>()})
        }
    }
}

fn targets(of: &Panel, scope: Scope) -> Vec<Value> {
    let target = |(index, expr, legend, format): (usize, String, &str, &str)| {
        let now = of.kind == Kind::Stat || of.kind == Kind::Table;
        json!({
            "refId": reference(index),
            "datasource": datasource(),
            "expr": scope.expression(&expr),
            "legendFormat": legend,
            "editorMode": "code",
            "instant": now,
            "range": !now,
            "format": format,
        })
    };
    let queries = of
        .queries
        .iter()
        .map(|query| (query.whole(), &*query.legend, "time_series"));
    let columns = of.columns.iter().map(|column| (column.expr.clone(), "", "table"));
    let numbered = queries.chain(columns).enumerate();
    numbered
        .map(|(index, (expr, legend, format))| target((index, expr, legend, format)))
        .collect()
}

fn reference(index: usize) -> String {
    let letter = u8::try_from(index).expect("a panel has few queries") + b'A';
    assert!(letter.is_ascii_uppercase(), "a panel has at most 26 queries");
    char::from(letter).to_string()
}

/// One row for what all columns are about, with titles in place of labels and query numbers.
fn transformations(of: &Panel) -> Value {
    let (mut excluded, mut order, mut renamed) = (json!({"Time": true}), json!({}), json!({}));
    for label in &of.hide {
        excluded[label] = json!(true);
    }
    for (label, title) in &of.labels {
        renamed[label] = json!(title);
    }
    // What it is sorted by stands first where it is not about one thing, as the severity of a problem.
    let value = |index: usize| match of.columns.len() {
        1 => "Value".to_owned(),
        _ => format!("Value #{}", reference(index)),
    };
    let mut place = 0;
    let mut next = |name: &str, order: &mut Value| {
        order[name] = json!(place);
        place += 1;
    };
    let (first, last): (Vec<_>, Vec<_>) = (0..of.columns.len()).partition(|_| of.columns.len() == 1);
    for index in &first {
        next(&value(*index), &mut order);
    }
    for label in ["cluster", "alert", "member", "category", "version"] {
        if of.labels.contains_key(label) {
            next(label, &mut order);
        }
    }
    for index in &last {
        next(&value(*index), &mut order);
    }
    for (index, column) in of.columns.iter().enumerate() {
        if column.hidden {
            excluded[value(index)] = json!(true);
        } else {
            renamed[value(index)] = json!(column.name);
        }
    }
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": excluded, "indexByName": order, "renameByName": renamed}},
    ])
}
