//! A dashboard of the source in Grafana's classic JSON model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::panel::panel;
use super::source::{Dashboard, Kind, Panel, Scope};

/// The data source of every panel, query, annotation and variable: the one that is chosen at the top.
pub fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The uid of the dashboard about what a label names.
pub fn uid_about(label: &str) -> &'static str {
    match label {
        "cluster" => "etcd-doctor",
        "member" => "etcd-doctor-member",
        _ => panic!("no dashboard is about a {label}"),
    }
}

/// The whole dashboard.
pub fn dashboard(of: &Dashboard, panels: &BTreeMap<String, Panel>) -> Value {
    json!({
        "uid": of.uid,
        "title": of.title,
        "description": of.description,
        "tags": ["etcd", "etcd-doctor"],
        // Of Grafana 10.4. Newer ones bring it up to date when they load it.
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "id": null,
        "annotations": {"list": annotations(of.scope)},
        "links": links(of.scope),
        "templating": {"list": variables(of.scope)},
        "panels": placed(of, panels),
    })
}

/// What fires, as marks in all charts. From etcd-doctor's own series, so that they are there without any rules in
/// Prometheus; what Prometheus itself makes of the rules can be switched on.
fn annotations(scope: Scope) -> Vec<Value> {
    let about = match scope {
        Scope::Fleet => r#"cluster=~"$cluster""#,
        Scope::Cluster => r#"cluster="$cluster""#,
        Scope::Member => r#"cluster="$cluster",member=~"$member|""#,
    };
    let mark = |name: &str, enable: bool, colour: &str, expr: String, title: &str| {
        json!({
            "name": name,
            "datasource": datasource(),
            "enable": enable,
            "hide": false,
            "iconColor": colour,
            "expr": expr,
            "step": "15s",
            "titleFormat": title,
            "textFormat": "{{cluster}} {{member}}",
            "tagKeys": "severity,category",
            "useValueForTime": false,
        })
    };
    let own = |severity: &str| {
        format!(
            r#"max by (cluster, member, alert, severity, category) (etcd_doctor_problem{{{about},severity="{severity}"}})"#
        )
    };
    let prometheus = format!(
        r#"max by (cluster, member, alertname, severity, category) (ALERTS{{{about},alertname=~"Etcd.+",alertstate="firing"}})"#
    );
    vec![
        mark("Critical", true, "red", own("critical"), "{{alert}}"),
        mark("Warnings", true, "orange", own("warning"), "{{alert}}"),
        mark("Remarks", false, "blue", own("info"), "{{alert}}"),
        mark("Prometheus' alerts", false, "red", prometheus, "{{alertname}}"),
    ]
}

/// A link of a dashboard or of a panel. One that stays in Grafana takes the time along, the others open a new window.
pub fn link(title: &str, icon: &str, url: &str) -> Value {
    let stays = url.starts_with('/');
    json!({
        "type": "link",
        "title": title,
        "icon": icon,
        "tooltip": "",
        "url": url,
        "tags": [],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": stays,
        "targetBlank": !stays,
    })
}

/// The ways to the other dashboards and to etcd-doctor's own page, with what is chosen here.
fn links(scope: Scope) -> Vec<Value> {
    let cluster = if scope == Scope::Fleet {
        ""
    } else {
        "&${cluster:queryparam}"
    };
    let to = |title: &str, uid: &str, more: &str| {
        let url = format!("/d/{uid}?${{datasource:queryparam}}&${{doctor:queryparam}}{more}");
        link(title, "dashboard", &url)
    };
    let mut all = Vec::new();
    if scope != Scope::Fleet {
        all.push(to("Overview", "etcd-doctor-overview", ""));
    }
    if scope != Scope::Cluster {
        all.push(to("Cluster", uid_about("cluster"), cluster));
    }
    if scope == Scope::Cluster {
        all.push(to("Member", uid_about("member"), cluster));
    }
    let page = if scope == Scope::Fleet {
        "${doctor}/"
    } else {
        "${doctor}/?cluster=${cluster:percentencode}"
    };
    all.push(link("etcd-doctor", "external link", page));
    all
}

fn variables(scope: Scope) -> Vec<Value> {
    let mut all = vec![json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "options": [],
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "includeAll": false,
        "multi": false,
    })];
    let several = scope == Scope::Fleet;
    all.push(choice(
        "cluster",
        "Cluster",
        "label_values(etcd_doctor_cluster_status, cluster)",
        several,
    ));
    if scope != Scope::Fleet {
        let members = r#"label_values(etcd_doctor_member_reachable{cluster="$cluster"}, member)"#;
        all.push(choice("member", "Member", members, scope == Scope::Cluster));
    }
    let doctor = "http://localhost:9379";
    all.push(json!({
        "name": "doctor",
        "label": "etcd-doctor",
        "description": "Where etcd-doctor's page is, for the links to it",
        "type": "textbox",
        "query": doctor,
        "current": {"text": doctor, "value": doctor},
        "options": [{"text": doctor, "value": doctor, "selected": true}],
        "hide": 0,
    }));
    all
}

/// A variable whose values are those of a label.
fn choice(name: &str, label: &str, query: &str, several: bool) -> Value {
    let mut variable = json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": datasource(),
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "options": [],
        "hide": 0,
    });
    if several {
        variable["allValue"] = json!(".*");
        variable["current"] = json!({"text": ["All"], "value": ["$__all"]});
    }
    variable
}

/// The panels in their places: from left to right, as many as fit, row by row.
fn placed(of: &Dashboard, panels: &BTreeMap<String, Panel>) -> Vec<Value> {
    const WIDTH: u32 = 24;
    let (mut all, mut id, mut top) = (Vec::new(), 0, 0);
    let mut used = BTreeSet::new();
    for row in &of.rows {
        id += 1;
        all.push(json!({
            "type": "row",
            "id": id,
            "title": row.title,
            "collapsed": false,
            "panels": [],
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top},
        }));
        top += 1;
        let (mut left, mut height) = (0, 0);
        for name in &row.panels {
            let of_source = panels
                .get(name)
                .unwrap_or_else(|| panic!("{}: no panel is called {name}", of.file));
            assert!(used.insert(name), "{}: {name} is there twice", of.file);
            let (w, h) = of_source.size.unwrap_or(match of_source.kind {
                Kind::Stat => (4, 4),
                Kind::Timeseries | Kind::Timeline | Kind::Table => (8, 8),
            });
            if left + w > WIDTH {
                (left, top, height) = (0, top + height, 0);
            }
            id += 1;
            let mut made = panel(of_source, of.scope);
            made["id"] = json!(id);
            made["gridPos"] = json!({"h": h, "w": w, "x": left, "y": top});
            all.push(made);
            left += w;
            height = height.max(h);
        }
        top += height;
    }
    all
}
