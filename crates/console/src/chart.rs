//! Line charts over the last minutes, drawn as SVG. Colours come from the style sheet.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use crate::{format, live::SAMPLES_MAX};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 176.0;
const LEFT: f64 = 36.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Lines between bottom and top.
const STEPS: u32 = 4;

/// One line of a chart.
pub(crate) struct Series {
    /// What it counts, as the legend says.
    pub(crate) name: &'static str,
    /// Oldest first, the last being now.
    pub(crate) values: Vec<u32>,
}

/// A chart of up to four series with a legend that tells their present values. The newest value is at the right end; what is not
/// known yet stays empty at the left.
pub(crate) fn chart(title: &str, series: &[Series]) -> Markup {
    let highest = series.iter().flat_map(|one| &one.values).copied().max().unwrap_or(0);
    let step = step(highest);
    let top = step * STEPS;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / f64::from(top));
    let x =
        |from_end: usize| WIDTH - RIGHT - (WIDTH - LEFT - RIGHT) * from_end as f64 / (SAMPLES_MAX - 1) as f64;
    let said = series
        .iter()
        .map(|one| format!("{}: {} now", one.name, one.values.last().copied().unwrap_or(0)))
        .collect::<Vec<_>>()
        .join(", ");
    html! {
        figure.chart {
            figcaption {
                span.chart-title { (title) }
                span.legend {
                    @for (number, one) in series.iter().enumerate() {
                        span.key data-series=(number) {
                            (one.name) " " b { (format::count(one.values.last().copied().unwrap_or(0).into())) }
                        }
                    }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label=(format!("{title} over the last 15 minutes. {said}; at most {highest}.")) {
                @for line in 0..=STEPS {
                    @let at = y(f64::from(line * step));
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(one_digit(at)) y2=(one_digit(at)) {}
                    text.tick x=(LEFT - 8.0) y=(one_digit(at + 4.0)) text-anchor="end" { (short(line * step)) }
                }
                @for (minutes, anchor) in [(15, "start"), (10, "middle"), (5, "middle"), (0, "end")] {
                    text.tick x=(one_digit(x(minutes * 12))) y=(HEIGHT - 6.0) text-anchor=(anchor) {
                        @if minutes == 0 { "now" } @else { (minutes) " min ago" }
                    }
                }
                @for (number, one) in series.iter().enumerate() {
                    (drawn(number, &one.values, x, y))
                }
            }
        }
    }
}

/// The first series has its area filled.
fn drawn(number: usize, values: &[u32], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> Markup {
    let Some(last) = values.last() else { return html! {} };
    let mut path = String::new();
    for (place, value) in values.iter().enumerate() {
        let verb = if place == 0 { 'M' } else { 'L' };
        let (x, y) = (one_digit(x(values.len() - 1 - place)), one_digit(y(f64::from(*value))));
        let _ = write!(path, "{verb}{x} {y}");
    }
    let bottom = one_digit(y(0.0));
    let area = format!("{path}L{} {bottom}L{} {bottom}Z", one_digit(x(0)), one_digit(x(values.len() - 1)));
    html! {
        @if number == 0 { path.area data-series=(number) d=(PreEscaped(area)) {} }
        path.line data-series=(number) d=(PreEscaped(path)) {}
        circle.dot data-series=(number) cx=(one_digit(x(0))) cy=(one_digit(y(f64::from(*last)))) r="3" {}
    }
}

/// The distance between two lines: 1, 2 or 5 times a power of ten, so that [`STEPS`] of them hold
/// `highest`.
fn step(highest: u32) -> u32 {
    let wanted = highest.div_ceil(STEPS).max(1);
    let magnitude = 10_u32.saturating_pow(wanted.ilog10());
    let fits =
        [1, 2, 5, 10].into_iter().map(|times| magnitude.saturating_mul(times)).find(|step| *step >= wanted);
    // So that four steps of it never overflow.
    fits.unwrap_or(wanted).min(u32::MAX / STEPS)
}

fn one_digit(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn short(number: u32) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        for (highest, expected) in
            [(0, 1), (3, 1), (4, 1), (5, 2), (19, 5), (21, 10), (81, 50), (1_000, 500), (9_999, 5_000)]
        {
            assert_eq!(step(highest), expected, "{highest}");
        }
        assert!(step(u32::MAX) >= u32::MAX / STEPS - 1);
    }

    #[test]
    fn a_chart_says_its_numbers_to_who_cannot_see_it() {
        let players = Series { name: "Players", values: vec![1, 5, 3] };
        let text = chart("Players", &[players]).into_string();
        assert!(text.contains("Players over the last 15 minutes. Players: 3 now; at most 5."), "{text}");
        assert!(
            !chart("Players", &[Series { name: "Players", values: Vec::new() }])
                .into_string()
                .contains("NaN")
        );
    }
}
