//! What lies below an error.

use std::{error::Error, io};

/// The first of `error` and its causes that is a `T`.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    all(error).find_map(<dyn Error>::downcast_ref)
}

/// Whether `error` or one of its causes is an I/O error of a kind that `is` looked for.
pub(crate) fn any_io(error: &(dyn Error + 'static), is: impl Fn(io::ErrorKind) -> bool) -> bool {
    all(error).filter_map(|error| error.downcast_ref::<io::Error>()).any(|error| is(error.kind()))
}

fn all<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // An I/O error passes over what it was made of: its cause is the cause of that.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
