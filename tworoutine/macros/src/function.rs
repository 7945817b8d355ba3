//! Expansion of `#[tworoutine]`, which turns an `async fn` into a function that returns a
//! `Tworoutine`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{
    Attribute, Block, Error, FnArg, ImplItem, Item, Pat, Result, ReturnType, Safety, Signature,
    Token, TraitItem, Type, Visibility,
};

use crate::lifetimes;
use crate::options::Form;

const WRONG_ITEM: &str = "`#[tworoutine]` goes on an `async fn`, or on a trait or `impl` block \
                          that has some";

pub(crate) fn expand(form: Form, item: TokenStream) -> Result<TokenStream> {
    let not_a_function = match Function::parse.parse2(item.clone()) {
        Ok(function) => return function.expand(form),
        Err(error) => error,
    };
    match syn::parse2::<Item>(item) {
        Ok(Item::Trait(mut block)) => {
            let mut methods = 0;
            for entry in &mut block.items {
                if let TraitItem::Fn(method) = entry
                    && method.sig.asyncness.is_some()
                {
                    methods += 1;
                    *entry = TraitItem::Verbatim(expand_method(form, method)?);
                }
            }
            block_of(methods, &block.ident, &block)
        }
        Ok(Item::Impl(mut block)) => {
            let mut methods = 0;
            for entry in &mut block.items {
                if let ImplItem::Fn(method) = entry
                    && method.sig.asyncness.is_some()
                {
                    methods += 1;
                    *entry = ImplItem::Verbatim(expand_method(form, method)?);
                }
            }
            block_of(methods, &block.self_ty, &block)
        }
        Ok(other) => Err(Error::new_spanned(other, WRONG_ITEM)),
        Err(_) => Err(not_a_function),
    }
}

fn expand_method(form: Form, method: &impl ToTokens) -> Result<TokenStream> {
    let function = Function::parse.parse2(method.to_token_stream())?;
    if function.attrs.iter().any(is_tworoutine) {
        // This method has its own attribute, which the compiler expands later.
        return Ok(method.to_token_stream());
    }
    function.expand(form)
}

fn is_tworoutine(attribute: &Attribute) -> bool {
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|last| last.ident == "tworoutine")
}

/// Returns the tokens of a trait or `impl` block, or an error if it has no `async fn`.
fn block_of(methods: usize, name: &impl ToTokens, block: &impl ToTokens) -> Result<TokenStream> {
    if methods == 0 {
        return Err(Error::new_spanned(
            name,
            "there is no `async fn` in this block",
        ));
    }
    Ok(block.to_token_stream())
}

/// A function under the attribute: a free function, or a method of a trait or an `impl` block.
struct Function {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: Option<Block>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body = if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
            None
        } else {
            Some(input.parse()?)
        };
        Ok(Self {
            attrs,
            vis,
            sig,
            body,
        })
    }
}

