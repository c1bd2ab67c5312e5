//! The descriptions, held by golden files. `cargo xtask golden` writes them anew.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{World, read};

fn hold(name: &str, document: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(document).unwrap());
    if std::env::var_os("GREENROOM_GOLDEN").is_some_and(|what| what == "write") {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} changed: look at what `cargo xtask golden` makes of it");
}

#[test]
fn openapi() {
    hold("openapi.json", &serde_json::to_value(greenroom_api::openapi()).unwrap());
}

#[test]
fn asyncapi() {
    hold("asyncapi.json", &greenroom_api::asyncapi());
}

#[tokio::test]
async fn they_are_served() {
    let world = World::new().await;
    assert_eq!(
        read(world.get("/openapi.json")).await.1,
        serde_json::to_value(greenroom_api::openapi()).unwrap()
    );
    assert_eq!(read(world.get("/asyncapi.json")).await.1, greenroom_api::asyncapi());
    world.end().await;
}

/// Whatever is referred to is there.
#[test]
fn no_reference_leads_nowhere() {
    for document in [serde_json::to_value(greenroom_api::openapi()).unwrap(), greenroom_api::asyncapi()] {
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(reference)) = object.get("$ref") {
                        let pointer = reference.strip_prefix('#').expect("a reference within the document");
                        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                    }
                    open.extend(object.values());
                }
                Value::Array(array) => open.extend(array),
                _ => {}
            }
        }
    }
}
