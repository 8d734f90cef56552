//! `#[derive(Request)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, DeriveInput, Expr, ExprLit, Field, Lit, Meta};

use crate::{named_fields, plain_name};

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let (name, fields) = (&input.ident, &named_fields(input)?.named);
    let title = name.to_string();
    let (mut readers, mut members) = (Vec::new(), Vec::new());
    for field in fields {
        let (ident, of, wire, told) = (&field.ident, &field.ty, plain_name(field), description(&field.attrs));
        if field.attrs.iter().any(|attribute| attribute.path().is_ident("flatten")) {
            readers.push(quote!(#ident: <#of as ::loopctl_core::request::Request>::read(fields)));
            members.push(quote!(members.extend(<#of as ::loopctl_core::request::Request>::members());));
            continue;
        }
        let rule = rule(field)?;
        readers.push(quote!(#ident: ::loopctl_core::request::Rule::read(&#rule, fields, #wire)));
        members.push(quote! {
            members.extend(::loopctl_core::request::Rule::members(&#rule, #wire, #told));
        });
    }
    Ok(quote! {
        impl ::loopctl_core::request::Request for #name {
            const NAME: &'static str = #title;

            fn read(fields: &mut ::loopctl_core::fields::Fields<'_>) -> Self {
                #[allow(unused_imports)]
                use ::loopctl_core::request::Rule as _;
                Self { #(#readers),* }
            }

            fn members() -> ::std::vec::Vec<::loopctl_core::request::Member> {
                #[allow(unused_imports)]
                use ::loopctl_core::request::Rule as _;
                let mut members = ::std::vec::Vec::new();
                #(#members)*
                members
            }
        }
    })
}

fn rule(field: &Field) -> syn::Result<Expr> {
    let attribute = field.attrs.iter().find(|attribute| attribute.path().is_ident("rule"));
    let attribute =
        attribute.ok_or_else(|| syn::Error::new_spanned(field, "needs #[rule(…)] or #[flatten]"))?;
    attribute.parse_args()
}

/// The first paragraph of a field's documentation.
fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