impl Function {
    fn expand(self, form: Form) -> Result<TokenStream> {
        let Self {
            attrs,
            vis,
            mut sig,
            body,
        } = self;
        check(&sig, form)?;
        sig.asyncness = None;

        let output = match &sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some((**ty).clone()),
        };
        let bindings = name_arguments(&mut sig);
        sig.output = if form.boxed {
            let resolved = lifetimes::bound_all(&mut sig, output.clone());
            let output = resolved.map_or_else(|| quote!(()), ToTokens::into_token_stream);
            let alias = if form.send {
                quote!(BoxTworoutine)
            } else {
                quote!(LocalBoxTworoutine)
            };
            let call = lifetimes::call();
            syn::parse_quote!(-> ::tworoutine::#alias<#call, #output>)
        } else {
            let span = output
                .as_ref()
                .map_or_else(|| sig.ident.span(), Spanned::span);
            let send = form
                .send
                .then(|| quote_spanned!(span=> + ::core::marker::Send));
            let output = output
                .as_ref()
                .map_or_else(|| quote!(()), ToTokens::to_token_stream);
            syn::parse_quote! {
                -> ::tworoutine::Tworoutine<
                    impl ::core::future::Future<Output = #output> #send
                >
            }
        };
        let rest = match body {
            None => quote!(;),
            Some(body) => {
                let body = async_block(&bindings, output.as_ref(), &body);
                if form.boxed {
                    quote!({ ::tworoutine::__private::boxed(#body) })
                } else {
                    quote!({ ::tworoutine::Tworoutine::new(#body) })
                }
            }
        };
        Ok(quote!(#(#attrs)* #vis #sig #rest))
    }
}

/// Checks that a signature can become the signature of a function that returns a `Tworoutine`.
///
/// An error at the token because of which it cannot.
fn check(sig: &Signature, form: Form) -> Result<()> {
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            sig.fn_token,
            "`#[tworoutine]` needs an `async fn`",
        ));
    }
    if let Safety::Unsafe(token) = &sig.safety {
        return Err(Error::new_spanned(token, "a tworoutine cannot be `unsafe`"));
    }
    if let Some(abi) = &sig.abi {
        return Err(Error::new_spanned(abi, "a tworoutine cannot be `extern`"));
    }
    if let ReturnType::Type(_, ty) = &sig.output {
        if matches!(**ty, Type::Never(_)) {
            return Err(Error::new_spanned(
                ty,
                "`!` cannot be the output of a future: return `core::convert::Infallible` instead",
            ));
        }
        if form.boxed && has_impl_trait(ty) {
            return Err(Error::new_spanned(
                ty,
                "`#[tworoutine(dyn)]` needs an output type without `impl Trait`",
            ));
        }
    }
    Ok(())
}

/// Gives each argument a name that the async block can capture, and returns the statements that
/// move the arguments into the block. Unused arguments are moved too, so that all arguments live as
/// long as the call, as in a bare `async fn`.
fn name_arguments(sig: &mut Signature) -> Vec<TokenStream> {
    let mut bindings = Vec::new();
    for (index, argument) in sig.inputs.iter_mut().enumerate() {
        let typed = match argument {
            FnArg::Receiver(receiver) => {
                let this = receiver.self_token;
                bindings.push(quote!(let _ = &#this;));
                continue;
            }
            FnArg::Typed(typed) => typed,
        };
        let conditions: Vec<_> = typed
            .attrs
            .iter()
            .filter(|a| a.path().is_ident("cfg"))
            .cloned()
            .collect();
        let pattern = (*typed.pat).clone();
        let name = match &pattern {
            Pat::Ident(simple) if simple.by_ref.is_none() && simple.subpat.is_none() => {
                simple.ident.clone()
            }
            _ => {
                let name = format_ident!("__argument{}", index, span = Span::mixed_site());
                bindings.push(quote!(#(#conditions)* let #name = #name;));
                name
            }
        };
        bindings.push(quote!(#(#conditions)* let #pattern = #name;));
        *typed.pat = syn::parse_quote!(#name);
    }
    bindings
}

/// Returns the async block of a function. An async block cannot declare its output type. So two
/// statements around the body give `return` and `?` the declared type.
fn async_block(bindings: &[TokenStream], output: Option<&Type>, body: &Block) -> TokenStream {
    let typed = match output {
        Some(ty) if has_impl_trait(ty) => quote!(#body),
        Some(ty) => quote_spanned! {ty.span()=>
            if let ::core::option::Option::Some(__output) =
                ::core::option::Option::None::<#ty>
            {
                #[allow(unreachable_code)]
                return __output;
            }
            let __output: #ty = #body;
            #[allow(unreachable_code)]
            __output
        },
        None => quote! {
            let () = #body;
        },
    };
    quote! {
        async move {
            #(#bindings)*
            #typed
        }
    }
}

fn has_impl_trait(ty: &Type) -> bool {
    fn search(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(word) => word == "impl",
            proc_macro2::TokenTree::Group(group) => search(group.stream()),
            _ => false,
        })
    }
    search(ty.to_token_stream())
}
