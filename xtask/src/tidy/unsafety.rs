//! Unsafe code is in `tworoutine` alone, and each piece of it has a comment on its soundness.

use super::source::{Kind, Source, Token};
use super::{Breach, Tree};

/// The folder whose packages may have unsafe code.
const FOLDER: &str = "tworoutine";

/// Code there that must not compile, and so needs no comment on its soundness.
const MUST_NOT_COMPILE: &str = "tworoutine/tests/ui";

/// Unsafe code in other packages, and a workspace that does not forbid it.
pub(super) fn elsewhere(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let manifest = tree.toml("Cargo.toml");
    let level = ["workspace", "lints", "rust", "unsafe_code"]
        .iter()
        .try_fold(&toml::Value::Table(manifest), |value, key| value.get(key))
        .and_then(toml::Value::as_str)
        .map(str::to_owned);
    if level.as_deref() != Some("forbid") {
        let what = "the workspace's lints must have `unsafe_code = \"forbid\"`";
        breaches.push(Breach::new("Cargo.toml", what));
    }
    for source in tree
        .sources
        .iter()
        .filter(|source| !source.path.starts_with(FOLDER))
    {
        for (_, line) in source.idents().filter(|(ident, _)| *ident == "unsafe") {
            breaches.push(Breach::at(
                &source.path,
                line,
                "unsafe code outside `tworoutine/`",
            ));
        }
    }
    breaches
}

/// Unsafe code without a comment on its soundness, or on the duties of its caller.
pub(super) fn unexplained(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &tree.sources {
        if !source.path.starts_with(FOLDER) || source.path.starts_with(MUST_NOT_COMPILE) {
            continue;
        }
        let mut around = Vec::new();
        let mut header = 0;
        for (at, token) in source.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => around.push(implements_trait(&source.tokens[header..at])),
                "}" => drop(around.pop()),
                ";" => {}
                "unsafe" if token.kind == Kind::Ident => {
                    let piece = piece(&source.tokens[at + 1..]);
                    let of_trait = around.last() == Some(&true);
                    breaches.extend(unexplained_piece(source, token.line, piece, of_trait));
                    continue;
                }
                _ => continue,
            }
            header = at + 1;
        }
    }
    breaches
}

fn unexplained_piece(source: &Source, line: usize, piece: Piece, of_trait: bool) -> Option<Breach> {
    let what = match piece {
        // The duties of the caller of a trait's method are documented at the trait.
        Piece::Type => return None,
        Piece::Demand if of_trait => return None,
        Piece::Demand if commented(source, line, &["# Safety", "SAFETY:"]) => return None,
        Piece::Demand => "an unsafe function or trait without a `# Safety` section",
        Piece::Promise if commented(source, line, &["SAFETY:"]) => return None,
        Piece::Promise => "unsafe code without a `SAFETY:` comment",
    };
    Some(Breach::at(&source.path, line, what))
}

/// True if the tokens before a brace are `impl Trait for Type`.
fn implements_trait(header: &[Token]) -> bool {
    let is_impl = header.iter().any(|token| token.is("impl"));
    is_impl
        && header
            .windows(2)
            .any(|pair| pair[0].is("for") && !pair[1].is("<"))
}

/// Piece of code that an `unsafe` begins.
enum Piece {
    /// A block, an `impl` or an attribute: this code keeps a contract.
    Promise,
    /// A function or a trait: its caller or implementor must keep a contract.
    Demand,
    /// A type of unsafe functions: no contract is kept here.
    Type,
}

fn piece(after: &[Token]) -> Piece {
    let mut words = after.iter().filter(|token| token.kind != Kind::Literal);
    let Some(mut word) = words.next() else {
        return Piece::Promise;
    };
    if word.is("extern") {
        word = words.next().unwrap_or(word);
    }
    match word.text.as_str() {
        "fn" if words.next().is_some_and(|next| next.is("(")) => Piece::Type,
        "fn" | "trait" => Piece::Demand,
        _ => Piece::Promise,
    }
}

/// True if the line, or the comment above the statement or item that it is in, has one of the
/// words.
fn commented(source: &Source, line: usize, words: &[&str]) -> bool {
    let says = |line: &str| words.iter().any(|word| comment(line).contains(word));
    let mut above = source.lines[..line].iter().rev().map(|line| line.trim());
    if above.next().is_some_and(says) {
        return true;
    }
    let mut in_comment = false;
    for line in above {
        let is_comment = line.starts_with("//");
        if is_comment && says(line) {
            return true;
        }
        // Up through the attributes and earlier lines of the statement, then its comment.
        let ends_before = line.is_empty() || line.ends_with([';', '{', '}', ',']);
        if !is_comment && (in_comment || (ends_before && !line.starts_with("#["))) {
            return false;
        }
        in_comment |= is_comment;
    }
    false
}

fn comment(line: &str) -> &str {
    line.find("//").map_or("", |at| &line[at..])
}
