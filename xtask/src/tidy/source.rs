//! A Rust source as its tokens and the paths that they form, each resolved by the file's imports.
//! Comments and strings are not searched for names, so prose may contain names that code may not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One source file.
pub(crate) struct Source {
    /// Path from the root of the workspace.
    pub(crate) path: PathBuf,
    /// Its lines, for the comments, which tokens do not keep.
    pub(crate) lines: Vec<String>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) names: Vec<Name>,
}

/// A token. `::` is one token, a pair of delimiters is two.
#[derive(Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// Line, from 1.
    pub(crate) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Ident,
    Literal,
    Punct,
}

impl Token {
    fn new(kind: Kind, text: impl Into<String>, line: usize) -> Self {
        Self {
            kind,
            text: text.into(),
            line,
        }
    }

    /// True if this is that word or sign, and not a literal with that text.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// A path that the file writes, such as `thread::sleep`, or imports.
pub(crate) struct Name {
    /// Full path, such as `std::thread::sleep`, as far as the file's imports resolve it.
    pub(crate) path: String,
    /// True if an import resolved the path, or the path is that of an import.
    resolved: bool,
    /// Line, from 1.
    pub(crate) line: usize,
}

impl Name {
    /// True if this is, or may be, the item of that full path.
    pub(crate) fn is(&self, item: &str) -> bool {
        let tail = self.path.contains("::")
            && item
                .strip_suffix(&self.path)
                .is_some_and(|head| head.ends_with("::"));
        self.path == item || (!self.resolved && tail)
    }

    /// True if this is the item of that full path or something in it.
    pub(crate) fn is_in(&self, item: &str) -> bool {
        self.path
            .strip_prefix(item)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

impl Source {
    /// Reads a source. The error has the line at which it is not Rust.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let stream = TokenStream::from_str(text)
            .map_err(|error| format!("line {}: {error}", error.span().start().line))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let imports = imports(&tokens);
        Ok(Self {
            path: path.to_path_buf(),
            lines: text.lines().map(str::to_owned).collect(),
            names: names(&tokens, &imports),
            tokens,
        })
    }

    /// The identifiers, with their lines.
    pub(crate) fn idents(&self) -> impl Iterator<Item = (&str, usize)> {
        self.of_kind(Kind::Ident)
    }

    /// The literals, doc comments included, as they are written.
    pub(crate) fn literals(&self) -> impl Iterator<Item = (&str, usize)> {
        self.of_kind(Kind::Literal)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&str, usize)> {
        self.tokens
            .iter()
            .filter(move |token| token.kind == kind)
            .map(|token| (token.text.as_str(), token.line))
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                tokens.push(Token::new(Kind::Ident, text.trim_start_matches("r#"), line));
            }
            TokenTree::Literal(literal) => {
                tokens.push(Token::new(Kind::Literal, literal.to_string(), line));
            }
            TokenTree::Punct(punct) => {
                let colon = |tree: &TokenTree| matches!(tree, TokenTree::Punct(next) if next.as_char() == ':');
                let joined = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                let text = if joined && trees.next_if(colon).is_some() {
                    "::".to_owned()
                } else {
                    punct.as_char().to_string()
                };
                tokens.push(Token::new(Kind::Punct, text, line));
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(Token::new(Kind::Punct, open, line));
                flatten(group.stream(), tokens);
                tokens.push(Token::new(
                    Kind::Punct,
                    close,
                    group.span_close().start().line,
                ));
            }
        }
    }
}

/// Names that the file's `use` items import. Scopes are not distinguished: a name that is imported
/// twice may stand for either path.
#[derive(Default)]
struct Imports {
    /// Full paths that a name in this file may stand for, by the name.
    named: BTreeMap<String, Vec<String>>,
    /// Every path that a `use` item names, with its line.
    written: Vec<(String, usize)>,
    /// The modules that are imported whole.
    globs: Vec<String>,
}

fn imports(tokens: &[Token]) -> Imports {
    let mut imports = Imports::default();
    for (at, token) in tokens.iter().enumerate() {
        let starts_item = tokens.get(at + 1).is_some_and(|next| next.text != "<");
        if token.kind == Kind::Ident && token.text == "use" && starts_item {
            imports.tree(tokens, at + 1, String::new());
        }
    }
    imports
}

