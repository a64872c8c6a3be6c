// SPDX-License-Identifier: GPL-2.0

//! Pictures: what a packet costs by the number of rules, both axes in powers of ten.

use anyhow::{anyhow, Result};
use plotters::prelude::*;

/// A line of a picture.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Number of rules, cost.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Told apart also by who sees no colours: by the shape of the points.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

const SIZE: (u32, u32) = (760, 440);

/// The picture as SVG; `cost` is what costs are counted in.
pub(crate) fn svg(title: &str, cost: &str, lines: &[Line]) -> Result<String> {
    let mut text = String::new();
    draw(title, cost, lines, &mut text).map_err(|error| anyhow!("{title}: {error}"))?;
    Ok(text)
}

fn draw(
    title: &str,
    cost: &str,
    lines: &[Line],
    text: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1.0, f64::max);
    let (rules, highest) = (most(|point| point.0), most(|point| point.1));
    let lowest = points().map(|point| point.1).fold(highest, f64::min);
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (1.0..rules * 1.3).log_scale(),
            (lowest / 5.0..highest * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("rules")
        .y_desc(cost)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(RGBColor(238, 238, 238))
        .draw()?;
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let is_ours = number == 0;
        let style = colour.stroke_width(if is_ours { 3 } else { 2 });
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        if number % 2 == 0 {
            chart.draw_series(
                line.points
                    .iter()
                    .map(|point| Circle::new(*point, 4, colour.filled())),
            )?;
        } else {
            chart.draw_series(
                line.points
                    .iter()
                    .map(|point| TriangleMarker::new(*point, 5, colour.filled())),
            )?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_lines_and_their_names() {
        let line = |name: &str, by| Line {
            name: name.to_owned(),
            points: vec![(1.0, 100.0 * by), (1000.0, 400.0 * by)],
        };
        let text = svg(
            "of both",
            "instructions a packet",
            &[line("one", 1.0), line("two", 20.0)],
        )
        .unwrap();
        for part in [
            "<svg",
            "</svg>",
            "of both",
            "one",
            "two",
            "instructions a packet",
        ] {
            assert!(text.contains(part), "{part}");
        }
        // Each is a line and its legend.
        for colour in ["#0072B2", "#D55E00"] {
            let lines = text.lines().filter(|line| line.starts_with("<polyline"));
            assert_eq!(
                lines.filter(|line| line.contains(colour)).count(),
                2,
                "{colour}"
            );
        }
    }
}
