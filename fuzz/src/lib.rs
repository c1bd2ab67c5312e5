//! Fuzz targets: everything that reads what somebody else has written. Each takes any bytes and must neither panic
//! nor accept what breaks its own promise. Called by the driver beside it, on stable; `cargo fuzz` can call them
//! just as well.

mod seeds;

use greenroom::config::{Config, Environment};
use greenroom_domain::{
    settings::{PortProtocol, PortSettings},
    template::{self, Template},
};
use greenroom_protocol::{auth, events, hosting, lobby, manager};

/// A thing that parses.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is called with each input.
    pub run: fn(&[u8]),
    /// Good inputs, to be mutated.
    pub seeds: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "config", run: config, seeds: seeds::CONFIG },
    Target { name: "templates", run: templates, seeds: seeds::TEMPLATES },
    Target { name: "frames", run: frames, seeds: seeds::FRAMES },
    Target { name: "bodies", run: bodies, seeds: seeds::BODIES },
];

/// The configuration: a refusal has at least one error; what is accepted makes settings.
pub fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Of the environment nothing: a secret must not come from the machine that fuzzes.
    match Config::parse(text, "input", &Environment::default()) {
        Ok(config) => drop(config.settings(config.root.listen)),
        Err(errors) => assert!(!errors.errors.is_empty(), "refused without a reason"),
    }
}

/// Templates of commands: checked is as good as parsed, and refusals have a sentence.
pub fn templates(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let ports = [PortSettings {
        name: "default".into(),
        protocol: PortProtocol::Tcp,
        count: 1,
        fixed: None,
        inner: None,
    }];
    let checked = template::check(text, &ports);
    let parsed = Template::parse(text).and_then(|template| template.check_ports(&ports));
    assert_eq!(checked, parsed);
    if let Err(error) = checked {
        assert!(!error.to_string().is_empty());
    }
}

/// Frames of player sockets.
pub fn frames(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let frame = lobby::ClientFrame::parse(text);
    let _ = (frame, lobby::ClientMessage::parse(text));
}

/// JSON bodies of requests.
pub fn bodies(bytes: &[u8]) {
    if let Ok(request) = hosting::AllocateRequest::parse(bytes) {
        let bytes_max = hosting::PAYLOAD_BYTES_MAX;
        assert!(request.payload.is_none_or(|payload| payload.len() <= bytes_max), "a payload over its limit");
    }
    if let Err(error) = manager::ServerRequest::parse(bytes) {
        assert!(error.to_string().ends_with('.'));
    }
    let _ = auth::parse_body::<auth::AnonymousRequest>(bytes);
    let _ = auth::parse_body::<auth::DiscordRequest>(bytes);
    let _ = auth::parse_body::<auth::RefreshRequest>(bytes);
    let _ = auth::parse_body::<auth::SignOutRequest>(bytes);
    let _ = auth::parse_body::<auth::BanRequest>(bytes);
    if let Ok(request) = serde_json::from_slice::<events::AppendRequest>(bytes) {
        drop(request.into_events());
    }
    if let Ok(text) = str::from_utf8(bytes) {
        // What is a time is one in both directions.
        if let Some(at) = events::parse_rfc3339(text) {
            assert_eq!(events::parse_rfc3339(&events::rfc3339(at)), Some(at));
        }
    }
}
