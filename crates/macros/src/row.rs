//! `#[derive(Row)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, LitStr};

use crate::{named_fields, plain_name};

/// Where a field comes from.
enum Source {
    /// The text in the select list.
    Column(String),
    /// The columns of another row.
    Row,
}

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let (name, fields) = (&input.ident, &named_fields(input)?.named);
    let (mut columns, mut widths, mut readers, mut checks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in fields {
        let (ident, of) = (&field.ident, &field.ty);
        if !columns.is_empty() {
            columns.push(quote!(", "));
        }
        match source(field)? {
            Source::Column(text) => {
                let told = plain_name(field);
                columns.push(quote!(#text));
                widths.push(quote!(1));
                readers.push(quote!(#ident: reader.column(#told)?));
                checks.push(quote!(types.column::<#of>(#told)?;));
            }
            Source::Row => {
                columns.push(quote!(<#of as crate::db::Row>::COLUMNS));
                widths.push(quote!(<#of as crate::db::Row>::WIDTH));
                readers.push(quote!(#ident: <#of as crate::db::Row>::read(reader)?));
                checks.push(quote!(<#of as crate::db::Row>::check(types)?;));
            }
        }
    }
    Ok(quote! {
        impl crate::db::Row for #name {
            const COLUMNS: &'static str = ::constcat::concat!(#(#columns),*);

            const WIDTH: usize = 0 #(+ #widths)*;

            fn read(reader: &mut crate::db::RowReader<'_>) -> ::std::result::Result<Self, crate::db::DbError> {
                Ok(Self { #(#readers),* })
            }

            fn check(types: &mut crate::db::RowTypes<'_>) -> ::std::result::Result<(), ::std::string::String> {
                #(#checks)*
                Ok(())
            }
        }
    })
}

fn source(field: &Field) -> syn::Result<Source> {
    let name = plain_name(field);
    let mut source = Source::Column(name.clone());
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("row")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("flatten") {
                source = Source::Row;
                return Ok(());
            }
            if meta.path.is_ident("sql") {
                let text: LitStr = meta.value()?.parse()?;
                source = Source::Column(format!("{} as \"{name}\"", text.value()));
                return Ok(());
            }
            Err(meta.error("`sql = \"…\"` or `flatten`"))
        })?;
    }
    Ok(source)
}
