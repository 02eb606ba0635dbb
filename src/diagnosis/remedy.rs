//! The commands in a remedy.

/// Programs whose calls are commands to type. A code span that starts with anything else is a name, a path or a flag.
const PROGRAMS: &str = "apt-cache cat chronyc crictl crontab curl df dmesg du etcd-doctor etcdctl etcdutl findmnt fio free \
    ionice iostat ip iptables journalctl kubeadm kubectl last ls lsblk lsof mkdir mtr mv nc nft nstat openssl pidstat ping pkill \
    prlimit ps rm ss sudo systemctl timedatectl top vmstat";

/// Those of them that do something useful without an argument. Of the others, the bare name is just a name.
const COMPLETE_ALONE: [&str; 3] = ["free", "lsblk", "top"];

/// The code spans of a Markdown text that are commands, in order.
pub fn commands(markdown: &str) -> Vec<String> {
    let spans = markdown.split('`').skip(1).step_by(2).map(str::trim);
    spans.filter(|span| is_command(span)).map(str::to_owned).collect()
}

fn is_command(span: &str) -> bool {
    let mut words = span
        .split_whitespace()
        .skip_while(|word| *word == "env" || is_assignment(word));
    let program = words.next().unwrap_or_default();
    let known = PROGRAMS.split_whitespace().any(|known| known == program);
    known && (words.next().is_some() || COMPLETE_ALONE.contains(&program))
}

/// A variable for the command after it, as in `ETCDCTL_API=3 etcdctl …`.
fn is_assignment(word: &str) -> bool {
    let of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(of_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_code_spans_that_start_with_a_program() {
        let remedy = "1. Compact: `etcdctl compact 42` (load)\n\
                      2. Set `--quota-backend-bytes`, then `ETCDCTL_API=3 etcdctl alarm disarm`\n\
                      3. `etcdctl` is needed for this; `top` shows the rest";
        assert_eq!(
            commands(remedy),
            ["etcdctl compact 42", "ETCDCTL_API=3 etcdctl alarm disarm", "top"]
        );
    }

    /// A template with something in the place of each action.
    fn filled(template: &str) -> String {
        let mut pieces = template.split("{{");
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |filled, piece| {
            filled + "x" + piece.split_once("}}").map_or("", |(_, rest)| rest)
        })
    }

    /// What a shipped remedy lets be typed is among the commands of the report.
    #[test]
    fn the_programs_of_the_shipped_remedies_are_known() {
        let looks_typed = |span: &str| {
            let mut words = span.split_whitespace();
            let word = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let program = words.next().is_some_and(word);
            program && words.any(|word| word.starts_with(['-', '/', '$']) || word.contains('='))
        };
        let mut unknown = Vec::new();
        for (file, text) in crate::rules::builtin::FILES {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let text = filled(&lines.collect::<Vec<_>>().join("\n"));
            let remedies = text.split("remedy: ").skip(1);
            let remedies = remedies.filter_map(|rest| rest.split("evidence: ").next());
            for span in remedies.flat_map(|remedy| remedy.split('`').skip(1).step_by(2)) {
                if looks_typed(span) && !is_command(span) {
                    unknown.push((*file, span.to_owned()));
                }
            }
        }
        assert!(unknown.is_empty(), "{unknown:#?}");
    }

    #[test]
    fn an_unclosed_span_does_no_harm() {
        assert_eq!(commands("run `etcdctl alarm list"), ["etcdctl alarm list"]);
    }
}
