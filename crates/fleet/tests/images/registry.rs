//! Tag lists.

use std::time::{Duration, Instant};

use greenroom_domain::settings::VersionSource;
use greenroom_fleet::images::{ImageError, Images, ImagesConfig, LookupPace, Tags, ca_problem};
use greenroom_test_support::{
    certificates::Authority,
    registry::{Registry, RegistryAccess, RegistryFault},
};

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
    let images = greenroom_fleet::images::Images::new(config);
    let settings = container(&registry, "studio/game", VersionSource::Registry);
    for _ in 0..50 {
        images.tags(&settings).await.unwrap();
    }
    assert_eq!(registry.asked("/tags/list"), 1);
}

#[tokio::test]
async fn over_tls_a_registry_is_trusted_by_the_ca_that_is_set() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("a studio's CA"));
    let pair = authority.server(&["127.0.0.1"]);
    let registry = Registry::start_with_tls(&pair.certificate, &pair.key);
    registry.push_tags("studio/game", ["1.0.0", "1.1.0"]);
    registry.set_page_tags(1);
    registry.set_access(RegistryAccess::Token("ann", "secret-7"));
    let asked = async |ca: Option<&std::path::Path>| {
        let mut config = crate::config(&registry, Some(("ann", "secret-7")), Vec::new());
        for access in config.registries.values_mut() {
            access.ca = ca.map(Into::into);
        }
        let images = Images::new(config);
        images.tags(&container(&registry, "studio/game", VersionSource::Registry)).await
    };
    let ca = authority.write(folder.path(), "ca.pem");
    assert_eq!(asked(Some(&ca)).await.unwrap().tags.len(), 2);
    let others = Authority::new("somebody else's CA").write(folder.path(), "other.pem");
    for wrong in [Some(&*others), None] {
        let error = asked(wrong).await.unwrap_err().to_string();
        assert!(error.contains("signed by nobody that is trusted here; set `ca`"), "{error}");
    }
    let absent = folder.path().join("none.pem");
    assert!(ca_problem(&absent).unwrap().contains("there is no file"));
    let error = asked(Some(&absent)).await.unwrap_err().to_string();
    assert!(error.contains("there is no file"), "{error}");
}

#[tokio::test]
async fn a_renewed_ca_is_taken_up_and_a_registry_without_tls_is_told_from_one_with_it() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("a studio's CA"));
    let pair = authority.server(&["127.0.0.1"]);
    let registry = Registry::start_with_tls(&pair.certificate, &pair.key);
    registry.push_tags("studio/game", ["1.0.0"]);
    let mut config = crate::config(&registry, None, Vec::new());
    let ca = Authority::new("an older CA").write(folder.path(), "ca.pem");
    config.registries.get_mut(&registry.host()).unwrap().ca = Some(ca);
    let images = Images::new(config);
    let settings = container(&registry, "studio/game", VersionSource::Registry);
    assert_eq!(images.refresh(&settings).await.unwrap_err().word(), "unreachable");
    authority.write(folder.path(), "ca.pem");
    assert_eq!(images.refresh(&settings).await.unwrap().tags.len(), 1);
    // Without a section of its own a registry is asked over TLS.
    let plain = registry_with(&["1.0.0"]);
    let images = Images::new(ImagesConfig::default());
    let settings = container(&plain, "studio/game", VersionSource::Registry);
    let error = images.tags(&settings).await.unwrap_err().to_string();
    assert!(error.contains("it does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_registry_that_never_answers_is_given_up_and_asked_again_when_it_is_well() {
    let registry = registry_with(&["1.0.0"]);
    registry.set_fault(RegistryFault::Silent);
    let images = images(&registry, None, Vec::new());
    let settings = container(&registry, "studio/game", VersionSource::Registry);
    let began = Instant::now();
    let error = images.tags(&settings).await.unwrap_err();
    assert!(error.to_string().contains("it took too long"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    for fault in [RegistryFault::Status(429, None), RegistryFault::Status(500, None)] {
        registry.set_fault(fault);
        assert!(images.refresh(&settings).await.unwrap_err().is_retryable());
    }
    registry.set_fault(RegistryFault::None);
    let tags = images.refresh(&settings).await.unwrap();
    assert_eq!((tags.tags.len(), tags.problem), (1, None));
}
