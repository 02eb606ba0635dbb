//! `completion` and `man`: what shells and `man` need, from the same definitions as `--help`.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, terminal};

/// The name of the program, and of the first page.
const NAME: &str = "etcd-doctor";

/// Sections of the first page that no definition of a flag has.
const MORE: [(&str, &str); 3] = [
    (
        "EXIT STATUS",
        "diagnose: 0 pass, 1 warning, 2 critical, 3 unknown, which is also what failures and bad usage give. Every other \
         command: 0 good, 1 failed, 2 bad usage.",
    ),
    (
        "ENVIRONMENT",
        "ETCD_DOCTOR_CONFIG_FILE names the configuration file. ETCD_DOCTOR_ and a key in capitals, with two underscores for \
         each step down, sets that key: ETCD_DOCTOR_LOG__LEVEL=debug. ETCDCTL_ENDPOINTS, ETCDCTL_CACERT and etcdctl's \
         other variables describe one cluster where no file names any.",
    ),
    (
        "FILES",
        "There is no default configuration file: name one with --config.file. config init prints one to begin with.",
    ),
];

/// Prints a shell's completions.
pub(super) fn completion(shell: Shell) -> anyhow::Result<u8> {
    terminal::print(&completions(shell)?)?;
    Ok(0)
}

fn completions(shell: Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    let script = String::from_utf8(script)?;
    Ok(match shell {
        // It looks for the commands of a program with a hyphen under other names than it gives them:
        // https://github.com/clap-rs/clap/issues/6421.
        Shell::Bash => script.replace("etcd__subcmd__doctor", "etcd__doctor"),
        _ => script,
    })
}

