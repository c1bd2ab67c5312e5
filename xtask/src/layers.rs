//! `cargo xtask layers`: DESIGN's order of crates, held over `cargo metadata`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::process::workspace_root;

/// Who may depend on whom among our own crates: each on those named, and on nothing else of ours.
/// `protocol ← domain ← {directory, event-log, storage} ← {fleet, relay} ← operations ← {api, console}
/// ← greenroom`, with `sqlite` below the three ports.
const MAY_USE: &[(&str, &[&str])] = &[
    ("greenroom-protocol", &[]),
    ("greenroom-sqlite", &[]),
    ("greenroom-domain", &["greenroom-protocol"]),
    ("greenroom-directory", BELOW_PORTS),
    ("greenroom-event-log", BELOW_PORTS),
    ("greenroom-storage", BELOW_PORTS),
    ("greenroom-backup", BELOW_BACKUP),
    ("greenroom-fleet", BELOW_ENGINES),
    ("greenroom-relay", BELOW_ENGINES),
    ("greenroom-operations", BELOW_OPERATIONS),
    ("greenroom-api", BELOW_PAGES),
    ("greenroom-console", BELOW_PAGES),
    ("greenroom", EVERYTHING),
    ("greenroom-client", &["greenroom-protocol"]),
    ("greenroom-test-support", BELOW_PORTS),
    (
        "greenroom-bench",
        &["greenroom-client", "greenroom-protocol", "greenroom-sqlite", "greenroom-test-support"],
    ),
    ("greenroom-fuzz", &["greenroom", "greenroom-domain", "greenroom-protocol"]),
    ("skirmish", &[]),
    ("xtask", &[]),
];

const BELOW_PORTS: &[&str] = &["greenroom-protocol", "greenroom-domain", "greenroom-sqlite"];
const BELOW_ENGINES: &[&str] = &[
    "greenroom-protocol",
    "greenroom-domain",
    "greenroom-directory",
    "greenroom-event-log",
    "greenroom-storage",
];
const BELOW_BACKUP: &[&str] = &[
    "greenroom-protocol",
    "greenroom-sqlite",
    "greenroom-directory",
    "greenroom-event-log",
    "greenroom-storage",
];
const BELOW_OPERATIONS: &[&str] = &[
    "greenroom-protocol",
    "greenroom-domain",
    "greenroom-directory",
    "greenroom-event-log",
    "greenroom-storage",
    "greenroom-backup",
    "greenroom-fleet",
    "greenroom-relay",
];
const BELOW_PAGES: &[&str] = &[
    "greenroom-protocol",
    "greenroom-domain",
    "greenroom-directory",
    "greenroom-event-log",
    "greenroom-storage",
    "greenroom-backup",
    "greenroom-fleet",
    "greenroom-relay",
    "greenroom-operations",
];
const EVERYTHING: &[&str] = &[
    "greenroom-protocol",
    "greenroom-domain",
    "greenroom-directory",
    "greenroom-event-log",
    "greenroom-storage",
    "greenroom-backup",
    "greenroom-fleet",
    "greenroom-relay",
    "greenroom-operations",
    "greenroom-api",
    "greenroom-console",
    "skirmish",
];

/// What only tests may use, and the benchmarks, which measure the engines that tests run against.
const ONLY_FOR_TESTS: &[&str] = &["greenroom-test-support"];

/// What only tests may use besides: a test drives the server through the real client.
const TESTS_MAY_USE: &[&str] = &["greenroom-test-support", "greenroom-client", "greenroom-protocol"];

/// Crates of others that only some of ours may use, tests included, and why.
const KEPT_TO: &[(&str, &[&str], &str)] = &[
    (
        "rusqlite",
        &[
            "greenroom-sqlite",
            "greenroom-directory",
            "greenroom-event-log",
            "greenroom-storage",
            "greenroom-bench",
        ],
        "only the three ports know SQL",
    ),
    ("bollard", &["greenroom-fleet"], "only fleet knows Docker"),
    ("async-nats", &["greenroom-directory", "greenroom-event-log"], "only directory and event-log know NATS"),
    ("tonic", &["greenroom-fleet"], "gRPC is served in fleet's SDK endpoint alone"),
    (
        "axum",
        &["greenroom-api", "greenroom-console", "greenroom-relay", "greenroom-fleet", "skirmish"],
        "HTTP is served only in api, console, relay, fleet and the demo",
    ),
];

