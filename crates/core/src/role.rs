//! Roles of API keys.

use crate::words::words;

words! {
    /// The role of an API key, lowest first: the order is the hierarchy behind "minimum role".
    Role {
        /// Implements and reviews.
        Agent = "agent",
        /// Assigns, verifies, rejects.
        Orchestrator = "orchestrator",
        /// Administers one tenant.
        User = "user",
        /// Operates the server; acts on a tenant only by impersonation.
        Superadmin = "superadmin",
    }
}
