//! Filters against a naive model.

use proptest::prelude::*;

use super::*;

/// What a filter means, spelled out.
fn naive(filter: &[&str], subject: &[&str]) -> bool {
    match (filter, subject) {
        ([], []) | ([">"], [_, ..]) => true,
        (["*", filter @ ..], [_, subject @ ..]) => naive(filter, subject),
        ([one, filter @ ..], [other, subject @ ..]) => one == other && naive(filter, subject),
        _ => false,
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

/// Every subject of up to four tokens over two names; a third stands for all other names.
fn universe() -> Vec<Subject> {
    let mut all: Vec<Vec<&str>> = vec![vec![]];
    let mut subjects = Vec::new();
    for _ in 0..4 {
        all = all
            .iter()
            .flat_map(|tokens| ["a", "b", "c"].map(|next| [&tokens[..], &[next]].concat()))
            .collect();
        subjects.extend(all.iter().map(|tokens| Subject::new(tokens.join(".")).unwrap()));
    }
    subjects
}

fn filters() -> impl Strategy<Value = SubjectFilter> {
    (prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..4), any::<bool>()).prop_map(
        |(mut tokens, rest)| {
            if rest || tokens.is_empty() {
                tokens.push(">");
            }
            tokens.truncate(3);
            SubjectFilter::parse(tokens.join(".")).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn matches_as_the_model(filter in filters()) {
        for subject in universe() {
            prop_assert_eq!(
                filter.matches(&subject),
                naive(&split(filter.as_str()), &split(subject.as_str())),
                "{:?} {:?}", filter, subject
            );
        }
    }

    /// One covers another if, over a universe with one more name and token than either has,
    /// everything the other selects is selected by the one.
    #[test]
    fn covers_as_the_model(one in filters(), other in filters()) {
        let every = universe().iter().filter(|subject| other.matches(subject)).all(|subject| one.matches(subject));
        prop_assert_eq!(one.covers(&other), every, "{:?} {:?}", one, other);
    }

    #[test]
    fn a_selected_subject_begins_with_the_literal_prefix(filter in filters()) {
        for subject in universe().iter().filter(|subject| filter.matches(subject)) {
            prop_assert!(subject.as_str().starts_with(filter.literal_prefix()));
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in ".{0,40}") {
        if let Ok(subject) = Subject::new(&text) {
            prop_assert_eq!(subject.as_str(), text.as_str());
            prop_assert!(SubjectFilter::parse(&text).unwrap().matches(&subject));
        }
        let _ = SubjectFilter::parse(&text);
    }
}

#[test]
fn forms() {
    for good in ["a", "v1.skirmish.servers.s-1.events.x_y", &["a"; 16].join("."), &"a".repeat(512)] {
        Subject::new(good).unwrap();
        SubjectFilter::parse(good).unwrap();
    }
    for bad in ["", ".", "a.", ".a", "a..b", "a b", "ä", "a.*", ">", &["a"; 17].join("."), &"a".repeat(513)]
    {
        assert!(Subject::new(bad).is_err(), "{bad}");
    }
    for good in [">", "*", "*.>", "a.*.b.>", "*.*"] {
        SubjectFilter::parse(good).unwrap();
    }
    for bad in ["", ">.a", "a.>.b", "a*", "**", ">>", "a. ", &["*"; 17].join(".")] {
        assert!(SubjectFilter::parse(bad).is_err(), "{bad}");
    }
}
