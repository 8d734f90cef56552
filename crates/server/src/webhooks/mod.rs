//! Webhooks: who is to be told of what, and what is to be delivered to them.

mod api;
mod cleanup;
mod delivery;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use cleanup::cleanup;
pub use delivery::DeliveryOptions;
pub(crate) use delivery::{STATEMENTS as DELIVERY_STATEMENTS, keep_delivering};
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Webhooks";
        /// Subscribes a URL to events.
        ///
        /// The signing secret is shown this once. Every delivery is signed with it.
        POST "/api/v1/webhooks" => api::create, 422 WebhookLimitReached "the tenant has as many webhooks as it may have";
        /// The tenant's webhooks, newest first.
        GET "/api/v1/webhooks" => api::list;
        /// One webhook.
        GET "/api/v1/webhooks/{id}" => api::show;
        /// Changes a webhook.
        ///
        /// `"active": true` forgets the failures, `"project_id": null` makes it one of all projects. Its secret stays.
        PATCH + also_put "/api/v1/webhooks/{id}" => api::update;
        /// Deletes a webhook, and what was to be delivered to it.
        DELETE "/api/v1/webhooks/{id}" => api::delete;
        /// Sends a test event to a webhook, active or not, whatever it subscribes to.
        POST "/api/v1/webhooks/{id}/test" => api::test;
        /// What was delivered to a webhook, and is to be, newest first.
        GET "/api/v1/webhooks/{id}/deliveries" => api::deliveries;
        /// Delivers an event once more, whatever became of it.
        POST "/api/v1/webhooks/{id}/deliveries/{delivery_id}/redeliver" => api::redeliver,
            409 DeliveryPending "it is being delivered", 409 WebhookInactive "the webhook is switched off";
    }
}
