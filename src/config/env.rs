//! The environment: `ETCD_DOCTOR_WEB__LISTEN_ADDRESS` is `web.listen_address`.

use super::layer::Layer;

/// The layer's name.
pub(super) const LAYER: &str = "environment";

/// Before the name of every variable.
pub(super) const PREFIX: &str = "ETCD_DOCTOR_";

/// Names the file; not a key of it.
pub const CONFIG_FILE: &str = "ETCD_DOCTOR_CONFIG_FILE";

/// Reads the variables that are etcd-doctor's.
pub(super) fn parse<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Layer {
    let mut layer = Layer::new(LAYER);
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        if variable == CONFIG_FILE || is_service_link(name) {
            continue;
        }
        let key = name.to_ascii_lowercase();
        layer.set(
            &key.split("__").collect::<Vec<_>>(),
            value,
            &format!("variable {variable}"),
        );
    }
    layer
}

/// Whether Kubernetes made it: for a service called `etcd-doctor` (or `etcd-doctor-…`) every container beside it is given
/// `ETCD_DOCTOR_SERVICE_HOST`, `ETCD_DOCTOR_PORT`, `ETCD_DOCTOR_PORT_9379_TCP_ADDR` and the like. No key looks like those.
fn is_service_link(name: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    if words.contains(&"") {
        return false; // Two underscores: a key of ours, perhaps misspelt.
    }
    words.ends_with(&["SERVICE", "HOST"])
        || words.windows(2).any(|pair| pair == ["SERVICE", "PORT"])
        || words.last() == Some(&"PORT")
        || words
            .windows(3)
            .any(|part| part[0] == "PORT" && part[1].parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_underscores_nest() {
        let layer = parse([
            ("ETCD_DOCTOR_INTERVAL", "7s"),
            ("ETCD_DOCTOR_WEB__LISTEN_ADDRESS", ":1"),
            ("PATH", "x"),
        ]);
        assert_eq!(layer.dict["interval"].as_str(), Some("7s"));
        assert_eq!(
            layer.dict["web"].as_dict().unwrap()["listen_address"].as_str(),
            Some(":1")
        );
        let place = layer.place(&["web".into(), "listen_address".into()]);
        assert_eq!(place, Some("variable ETCD_DOCTOR_WEB__LISTEN_ADDRESS"));
        assert_eq!(layer.dict.len(), 2);
    }

    #[test]
    fn variables_of_kubernetes_services_are_passed_over() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_9379_TCP",
            "PORT_9379_TCP_ADDR",
            "METRICS_SERVICE_HOST",
        ] {
            assert!(
                parse([(format!("{PREFIX}{name}").as_str(), "x")]).dict.is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_file_is_not_a_key() {
        assert!(parse([(CONFIG_FILE, "x")]).dict.is_empty());
    }
}