/// Crates that nothing may bring in, however far below, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls: a C compiler must be enough to build"),
    ("native-tls", "TLS is rustls: a C compiler must be enough to build"),
    ("aws-lc-sys", "cryptography is ring: aws-lc wants cmake"),
    ("protoc", "it is a foreign program: use protox"),
    ("protoc-bin-vendored", "it brings protoc: use protox"),
    ("protobuf-src", "it builds protoc: use protox"),
    ("dashmap", "it deadlocks when a guard is held: use papaya or sharded mutexes"),
];

/// Crates of which there must be one version.
const ONE_VERSION: &[&str] = &["hyper", "axum", "rustls", "reqwest", "tungstenite"];

/// Reads the workspace and fails with every violation.
pub(crate) fn check() -> anyhow::Result<()> {
    let violations = violations(&read()?);
    if !violations.is_empty() {
        bail!("the layers are broken:\n  {}", violations.join("\n  "));
    }
    println!("every crate depends on lower layers only; nothing banned, nothing twice");
    Ok(())
}

/// The workspace as far as the rules look at it.
#[derive(Clone, Debug, Default)]
struct Graph {
    /// Our crates and what each one names in its manifest.
    members: BTreeMap<String, Vec<Dependency>>,
    /// All crates, ours and others', with their versions.
    packages: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug)]
struct Dependency {
    name: String,
    for_tests: bool,
}

fn read() -> anyhow::Result<Graph> {
    let metadata = MetadataCommand::new()
        .current_dir(workspace_root())
        .exec()
        .context("`cargo metadata` failed: is every manifest of the workspace well formed?")?;
    let members = metadata.workspace_packages().into_iter().map(|package| {
        let dependencies = package.dependencies.iter().map(|dependency| Dependency {
            name: dependency.name.clone(),
            for_tests: dependency.kind == DependencyKind::Development,
        });
        (package.name.to_string(), dependencies.collect())
    });
    let mut graph = Graph { members: members.collect(), ..Graph::default() };
    for package in &metadata.packages {
        graph.packages.entry(package.name.to_string()).or_default().insert(package.version.to_string());
    }
    Ok(graph)
}

/// Everything in `graph` that breaks a rule, as sentences.
fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (member, dependencies) in &graph.members {
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| name == member) else {
            found.push(format!("{member} has no layer: give it one in xtask/src/layers.rs"));
            continue;
        };
        for dependency in dependencies {
            found.extend(own(graph, member, may_use, dependency));
            found.extend(foreign(member, dependency));
        }
    }
    for (name, why) in BANNED {
        if graph.packages.contains_key(*name) {
            found.push(format!("{name} is banned ({why}); `cargo tree -i {name}` tells who brings it"));
        }
    }
    for name in ONE_VERSION {
        if let Some(versions) = graph.packages.get(*name).filter(|versions| versions.len() > 1) {
            let versions: Vec<_> = versions.iter().map(String::as_str).collect();
            found.push(format!("{name} must be there once, and is in {}", versions.join(" and ")));
        }
    }
    found
}

fn own(graph: &Graph, member: &str, may_use: &[&str], dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if !graph.members.contains_key(name) || may_use.contains(&name) {
        return None;
    }
    // A crate names itself to have a feature of its own in its tests.
    if dependency.for_tests && (name == member || TESTS_MAY_USE.contains(&name)) {
        return None;
    }
    let but = if ONLY_FOR_TESTS.contains(&name) { "is only for tests" } else { "is not below it" };
    Some(format!("{member} depends on {name}, which {but}"))
}

fn foreign(member: &str, dependency: &Dependency) -> Option<String> {
    let (name, users, why) = KEPT_TO.iter().find(|(name, ..)| *name == dependency.name)?;
    (!users.contains(&member)).then(|| format!("{member} depends on {name}, but {why}"))
}
