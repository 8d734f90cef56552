//! Which roles a route is for, as a type in its handler's signature.

use std::marker::PhantomData;

use loopctl_core::role::Role;

use crate::http::{ApiError, ApiResult};

/// Decides whether a role may call.
pub(crate) trait Access {
    /// # Errors
    /// 403 with the contract's sentence.
    fn check(role: Role) -> ApiResult<()>;

    /// The roles that may, as clients are told.
    fn roles() -> Vec<Role> {
        Role::ALL.iter().copied().filter(|role| Self::check(*role).is_ok()).collect()
    }
}

/// Names a role in a type.
pub(crate) trait RoleName {
    /// The role.
    const ROLE: Role;
}

macro_rules! roles {
    ($($(#[$about:meta])+ $role:ident)+) => {$(
        $(#[$about])+
        #[derive(Debug, Clone)]
        pub(crate) struct $role;

        impl RoleName for $role {
            const ROLE: Role = Role::$role;
        }
    )+};
}

roles! {
    /// Role `agent`.
    Agent
    /// Role `orchestrator`.
    Orchestrator
    /// Role `user`.
    User
    /// Role `superadmin`.
    Superadmin
}

/// Every valid key.
#[derive(Debug, Clone)]
pub(crate) struct Any;
/// The role or a higher one.
#[derive(Debug, Clone)]
pub(crate) struct AtLeast<R>(PhantomData<R>);
/// Exactly one of the named roles, without any hierarchy.
#[derive(Debug, Clone)]
pub(crate) struct Exact<R>(PhantomData<R>);

impl Access for Any {
    fn check(_role: Role) -> ApiResult<()> {
        Ok(())
    }
}

impl<R: RoleName> Access for AtLeast<R> {
    fn check(role: Role) -> ApiResult<()> {
        if role >= R::ROLE {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("Insufficient permissions. Required role: {}", R::ROLE)))
    }
}

macro_rules! exact {
    ($(($($role:ident),+))+) => {$(
        impl<$($role: RoleName),+> Access for Exact<($($role,)+)> {
            fn check(role: Role) -> ApiResult<()> {
                exactly(&[$($role::ROLE),+], role)
            }
        }
    )+};
}

exact! { (A) (A, B) (A, B, C) }

fn exactly(roles: &[Role], role: Role) -> ApiResult<()> {
    if roles.contains(&role) {
        return Ok(());
    }
    let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    Err(ApiError::forbidden(format!("This endpoint requires the {} role", names.join(" or "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_roles_know_no_hierarchy() {
        assert!(<Exact<(Agent,)>>::check(Role::Agent).is_ok());
        for role in [Role::Orchestrator, Role::User, Role::Superadmin] {
            assert!(<Exact<(Agent,)>>::check(role).is_err());
            assert!(<AtLeast<Agent>>::check(role).is_ok());
        }
        assert!(<AtLeast<User>>::check(Role::Orchestrator).is_err());
    }

    #[test]
    fn roles_are_those_that_pass() {
        assert_eq!(Any::roles(), Role::ALL);
        assert_eq!(<AtLeast<User>>::roles(), [Role::User, Role::Superadmin]);
        assert_eq!(<Exact<(Superadmin, Agent)>>::roles(), [Role::Agent, Role::Superadmin]);
    }
}