impl Imports {
    /// Reads one use tree below a path; returns the index after it.
    fn tree(&mut self, tokens: &[Token], mut at: usize, mut path: String) -> usize {
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.text.as_str() {
                "::" => {}
                "*" => {
                    self.globs.push(path);
                    return at;
                }
                "{" => {
                    while let Some(token) = tokens.get(at) {
                        match token.text.as_str() {
                            "}" => return at + 1,
                            "," => at += 1,
                            _ => at = self.tree(tokens, at, path.clone()),
                        }
                    }
                    return at;
                }
                text if token.kind == Kind::Ident => {
                    if text != "self" || path.is_empty() {
                        path = join(&path, text);
                    }
                    if tokens.get(at).is_some_and(|next| next.text == "::") {
                        continue;
                    }
                    let mut alias = path.rsplit("::").next().unwrap_or_default().to_owned();
                    if tokens.get(at).is_some_and(|next| next.text == "as") {
                        alias = tokens.get(at + 1).map_or(alias, |token| token.text.clone());
                        at += 2;
                    }
                    self.written.push((path.clone(), token.line));
                    self.named.entry(alias).or_default().push(path);
                    return at;
                }
                // The end of the item, or no use item at all, as in a macro's pattern.
                _ => return at.max(1) - 1 + usize::from(path.is_empty()),
            }
        }
        at
    }
}

/// Every path that the tokens form, in full.
fn names(tokens: &[Token], imports: &Imports) -> Vec<Name> {
    let written = imports.written.iter();
    let mut names: Vec<Name> = written
        .map(|(path, line)| Name {
            path: path.clone(),
            resolved: true,
            line: *line,
        })
        .collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        if token.kind != Kind::Ident {
            continue;
        }
        let (first, mut rest) = (&token.text, String::new());
        while let [separator, segment, ..] = &tokens[at..]
            && separator.text == "::"
            && segment.kind == Kind::Ident
        {
            rest = join(&rest, &segment.text);
            at += 2;
        }
        let mut push = |head: &str, resolved| {
            let path = if rest.is_empty() {
                head.to_owned()
            } else {
                join(head, &rest)
            };
            names.push(Name {
                path,
                resolved,
                line: token.line,
            });
        };
        match imports.named.get(first) {
            Some(heads) => heads.iter().for_each(|head| push(head, true)),
            None => {
                push(first, false);
                imports
                    .globs
                    .iter()
                    .for_each(|module| push(&join(module, first), true));
            }
        }
    }
    names
}

fn join(path: &str, segment: &str) -> String {
    if path.is_empty() {
        segment.to_owned()
    } else {
        format!("{path}::{segment}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, item: &str, lines: &[usize]) {
        let source = Source::parse(Path::new("x.rs"), text).expect("the sample is Rust");
        let mut found: Vec<_> = source
            .names
            .iter()
            .filter(|name| name.is(item))
            .map(|name| name.line)
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, lines, "{item} in {text}");
    }

    #[test]
    fn names_are_found_however_they_are_imported() {
        let now = "std::time::Instant::now";
        check("fn f() { std::time::Instant::now(); }", now, &[1]);
        check("fn f() { ::std::time::Instant::now(); }", now, &[1]);
        check(
            "use std::time::Instant;\nfn f() { Instant::now(); }",
            now,
            &[2],
        );
        check(
            "use std::time::{Duration, Instant};\nfn f() { Instant::now(); }",
            now,
            &[2],
        );
        check(
            "use std::{fs, time::{self, Duration}};\nfn f() { time::Instant::now() }",
            now,
            &[2],
        );
        check(
            "use std::time::Instant as Clock;\nfn f() { Clock::now(); }",
            now,
            &[2],
        );
        check("use std::time::*;\nfn f() { Instant::now(); }", now, &[2]);
        check("use tokio::*;\nfn f() { spawn(x); }", "tokio::spawn", &[2]);
        check("use super::*;\nfn f() { g(Instant::now); }", now, &[2]);
        check(
            "mod m { use std::time as t; fn f() { m!(t::Instant::now()) } }",
            now,
            &[1],
        );
        check(
            "use std::thread::sleep;\n\nfn f() { sleep(d) }",
            "std::thread::sleep",
            &[1, 3],
        );
        check("fn f() { r#tokio::spawn(x) }", "tokio::spawn", &[1]);
    }

    #[test]
    fn prose_and_other_items_of_the_name_are_not_found() {
        let now = "std::time::Instant::now";
        check(
            "// Instant::now()\n/* Instant::now() */ fn f() {}",
            now,
            &[],
        );
        check(
            "/// Instant::now()\nfn f() { \"Instant::now()\"; }",
            now,
            &[],
        );
        check(
            "use tokio::time::Instant;\nfn f() { Instant::now(); }",
            now,
            &[],
        );
        check("fn f() { tokio::time::Instant::now(); }", now, &[]);
        check("fn now() { now(); sleep(); spawn() }", now, &[]);
        check(
            "fn f(x: impl Fn() + use<'_>) { x.spawn() }",
            "tokio::spawn",
            &[],
        );
        check(
            "use tworoutine::spawn;\nfn f() { spawn(x) }",
            "tokio::spawn",
            &[],
        );
    }

    #[test]
    fn what_is_not_rust_is_an_error_with_its_line() {
        let error = Source::parse(Path::new("x.rs"), "fn f() {\n\n")
            .err()
            .unwrap_or_default();
        assert!(error.starts_with("line "), "{error}");
    }
}
