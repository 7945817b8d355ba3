//! Write an async function once; call it asynchronously or synchronously.
