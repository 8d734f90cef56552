//! What the server tells of itself: made once, of the routes that are mounted.

use std::sync::Arc;

use super::lifecycle::Lifecycle;
use super::mounted::{Document, Route};
use super::well_known::WellKnown;
use super::{lifecycle, mounted, well_known};
use crate::app::Endpoint;
use crate::http::{Fixed, Late, Shared};

/// All of it, at hand with every request.
pub(crate) type Told = Shared<Documents>;

/// What takes its time is made for whoever asks first.
pub(crate) struct Documents {
    pub(super) openapi: Late<Fixed<Document>>,
    pub(super) routes: Late<Vec<Route>>,
    pub(super) lifecycle: Late<Fixed<Lifecycle>>,
    pub(super) well_known: Fixed<WellKnown>,
    pub(super) well_known_schema: Late<Fixed<Document>>,
}

impl Told {
    /// Of these routes, on a server that clients reach by this URL if somebody has named one.
    pub(crate) fn of(endpoints: fn() -> Vec<Endpoint>, public_url: Option<&str>) -> Self {
        Self(Arc::new(Documents {
            openapi: Late::new(move || mounted::document(&endpoints())),
            routes: Late::new(move || mounted::routes_of(&endpoints())),
            lifecycle: Late::new(lifecycle::document),
            well_known: well_known::document(public_url),
            well_known_schema: Late::new(well_known::document_of_schema),
        }))
    }

    pub(super) fn documents(&self) -> &Documents {
        &self.0
    }
}
