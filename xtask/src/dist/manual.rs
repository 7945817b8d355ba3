//! The manual page, made from the output of `--help` of the program and of its commands.

use std::fmt::Write as _;

use crate::Result;

/// Parts of the help of a command. Each paragraph is one line, because the program was run with a
/// very wide terminal.
#[derive(Debug, Default, PartialEq, Eq)]
struct Help {
    about: String,
    usage: String,
    /// Heading and entries of each list, such as the list of the options.
    lists: Vec<(String, Vec<Entry>)>,
    /// All other paragraphs.
    remarks: Vec<String>,
}

/// An option, argument or command, and its meaning.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    term: String,
    meaning: String,
}

/// Indentation of an entry's meaning in the long form of the help. There the meaning is on lines of
/// its own.
const MEANING: usize = 10;

/// Environment variable that tells the program the width of the terminal, and its value.
pub(crate) const WIDE: (&str, &str) = ("COLUMNS", "100000");

/// Makes the page. `help` runs the program with the arguments that it gets, and returns the output
/// of the program.
pub(crate) fn page(
    version: &str,
    date: &str,
    mut help: impl FnMut(&[&str]) -> Result<String>,
) -> Result<String> {
    let whole = read(&help(&["--help"])?);
    let day = date.split('T').next().unwrap_or(date);
    let mut page = format!(
        ".TH TWOTONE 1 \"{day}\" \"twotone {}\" \"User Commands\"\n.SH NAME\ntwotone \\- {}\n",
        escaped(version),
        escaped(&lowered(&whole.about))
    );
    let _ = write!(page, ".SH SYNOPSIS\n.B {}\n", escaped(&whole.usage));
    page.push_str(".SH DESCRIPTION\n");
    paragraphs(&mut page, &whole.remarks);
    let (commands, others): (Vec<_>, Vec<_>) = whole
        .lists
        .into_iter()
        .partition(|(heading, _)| heading == "Commands");
    for (heading, entries) in &others {
        let _ = writeln!(page, ".SH {}", escaped(&heading.to_uppercase()));
        list(&mut page, entries);
    }
    page.push_str(".SH COMMANDS\n");
    for entry in commands.iter().flat_map(|(_, entries)| entries) {
        command(&mut page, &[], entry, &mut help)?;
    }
    page.push_str(
        ".SH FILES\n.TP\n.I /etc/twotone/map.toml\nHardware map of the daemon.\n\
         .TP\n.I /var/lib/twotone\nRuns and state of the daemon.\n\
         .TP\n.I /run/twotone/control.sock\nSocket of the daemon. Its group may give it jobs.\n\
         .TP\n.I /run/lock/twotone\\-board\\-*.lock\nLocks of the boards.\n",
    );
    Ok(page)
}

/// Writes a command and its subcommands.
fn command(
    page: &mut String,
    above: &[&str],
    Entry { term, meaning }: &Entry,
    help: &mut dyn FnMut(&[&str]) -> Result<String>,
) -> Result<()> {
    if term == "help" {
        return Ok(());
    }
    let words = [above, &[term]].concat();
    let whole = read(&help(&[words.as_slice(), &["--help"]].concat())?);
    let _ = write!(
        page,
        ".SS {}\n{}.\n",
        escaped(&words.join(" ")),
        escaped(meaning)
    );
    let _ = write!(page, ".PP\n.B {}\n", escaped(&whole.usage));
    paragraphs(page, &whole.remarks);
    let is_commands = |heading: &str| heading == "Commands";
    for (_, entries) in whole
        .lists
        .iter()
        .filter(|(heading, _)| !is_commands(heading))
    {
        list(page, entries);
    }
    let commands = whole
        .lists
        .iter()
        .filter(|(heading, _)| is_commands(heading));
    for entry in commands.flat_map(|(_, entries)| entries) {
        command(page, &words, entry, help)?;
    }
    Ok(())
}

