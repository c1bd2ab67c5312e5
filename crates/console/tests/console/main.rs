//! The console as a browser sees it, on a node with real engines.

mod access;
mod live;
mod pages;
mod servers;
mod support;
