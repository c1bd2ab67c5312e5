use proptest::prelude::*;
use semver::{BuildMetadata, Prerelease};

use super::*;

fn tags(versions: &[TaggedVersion]) -> Vec<&str> {
    versions.iter().map(|known| known.tag.as_str()).collect()
}

#[test]
fn versions_are_ordered_by_number_and_the_newest_are_supported() {
    let versions =
        Versions::of_tags(["1.9.0", "latest", "1.10.0", "v0.3.1", "1.2", "main-7f3", "2.0.0-rc.1"], 3);
    assert_eq!(tags(versions.known()), ["2.0.0-rc.1", "1.10.0", "1.9.0", "v0.3.1"]);
    assert_eq!(tags(versions.supported()), ["2.0.0-rc.1", "1.10.0", "1.9.0"]);
    assert_eq!(versions.newest().unwrap().tag, "2.0.0-rc.1");
    assert_eq!(versions.oldest().unwrap().tag, "1.9.0");
}

#[test]
fn every_request_has_its_verdict() {
    let versions = Versions::of_tags(["v1.0.0", "1.1.0", "1.2.0", "0.9.0"], 3);
    let all = || vec!["1.2.0".to_owned(), "1.1.0".to_owned(), "1.0.0".to_owned()];
    assert_eq!(versions.check("1.0.0"), Verdict::Supported("v1.0.0".into()));
    assert_eq!(versions.check("1.2.0"), Verdict::Supported("1.2.0".into()));
    for old in ["0.9.0", "0.0.1", "1.0.0-rc.1"] {
        assert_eq!(
            versions.check(old),
            Verdict::TooOld { oldest: "1.0.0".into(), supported: all() },
            "{old}"
        );
    }
    for unknown in ["1.0.1", "1.1.0-beta", "3.0.0", "1.1.0+build.7", "1.0.0+zip"] {
        assert_eq!(versions.check(unknown), Verdict::Unsupported { supported: all() }, "{unknown}");
    }
    for wrong in
        ["", "1", "1.2", "v1.0.0", "1.0.0 ", "01.0.0", "1.0.0-", "latest", "1.0.0.0", "-1.0.0", "1.0.0/x"]
    {
        assert_eq!(versions.check(wrong), Verdict::NotAVersion, "{wrong:?}");
        assert!(!is_version(wrong));
    }
    assert_eq!(versions.check(&format!("1.0.0-{}", "a".repeat(VERSION_BYTES_MAX))), Verdict::NotAVersion);
}

#[test]
fn where_there_is_no_version_all_are_unsupported() {
    for versions in [Versions::default(), Versions::of_tags(["latest"], 5), Versions::of_tags(["1.0.0"], 0)] {
        assert_eq!(versions.check("1.0.0"), Verdict::Unsupported { supported: vec![] });
        assert_eq!(versions.oldest(), None);
    }
}

#[test]
fn the_tag_without_a_letter_counts_where_two_mean_the_same() {
    for order in [["v1.0.0", "1.0.0"], ["1.0.0", "v1.0.0"]] {
        let versions = Versions::of_tags(order, 5);
        assert_eq!(tags(versions.known()), ["1.0.0"]);
    }
}

fn version() -> impl Strategy<Value = Version> {
    let numbers = (0_u64..4, 0_u64..4, 0_u64..12);
    let pre = prop_oneof![Just(""), Just("alpha"), Just("rc.1"), Just("rc.2"), Just("rc.10")];
    let build = prop_oneof![4 => Just(""), 1 => Just("7")];
    (numbers, pre, build).prop_map(|((major, minor, patch), pre, build)| Version {
        major,
        minor,
        patch,
        pre: Prerelease::new(pre).unwrap(),
        build: BuildMetadata::new(build).unwrap(),
    })
}

fn tag() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => version().prop_map(|version| version.to_string()),
        1 => version().prop_map(|version| format!("v{version}")),
        1 => "[a-z0-9.-]{0,8}",
    ]
}

proptest! {
    #[test]
    fn the_supported_ones_are_the_newest(tags in prop::collection::vec(tag(), 0..24), max in 0_u32..6) {
        let versions = Versions::of_tags(&tags, max);
        prop_assert!(versions.supported().len() <= max as usize);
        prop_assert_eq!(versions.supported().len(), versions.known().len().min(max as usize));
        for pair in versions.known().windows(2) {
            prop_assert!(pair[0].version.cmp_precedence(&pair[1].version).is_ge());
            prop_assert!(pair[0].version != pair[1].version);
        }
        for tag in &tags {
            let is_known = TaggedVersion::parse(tag)
                .is_some_and(|tagged| versions.known().iter().any(|known| known.version == tagged.version));
            prop_assert_eq!(is_known, TaggedVersion::parse(tag).is_some());
        }
    }

    #[test]
    fn the_order_of_the_tags_does_not_matter(mut tags in prop::collection::vec(tag(), 0..16), max in 0_u32..6) {
        let one = Versions::of_tags(&tags, max);
        tags.reverse();
        prop_assert_eq!(one, Versions::of_tags(&tags, max));
    }

    #[test]
    fn a_verdict_follows_from_the_supported_ones(
        tags in prop::collection::vec(tag(), 0..16), max in 0_u32..6, asked in version(),
    ) {
        let versions = Versions::of_tags(&tags, max);
        let is_listed = versions.supported().iter().any(|known| known.version == asked);
        let is_older_than_all = !versions.supported().is_empty()
            && versions.supported().iter().all(|known| asked.cmp_precedence(&known.version).is_lt());
        match versions.check(&asked.to_string()) {
            Verdict::Supported(tag) => {
                prop_assert!(is_listed);
                prop_assert!(tags.contains(&tag));
                prop_assert_eq!(TaggedVersion::parse(&tag).unwrap().version, asked);
            }
            Verdict::TooOld { oldest, supported } => {
                prop_assert!(!is_listed && is_older_than_all);
                prop_assert_eq!(supported.last(), Some(&oldest));
            }
            Verdict::Unsupported { supported } => {
                prop_assert!(!is_listed && !is_older_than_all);
                prop_assert_eq!(supported.len(), versions.supported().len());
            }
            Verdict::NotAVersion => prop_assert!(false, "{} is a version", asked),
        }
    }

    #[test]
    fn any_text_is_borne(text in "\\PC{0,40}", tags in prop::collection::vec("\\PC{0,12}", 0..4)) {
        let verdict = Versions::of_tags(&tags, 3).check(&text);
        prop_assert_eq!(verdict == Verdict::NotAVersion, !is_version(&text));
    }
}