fn read(text: &str) -> Help {
    let mut help = Help::default();
    let mut in_list = false;
    for line in text.lines() {
        let inner = line.trim_start();
        let depth = line.len() - inner.len();
        if inner.is_empty() {
            continue;
        }
        if depth == 0 {
            let heading = line.strip_suffix(':').filter(|it| !it.contains(' '));
            in_list = heading.is_some();
            if let Some(heading) = heading {
                help.lists.push((heading.to_owned(), Vec::new()));
            } else if let Some(usage) = line.strip_prefix("Usage: ") {
                usage.clone_into(&mut help.usage);
            } else if help.about.is_empty() {
                line.clone_into(&mut help.about);
            } else {
                help.remarks.push(line.to_owned());
            }
            continue;
        }
        let entries = help.lists.last_mut().filter(|_| in_list);
        let Some((_, entries)) = entries else {
            help.remarks.push(inner.to_owned());
            continue;
        };
        match (depth < MEANING, entries.last_mut()) {
            (false, Some(last)) => {
                let gap = if last.meaning.is_empty() { "" } else { " " };
                let _ = write!(last.meaning, "{gap}{inner}");
            }
            _ => {
                let (term, meaning) = inner.split_once("  ").unwrap_or((inner, ""));
                entries.push(Entry {
                    term: term.to_owned(),
                    meaning: meaning.trim().to_owned(),
                });
            }
        }
    }
    help
}

fn list(page: &mut String, entries: &[Entry]) {
    for Entry { term, meaning } in entries {
        let _ = write!(
            page,
            ".TP\n\\fB{}\\fR\n{}\n",
            escaped(term),
            escaped(meaning)
        );
    }
}

fn paragraphs(page: &mut String, paragraphs: &[String]) {
    for paragraph in paragraphs {
        let _ = write!(page, ".PP\n{}\n", escaped(paragraph));
    }
}

fn lowered(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_lowercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Escapes a text so that the typesetter prints it unchanged.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Tunes things\n\nUsage: twotone [OPTIONS] <COMMAND>\n\nCommands:\n  \
        go    Set off. At once\n  help  Print this\n\nOptions:\n  -v, --verbose...  Log more\n      \
        --json        Print one object\n\nExit status: 0 all well.\n\n.dot and \\slash.\n";
    const GO: &str = "Set off\n\nUsage: twotone go <MAP>\n\nArguments:\n  <MAP>\n          The map.\n\n          \
        Of one kind\n\nOptions:\n      --far\n          As far as it goes\n\n          Possible values:\n          - so: so far\n\n          [default: 16]\n";

    fn help_of(words: &[&str]) -> Result<String> {
        match words {
            ["--help"] => Ok(HELP.to_owned()),
            ["go", "--help"] => Ok(format!("{GO}\nCommands:\n  by    Choose a way\n")),
            ["go", "by", "--help"] => Ok("Choose\n\nUsage: twotone go by <WAY>\n".to_owned()),
            _ => Err(format!("{words:?}")),
        }
    }

    #[test]
    fn the_short_and_the_long_form_of_help_are_read() {
        let entry = |term: &str, meaning: &str| Entry {
            term: term.to_owned(),
            meaning: meaning.to_owned(),
        };
        let short = read(HELP);
        assert_eq!(short.about, "Tunes things");
        assert_eq!(short.usage, "twotone [OPTIONS] <COMMAND>");
        assert_eq!(
            short.remarks,
            ["Exit status: 0 all well.", ".dot and \\slash."]
        );
        assert_eq!(
            short.lists[1].1,
            [
                entry("-v, --verbose...", "Log more"),
                entry("--json", "Print one object")
            ]
        );
        let long = read(GO);
        assert_eq!(long.lists[0].1, [entry("<MAP>", "The map. Of one kind")]);
        assert_eq!(
            long.lists[1].1,
            [entry(
                "--far",
                "As far as it goes Possible values: - so: so far [default: 16]"
            )]
        );
    }

    #[test]
    fn every_command_is_on_the_page_and_nothing_is_taken_for_a_request() {
        let page = page("0.1.0~x", "2026-11-22T21:04:21Z", help_of).unwrap();
        for part in [
            ".TH TWOTONE 1 \"2026-11-22\" \"twotone 0.1.0~x\"",
            "twotone \\- tunes things",
            ".SS go\nSet off. At once.\n",
            "\\fB\\-\\-far\\fR\nAs far as it goes",
            ".SS go by\nChoose a way.\n.PP\n.B twotone go by <WAY>\n",
            "\n\\&.dot and \\eslash.\n",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains(".SS help"), "{page}");
    }
}
