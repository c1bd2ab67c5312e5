//! Line charts over the last minutes, drawn as SVG. Colours come from the style sheet.

use std::{fmt::Write as _, time::Duration};

use maud::{Markup, PreEscaped, html};

use crate::format;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 176.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Lines between bottom and top.
const STEPS: u32 = 4;

/// The time that a chart shows.
const SPAN: Duration = Duration::from_mins(15);

/// One line of a chart.
pub(crate) struct Series {
    /// What it counts, as the legend says.
    pub(crate) name: &'static str,
    /// How long ago, and what there was; oldest first, the last being the newest.
    pub(crate) points: Vec<(Duration, f64)>,
}

/// What a chart's numbers are.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Parts of a core, 1.0 being one core.
    Cores,
}

/// A chart of up to four series with a legend that tells their present values. Now is at the right
/// end; what is not known stays empty at the left.
pub(crate) fn chart(title: &str, unit: Unit, series: &[Series]) -> Markup {
    let highest = series.iter().flat_map(|one| &one.points).map(|(_, value)| *value).fold(0.0, f64::max);
    let step = unit.step(highest);
    let top = step * f64::from(STEPS);
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top);
    let x = |ago: Duration| {
        let share = (ago.as_secs_f64() / SPAN.as_secs_f64()).min(1.0);
        WIDTH - RIGHT - (WIDTH - LEFT - RIGHT) * share
    };
    let now = |one: &Series| unit.said(one.points.last().map_or(0.0, |(_, value)| *value));
    let said =
        series.iter().map(|one| format!("{}: {} now", one.name, now(one))).collect::<Vec<_>>().join(", ");
    let label = format!("{title} over the last 15 minutes. {said}; at most {}.", unit.said(highest));
    html! {
        figure.chart {
            figcaption {
                span.chart-title { (title) }
                span.legend {
                    @for (number, one) in series.iter().enumerate() {
                        span.key data-series=(number) { (one.name) " " b { (now(one)) } }
                    }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
                @for line in 0..=STEPS {
                    @let value = f64::from(line) * step;
                    @let at = y(value);
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(one_digit(at)) y2=(one_digit(at)) {}
                    text.tick x=(LEFT - 8.0) y=(one_digit(at + 4.0)) text-anchor="end" { (unit.short(value)) }
                }
                @for (minutes, anchor) in [(15, "start"), (10, "middle"), (5, "middle"), (0, "end")] {
                    text.tick x=(one_digit(x(Duration::from_mins(minutes)))) y=(HEIGHT - 6.0) text-anchor=(anchor) {
                        @if minutes == 0 { "now" } @else { (minutes) " min ago" }
                    }
                }
                @for (number, one) in series.iter().enumerate() { (drawn(number, &one.points, x, y)) }
            }
        }
    }
}

/// The first series has its area filled.
fn drawn(
    number: usize,
    points: &[(Duration, f64)],
    x: impl Fn(Duration) -> f64,
    y: impl Fn(f64) -> f64,
) -> Markup {
    let (Some((oldest, _)), Some((newest, value))) = (points.first(), points.last()) else {
        return html! {};
    };
    let mut path = String::new();
    for (place, (ago, value)) in points.iter().enumerate() {
        let verb = if place == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{verb}{} {}", one_digit(x(*ago)), one_digit(y(*value)));
    }
    let bottom = one_digit(y(0.0));
    let area = format!("{path}L{} {bottom}L{} {bottom}Z", one_digit(x(*newest)), one_digit(x(*oldest)));
    html! {
        @if number == 0 { path.area data-series=(number) d=(PreEscaped(area)) {} }
        path.line data-series=(number) d=(PreEscaped(path)) {}
        circle.dot data-series=(number) cx=(one_digit(x(*newest))) cy=(one_digit(y(*value))) r="3" {}
    }
}

