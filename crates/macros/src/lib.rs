//! Derives that make a thing one declaration.
//!
//! - `Row`: a struct is what a statement selects. Its fields are the columns, in their order.
//! - `Request`: a struct is what a body or a query string may hold. Each field has its rule, which reads it, says what is
//!   wrong with it, and describes it.

mod request;
mod row;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, FieldsNamed, parse_macro_input};

/// Derives `crate::db::Row`: the select list of a statement and the reader of its rows, from the same fields.
///
/// A field is the column of its name. `#[row(sql = "count(*)")]` selects something else under that name, and
/// `#[row(flatten)]` takes in the columns of another row.
#[proc_macro_derive(Row, attributes(row))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Derives `loopctl_core::request::Request`: the reader of a request and its description, from the same rules.
///
/// Every field has a `#[rule(…)]`, an expression that is a `loopctl_core::request::Rule` of the field's type, or is a
/// request itself and `#[flatten]`s its members into this one. A field's first paragraph of documentation describes it to
/// clients.
#[proc_macro_derive(Request, attributes(rule, flatten))]
pub fn derive_request(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    request::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The fields of a struct with names.
fn named_fields(input: &DeriveInput) -> syn::Result<&FieldsNamed> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields),
            _ => Err(syn::Error::new_spanned(&input.ident, "only a struct with named fields will do")),
        },
        _ => Err(syn::Error::new_spanned(&input.ident, "only a struct will do")),
    }
}

/// The name of a field, without the `r#` that a keyword needs.
fn plain_name(field: &syn::Field) -> String {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    name.trim_start_matches("r#").to_owned()
}
