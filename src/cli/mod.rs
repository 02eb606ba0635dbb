//! The command line: what there is to type, and what each exit status means.
//!
//! `diagnose`: 0 pass, 1 warning, 2 critical, 3 unknown, which is also what bad usage and failures give, as monitoring plugins
//! do. Every other command: 0 good, 1 failed, 2 bad usage.

mod ask;
mod bundle;
mod diagnose;
mod explain;
mod manual;
mod rules;
mod run;
mod settings;
mod terminal;
mod unit;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config;

pub use run::run;

/// Bad usage, for every command but `diagnose`: clap's own.
const USAGE: u8 = 2;

/// The status cannot be told: `diagnose` failed, or was typed wrongly.
const UNKNOWN: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  Look at the etcd of this host and say what is wrong:
    etcd-doctor diagnose
    etcd-doctor diagnose --endpoints https://10.0.0.1:2379 \\
      --cacert ca.crt --cert client.crt --key client.key
  Watch, and serve metrics and diagnoses on port 9379:
    etcd-doctor config init > etcd-doctor.yaml
    etcd-doctor serve --config.file etcd-doctor.yaml
  Ask a running one:
    etcd-doctor diagnose --server http://127.0.0.1:9379
    etcd-doctor rules explain EtcdNoLeader --server http://127.0.0.1:9379
  Check before use:
    etcd-doctor config check --config.file etcd-doctor.yaml
    etcd-doctor rules check my-rules.yaml
    etcd-doctor rules test my-tests.yaml";

const SERVE_NOTES: &str = "\
Examples:
  etcd-doctor serve --config.file etcd-doctor.yaml
  etcd-doctor serve --endpoints 10.0.0.1:2379 --web.listen-address 127.0.0.1:9379
  etcd-doctor serve --config.file etcd-doctor.yaml --web.config.file web.yaml

SIGTERM and SIGINT let requests under way finish; SIGHUP reads the configuration anew.";

const DIAGNOSE_NOTES: &str = "\
Examples:
  etcd-doctor diagnose
  etcd-doctor diagnose --endpoints https://10.0.0.1:2379 --cacert ca.crt --cert client.crt --key client.key
  etcd-doctor diagnose --config.file etcd-doctor.yaml --window 1m -o json
  etcd-doctor diagnose --server http://127.0.0.1:9379 --watch
  etcd-doctor diagnose --save etcd.bundle

Exit status: 0 pass, 1 warning, 2 critical, 3 unknown. The report goes to standard output, the log to standard error.";

