//! A real Chromium, told what to do over its DevTools protocol through two pipes.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Process, program};

/// For one answer of a browser on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A browser with one page.
pub struct Browser {
    process: Process,
    input: File,
    output: mpsc::UnboundedReceiver<Value>,
    /// Events that came while something else was waited for.
    events: VecDeque<Value>,
    session: Option<String>,
    count: u64,
    _dir: TempDir,
}

impl Browser {
    /// Starts it with an empty page.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        for pipe in [&input, &output] {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                pipe,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RWXU,
                0,
            )
            .unwrap();
        }
        // Both ends are opened here, so that no open waits for the other side.
        let open = |pipe: &Path| OpenOptions::new().read(true).write(true).open(pipe).unwrap();
        let (input_end, output_end) = (open(&input), open(&output));
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let args = [
            "-c".to_owned(),
            // Descriptor 3 is what it reads commands from, 4 is where it answers.
            r#"in=$1 out=$2; shift 2; exec "$@" 3<"$in" 4>"$out""#.to_owned(),
            "sh".to_owned(),
            text(&input),
            text(&output),
            text(&program("chromium", "chromium")),
            "--headless=new".to_owned(),
            "--remote-debugging-pipe".to_owned(),
            // It may be root who tests, for whom it has no sandbox; it loads nothing but our own pages.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            format!("--user-data-dir={}", dir.path().join("profile").display()),
            "about:blank".to_owned(),
        ];
        let process = Process::spawn("chromium", Path::new("/bin/sh"), &args, &dir.path().join("log"));
        let (send, output) = mpsc::unbounded_channel();
        // It ends with the test's process: nothing tells it that the browser has gone, since this end holds the pipe open.
        std::thread::spawn(move || {
            for message in BufReader::new(output_end).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            input: input_end,
            output,
            events: VecDeque::new(),
            session: None,
            count: 0,
            _dir: dir,
        };
        let target = browser
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Sends a command and waits for its result.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.count += 1;
        let mut command = json!({"id": self.count, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser takes commands");
        loop {
            let message = self.next(method).await;
            if message["id"] == self.count {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    async fn next(&mut self, what: &str) -> Value {
        match tokio::time::timeout(LIMIT, self.output.recv()).await {
            Ok(Some(message)) => message,
            Ok(None) => panic!("the browser has gone: {}", self.process.log()),
            Err(_) => panic!("waited {LIMIT:?} for the browser: {what}; {}", self.process.log()),
        }
    }

    /// How wide the page is, and whether its reader likes it dark.
    pub async fn look(&mut self, width: u32, dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Goes to an address and waits until it is loaded.
    pub async fn open(&mut self, url: &str) {
        self.events
            .retain(|event| event["method"] != "Page.loadEventFired");
        let gone = self.call("Page.navigate", json!({"url": url})).await;
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        loop {
            let loaded = self
                .events
                .iter()
                .position(|event| event["method"] == "Page.loadEventFired");
            if let Some(at) = loaded {
                self.events.remove(at);
                return;
            }
            let message = self.next(url).await;
            self.events.push_back(message);
        }
    }

    /// The value of a JavaScript expression; of a promise, what it comes to.
    pub async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression:.200}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript condition holds, looking whenever the page changes.
    pub async fn until(&mut self, condition: &str) {
        let promise = format!(
            "new Promise((done) => {{ \
               const look = () => {{ if ({condition}) {{ seen.disconnect(); done(true); }} }}; \
               const seen = new MutationObserver(look); \
               seen.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}}); look(); }})"
        );
        // Events go on coming while the page follows a cluster: the limit is for all of it.
        if tokio::time::timeout(LIMIT * 2, self.value(&promise))
            .await
            .is_err()
        {
            let seen = self.value("document.body.innerText").await;
            panic!(
                "waited {:?} for {condition}, and the page has: {seen:#}",
                LIMIT * 2
            );
        }
    }

    /// What was complained of in its console since the last time: errors and warnings, of scripts, the network and the policy.
    pub fn complaints(&mut self) -> Vec<String> {
        while let Ok(message) = self.output.try_recv() {
            self.events.push_back(message);
        }
        let is_bad = |event: &Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            // What was under way when the page was left is given up.
            Some("Network.loadingFailed") => event["params"]["canceled"] != true,
            Some("Runtime.consoleAPICalled") => ["error", "warning", "assert"]
                .iter()
                .any(|kind| event["params"]["type"] == *kind),
            Some("Log.entryAdded") => ["error", "warning"]
                .iter()
                .any(|level| event["params"]["entry"]["level"] == *level),
            _ => false,
        };
        self.events
            .drain(..)
            .filter(is_bad)
            .map(|event| event["params"].to_string())
            .collect()
    }

    /// The whole page as a PNG, in base64.
    pub async fn picture(&mut self) -> String {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", params).await;
        answer["data"].as_str().expect("a picture").to_owned()
    }
}
