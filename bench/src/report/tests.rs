use super::*;

fn figure(target: &[Target], runs: &[f64]) -> Figure {
    Figure { section: "a", name: "b", unit: Unit::Ms, targets: target.to_vec(), runs: runs.to_vec() }
}

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(median(vec![9.0, 1.0, 2.0]).to_string(), "2");
    assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]).to_string(), "3");
    assert!(median(vec![]).is_nan());
}

#[test]
fn a_figure_is_judged_by_its_median() {
    assert_eq!(figure(&[Target::AtMost(5.0)], &[4.0, 5.0, 90.0]).verdict(), Some(Verdict::Ok));
    assert_eq!(figure(&[Target::AtMost(5.0)], &[1.0, 9.0, 90.0]).verdict(), Some(Verdict::Missed));
    assert_eq!(figure(&[Target::AtMost(5.0)], &[11.0]).verdict(), Some(Verdict::MissedFar));
    assert_eq!(figure(&[Target::AtLeast(10.0)], &[10.0]).verdict(), Some(Verdict::Ok));
    assert_eq!(figure(&[Target::AtLeast(10.0)], &[5.0]).verdict(), Some(Verdict::Missed));
    assert_eq!(figure(&[Target::AtLeast(10.0)], &[4.9]).verdict(), Some(Verdict::MissedFar));
    assert_eq!(figure(&[Target::None], &[4.9]).verdict(), None);
}

#[test]
fn a_target_that_is_measured_is_its_median() {
    let targets = [Target::AtMost(5.0), Target::AtMost(50.0), Target::AtMost(6.0)];
    assert_eq!(figure(&targets, &[6.0, 6.0, 6.0]).target(), Some(Target::AtMost(6.0)));
}

#[test]
fn what_is_not_a_number_is_never_ok() {
    assert_eq!(figure(&[Target::AtMost(5.0)], &[f64::NAN]).verdict(), Some(Verdict::MissedFar));
}

#[test]
fn json_has_every_run_and_the_verdict() {
    let json = serde_json::to_value(figure(&[Target::AtMost(5.0)], &[6.0, 7.0])).unwrap();
    assert_eq!(json["runs"], serde_json::json!([6.0, 7.0]));
    assert_eq!(json["median"], 6.5);
    assert_eq!(json["at_most"], 5.0);
    assert_eq!(json["verdict"], "missed");
    assert!(json.get("at_least").is_none());
}
