//! Expansion of `#[tworoutine::main]` and `#[tworoutine::test]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result};

use crate::options::{Main, Test};

pub(crate) fn main(_: Main, item: ItemFn) -> Result<TokenStream> {
    if item.sig.ident != "main" {
        return Err(Error::new_spanned(
            &item.sig.ident,
            "`#[tworoutine::main]` is for the function `main`",
        ));
    }
    let body = entry_body(&item, "#[tworoutine::main]", quote!(::tworoutine::block_on))?;
    Ok(rebuild(&item, &quote!(), &body))
}

pub(crate) fn test(options: Test, item: ItemFn) -> Result<TokenStream> {
    let run = if options.start_paused {
        quote!(::tworoutine::__private::block_on_paused)
    } else {
        quote!(::tworoutine::block_on)
    };
    let body = entry_body(&item, "#[tworoutine::test]", run)?;
    Ok(rebuild(&item, &quote!(#[::core::prelude::v1::test]), &body))
}

fn entry_body(item: &ItemFn, attribute: &str, run: TokenStream) -> Result<TokenStream> {
    if item.sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            item.sig.fn_token,
            format!("`{attribute}` needs an `async fn`"),
        ));
    }
    if !item.sig.inputs.is_empty() {
        return Err(Error::new_spanned(
            &item.sig.inputs,
            format!("a function under `{attribute}` takes no arguments"),
        ));
    }
    if !item.sig.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.sig.generics,
            format!("a function under `{attribute}` has no generics"),
        ));
    }
    let block = &item.block;
    let output = match &item.sig.output {
        syn::ReturnType::Default => quote!(()),
        syn::ReturnType::Type(_, ty) => quote!(#ty),
    };
    // The inner function gives the body its declared type, which `?` and `return` need.
    Ok(quote! {{
        async fn body() -> #output #block
        #run(body())
    }})
}

fn rebuild(item: &ItemFn, before: &TokenStream, body: &TokenStream) -> TokenStream {
    let ItemFn {
        attrs, vis, sig, ..
    } = item;
    let mut sig = sig.clone();
    sig.asyncness = None;
    quote! {
        #before
        #(#attrs)*
        #vis #sig #body
    }
}
