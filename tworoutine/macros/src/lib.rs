#![doc = include_str!("../README.md")]

mod entry;
mod function;
mod lifetimes;
mod options;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Turns an `async fn` into a function that can be called with `.await` or with `.wait()`.
///
/// `async fn f(x: X) -> R` becomes `fn f(x: X) -> Tworoutine<impl Future<Output = R>>`. A caller
/// writes `f(x).await` or `f(x).wait()`. Nothing else about the function changes: its
/// documentation, attributes, visibility, generics, lifetimes (elided ones too) and receiver stay.
/// The body runs from the first poll on.
///
/// # Options
///
/// - `#[tworoutine(Send)]` requires that the future is `Send`. If it is not, the error is at the
///   declaration and not at a call of `spawn`. In a trait, this option lets generic code spawn the
///   future.
/// - `#[tworoutine(dyn)]` boxes the future. This makes a trait method dyn-compatible and lets a
///   function call itself. `#[tworoutine(dyn, Send)]` does both.
///
/// On a trait or an `impl` block, the attribute applies to each `async fn` in it that has no
/// `#[tworoutine]` of its own. A method must have the same options in a trait and in its
/// implementations.
#[proc_macro_attribute]
pub fn tworoutine(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::Form);
    function::expand(options, item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Runs an `async fn main` on a single-threaded runtime of its own. Its body becomes a context (a
/// future with a stack of its own).
///
/// The effect is that of a call of `tworoutine::block_on` with the body: a wait in the body
/// suspends only the body, and contexts that the body started with `spawn_local` go on.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemFn);
    let called_main = item.sig.ident == "main";
    syn::parse::<options::Main>(options)
        .and_then(|options| entry::main(options, item))
        .unwrap_or_else(|error| {
            let error = error.into_compile_error();
            // An empty `main` avoids a second error about a missing `main`.
            let main = called_main.then(|| {
                quote::quote!(
                    fn main() {}
                )
            });
            quote::quote!(#error #main)
        })
        .into()
}

/// Runs an `async fn` as a test. Its body is a context (a future with a stack of its own) on a
/// single-threaded runtime of its own.
///
/// With `start_paused = true`, which needs the feature `test-util` of `tworoutine`, the runtime has
/// a virtual clock. The clock does not advance while any task can run, and jumps to the next
/// deadline if none can. Virtual time exists in one runtime only. So in such a test `offload` runs
/// on the runtime's own blocking threads, `spawn` starts a local context, and `runtime` panics.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = parse_macro_input!(options as options::Test);
    let item = parse_macro_input!(item as syn::ItemFn);
    entry::test(parsed, item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
