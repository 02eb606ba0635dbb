//! The page as its readers have it: in a real Chromium, served by the real server, over a real fault.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use serde_json::Value;

use crate::support::{Browser, Doctor, EtcdCluster, Version, problems};

/// For what a server sees within a cycle or two, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// axe-core, which judges whether a page can be used by everybody: see `tests/vendor/README.md`.
const AXE: &str = include_str!("../vendor/axe.min.js");

/// Every violation that axe finds on the page.
async fn violations(browser: &mut Browser) -> Vec<String> {
    if browser.value("typeof axe").await == "undefined" {
        browser.value(&format!("{AXE}; 0")).await;
    }
    let found = browser
        .value("axe.run().then((result) => result.violations.map((of) => `${of.id}: ${of.nodes[0].html} ${of.nodes[0].failureSummary}`))")
        .await;
    let found: Vec<String> = serde_json::from_value(found).expect("a list of texts");
    found
}

/// Looks at an address as one reader: nobody is kept out, nothing goes wrong, and nothing has to be scrolled sideways.
async fn is_fit(browser: &mut Browser, url: &str, width: u32, dark: bool) {
    let who = format!("{url}, {width} px, {}", if dark { "dark" } else { "light" });
    browser.look(width, dark).await;
    browser.open(url).await;
    // A chart is drawn once it is seen, and says so where it cannot be.
    browser
        .value("document.querySelector('.chart')?.scrollIntoView(); 0")
        .await;
    browser
        .until("[...document.querySelectorAll('.chart')].slice(0, 1).every((of) => of.querySelector('canvas, .note:not([hidden])'))")
        .await;
    assert_eq!(violations(browser).await, Vec::<String>::new(), "{who}");
    let overflow = browser
        .value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        .await;
    assert_eq!(overflow, 0, "{who} is wider than the screen");
    assert_eq!(browser.complaints(), Vec::<String>::new(), "{who}");
    keep(browser, url, width, dark).await;
}

/// Keeps a picture where somebody wants to look at it: `PICTURES=folder`.
async fn keep(browser: &mut Browser, url: &str, width: u32, dark: bool) {
    let Some(folder) = std::env::var_os("PICTURES") else {
        return;
    };
    let name: String = url
        .split_once("//")
        .map_or(url, |(_, rest)| rest)
        .split_once('/')
        .map_or("", |(_, path)| path)
        .to_owned();
    let name: String = name
        .chars()
        .map(|letter| if letter.is_alphanumeric() { letter } else { '-' })
        .collect();
    let file = format!("page{name}-{width}-{}.png", if dark { "dark" } else { "light" });
    let picture = browser.picture().await;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(picture)
        .expect("base64");
    std::fs::write(Path::new(&folder).join(file), bytes).expect("the folder can be written to");
}

#[tokio::test]
async fn a_browser_shows_the_cause_follows_a_change_and_keeps_nobody_out() {
    let cluster = EtcdCluster::builder(Version::V3_5).quota(16 << 20).start().await;
    let doctor = Doctor::watching(&cluster).await;
    let calm = |diagnosis: &Value| diagnosis["status"] == "pass";
    doctor.diagnosis_when("a healthy cluster", SOON, calm).await;
    let mut browser = Browser::start().await;
    browser.look(1280, false).await;
    browser.open(&doctor.url()).await;
    browser.until("document.querySelector('.cluster.pass')").await;
    // What is loaded anew has no mark any more.
    browser.value("window.mark = 'the same page'").await;

    cluster.fill_quota().await;
    browser.until("document.querySelector('.cluster.fail')").await;
    browser
        .until("document.querySelector('.problem[open]')?.textContent.includes('etcdctl alarm disarm')")
        .await;
    let verdict = browser
        .value("document.querySelector('.verdict').textContent")
        .await;
    assert!(
        verdict
            .as_str()
            .is_some_and(|text| text.contains("refuses writes (NOSPACE alarm)")),
        "{verdict}"
    );
    assert_eq!(browser.value("document.title.startsWith('fail')").await, true);
    assert_eq!(browser.value("window.mark").await, "the same page");
    assert_eq!(browser.complaints(), Vec::<String>::new());

    let diagnosis = doctor.diagnosis().await;
    assert_eq!(problems(&diagnosis)[0], "EtcdQuotaAlarmFull", "{diagnosis:#}");
    let at = |path: &str| format!("{}{path}", doctor.url());
    for (path, width, dark) in [
        ("/", 1280, false),
        ("/", 390, true),
        ("/alerts", 390, false),
        ("/alerts/EtcdQuotaAlarmFull?cluster=etcd", 1280, true),
        ("/alerts/EtcdQuotaAlarmFull?cluster=etcd", 390, false),
        ("/expression?expr=etcd_doctor_member_db_size_bytes", 1280, true),
        ("/runbooks/EtcdQuotaAlarmFull", 390, false),
    ] {
        is_fit(&mut browser, &at(path), width, dark).await;
    }
}
