//! Failures over many boards.

use std::fmt;

use crate::Error;

/// The failures of an operation over many boards: a tree that keeps every branch.
///
/// ```
/// use twotone_hal::{Error, ErrorKind, ErrorTree};
/// let mut crate0 = ErrorTree::new("crate 0");
/// crate0.push(Error::new(ErrorKind::Timeout, "no answer within 2 s").on("b0003"));
/// let mut array = ErrorTree::new("connect 3 boards");
/// array.push_tree(crate0);
/// array.push(Error::new(ErrorKind::Unreachable, "connection refused").on("b0042"));
/// assert_eq!(array.errors().count(), 2);
/// ```
#[derive(Debug)]
pub struct ErrorTree {
    name: String,
    errors: Vec<Error>,
    branches: Vec<ErrorTree>,
}

impl ErrorTree {
    /// An empty tree; `name` names the operation that was tried.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            errors: Vec::new(),
            branches: Vec::new(),
        }
    }

    /// Name of the operation that was tried.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds the failure of one board.
    pub fn push(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// Adds the failures of a group of boards. An empty group adds nothing.
    pub fn push_tree(&mut self, tree: ErrorTree) {
        if !tree.is_empty() {
            self.branches.push(tree);
        }
    }

    /// True if there is no failure anywhere in the tree.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.branches.iter().all(Self::is_empty)
    }

    /// Every failure, those of the branches first, in the order they were added.
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        let mut errors = Vec::new();
        self.collect(&mut errors);
        errors.into_iter()
    }

    fn collect<'a>(&'a self, errors: &mut Vec<&'a Error>) {
        for branch in &self.branches {
            branch.collect(errors);
        }
        errors.extend(&self.errors);
    }

    /// `Ok` for an empty tree, so that it can end a function with `?`.
    ///
    /// # Errors
    /// The tree itself, if it holds any failure.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(
            f,
            "{:depth$}{}: {} failed",
            "",
            self.name,
            self.errors().count(),
            depth = depth
        )?;
        for branch in &self.branches {
            f.write_str("\n")?;
            branch.show(f, depth + 2)?;
        }
        for error in &self.errors {
            write!(f, "\n{:depth$}{error}", "", depth = depth + 2)?;
        }
        Ok(())
    }
}

impl fmt::Display for ErrorTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, 0)
    }
}

impl std::error::Error for ErrorTree {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn every_branch_is_kept_and_told() {
        let mut inner = ErrorTree::new("crate 1");
        inner.push(Error::new(ErrorKind::Timeout, "no answer").on("b1"));
        let mut outer = ErrorTree::new("connect");
        outer.push_tree(ErrorTree::new("crate 0"));
        outer.push_tree(inner);
        outer.push(Error::new(ErrorKind::Unreachable, "refused").on("b2"));
        let boards: Vec<_> = outer.errors().filter_map(Error::board).collect();
        assert_eq!(boards, ["b1", "b2"]);
        assert_eq!(
            outer.to_string(),
            "connect: 2 failed\n  crate 1: 1 failed\n    board b1: timed out: no answer\n  \
             board b2: unreachable: refused"
        );
        assert!(outer.into_result().is_err());
        assert!(ErrorTree::new("nothing").into_result().is_ok());
    }
}
