//! A first configuration file, as `config init` writes it.

use super::*;

#[test]
fn a_first_file_gives_the_same_clusters_and_no_password() {
    let found = load(None, &[], &[("interval", "10s")]).unwrap();
    let text = found.to_first_file();
    assert!(text.contains("\n# looked\n"), "{text}");
    let again = load(Some(&text), &[], &[]).unwrap();
    assert_eq!((again.interval, again.timeout), (found.interval, found.timeout));
    assert_eq!(again.clusters, found.clusters);

    let named = "clusters: [{name: prod-1, endpoints: [a:1, b:1], metrics_urls: {a: 'http://a:2/m'}}]";
    let mut named = load(Some(named), &[], &[]).unwrap();
    let again = load(Some(&named.to_first_file()), &[], &[]).unwrap();
    assert_eq!(again.clusters, named.clusters);

    let connection = &mut named.clusters[0].connection;
    connection.tls.ca_file = Some("/pki/ca.crt".into());
    connection.username = Some("doctor".into());
    connection.password = Some(crate::client::Secret::new("hunter2"));
    let text = named.to_first_file();
    for line in [
        "      ca_file: \"/pki/ca.crt\"\n",
        "    username: \"doctor\"\n",
        "    password_file: \"/etc/etcd-doctor/password\"\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn of_several_clusters_of_this_host_each_is_one_and_no_secret_is_shown_to_all() {
    let several = |given: &[(&str, &str)], ca_file: Option<&str>| {
        let ca_file = ca_file.map(std::path::PathBuf::from);
        let discover: Discover = Arc::new(move |_, _| {
            let found = |port: u16| Found {
                name: Some(format!("etcd-{port}")),
                endpoints: vec![format!("http://127.0.0.1:{port}")],
                ca_file: ca_file.clone(),
                ..Found::default()
            };
            let both = vec![found(2379), found(3379)];
            async { Ok(both) }.boxed()
        });
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let flags = Flags {
            config_file: None,
            given: given.collect(),
        };
        let loader = Loader::new(flags, Vec::new(), discover);
        loader
            .load()
            .now_or_never()
            .unwrap()
            .map_err(|error| error.to_string())
    };
    let config = several(&[("command-timeout", "3s")], None).unwrap();
    let told: Vec<_> = config
        .clusters
        .iter()
        .map(|cluster| (&*cluster.name, &*cluster.connection.endpoints[0]))
        .collect();
    assert_eq!(
        told,
        [
            ("etcd-2379", "http://127.0.0.1:2379"),
            ("etcd-3379", "http://127.0.0.1:3379"),
        ]
    );
    let error = several(&[("user", "root:hunter2")], None).unwrap_err();
    assert!(
        error.starts_with(
            "--user: 2 etcd clusters run on this host: http://127.0.0.1:2379 and http://127.0.0.1:3379"
        ),
        "{error}"
    );
    assert!(
        error.contains("--endpoints") && !error.contains("hunter2"),
        "{error}"
    );
    // What is missing is said: which file, and which flag to give.
    let error = several(&[], Some("/no/ca.crt")).unwrap_err();
    let words = "found on this host: clusters[0].tls.ca_file: could not open /no/ca.crt: No such file or directory (os error 2); \
                 name another file with --cacert";
    assert_eq!(error.lines().next(), Some(words));
}
