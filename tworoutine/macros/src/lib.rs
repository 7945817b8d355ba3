//! The attribute macros of [`tworoutine`](https://docs.rs/tworoutine). Use them through that crate,
//! which re-exports and documents them; the code they expand to names it.

mod entry;
mod function;
mod lifetimes;
mod options;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes an `async fn` a function that can be called in either idiom.
///
/// `async fn f(x: X) -> R` becomes `fn f(x: X) -> Tworoutine<impl Future<Output = R>>`, so that a
/// caller writes `f(x).await` or `f(x).wait()`. Everything else about the function stays as it was:
/// its documentation, attributes, visibility, generics, lifetimes (elided ones too) and receiver.
/// The body does not begin before the first poll.
///
/// # Options
///
/// - `#[tworoutine(Send)]` also demands that the future is `Send`, where the function is declared
///   rather than where it is spawned. In a trait this is what lets generic code spawn it.
/// - `#[tworoutine(dyn)]` boxes the future, which makes a trait method dyn-compatible and lets a
///   function call itself. `#[tworoutine(dyn, Send)]` does both.
///
/// On a trait or an `impl` block, the attribute applies to each `async fn` in it. A trait and its
/// implementations must use the same form.
#[proc_macro_attribute]
pub fn tworoutine(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::Form);
    function::expand(options, item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Runs an `async fn main` as a context of a local runtime.
///
/// The same as calling `tworoutine::block_on` with the body: a wait inside suspends the body alone,
/// and what it gave to `spawn_local` goes on meanwhile.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemFn);
    let called_main = item.sig.ident == "main";
    syn::parse::<options::Main>(options)
        .and_then(|options| entry::main(options, item))
        .unwrap_or_else(|error| {
            let error = error.into_compile_error();
            // An empty one in its place, lest the compiler also miss the function.
            let main = called_main.then(|| {
                quote::quote!(
                    fn main() {}
                )
            });
            quote::quote!(#error #main)
        })
        .into()
}

/// Runs an `async fn` as a test, its body a context of a local runtime.
///
/// With `start_paused = true` the runtime's clock is virtual: it stands still while anything can
/// run and jumps to the next deadline when nothing can. Virtual time means one runtime, so in such
/// a test `offload` runs on the runtime's own blocking threads, `spawn` makes a local context, and
/// `runtime` panics.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = parse_macro_input!(options as options::Test);
    let item = parse_macro_input!(item as syn::ItemFn);
    entry::test(parsed, item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