/// Finds out what is wrong with an etcd cluster.
#[derive(Parser, Debug)]
#[command(name = "etcd-doctor", version, about, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Watch clusters and serve metrics, the diagnosis and a page.
    #[command(after_help = SERVE_NOTES)]
    Serve {
        #[command(flatten)]
        web: WebFlags,
        #[command(flatten)]
        settings: SettingsFlags,
    },
    /// Watch for some seconds, say what is wrong and what to do, and exit.
    #[command(after_help = DIAGNOSE_NOTES)]
    Diagnose(Box<Diagnose>),
    /// Ask a running etcd-doctor whether it is alive, as a container's health check does.
    #[command(
        after_help = "Exit status: 0 it is alive, 1 it is not. This is about the server, not about the clusters that it watches: for those, use `diagnose --server`."
    )]
    Healthcheck {
        /// Where it serves.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9379")]
        server: String,
        #[command(flatten)]
        access: ServerFlags,
    },
    /// Check, test, list or explain rules.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Begin, check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what a shell needs to complete commands and flags.
    #[command(after_help = "Examples:\n  \
        etcd-doctor completion bash > /etc/bash_completion.d/etcd-doctor\n  \
        etcd-doctor completion fish > ~/.config/fish/completions/etcd-doctor.fish")]
    Completion {
        /// Which shell.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands into a folder.
    #[command(
        after_help = "Examples:\n  etcd-doctor man | man -l -\n  etcd-doctor man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// The folder; made where it is missing.
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct Diagnose {
    /// How long to watch before judging; 0s looks once.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    window: Duration,
    /// How the report is written.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Ask a running etcd-doctor at this URL instead of watching; certificates and user are then those for it.
    #[arg(long, value_name = "URL", conflicts_with_all = ["endpoints", "discovery_srv", "window"])]
    server: Option<String>,
    /// Only the cluster of this name.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Go on watching, and show the present report in place until Ctrl-C.
    #[arg(long, conflicts_with_all = ["bundle", "save", "window", "output"])]
    watch: bool,
    /// Also write all that the report was made from into this file, for somebody else to look at; without passwords, keys
    /// and anything from the store.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Make the report from such a file, instead of watching.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "endpoints", "discovery_srv", "window", "save"])]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFlags,
}

#[derive(Subcommand, Debug)]
enum RulesCommand {
    /// Check Prometheus rule files as they are checked on loading, beside the shipped rules.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Run unit tests of rules, in the format of `promtool test rules`; or, with --bundle, try rules on what was seen once:
    /// which alerts would have fired, when, and what is different from then.
    #[command(
        after_help = "Exit status: 0 all passed, 1 one failed or could not be run; what differs goes to standard error.\n\
                      With --bundle, a file takes the place of the bundle's file of the same name; others come on top. Without any, the rules of this version are tried. Rules that look back further than the bundle's first cycle see only what is in it."
    )]
    Test {
        /// A bundle of `diagnose --save`.
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
        /// The files with the tests, to which the rule files that they name are relative; with --bundle, rule files to try.
        #[arg(value_name = "FILE", required_unless_present = "bundle")]
        files: Vec<PathBuf>,
    },
    /// Explain one alert: what each part of its expression gives now, how far it is from firing, when it was active, what
    /// it explains and what explains it.
    #[command(
        after_help = "Exit status: 0 explained, 1 no such alert, or nothing to look at; similar names are listed."
    )]
    Explain(Box<Explain>),
    /// Print the inhibit rules for Alertmanager that follow from what the rules in force explain: while a cause fires, nobody
    /// is told of its symptoms, unless they are more severe.
    Inhibit {
        #[command(flatten)]
        file: FileFlag,
    },
    /// List the alerts of the rules in force.
    List {
        /// How the list is written.
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: ListFormat,
        #[command(flatten)]
        file: FileFlag,
    },
}

#[derive(Args, Debug)]
struct Explain {
    /// The alert's name; `rules list` has them.
    #[arg(value_name = "ALERT")]
    alert: String,
    /// How it is written.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: ListFormat,
    /// How long to watch before explaining; 0s looks once.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    window: Duration,
    /// Ask a running etcd-doctor at this URL instead of watching: it knows the last hour.
    #[arg(long, value_name = "URL", conflicts_with_all = ["endpoints", "discovery_srv", "window"])]
    server: Option<String>,
    /// Only in the cluster of this name.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// In a bundle of `diagnose --save`, as it was then.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "endpoints", "discovery_srv", "window"])]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFlags,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print a commented configuration file for the etcd that was found on this host, or that the flags name.
    Init {
        #[command(flatten)]
        settings: SettingsFlags,
    },
    /// Check the whole configuration without using it, and say where it was read from.
    Check {
        #[command(flatten)]
        web: WebFlags,
        #[command(flatten)]
        settings: SettingsFlags,
    },
    /// Show the configuration in force as YAML, with the source of each value; passwords are hidden.
    Show {
        #[command(flatten)]
        web: WebFlags,
        #[command(flatten)]
        settings: SettingsFlags,
    },
}

/// How a report is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// For people, in a terminal.
    Text,
    /// For programs: the report of the HTTP API.
    Json,
    /// For tickets and chats.
    Markdown,
    /// One line for Nagios, Icinga and their kin.
    Nagios,
}

/// How a list or an explanation is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum ListFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Args, Debug, Default)]
struct FileFlag {
    /// The configuration file [variable: ETCD_DOCTOR_CONFIG_FILE].
    #[arg(long = "config.file", value_name = "FILE", help_heading = "Configuration")]
    config_file: Option<PathBuf>,
}

