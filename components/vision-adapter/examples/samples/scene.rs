//! The places machines stand in: sky, hills, ground.

use tiny_skia::{Color, Pixmap, Shader, Transform};

use crate::brush::{Brush, Chance, around, colour, down, tint};

/// Pixels across.
pub const WIDTH: u32 = 1280;
/// Pixels down.
pub const HEIGHT: u32 = 960;

/// The line where ground and sky meet.
const HORIZON: f32 = 560.0;

struct Light {
    sky: [u32; 3],
    sun: (f32, f32),
    glow: u32,
    hills: [u32; 3],
    ground: [u32; 3],
    stones: [u32; 2],
}

/// A clear morning on a building site.
pub fn morning() -> Brush {
    scene(
        &Light {
            sky: [0x7fa9c9, 0xb9d2e0, 0xeee7d8],
            sun: (1_010.0, 210.0),
            glow: 0xfff3d6,
            hills: [0xa9bcc0, 0x8ba39b, 0x6f8a72],
            ground: [0xb49a78, 0x96795a, 0x6f5740],
            stones: [0xc9b396, 0x5f4a37],
        },
        3,
    )
}

/// An evening at a gravel pit.
pub fn evening() -> Brush {
    scene(
        &Light {
            sky: [0x5b6f93, 0xb397a3, 0xf0cfae],
            sun: (250.0, 430.0),
            glow: 0xffe2b8,
            hills: [0x98899a, 0x776f83, 0x5a5a68],
            ground: [0x9b8a80, 0x7d6d66, 0x564b48],
            stones: [0xb7a69b, 0x453c3b],
        },
        5,
    )
}

/// A yard with nothing in it but a fence and puddles.
pub fn yard() -> Pixmap {
    let mut brush = scene(
        &Light {
            sky: [0xa4b0ba, 0xc3ccd2, 0xdfe2e0],
            sun: (640.0, 140.0),
            glow: 0xf2f3f0,
            hills: [0xb3bcbf, 0x99a5a4, 0x84918b],
            ground: [0xa3a19b, 0x8b8984, 0x6c6a67],
            stones: [0xbab8b2, 0x5a5856],
        },
        9,
    );
    fence(&mut brush);
    // Tracks of whatever left.
    for (x0, x1) in [(500.0, 150.0), (590.0, 420.0)] {
        for step in 0..26 {
            let t = step as f32 / 26.0;
            let (x, y) = (x0 + (x1 - x0) * t * t, HORIZON + 20.0 + t * t * 380.0);
            let size = 3.0 + t * 22.0;
            brush.line(
                &format!("M {} {y} L {} {}", x - size, x + size, y - size * 0.25),
                size * 0.28,
                tint(0x4b4a48, 120),
            );
        }
    }
    puddle(&mut brush, (860.0, 820.0), (230.0, 32.0));
    puddle(&mut brush, (1_020.0, 660.0), (110.0, 11.0));
    brush.map
}

fn scene(light: &Light, seed: u32) -> Brush {
    let map = Pixmap::new(WIDTH, HEIGHT).unwrap_or_else(|| unreachable!("the size is not zero"));
    let mut brush = Brush { map, place: Transform::identity() };
    let mut chance = Chance::new(seed);
    let (width, height) = (WIDTH as f32, HEIGHT as f32);

    let [high, middle, low] = light.sky.map(colour);
    brush.fill(
        &format!("M 0 0 L {width} 0 L {width} {height} L 0 {height} Z"),
        down(0.0, HORIZON, &[(0.0, high), (0.6, middle), (1.0, low)]),
    );
    let glow = |alpha| tint(light.glow, alpha);
    brush.disc(light.sun, 420.0, around(light.sun, 420.0, glow(170), glow(0)));
    brush.disc(light.sun, 46.0, around(light.sun, 46.0, glow(255), glow(200)));
    for _ in 0..7 {
        cloud(&mut brush, &mut chance, light.glow);
    }
    for (layer, &hill) in light.hills.iter().enumerate() {
        let base = HORIZON - 70.0 + layer as f32 * 38.0;
        hills(&mut brush, &mut chance, base, 58.0 - layer as f32 * 14.0, colour(hill));
    }
    let [near, between, far] = [light.ground[2], light.ground[1], light.ground[0]].map(colour);
    brush.fill(
        &format!("M 0 {HORIZON} Q 640 {} {width} {HORIZON} L {width} {height} L 0 {height} Z", HORIZON - 8.0),
        down(HORIZON, height, &[(0.0, far), (0.35, between), (1.0, near)]),
    );
    stones(&mut brush, &mut chance, light.stones);
    brush
}

