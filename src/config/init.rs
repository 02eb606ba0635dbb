//! A configuration file to begin with, from what is in force: `config init`.

use std::fmt::Write as _;

use super::show::quoted;
use super::{Cluster, Config, duration};

/// The file, with comments. No password is in it.
pub(super) fn yaml(config: &Config) -> String {
    let mut page = Page(String::new());
    page.line(
        0,
        "# What etcd-doctor watches. Check it: etcd-doctor config check --config.file FILE",
    );
    page.line(0, "");
    for line in config.notes.iter().flat_map(|note| note.text.lines()) {
        page.line(0, &format!("# {}", crate::render::printable(line)));
    }
    page.line(0, "");
    page.line(
        0,
        "# How often each cluster is looked at, and how long a member may take to answer.",
    );
    page.line(0, &format!("interval: {}", duration::format(config.interval)));
    page.line(0, &format!("timeout: {}", duration::format(config.timeout)));
    page.line(0, "");
    page.line(0, "clusters:");
    for cluster in &config.clusters {
        page.cluster(cluster);
    }
    page.line(0, "");
    page.line(0, "web:");
    page.line(1, "# Without a host before the colon: on all interfaces.");
    page.line(
        1,
        &format!("listen_address: {}", quoted(&config.web.listen_address)),
    );
    page.line(
        1,
        "# TLS and users of this server, in the format of Prometheus' exporters; see docs/configuration.md.",
    );
    page.line(1, "# config_file: web.yaml");
    page.line(0, "");
    page.line(0, "# Prometheus rule files beside the shipped ones.");
    page.line(0, "# rules:");
    page.line(0, "#   files: [/etc/etcd-doctor/rules/*.yaml]");
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, depth: usize, text: &str) {
        let indent = if text.is_empty() { 0 } else { 2 * depth };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    fn cluster(&mut self, cluster: &Cluster) {
        let connection = &cluster.connection;
        let endpoints: Vec<String> = connection
            .endpoints
            .iter()
            .map(|endpoint| quoted(endpoint))
            .collect();
        self.line(
            1,
            "# The name is the label `cluster` of every series: call it as you speak of it.",
        );
        self.line(1, &format!("- name: {}", quoted(&cluster.name)));
        self.line(2, "# Other members are found from these.");
        self.line(2, &format!("endpoints: [{}]", endpoints.join(", ")));
        self.tls(cluster);
        match &connection.username {
            Some(user) => {
                self.line(2, &format!("username: {}", quoted(user)));
                let file = connection.password_file.as_deref();
                let file = file.map_or("/etc/etcd-doctor/password".to_owned(), |file| {
                    file.display().to_string()
                });
                self.line(2, "# The password, in a file that nobody else can read.");
                self.line(2, &format!("password_file: {}", quoted(&file)));
            }
            None => {
                self.line(2, "# Where etcd has users; one without any role is enough.");
                self.line(2, "# username: doctor");
                self.line(2, "# password_file: /etc/etcd-doctor/password");
            }
        }
        if connection.metrics_urls.is_empty() {
            self.line(
                2,
                "# Where a member's /metrics has an address of its own, as with kubeadm.",
            );
            self.line(
                2,
                "# metrics_urls: {member-name: \"http://127.0.0.1:2381/metrics\"}",
            );
        } else {
            self.line(2, "metrics_urls:");
            for (member, url) in &connection.metrics_urls {
                self.line(3, &format!("{}: {}", quoted(member), quoted(url)));
            }
        }
    }

    fn tls(&mut self, cluster: &Cluster) {
        let tls = &cluster.connection.tls;
        let files = [
            ("ca_file", &tls.ca_file),
            ("cert_file", &tls.cert_file),
            ("key_file", &tls.key_file),
        ];
        if files.iter().all(|(_, file)| file.is_none())
            && tls.server_name.is_none()
            && !tls.insecure_skip_verify
        {
            self.line(
                2,
                "# tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}",
            );
            return;
        }
        self.line(2, "# Who runs etcd-doctor must be able to read these.");
        self.line(2, "tls:");
        for (key, file) in files {
            if let Some(file) = file {
                self.line(3, &format!("{key}: {}", quoted(&file.display().to_string())));
            }
        }
        if let Some(name) = &tls.server_name {
            self.line(3, &format!("server_name: {}", quoted(name)));
        }
        if tls.insecure_skip_verify {
            self.line(3, "insecure_skip_verify: true");
        }
    }
}