/// Flags of the HTTP server.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
struct WebFlags {
    /// Where to listen [default: :9379, all interfaces].
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Option<String>,
    /// TLS, client certificates, users, headers and a rate for this server, in the format of Prometheus' exporters
    /// [default: none, plain HTTP].
    #[arg(long = "web.config.file", value_name = "FILE", id = "web_config_file")]
    config_file: Option<String>,
}

/// What is watched, and how this is logged. What may be said here and in the file is a text: it is checked in one place.
#[derive(Args, Debug)]
struct SettingsFlags {
    #[command(flatten)]
    file: FileFlag,
    #[command(flatten)]
    general: GeneralFlags,
    #[command(flatten)]
    connection: ConnectionFlags,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Configuration")]
struct GeneralFlags {
    /// How often each cluster is looked at [default: 5s].
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// Remember active alerts over a restart, in files in this folder [default: off].
    #[arg(long = "rules.state-dir", value_name = "FOLDER")]
    state_dir: Option<String>,
    /// off, error, warn, info, debug or trace [default: info; warn for diagnose].
    #[arg(long = "log.level", value_name = "LEVEL")]
    log_level: Option<String>,
    /// logfmt or json [default: logfmt].
    #[arg(long = "log.format", value_name = "FORMAT")]
    log_format: Option<String>,
}

/// etcdctl's flags. Each has etcdctl's variable, too: ETCDCTL_ENDPOINTS, ETCDCTL_CACERT and so on.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection, as with etcdctl or its variables (ETCDCTL_ENDPOINTS, …)")]
struct ConnectionFlags {
    /// Endpoints, with commas between; the other members are found from one of them [default: the etcd of this host].
    #[arg(long, value_name = "LIST", id = "endpoints")]
    endpoints: Vec<String>,
    /// Verify servers' certificates with the CAs in this file.
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,
    /// The client certificate.
    #[arg(long, value_name = "FILE")]
    cert: Option<String>,
    /// Its key.
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// Do not verify servers' certificates.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_skip_tls_verify: Option<String>,
    /// false: endpoints without a scheme are https, even without certificates [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_transport: Option<String>,
    /// Look for endpoints in the SRV records of this domain.
    #[arg(short = 'd', long, value_name = "DOMAIN", id = "discovery_srv")]
    discovery_srv: Option<String>,
    /// A part of the SRV records' name.
    #[arg(long, value_name = "NAME")]
    discovery_srv_name: Option<String>,
    /// false: take no endpoint without TLS from SRV records [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_discovery: Option<String>,
    /// The user, name or name:password.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The user's password; better in ETCDCTL_PASSWORD, or in a file with password_file.
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Accepted for etcdctl's sake: --command-timeout bounds connecting, too.
    #[arg(long, value_name = "DURATION")]
    dial_timeout: Option<String>,
    /// The deadline of each call to a member [default: 2s].
    #[arg(long, value_name = "DURATION")]
    command_timeout: Option<String>,
}

/// What a server of ours may ask for, where it has a web configuration.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Access to the server")]
struct ServerFlags {
    /// Verify its certificate with the CAs in this file.
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,
    /// The client certificate.
    #[arg(long, value_name = "FILE")]
    cert: Option<String>,
    /// Its key.
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// Do not verify its certificate.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_skip_tls_verify: Option<String>,
    /// The user, name or name:password.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The user's password; better in ETCDCTL_PASSWORD.
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

impl SettingsFlags {
    /// Those of the connection that mean a server of ours where one is asked.
    fn server(self) -> ServerFlags {
        let flags = self.connection;
        ServerFlags {
            cacert: flags.cacert,
            cert: flags.cert,
            key: flags.key,
            insecure_skip_tls_verify: flags.insecure_skip_tls_verify,
            user: flags.user,
            password: flags.password,
        }
    }