fn cloud(brush: &mut Brush, chance: &mut Chance, white: u32) {
    let (x, y) = (chance.between(0.0, 1_280.0), chance.between(60.0, 330.0));
    let size = chance.between(50.0, 120.0);
    for _ in 0..14 {
        let at = (x + chance.between(-2.2, 2.2) * size, y + chance.between(-0.28, 0.2) * size);
        let radius = size * chance.between(0.4, 0.9);
        let before = brush.place;
        brush.place = Transform::from_translate(at.0, at.1).pre_scale(1.0, 0.34);
        brush.disc((0.0, 0.0), radius, around((0.0, 0.0), radius, tint(white, 52), tint(white, 0)));
        brush.place = before;
    }
}

fn hills(brush: &mut Brush, chance: &mut Chance, base: f32, height: f32, colour: Color) {
    let mut shape = format!("M 0 {HORIZON} L 0 {base}");
    let mut x = 0.0;
    while x < WIDTH as f32 {
        let step = chance.between(90.0, 190.0);
        let top = base - chance.between(0.0, height);
        let end = base - chance.between(-0.2, 0.3) * height;
        shape += &format!(" Q {} {top} {} {end}", x + step / 2.0, x + step);
        x += step;
    }
    shape += &format!(" L 1280 {} L 0 {} Z", HORIZON + 10.0, HORIZON + 10.0);
    brush.fill(&shape, Shader::SolidColor(colour));
}

/// Stones and ruts, larger towards the viewer.
fn stones(brush: &mut Brush, chance: &mut Chance, [light, dark]: [u32; 2]) {
    for _ in 0..1_500 {
        let depth = chance.next();
        let (x, y) = (chance.between(-20.0, 1_300.0), HORIZON + 6.0 + depth * depth * 394.0);
        let size = 0.8 + depth * depth * chance.between(1.5, 5.5);
        let before = brush.place;
        brush.place = Transform::from_translate(x, y).pre_scale(1.0, 0.5);
        let alpha = 60 + (chance.next() * 90.0) as u8;
        brush.disc((size * 0.3, size * 0.7), size, Shader::SolidColor(tint(dark, alpha)));
        brush.disc((0.0, 0.0), size * 0.9, Shader::SolidColor(tint(light, alpha)));
        brush.place = before;
    }
    for _ in 0..40 {
        let depth = chance.next();
        let (x, y) = (chance.between(0.0, 1_280.0), HORIZON + 20.0 + depth * 370.0);
        let length = chance.between(60.0, 240.0) * (0.4 + depth);
        let bend = chance.between(-6.0, 6.0);
        brush.line(
            &format!("M {x} {y} Q {} {} {} {y}", x + length / 2.0, y + bend, x + length),
            1.0 + depth * 2.0,
            tint(dark, 34),
        );
    }
}

fn fence(brush: &mut Brush) {
    let (top, bottom) = (HORIZON - 78.0, HORIZON + 14.0);
    for post in 0..17 {
        let x = post as f32 * 80.0;
        brush.line(&format!("M {x} {top} L {x} {bottom}"), 5.0, colour(0x767c7e));
    }
    for x in (-100..1_300).step_by(13) {
        let x = x as f32;
        brush.line(&format!("M {x} {bottom} L {} {top}", x + 92.0), 0.9, tint(0x83898b, 150));
        brush.line(&format!("M {x} {top} L {} {bottom}", x + 92.0), 0.9, tint(0x83898b, 150));
    }
    for y in [top, bottom - 6.0] {
        brush.line(&format!("M 0 {y} L 1280 {y}"), 2.5, colour(0x7d8385));
    }
}

fn puddle(brush: &mut Brush, (x, y): (f32, f32), (rx, ry): (f32, f32)) {
    let before = brush.place;
    for (grow, low, high) in [(1.05, 0x5d5c5a, 0x5d5c5a), (1.0, 0xc9d0d4, 0x9ba5ac)] {
        brush.place = Transform::from_translate(x, y).pre_scale(1.0, ry / rx);
        brush.disc((0.0, 0.0), rx * grow, down(-rx, rx, &[(0.0, colour(high)), (1.0, colour(low))]));
    }
    brush.place = before;
}
