//! Time against size, a chart a row of the table.

use std::path::Path;

use plotters::prelude::*;

use super::report::{Line, time};
use super::subject::{BenchError, Result};

/// Charts a line.
const COLUMNS: usize = 3;
const WIDTH: u32 = 360;
const HEIGHT: u32 = 240;

/// What is drawn: whose time, its name and its colour.
type Series = (fn(&Line) -> Option<f64>, &'static str, RGBColor);

const SERIES: [Series; 4] = [
    (|line| Some(line.tracker_ns), "tracker", RGBColor(0xd6, 0x27, 0x28)),
    (|line| line.sqlite_ns, "rusqlite", RGBColor(0x1f, 0x77, 0xb4)),
    (|line| line.heed_ns, "heed by hand", RGBColor(0x2c, 0xa0, 0x2c)),
    (|line| line.redb_ns, "redb by hand", RGBColor(0x94, 0x67, 0xbd)),
];

/// Draws the rows that were measured at several sizes.
pub fn draw(lines: &[Line], file: &Path) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for line in lines.iter().filter(|line| line.files.is_some()) {
        if !names.contains(&&*line.name) {
            names.push(&line.name);
        }
    }
    let rows = names.len().div_ceil(COLUMNS).max(1);
    let area = SVGBackend::new(file, (WIDTH * COLUMNS as u32, HEIGHT * rows as u32)).into_drawing_area();
    draw_all(&area, &names, lines, rows).map_err(|error| BenchError::Plot(error.to_string()))
}

fn draw_all<'a>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    names: &[&str],
    lines: &[Line],
    rows: usize,
) -> std::result::Result<(), Box<dyn std::error::Error + 'a>> {
    area.fill(&WHITE)?;
    for (chart, name) in area.split_evenly((rows, COLUMNS)).iter().zip(names) {
        let lines: Vec<&Line> = lines.iter().filter(|line| line.name == *name && line.files.is_some()).collect();
        let times: Vec<f64> = lines.iter().flat_map(|line| SERIES.iter().filter_map(|(of, ..)| of(line))).collect();
        let sizes: Vec<f64> = lines.iter().filter_map(|line| line.files.map(|files| files as f64)).collect();
        let (low, high) = bounds(&times);
        let (small, large) = bounds(&sizes);
        let per = lines.first().map_or("", |line| line.per);
        let mut chart = ChartBuilder::on(chart)
            .caption(format!("{name} (a {per})"), ("sans-serif", 13))
            .margin(6)
            .x_label_area_size(26)
            .y_label_area_size(56)
            .build_cartesian_2d((small * 0.8..large * 1.25).log_scale(), (low / 2.0..high * 2.0).log_scale())?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_labels(4)
            .y_labels(5)
            .x_label_formatter(&|files| format!("{files:.0} files"))
            .y_label_formatter(&|ns| time(*ns))
            .draw()?;
        for (of, label, color) in SERIES {
            let points: Vec<(f64, f64)> =
                lines.iter().filter_map(|line| Some((line.files? as f64, of(line)?))).collect();
            if points.is_empty() {
                continue; // a peer that was left out needs no legend
            }
            chart
                .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], color.stroke_width(2)));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.7)).label_font(("sans-serif", 10)).draw()?;
    }
    area.present()?;
    Ok(())
}

fn bounds(numbers: &[f64]) -> (f64, f64) {
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(0.0, f64::max);
    if low.is_finite() && high > 0.0 { (low.max(1e-9), high) } else { (1.0, 10.0) }
}
