//! The attribute macros of tworoutine.
