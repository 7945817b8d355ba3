//! Names that client and server share: keys of requests, answers and descriptions.

// Keys of a request.
pub(super) const OBJECT: &str = "object";
pub(super) const METHOD: &str = "method";
pub(super) const ARGS: &str = "args";
pub(super) const KWARGS: &str = "kwargs";
pub(super) const PROPERTY: &str = "property";
pub(super) const RESOLVE: &str = "resolve";

/// Declares a key, and the bytes of the key in JSON together with the character before it.
macro_rules! key {
    ($name:ident = $text:literal, $json:ident = $before:literal) => {
        pub(super) const $name: &str = $text;
        // Each element of an answer has such a key, so key and quotes are prepared as one text to
        // write.
        #[cfg(feature = "server")]
        pub(super) const $json: &[u8] = concat!($before, "\"", $text, "\":").as_bytes();
    };
}

// Keys of an answer.
key!(RESULT = "result", JSON_RESULT = "{");
key!(ERROR = "error", JSON_ERROR = "{");
key!(WARNINGS = "warnings", JSON_WARNINGS = ",");
pub(super) const MESSAGE: &str = "message";

// Keys of a description.
pub(super) const DOC: &str = "__doc__";
pub(super) const METHODS: &str = "methods";
pub(super) const PROPERTIES: &str = "properties";
pub(super) const OBJECTS: &str = "objects";
pub(super) const SIGNATURE: &str = "__signature__";
pub(super) const PARAMETERS: &str = "parameters";
pub(super) const NAME: &str = "name";
pub(super) const KIND: &str = "kind";
pub(super) const DEFAULT: &str = "default";

/// Name of the first parameter of a Python method: the object itself.
pub(super) const SELF: &str = "self";

/// Key of the map that represents bytes in JSON.
pub(super) const BYTES: &str = "bytes";

/// Second key that the map with [`BYTES`] may have. Its value has no meaning here.
pub(super) const SUBTYPE: &str = "subtype";
