//! Tag lists.

use std::time::Duration;

use greenroom_domain::settings::VersionSource;
use greenroom_fleet::images::{ImageError, LookupPace, Tags};
use greenroom_test_support::registry::{Registry, RegistryAccess, RegistryFault};

use crate::{container, images};

async fn look_up(registry: &Registry, who: Option<(&str, &str)>) -> Result<Tags, ImageError> {
    let images = images(registry, who, Vec::new());
    let tags = images.tags(&container(registry, "studio/game", VersionSource::Registry)).await;
    images.shutdown().await;
    tags
}

fn registry_with(tags: &[&str]) -> Registry {
    let registry = Registry::start();
    registry.push_tags("studio/game", tags);
    registry
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let registry = registry_with(&["latest", "nightly-7"]);
    registry.push_tags("studio/game", (0..25).map(|patch| format!("1.0.{patch}")));
    registry.set_page_tags(10);
    let tags = look_up(&registry, None).await.unwrap();
    assert_eq!(tags.tags.len(), 25);
    assert!(tags.tags.contains(&"1.0.24".to_owned()) && !tags.tags.contains(&"latest".to_owned()));
    assert_eq!(registry.asked("/v2/studio/game/tags/list"), 3);
}

#[tokio::test]
async fn a_registry_is_told_who_asks() {
    for access in [RegistryAccess::Basic("ann", "secret-7"), RegistryAccess::Token("ann", "secret-7")] {
        let registry = registry_with(&["1.0.0", "1.1.0"]);
        registry.set_page_tags(1);
        registry.set_access(access);
        assert_eq!(look_up(&registry, Some(("ann", "secret-7"))).await.unwrap().tags.len(), 2, "{access:?}");
        // One token serves all pages.
        assert_eq!(registry.asked("/token"), usize::from(matches!(access, RegistryAccess::Token(..))));
        for who in [Some(("ann", "another-7")), None] {
            let error = look_up(&registry, who).await.unwrap_err();
            assert!(matches!(error, ImageError::Refused { .. }), "{access:?} {error:?}");
            assert!(!format!("{error:?} {error}").contains("another-7"));
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_registry_is_told_by_its_kind() {
    let registry = registry_with(&["1.0.0"]);
    let seen = async |fault| {
        registry.set_fault(fault);
        look_up(&registry, None).await.unwrap_err()
    };
    let error = seen(RegistryFault::Status(429, Some(7))).await;
    let expected = ImageError::TooOften { host: registry.host(), retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(error, expected);
    assert_eq!(seen(RegistryFault::Status(404, None)).await.word(), "no_such_image");
    assert_eq!(seen(RegistryFault::Status(403, None)).await.word(), "refused");
    assert_eq!(seen(RegistryFault::Status(500, None)).await.word(), "unreachable");
    assert_eq!(seen(RegistryFault::Status(301, None)).await.word(), "malformed");
    for fault in [
        RegistryFault::Garbage,
        RegistryFault::Endless,
        RegistryFault::NextElsewhere,
        RegistryFault::EndlessPages,
    ] {
        let error = seen(fault).await;
        assert_eq!(error.word(), "malformed", "{fault:?}: {error}");
    }
    registry.set_fault(RegistryFault::None);
    let images = images(&registry, None, Vec::new());
    let unknown = container(&registry, "studio/other", VersionSource::Registry);
    assert_eq!(images.tags(&unknown).await.unwrap_err().word(), "no_such_image");
    drop(registry);
    let gone = Registry::start();
    let settings = container(&gone, "studio/game", VersionSource::Registry);
    let images = crate::images(&gone, None, Vec::new());
    drop(gone);
    assert_eq!(images.tags(&settings).await.unwrap_err().word(), "unreachable");
}

#[tokio::test]
async fn what_was_known_is_used_while_the_registry_is_away() {
    let registry = registry_with(&["1.0.0"]);
    let images = images(&registry, None, Vec::new());
    let settings = container(&registry, "studio/game", VersionSource::Registry);
    assert_eq!(images.refresh(&settings).await.unwrap().problem, None);
    registry.push_tags("studio/game", ["1.1.0"]);
    registry.set_fault(RegistryFault::Status(503, None));
    let tags = images.refresh(&settings).await.unwrap();
    assert_eq!(*tags.tags, ["1.0.0".to_owned()]);
    assert_eq!(tags.problem.unwrap().word(), "unreachable");
    registry.set_fault(RegistryFault::None);
    let tags = images.refresh(&settings).await.unwrap();
    assert_eq!((tags.tags.len(), tags.problem), (2, None));
}

#[tokio::test]
async fn a_list_that_is_current_is_not_asked_for_again() {
    let registry = registry_with(&["1.0.0"]);
    let config = greenroom_fleet::images::ImagesConfig {
        pace: LookupPace::default(),
        ..crate::config(&registry, None, Vec::new())
    };
    let images = greenroom_fleet::images::Images::open(config).unwrap();
    let settings = container(&registry, "studio/game", VersionSource::Registry);
    for _ in 0..50 {
        images.tags(&settings).await.unwrap();
    }
    assert_eq!(registry.asked("/tags/list"), 1);
}
