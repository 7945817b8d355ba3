//! Lifetimes of a boxed future. `dyn Future + 'call` must have one lifetime that all borrows of the
//! call outlive. So elided lifetimes get names, and all lifetimes get this lifetime as a bound.

use proc_macro2::Span;
use syn::visit_mut::{self, VisitMut};
use syn::{
    FnArg, GenericParam, Lifetime, ParenthesizedGenericArguments, ReceiverKind, Signature, Type,
    TypeImplTrait, TypeReference, parse_quote,
};

/// Returns the lifetime `'call` of the boxed future.
pub(crate) fn call() -> Lifetime {
    Lifetime::new("'__call", Span::mixed_site())
}

/// Names the elided lifetimes of the arguments. Bounds all lifetimes and type parameters, and
/// `Self` if there is a receiver, by [`call`]. Returns the output type, with its elided lifetimes
/// resolved by the usual rules.
pub(crate) fn bound_all(sig: &mut Signature, output: Option<Type>) -> Option<Type> {
    let mut names = Namer {
        fresh: Vec::new(),
        seen: Vec::new(),
    };
    let mut receiver = None;
    for argument in &mut sig.inputs {
        match argument {
            FnArg::Receiver(this) => {
                match &mut this.kind {
                    ReceiverKind::Reference(_, lifetime, _) => names.name(lifetime),
                    ReceiverKind::Typed(_, ty) => names.visit_type_mut(ty),
                    _ => {}
                }
                receiver = names.seen.first().cloned();
            }
            FnArg::Typed(typed) => names.visit_type_mut(&mut typed.ty),
        }
    }
    let elided = receiver.or_else(|| match names.seen.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    let output = output.map(|mut ty| {
        if let Some(lifetime) = elided {
            Resolver { lifetime }.visit_type_mut(&mut ty);
        }
        ty
    });

    let call = call();
    let has_receiver = sig.receiver().is_some();
    let mut bounds: Vec<syn::WherePredicate> = Vec::new();
    for parameter in &sig.generics.params {
        match parameter {
            GenericParam::Lifetime(named) => {
                let lifetime = &named.lifetime;
                bounds.push(parse_quote!(#lifetime: #call));
            }
            GenericParam::Type(ty) => {
                let ident = &ty.ident;
                bounds.push(parse_quote!(#ident: #call));
            }
            _ => {}
        }
    }
    for lifetime in &names.fresh {
        bounds.push(parse_quote!(#lifetime: #call));
    }
    if has_receiver {
        bounds.push(parse_quote!(Self: #call));
    }
    let fresh = names
        .fresh
        .into_iter()
        .chain([call])
        .map(|lifetime| -> GenericParam { parse_quote!(#lifetime) });
    let parameters = std::mem::take(&mut sig.generics.params);
    sig.generics.params = fresh.chain(parameters).collect();
    if sig.generics.lt_token.is_none() {
        sig.generics.lt_token = Some(Default::default());
        sig.generics.gt_token = Some(Default::default());
    }
    sort_lifetimes_first(sig);
    sig.generics.make_where_clause().predicates.extend(bounds);
    output
}

fn sort_lifetimes_first(sig: &mut Signature) {
    let parameters = std::mem::take(&mut sig.generics.params);
    let (lifetimes, rest): (Vec<_>, Vec<_>) = parameters
        .into_iter()
        .partition(|p| matches!(p, GenericParam::Lifetime(_)));
    sig.generics.params = lifetimes.into_iter().chain(rest).collect();
}

/// Visitor that gives each elided lifetime of an argument its own name.
struct Namer {
    fresh: Vec<Lifetime>,
    seen: Vec<Lifetime>,
}

impl Namer {
    fn name(&mut self, lifetime: &mut Option<Lifetime>) {
        match lifetime {
            Some(named) if named.ident != "_" => self.seen.push(named.clone()),
            elided => {
                let fresh = Lifetime::new(
                    &format!("'__elided{}", self.fresh.len()),
                    Span::mixed_site(),
                );
                self.fresh.push(fresh.clone());
                self.seen.push(fresh.clone());
                *elided = Some(fresh);
            }
        }
    }
}

impl VisitMut for Namer {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        self.name(&mut reference.lifetime);
        visit_mut::visit_type_mut(self, &mut reference.elem);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let mut named = Some(lifetime.clone());
        self.name(&mut named);
        if let Some(named) = named {
            *lifetime = named;
        }
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        visit_mut::visit_type_impl_trait_mut(self, ty);
        let call = call();
        ty.bounds.push(parse_quote!(#call));
    }

    // Elided lifetimes in `fn(&T)` and `Fn(&T)` belong to these types and not to the function under
    // the attribute, so they stay elided.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {
    }
}

/// Visitor that replaces each elided lifetime of the output by the only possible one.
struct Resolver {
    lifetime: Lifetime,
}

impl VisitMut for Resolver {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference
            .lifetime
            .as_ref()
            .is_none_or(|lifetime| lifetime.ident == "_")
        {
            reference.lifetime = Some(self.lifetime.clone());
        }
        visit_mut::visit_type_mut(self, &mut reference.elem);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.lifetime.clone();
        }
    }

    fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {
    }
}