impl Unit {
    /// The distance between two lines, so that [`STEPS`] of them hold `highest` and their numbers are
    /// round: 1, 2 or 5 times a power of ten, and of bytes 1, 2 or 5 times, tens and hundreds of their
    /// unit.
    fn step(self, highest: f64) -> f64 {
        let wanted = highest / f64::from(STEPS);
        let (least, unit) = match self {
            Self::Count => (1.0, 1.0),
            Self::Bytes => (1024.0, 1024_f64.powf(wanted.max(1024.0).log(1024.0).floor())),
            Self::Cores => (0.01, 0.01),
        };
        let wanted = wanted.max(least) / unit;
        // What is a hair above a power of ten is that power.
        let magnitude = 10_f64.powf((wanted.log10() + 1e-9).floor());
        let fits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * magnitude >= wanted * (1.0 - 1e-9));
        let round = fits.unwrap_or(10.0) * magnitude;
        // A thousand of bytes' units is one of the next, which has 1,024 of them.
        let round = if matches!(self, Self::Bytes) && round > 999.0 { 1024.0 } else { round };
        round * unit
    }

    /// In full, as the legend has it.
    fn said(self, value: f64) -> String {
        match self {
            Self::Count => format::count(whole(value)),
            Self::Bytes => format::bytes(whole(value)),
            Self::Cores => format!("{:.1} %", value * 100.0),
        }
    }

    /// As short as an axis needs it.
    fn short(self, value: f64) -> String {
        let number = whole(value);
        match self {
            Self::Count => match number {
                0..10_000 => number.to_string(),
                10_000..1_000_000 => format!("{}k", number / 1_000),
                _ => format!("{}M", number / 1_000_000),
            },
            Self::Bytes => match number {
                0 => "0".to_owned(),
                1..1_048_576 => format!("{}K", number >> 10),
                1_048_576..1_073_741_824 => format!("{}M", number >> 20),
                _ => format!("{}G", number >> 30),
            },
            Self::Cores => format!("{:.0}%", value * 100.0),
        }
    }
}

fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number for people")]
    let whole = value.round().max(0.0) as u64;
    whole
}

fn one_digit(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &'static str, values: &[f64]) -> Series {
        let ago = |place: usize| Duration::from_secs(5) * u32::try_from(values.len() - 1 - place).unwrap();
        Series {
            name,
            points: values.iter().enumerate().map(|(place, value)| (ago(place), *value)).collect(),
        }
    }

    #[test]
    fn scales_are_round() {
        for (highest, expected) in [
            (0.0, 1),
            (3.0, 1),
            (4.0, 1),
            (5.0, 2),
            (19.0, 5),
            (21.0, 10),
            (81.0, 50),
            (1_000.0, 500),
            (9_999.0, 5_000),
        ] {
            assert_eq!(whole(Unit::Count.step(highest)), expected, "{highest}");
        }
        let mib = 1_048_576.0;
        for (highest, expected) in
            [(0.0, 1 << 10), (3.0 * mib, 1 << 20), (90.0 * mib, 50 << 20), (5_000.0 * mib, 2 << 30)]
        {
            assert_eq!(whole(Unit::Bytes.step(highest)), expected, "{highest}");
        }
        for (highest, expected) in [(0.0, 1), (0.04, 1), (0.3, 10), (2.2, 100)] {
            assert_eq!(whole(Unit::Cores.step(highest) * 100.0), expected, "{highest}");
        }
    }

    #[test]
    fn a_chart_says_its_numbers_to_who_cannot_see_it() {
        let text = chart("Players", Unit::Count, &[series("Players", &[1.0, 5.0, 3.0])]).into_string();
        assert!(text.contains("Players over the last 15 minutes. Players: 3 now; at most 5."), "{text}");
        assert!(!chart("Players", Unit::Count, &[series("Players", &[])]).into_string().contains("NaN"));
        let text = chart("Memory", Unit::Bytes, &[series("Memory", &[1e6, 2e6])]).into_string();
        assert!(text.contains("Memory: 1.9 MiB now"), "{text}");
    }

    #[test]
    fn now_is_at_the_right_and_what_is_older_than_the_chart_at_its_left_edge() {
        let old = Series { name: "Old", points: vec![(SPAN * 2, 1.0), (Duration::ZERO, 1.0)] };
        let text = chart("Old", Unit::Count, &[old]).into_string();
        assert!(
            text.contains(&format!("M{LEFT} ")) && text.contains(&format!("L{} ", WIDTH - RIGHT)),
            "{text}"
        );
    }
}
