//! Problems of a file that a person wrote, such as a hardware map or a parameter file.

use std::fmt;
use std::io;

use twotone_hal::legible;

use super::Place;

/// All problems of a file. They are displayed with one problem per line, such as
/// `` farm.toml:12:3: unknown key `adress` in [[board]]; did you mean `address`? ``
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapError {
    file: String,
    problems: Vec<Problem>,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File of the problem, if it is not the file of the error, such as a file that the latter
    /// includes.
    pub file: Option<String>,
    /// Place of the problem, unless it concerns the file as a whole.
    pub place: Option<Place>,
    /// Description of the problem.
    pub message: String,
    /// The key or value that was probably meant.
    pub suggestion: Option<String>,
}

impl MapError {
    pub(super) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| {
            let key = |problem: &Problem| (problem.place.is_none(), problem.place);
            let files = one.file.cmp(&other.file);
            files.then_with(|| key(one).cmp(&key(other)))
        });
        Self {
            file: file.to_owned(),
            problems,
        }
    }

    /// Adds a last problem, which says how many more problems there are, or that there may be more.
    pub(super) fn with_last(mut self, message: String) -> Self {
        self.problems.push(Problem {
            file: None,
            place: None,
            message,
            suggestion: None,
        });
        self
    }

    pub(super) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self::new(
            file,
            vec![Problem {
                file: None,
                place: None,
                message: message.into(),
                suggestion: None,
            }],
        )
    }

    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self::whole(file, format!("cannot be read: {error}"))
    }

    /// The name of the file, as the caller gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, in the order of the file, and those of other files after them. The list is
    /// never empty. It has at most a hundred problems. If there are more, or if a part of the file
    /// was not checked, a last problem without a place says so.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&legible(&self.message))?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{}`?", legible(suggestion)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let file = problem.file.as_ref().unwrap_or(&self.file);
            write!(f, "{}:", legible(file))?;
            if let Some(place) = problem.place {
                write!(f, "{}:{}:", place.line, place.column)?;
            }
            write!(f, " {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for MapError {}

impl From<MapError> for twotone_hal::Error {
    fn from(error: MapError) -> Self {
        Self::new(twotone_hal::ErrorKind::InvalidArgument, error.to_string())
    }
}
