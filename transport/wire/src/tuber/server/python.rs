//! Python names of types, which servers use in the texts of errors.

use crate::tuber::cursor::{Cursor, Kind, Number};

/// Name of the type of null.
pub(super) const NONE: &str = "NoneType";
pub(super) const BOOL: &str = "bool";
pub(super) const INT: &str = "int";
pub(super) const FLOAT: &str = "float";
pub(super) const STR: &str = "str";
pub(super) const LIST: &str = "list";
pub(super) const DICT: &str = "dict";

/// Returns the Python name of the type of the next value.
pub(super) fn type_of(cursor: &Cursor<'_>) -> &'static str {
    match cursor.kind() {
        Ok(Kind::Null) => NONE,
        Ok(Kind::Bool) => BOOL,
        Ok(Kind::Number) => match { *cursor }.number() {
            Ok(Number::Int(_)) => INT,
            _ => FLOAT,
        },
        Ok(Kind::Str) => STR,
        Ok(Kind::Bytes) => "bytes",
        Ok(Kind::Array) => LIST,
        Ok(Kind::Map) => DICT,
        Ok(Kind::TypedArray) => "ndarray",
        Err(_) => "unreadable",
    }
}