/// Prints the first manual page, or writes all of them into a folder, which is made where it is missing.
pub(super) fn man(folder: Option<&Path>) -> anyhow::Result<u8> {
    let pages = pages()?;
    let Some(folder) = folder else {
        let first = pages.iter().find(|(name, _)| name == "etcd-doctor.1");
        terminal::print(first.map_or("", |(_, page)| page))?;
        return Ok(0);
    };
    fs::create_dir_all(folder).with_context(|| format!("could not make the folder {}", folder.display()))?;
    for (name, page) in &pages {
        let path = folder.join(name);
        fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(0)
}

/// Every page, by the name of its file.
fn pages() -> anyhow::Result<Vec<(String, String)>> {
    // The help of `help` would be a page of its own for each command.
    let mut root = Cli::command().disable_help_subcommand(true);
    // Gives each command its whole name.
    root.build();
    let mut pages = Vec::new();
    add(&root, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual(NAME);
    let page = page(command, &man).context("could not write a manual page")?;
    pages.push((man.get_filename(), String::from_utf8(page)?));
    for inner in command.get_subcommands() {
        add(inner, pages)?;
    }
    Ok(())
}

fn page(command: &Command, man: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    if let Some(notes) = command.get_after_help() {
        rest.control("SH", ["NOTES"]);
        as_written(&notes.to_string(), &mut rest);
    }
    if command.get_name() == NAME {
        for (title, text) in MORE {
            rest.control("SH", [title]).text([roman(text)]);
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    let page_of = |name: &str| vec![bold(name), roman("(1)")];
    let others = match command.get_name() {
        NAME => vec!["etcdctl".to_owned(), "promtool".to_owned()],
        _ => vec![NAME.to_owned()],
    };
    let inner = command
        .get_subcommands()
        .filter_map(|inner| inner.get_display_name().map(str::to_owned));
    let mut all = inner.chain(others).peekable();
    let mut line = Vec::new();
    while let Some(name) = all.next() {
        line.extend(page_of(&name));
        if all.peek().is_some() {
            line.push(roman(", "));
        }
    }
    rest.text(line);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// Prose as paragraphs; lines that are indented, which are what one types, as they stand.
fn as_written(text: &str, roff: &mut Roff) {
    let is_indented = |line: &&str| line.starts_with(' ');
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    for block in lines.chunk_by(|a, b| is_indented(a) == is_indented(b)) {
        let typed = block.first().is_some_and(is_indented);
        roff.control("PP", []);
        if typed {
            roff.control("nf", []);
        }
        for line in block {
            roff.text([roman(*line)]);
        }
        if typed {
            roff.control("fi", []);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command as Process, Stdio};

    use clap::ValueEnum;

    use super::*;

    /// Each command with its whole name and its long flags, as clap has them.
    fn commands() -> Vec<(String, Vec<String>)> {
        fn walk(command: &Command, found: &mut Vec<(String, Vec<String>)>) {
            let name = command.get_display_name().unwrap_or(command.get_name());
            let flags = command.get_arguments().filter_map(|argument| argument.get_long());
            found.push((name.to_owned(), flags.map(str::to_owned).collect()));
            command.get_subcommands().for_each(|inner| walk(inner, found));
        }
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let mut found = Vec::new();
        walk(&root, &mut found);
        found
    }

    #[test]
    fn every_command_has_a_page_with_all_its_flags() {
        let pages = pages().unwrap();
        let commands = commands();
        assert_eq!(pages.len(), commands.len());
        assert!(pages.len() > 12);
        for (name, flags) in commands {
            let (_, page) = pages
                .iter()
                .find(|(file, _)| *file == format!("{name}.1"))
                .unwrap_or_else(|| panic!("{name} has no page"));
            for flag in flags {
                let written = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(page.contains(&written), "{name} --{flag}\n{page}");
            }
            for section in ["NAME", "SYNOPSIS", "OPTIONS", "SEE ALSO"] {
                let heading = match section.contains(' ') {
                    true => format!(".SH \"{section}\"\n"),
                    false => format!(".SH {section}\n"),
                };
                assert!(page.contains(&heading), "{name} {section}\n{page}");
            }
        }
    }

    #[test]
    fn every_shell_completes_every_command_and_flag() {
        for shell in Shell::value_variants() {
            let script = completions(*shell).unwrap();
            for (name, flags) in commands() {
                let last = name.rsplit('-').next().unwrap_or(&name);
                assert!(script.contains(last), "{shell}: {name}");
                for flag in flags {
                    // fish writes flags without their dashes.
                    let written = match shell {
                        Shell::Fish => format!("-l {flag}"),
                        _ => format!("--{flag}"),
                    };
                    assert!(script.contains(&written), "{shell}: {name} --{flag}");
                }
            }
        }
    }

    /// What bash offers for a line, the last word being typed.
    fn offered(words: &[&str]) -> String {
        let script = completions(Shell::Bash).unwrap();
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; f=$(complete -p etcd-doctor | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $f etcd-doctor {} {}; echo \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        let bash = Process::new("bash").args(["--norc", "-c", &ask]).output();
        let output = bash.expect("bash is there");
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_real_bash_offers_commands_flags_and_values() {
        assert_eq!(offered(&["etcd-doctor", "diag"]), "diagnose\n");
        assert_eq!(offered(&["etcd-doctor", "rules", "ex"]), "explain\n");
        assert_eq!(
            offered(&["etcd-doctor", "serve", "--web.c"]),
            "--web.config.file\n"
        );
        assert_eq!(
            offered(&["etcd-doctor", "diagnose", "--output", ""]),
            "text json markdown nagios\n"
        );
    }

    /// Where `man` is, it must have nothing to complain of, and show what was written.
    #[test]
    fn a_real_man_shows_the_pages() {
        let folder = tempfile::tempdir().unwrap();
        man(Some(folder.path())).unwrap();
        if Process::new("man").arg("--version").output().is_err() {
            eprintln!("man is not here, so its view of the pages was not looked at");
            return;
        }
        for (name, _) in pages().unwrap() {
            let shown = Process::new("man")
                .args(["--warnings", "--encoding=UTF-8", "--local-file"])
                .arg(folder.path().join(&name))
                .env("MANWIDTH", "100")
                .env("LC_ALL", "C.UTF-8")
                .env("MAN_KEEP_FORMATTING", "")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let complaints = String::from_utf8_lossy(&shown.stderr).into_owned();
            assert!(
                shown.status.success() && complaints.is_empty(),
                "{name}: {complaints}"
            );
            let text = String::from_utf8_lossy(&shown.stdout).into_owned();
            let title = name.trim_end_matches(".1");
            assert!(
                text.contains("SYNOPSIS") && text.contains(title),
                "{name}: {text}"
            );
        }
    }
}
