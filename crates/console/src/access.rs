//! Who comes in, and what that one may do.
//!
//! Every guarded path goes through [`guard()`]: a session, and for a change also the same origin, the
//! session's CSRF token in the form, and a role that may change; what is for owners stands behind
//! [`owners()`] as well. So no handler can forget one.

mod attempts;
pub(crate) mod cookies;
mod guard;
pub(crate) mod join;
mod origin;
pub(crate) mod sign_in;

pub(crate) use attempts::Attempts;
pub(crate) use guard::{LastUses, Visitor, guard, owners};

/// Field of a form that carries its CSRF token.
pub(crate) const CSRF_FIELD: &str = "csrf";

/// Whether two texts are equal, in a time that does not depend on where they differ.
fn equal(left: &str, right: &str) -> bool {
    use subtle::ConstantTimeEq;
    left.as_bytes().ct_eq(right.as_bytes()).into()
}
