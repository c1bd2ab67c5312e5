use super::*;

fn text(name: &str) -> &'static str {
    std::str::from_utf8(asset(name).unwrap().bytes).unwrap()
}

#[test]
fn whatever_the_files_name_is_there() {
    for (name, ..) in FILES {
        let Ok(text) = std::str::from_utf8(asset(name).unwrap().bytes) else {
            continue;
        };
        for start in ["\"/play/skirmish/", "from './"] {
            for reference in text.split(start).skip(1) {
                let reference = reference.split(['"', '\'']).next().unwrap();
                assert!(asset(reference).is_some(), "{name} names {reference}");
            }
        }
    }
}

#[test]
fn every_file_of_the_folder_is_served() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/client");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(asset(&name).is_some(), "{name}");
    }
    assert_eq!(asset(""), asset("index.html"));
    assert_eq!(asset("../Cargo.toml"), None);
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let page = text("index.html");
    assert!(!page.contains("style=") && !page.contains("<style"));
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
    assert!(!page.contains(" onclick") && !page.contains("javascript:"));
    for (name, ..) in FILES {
        let text = text(name).replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
        assert!(!text.contains("innerHTML"), "{name} writes markup");
    }
}

#[test]
fn browser_tests_find_what_they_look_for() {
    let page = text("index.html");
    for id in [
        "name-input",
        "sign-in",
        "lobby-create",
        "lobby-code",
        "join-code",
        "join-button",
        "ready-button",
        "start-button",
        "fill-bots",
        "chat-input",
        "chat-log",
        "team-a",
        "team-b",
        "game-canvas",
        "scoreboard",
        "result",
        "rematch-button",
    ] {
        assert!(page.contains(&format!("id=\"{id}\" data-testid=\"{id}\"")), "{id}");
    }
}
