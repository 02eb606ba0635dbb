//! A child process that never outlives the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How much of a log is shown when a test fails: enough for the cause, little enough to be read.
const TAIL_LINES: usize = 40;

/// A running program with its output in a log file.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. Its standard output and error go to `log`, after what stands there already.
    pub fn spawn(name: &str, program: &Path, args: &[String], log: &Path) -> Self {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .unwrap_or_else(|e| panic!("could not open {}: {e}", log.display()))
        };
        let child = Command::new(program)
            .args(args)
            // What the developer has set for his own clusters is no business of a test's.
            .env_clear()
            .envs(std::env::vars().filter(|(key, _)| !key.starts_with("ETCD") || key == "TEST_PEERS"))
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|e| panic!("could not start {}: {e}", program.display()));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends a signal. One that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends, blocking the test: only for a moment that is known to be short.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let name = self.name.clone();
        super::wait_for(&format!("{name} to end"), limit, async || {
            self.exited().ok_or("it is still running")
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            eprintln!(
                "---- the end of the log of {} ----\n{}",
                self.name,
                tail.join("\n")
            );
        }
    }
}
