//! The browser client: plain files, compiled into the binary.
