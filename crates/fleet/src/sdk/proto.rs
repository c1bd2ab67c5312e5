//! The messages and services of `proto/`, as they were compiled.
#![expect(
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "it is not written by hand"
)]

pub(crate) mod sdk {
    tonic::include_proto!("agones.dev.sdk");
}

pub(crate) mod alpha {
    tonic::include_proto!("agones.dev.sdk.alpha");
}

pub(crate) mod beta {
    tonic::include_proto!("agones.dev.sdk.beta");
}
