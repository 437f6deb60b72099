use qrcode::{EcLevel, QrCode, Version};

use super::*;

/// Deterministic noise.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }
}

/// A plane with a code laid through a mapping from pixels to modules.
fn draw(code: &QrCode, width: usize, height: usize, map: impl Fn(f32, f32) -> (f32, f32)) -> Plane {
    let side = code.width() as f32;
    let colours = code.to_colors();
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            // Four samples a pixel, as a camera would see it.
            let mut sum = 0;
            for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let (u, v) = map(x as f32 + dx, y as f32 + dy);
                let inside = u >= 0.0 && v >= 0.0 && u < side && v < side;
                let quiet = (-4.0..side + 4.0).contains(&u) && (-4.0..side + 4.0).contains(&v);
                let black = inside && colours[v as usize * code.width() + u as usize] == qrcode::Color::Dark;
                sum += if black {
                    30
                } else if quiet {
                    225
                } else {
                    120
                };
            }
            pixels.push((sum / 4) as u8);
        }
    }
    Plane::new(width, height, pixels)
}

fn found(plane: Plane) -> Vec<String> {
    find(&Picture { luma: plane, colours: vec![] }).into_iter().map(|code| code.text).collect()
}

const TAG: &str = "tu:v1:Volvo/excavator/EC220E";

fn tag() -> QrCode {
    QrCode::with_error_correction_level(TAG, EcLevel::M).unwrap()
}

fn turned(degrees: f32, module: f32, middle: (f32, f32), side: f32) -> impl Fn(f32, f32) -> (f32, f32) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    move |x, y| {
        let (x, y) = (x - middle.0, y - middle.1);
        ((x * cos + y * sin) / module + side / 2.0, (y * cos - x * sin) / module + side / 2.0)
    }
}

#[test]
fn a_code_is_read_at_every_angle() {
    let code = tag();
    for degrees in (0..360).step_by(15) {
        let plane = draw(&code, 400, 400, turned(degrees as f32, 5.0, (200.0, 200.0), code.width() as f32));
        assert_eq!(found(plane), [TAG], "{degrees} degrees");
    }
}

#[test]
fn a_code_is_read_at_every_size() {
    let code = tag();
    for module in [2.5, 3.0, 4.3, 8.0, 20.0, 30.0] {
        let plane = draw(&code, 1_200, 1_200, turned(7.0, module, (600.0, 600.0), code.width() as f32));
        assert_eq!(found(plane), [TAG], "{module} pixels a module");
    }
}

#[test]
fn a_code_is_read_from_the_side() {
    let code = tag();
    let side = code.width() as f32;
    for lean in [0.05, 0.1, 0.15, 0.2] {
        let plane = draw(&code, 600, 600, |x, y| {
            let (x, y) = ((x - 300.0) / 8.0, (y - 300.0) / 8.0);
            let depth = 1.0 + lean * x / 20.0;
            (x / depth + side / 2.0, y / depth + side / 2.0)
        });
        assert_eq!(found(plane), [TAG], "leaning {lean}");
    }
}

#[test]
fn every_version_up_to_20_is_read() {
    for version in 1..=20 {
        let text = format!("version {version}");
        let code = QrCode::with_version(&text, Version::Normal(version), EcLevel::Q).unwrap();
        let side = code.width() as f32;
        let plane = draw(&code, 760, 760, turned(3.0, 680.0 / (side + 8.0), (380.0, 380.0), side));
        assert_eq!(found(plane), [text]);
    }
}

#[test]
fn a_mirrored_code_is_read() {
    let code = tag();
    let map = turned(20.0, 6.0, (200.0, 200.0), code.width() as f32);
    assert_eq!(found(draw(&code, 400, 400, |x, y| map(400.0 - x, y))), [TAG]);
}

#[test]
fn noise_shadow_and_dirt_are_borne() {
    let code = QrCode::with_error_correction_level(TAG, EcLevel::Q).unwrap();
    let plane = draw(&code, 500, 400, turned(11.0, 6.0, (250.0, 200.0), code.width() as f32));
    let mut noise = Noise(7);
    let mut pixels = Vec::new();
    for (y, row) in plane.rows().enumerate() {
        for (x, &pixel) in row.iter().enumerate() {
            let shadow = if x + y > 440 { 0.6 } else { 1.0 };
            let dirt = (x as f32 - 300.0).hypot(y as f32 - 240.0) < 12.0;
            let pixel = if dirt { 90.0 } else { f32::from(pixel) } * shadow;
            pixels.push((pixel + (noise.next() % 40) as f32 - 20.0).clamp(0.0, 255.0) as u8);
        }
    }
    assert_eq!(found(Plane::new(500, 400, pixels)), [TAG]);
}

#[test]
fn a_small_code_in_a_large_picture_is_read_at_full_size() {
    let code = tag();
    let plane = draw(&code, 4_000, 3_000, turned(4.0, 3.2, (3_300.0, 600.0), code.width() as f32));
    assert_eq!(found(plane), [TAG]);
}

#[test]
fn several_codes_come_largest_first() {
    let (large, small) = (tag(), QrCode::new("https://example.org/").unwrap());
    let a = draw(&large, 500, 400, turned(0.0, 8.0, (250.0, 200.0), large.width() as f32));
    let b = draw(&small, 500, 300, turned(0.0, 4.0, (250.0, 150.0), small.width() as f32));
    let pixels = a.rows().chain(b.rows()).flatten().copied().collect();
    assert_eq!(found(Plane::new(500, 700, pixels)), [TAG, "https://example.org/"]);
}

#[test]
fn a_picture_without_codes_yields_none() {
    let mut noise = Noise(3);
    for (width, height) in [(0, 0), (1, 1), (3, 400), (640, 480)] {
        let random = (0..width * height).map(|_| noise.next() as u8).collect();
        assert!(found(Plane::new(width, height, random)).is_empty());
        assert!(found(Plane::new(width, height, vec![77; width * height])).is_empty());
    }
}

#[test]
fn a_picture_full_of_eyes_takes_bounded_work() {
    // Rows of finder patterns, 2 pixels a module, thousands of them.
    let eye = |x: usize, y: usize| {
        let (x, y) = (x / 2 % 9, y / 2 % 9);
        x < 7 && y < 7 && (x.min(6 - x).min(y.min(6 - y)) != 1)
    };
    let pixels = (0..1_280 * 1_280).map(|i| if eye(i % 1_280, i / 1_280) { 0 } else { 255 }).collect();
    let bits = Bits::of(&Plane::new(1_280, 1_280, pixels));
    let eyes = finder::centres(&bits);
    assert!(eyes.len() > 100 && eyes.len() <= 256, "{}", eyes.len());
    assert!(finder::triples(&bits, &eyes).len() <= 9_880);
}

#[test]
fn random_grids_never_panic_the_reader() {
    let mut noise = Noise(99);
    for round in 0..400 {
        let size = 17 + 4 * (1 + round % 40);
        // The finder's own grids, with eyes and format as they should be, and random data.
        let code = QrCode::with_version("x", Version::Normal((1 + round % 40) as i16), EcLevel::L).unwrap();
        let colours = code.to_colors();
        let rate = 1 + noise.next() % 64;
        let black: Vec<bool> = colours
            .iter()
            .map(|&colour| (colour == qrcode::Color::Dark) ^ noise.next().is_multiple_of(rate))
            .collect();
        let grid = rqrr::SimpleGrid::from_func(size, |x, y| black[y * size + x]);
        let _ = rqrr::Grid::new(grid).decode();
    }
}
