use super::*;

/// Every crate that has a layer, and no dependency at all.
fn sound() -> Graph {
    let members = MAY_USE.iter().map(|(name, _)| ((*name).to_owned(), Vec::new())).collect();
    Graph { members, ..Graph::default() }
}

fn planted(member: &str, name: &str, for_tests: bool) -> Vec<String> {
    let mut graph = sound();
    graph.packages.entry(name.into()).or_default().insert("1.0.0".into());
    graph.members.entry(member.into()).or_default().push(Dependency { name: name.into(), for_tests });
    violations(&graph)
}

#[test]
fn this_workspace_is_sound() {
    assert_eq!(violations(&read().unwrap()), Vec::<String>::new());
}

#[test]
fn a_dependency_upwards_is_found() {
    for (member, name) in [
        ("greenroom-domain", "greenroom-storage"),
        ("greenroom-directory", "greenroom-event-log"),
        ("greenroom-fleet", "greenroom-operations"),
        ("greenroom-operations", "greenroom-api"),
        ("greenroom-operations", "greenroom-sqlite"),
        ("greenroom-api", "greenroom-console"),
        ("greenroom-client", "greenroom-domain"),
        ("skirmish", "greenroom-protocol"),
        ("xtask", "greenroom-protocol"),
    ] {
        assert_eq!(
            planted(member, name, false),
            [format!("{member} depends on {name}, which is not below it")]
        );
    }
}

#[test]
fn test_support_is_only_for_tests() {
    assert_eq!(planted("greenroom-api", "greenroom-test-support", true), Vec::<String>::new());
    assert_eq!(
        planted("greenroom-api", "greenroom-test-support", false),
        ["greenroom-api depends on greenroom-test-support, which is only for tests"]
    );
}

#[test]
fn engines_and_http_stay_where_they_belong() {
    for (member, name) in [
        ("greenroom-operations", "rusqlite"),
        ("greenroom-storage", "async-nats"),
        ("greenroom", "axum"),
        ("greenroom-domain", "axum"),
    ] {
        for for_tests in [false, true] {
            let found = planted(member, name, for_tests);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("{member} depends on {name}, but ")), "{found:?}");
        }
    }
}

#[test]
fn a_banned_crate_is_found_however_far_below() {
    for (name, _) in BANNED {
        let mut graph = sound();
        graph.packages.insert((*name).into(), ["0.1.0".into()].into());
        let found = violations(&graph);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{name} is banned")), "{found:?}");
    }
}

#[test]
fn a_second_version_is_found() {
    for name in ONE_VERSION {
        let mut graph = sound();
        graph.packages.insert((*name).into(), ["0.9.9".into(), "1.0.0".into()].into());
        assert_eq!(violations(&graph), [format!("{name} must be there once, and is in 0.9.9 and 1.0.0")]);
    }
}

#[test]
fn a_crate_without_a_layer_is_found() {
    let mut graph = sound();
    graph.members.insert("greenroom-surprise".into(), Vec::new());
    assert_eq!(violations(&graph), ["greenroom-surprise has no layer: give it one in xtask/src/layers.rs"]);
}