    /// As the configuration takes them.
    fn into_flags(self, web: Option<WebFlags>) -> config::Flags {
        let ConnectionFlags {
            endpoints,
            cacert,
            cert,
            key,
            insecure_skip_tls_verify,
            insecure_transport,
            discovery_srv,
            discovery_srv_name,
            insecure_discovery,
            user,
            password,
            dial_timeout,
            command_timeout,
        } = self.connection;
        let (listen_address, web_config_file) =
            web.map_or((None, None), |web| (web.listen_address, web.config_file));
        let given = [
            ("web.listen-address", listen_address),
            ("web.config.file", web_config_file),
            ("interval", self.general.interval),
            ("rules.state-dir", self.general.state_dir),
            ("log.level", self.general.log_level),
            ("log.format", self.general.log_format),
            ("endpoints", (!endpoints.is_empty()).then(|| endpoints.join(","))),
            ("cacert", cacert),
            ("cert", cert),
            ("key", key),
            ("insecure-skip-tls-verify", insecure_skip_tls_verify),
            ("insecure-transport", insecure_transport),
            ("discovery-srv", discovery_srv),
            ("discovery-srv-name", discovery_srv_name),
            ("insecure-discovery", insecure_discovery),
            ("user", user),
            ("password", password),
            ("dial-timeout", dial_timeout),
            ("command-timeout", command_timeout),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?)));
        config::Flags {
            config_file: self.file.config_file,
            given: given.collect(),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| "expected a duration such as 15s or 1m30s".to_owned())
}

impl Cli {
    /// Reads the command line. What clap has to say (help, the version, a mistake) is printed; the error is the exit status.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, u8> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        Self::try_parse_from(&arguments).map_err(|error| {
            // Nobody is left to be told that standard output or error is closed.
            let _ = error.print();
            match error.use_stderr() {
                false => 0,
                true if is_diagnose(&arguments) => UNKNOWN,
                true => USAGE,
            }
        })
    }
}

/// Whether the command, the first word that is no flag, is `diagnose`: clap's error does not tell.
fn is_diagnose(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1);
    words
        .find(|word| !word.as_encoded_bytes().starts_with(b"-"))
        .is_some_and(|word| word == "diagnose")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(line: &str) -> Result<Cli, u8> {
        Cli::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_errors_of_diagnose_are_unknown_and_of_others_usage() {
        for (line, status) in [
            ("etcd-doctor diagnose --nonsense", 3),
            ("etcd-doctor diagnose --window soon", 3),
            ("etcd-doctor diagnose -o yaml", 3),
            ("etcd-doctor diagnose --server http://a:1 --endpoints b:1", 3),
            ("etcd-doctor diagnose --help", 0),
            ("etcd-doctor serve --nonsense", 2),
            ("etcd-doctor rules check", 2),
            ("etcd-doctor rules test", 2),
            ("etcd-doctor nonsense", 2),
            ("etcd-doctor", 2),
            ("etcd-doctor --version", 0),
        ] {
            assert_eq!(read(line).err(), Some(status), "{line}");
        }
    }

    #[test]
    fn flags_reach_the_configuration_under_their_names() {
        let line = "etcd-doctor serve --config.file f --web.listen-address :1 --web.config.file w --log.level debug --log.format json --interval 9s --rules.state-dir s \
                    --endpoints a:1,b:1 --endpoints=c:1 --cacert ca --cert c --key k --insecure-skip-tls-verify \
                    --insecure-transport=false --discovery-srv d --discovery-srv-name n --insecure-discovery=false \
                    --user u:p --password p --dial-timeout 1s --command-timeout 3s";
        let Ok(Cli {
            command: Command::Serve { web, settings },
        }) = read(line)
        else {
            panic!("not read")
        };
        let flags = settings.into_flags(Some(web));
        assert_eq!(flags.config_file, Some("f".into()));
        let given: Vec<String> = flags
            .given
            .iter()
            .map(|(name, text)| format!("{name}={text}"))
            .collect();
        assert_eq!(
            given.join(" "),
            "web.listen-address=:1 web.config.file=w interval=9s rules.state-dir=s log.level=debug log.format=json endpoints=a:1,b:1,c:1 \
            cacert=ca cert=c key=k insecure-skip-tls-verify=true insecure-transport=false discovery-srv=d \
            discovery-srv-name=n insecure-discovery=false user=u:p password=p dial-timeout=1s command-timeout=3s"
        );
    }
}
