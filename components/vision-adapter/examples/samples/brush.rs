//! Shapes, colours and grain.

use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Paint, Path, PathBuilder, Pixmap,
    Point, RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

/// A drawing in progress.
pub struct Brush {
    /// What is drawn.
    pub map: Pixmap,
    /// Where shapes go.
    pub place: Transform,
}

/// A colour from `0xRRGGBB`.
pub fn colour(rgb: u32) -> Color {
    tint(rgb, 255)
}

/// A colour that lets through what is below.
pub fn tint(rgb: u32, alpha: u8) -> Color {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Color::from_rgba8(red, green, blue, alpha)
}

/// A gradient from the top (`y0`) down.
pub fn down(y0: f32, y1: f32, stops: &[(f32, Color)]) -> Shader<'static> {
    along((0.0, y0), (0.0, y1), stops)
}

/// A gradient along a line.
pub fn along(from: (f32, f32), to: (f32, f32), stops: &[(f32, Color)]) -> Shader<'static> {
    let stops: Vec<GradientStop> = stops.iter().map(|&(at, colour)| GradientStop::new(at, colour)).collect();
    LinearGradient::new(Point::from(from), Point::from(to), stops, SpreadMode::Pad, Transform::identity())
        .unwrap_or(Shader::SolidColor(Color::BLACK))
}

/// A gradient from a point outwards.
pub fn around(middle: (f32, f32), radius: f32, inner: Color, outer: Color) -> Shader<'static> {
    let stops = vec![GradientStop::new(0.0, inner), GradientStop::new(1.0, outer)];
    let middle = Point::from(middle);
    RadialGradient::new(middle, 0.0, middle, radius, stops, SpreadMode::Pad, Transform::identity())
        .unwrap_or(Shader::SolidColor(inner))
}

/// A path as one writes it: "M x y L x y Q x y x y Z".
pub fn path(text: &str) -> Option<Path> {
    let mut path = PathBuilder::new();
    let mut words = text.split_whitespace();
    while let Some(step) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse::<f32>().ok()).unwrap_or(0.0);
        match step {
            "M" => path.move_to(number(), number()),
            "L" => path.line_to(number(), number()),
            "Q" => path.quad_to(number(), number(), number(), number()),
            _ => path.close(),
        }
    }
    path.finish()
}

impl Brush {
    /// Fills a path.
    pub fn fill(&mut self, shape: &str, shader: Shader<'static>) {
        if let Some(shape) = path(shape) {
            self.fill_path(&shape, shader);
        }
    }

    /// Fills a path.
    pub fn fill_path(&mut self, shape: &Path, shader: Shader<'static>) {
        let paint = Paint { shader, anti_alias: true, ..Paint::default() };
        self.map.fill_path(shape, &paint, FillRule::Winding, self.place, None);
    }

    /// Draws a line along a path.
    pub fn line(&mut self, shape: &str, width: f32, colour: Color) {
        if let Some(shape) = path(shape) {
            let paint = Paint { shader: Shader::SolidColor(colour), anti_alias: true, ..Paint::default() };
            let stroke =
                Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.map.stroke_path(&shape, &paint, &stroke, self.place, None);
        }
    }

    /// Fills a circle.
    pub fn disc(&mut self, (x, y): (f32, f32), radius: f32, shader: Shader<'static>) {
        if let Some(circle) = PathBuilder::from_circle(x, y, radius) {
            self.fill_path(&circle, shader);
        }
    }

    /// Fills a circle with one colour.
    pub fn dot(&mut self, at: (f32, f32), radius: f32, rgb: u32) {
        self.disc(at, radius, Shader::SolidColor(colour(rgb)));
    }

    /// A soft shadow on the ground.
    pub fn shadow(&mut self, (x, y): (f32, f32), (rx, ry): (f32, f32), strength: u8) {
        let before = self.place;
        self.place = before.pre_translate(x, y).pre_scale(1.0, ry / rx);
        self.disc((0.0, 0.0), rx, around((0.0, 0.0), rx, tint(0x1a140c, strength), tint(0x1a140c, 0)));
        self.place = before;
    }
}

/// Numbers that look like chance and are the same every time.
pub struct Chance(u32);

impl Chance {
    /// A series of its own for each seed.
    pub fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995)
    }

    /// 0 up to 1.
    pub fn next(&mut self) -> f32 {
        // xorshift32
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / 16_777_216.0
    }

    /// `low` up to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.next()
    }
}

/// The pixels as red, green and blue, without the last bit: nobody sees it, and without it
/// lossless files are a third smaller.
pub fn rgb(drawing: &Pixmap) -> Vec<u8> {
    drawing
        .pixels()
        .iter()
        .flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()].map(|c| c & 0xfe))
        .collect()
}

/// The pixels with a camera's grain, a touch more in the shadows, and darker corners.
pub fn grain(drawing: &Pixmap, seed: u32) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let (width, height) = (drawing.width() as f32, drawing.height() as f32);
    let mut x = 0.0;
    let mut y = 0.0;
    let mut out = Vec::with_capacity(drawing.pixels().len() * 3);
    for pixel in drawing.pixels() {
        let (dx, dy) = (x / width - 0.5, y / height - 0.5);
        let corner = 1.0 - 0.32 * (dx * dx + dy * dy);
        // The sum of two is closer to a bell curve than one.
        let noise = (chance.next() + chance.next() - 1.0) * 5.0;
        for channel in [pixel.red(), pixel.green(), pixel.blue()] {
            let value = f32::from(channel) * corner;
            out.push((value + noise * (1.3 - value / 512.0)).clamp(0.0, 255.0) as u8);
        }
        x += 1.0;
        if x >= width {
            x = 0.0;
            y += 1.0;
        }
    }
    out
}
