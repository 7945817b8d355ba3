//! Options that each attribute of this crate takes in its parentheses.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitBool, Result, Token};

/// The options of `#[tworoutine(..)]`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Form {
    /// True if the future of the `async fn` under the attribute must be `Send`.
    pub(crate) send: bool,
    /// True if this future is boxed.
    pub(crate) boxed: bool,
}

impl Parse for Form {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut form = Self::default();
        while !input.is_empty() {
            let (flag, span) = if input.peek(Token![dyn]) {
                (&mut form.boxed, input.parse::<Token![dyn]>()?.span)
            } else {
                let Ok(name) = input.parse::<Ident>() else {
                    return Err(unknown(input.span()));
                };
                if name != "Send" {
                    return Err(unknown(name.span()));
                }
                (&mut form.send, name.span())
            };
            if std::mem::replace(flag, true) {
                return Err(Error::new(span, "this option is given twice"));
            }
            if input.is_empty() {
                break;
            }
            input.parse::<Token![,]>()?;
        }
        Ok(form)
    }
}

fn unknown(span: Span) -> Error {
    Error::new(
        span,
        "unknown option: `#[tworoutine]` takes `Send`, `dyn` or `dyn, Send`",
    )
}

/// The options of `#[tworoutine::main]`. There are none.
pub(crate) struct Main;

impl Parse for Main {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            Ok(Self)
        } else {
            Err(Error::new(
                input.span(),
                "`#[tworoutine::main]` takes no options",
            ))
        }
    }
}

/// The options of `#[tworoutine::test(..)]`.
#[derive(Default)]
pub(crate) struct Test {
    /// True if the clock is paused.
    pub(crate) start_paused: bool,
}

impl Parse for Test {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut test = Self::default();
        if input.is_empty() {
            return Ok(test);
        }
        let message = "unknown option: `#[tworoutine::test]` takes `start_paused = true`";
        let name = input
            .parse::<Ident>()
            .map_err(|e| Error::new(e.span(), message))?;
        if name != "start_paused" {
            return Err(Error::new(name.span(), message));
        }
        input.parse::<Token![=]>()?;
        test.start_paused = input.parse::<LitBool>()?.value;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        if !input.is_empty() {
            return Err(Error::new(input.span(), message));
        }
        Ok(test)
    }
}
