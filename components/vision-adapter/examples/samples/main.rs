//! Draws the sample photos in `tests/samples`: `cargo run --release --example samples -- FOLDER`.
//!
//! All of their own making, and the same bytes every time: one with a fleet tag, one with EXIF
//! texts only, one of an empty yard, one that breaks off.

mod brush;
mod exif;
mod machines;
mod scene;

use std::error::Error;
use std::path::Path;

use tiny_skia::Pixmap;

/// What the excavator's tag says.
const TAG: &str = "tu:v1:Volvo/excavator/EC220E";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("the folder to write to, please")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let save = |name: &str, bytes: &[u8]| {
        println!("{name}  {} KB", bytes.len() / 1_000);
        std::fs::write(folder.join(name), bytes)
    };

    let excavator = machines::excavator(scene::morning(), TAG)?;
    save("excavator-tagged.jpg", &jpeg(&excavator, 7, 84, None)?)?;

    let loader = machines::loader(scene::evening());
    let texts = exif::block("Caterpillar 950M wheel loader", "wheel loader;Caterpillar;950M");
    save("loader-exif.jpg", &jpeg(&loader, 11, 84, Some(&texts))?)?;

    save("empty-yard.webp", &webp(&scene::yard())?)?;

    let whole = jpeg(&machines::excavator(scene::evening(), TAG)?, 13, 84, None)?;
    let cut = whole.get(..whole.len() * 6 / 10).unwrap_or_default();
    save("damaged.jpg", cut)?;
    Ok(())
}

/// As a camera would have taken it: with grain, as JPEG, with its block of texts.
fn jpeg(drawing: &Pixmap, seed: u32, quality: u8, exif: Option<&[u8]>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    if let Some(exif) = exif {
        encoder.add_app_segment(1, [b"Exif\0\0", exif].concat())?;
    }
    let (width, height) = (u16::try_from(drawing.width())?, u16::try_from(drawing.height())?);
    encoder.encode(&brush::grain(drawing, seed), width, height, jpeg_encoder::ColorType::Rgb)?;
    Ok(out)
}

/// Without grain, which lossless coding would keep at great cost.
fn webp(drawing: &Pixmap) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut out = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut out);
    let pixels = brush::rgb(drawing);
    encoder.encode(&pixels, drawing.width(), drawing.height(), image_webp::ColorType::Rgb8)?;
    Ok(out)
}
