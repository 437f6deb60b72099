//! Whole photos, good and hostile: the committed samples, and thousands of damaged copies.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise, its helpers too"
)]

use vision_adapter::{Kind, Refusal, recognise};

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../tests/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_tagged_excavator_is_recognised_by_its_tag() {
    let verdict = recognise(&sample("excavator-tagged.jpg")).unwrap();
    assert_eq!(verdict.name.as_deref(), Some("Volvo EC220E"));
    assert_eq!(verdict.kind.as_deref(), Some("excavator"));
    assert!(verdict.confidence >= 0.97, "{verdict:?}");
    assert_eq!(verdict.evidence[0].kind, Kind::FleetTag);
    assert_eq!(verdict.evidence[1].kind, Kind::Livery);
}

#[test]
fn the_loader_is_recognised_by_its_texts() {
    let verdict = recognise(&sample("loader-exif.jpg")).unwrap();
    assert_eq!(verdict.name.as_deref(), Some("Caterpillar 950M"));
    assert_eq!((verdict.kind.as_deref(), verdict.kind_source), (Some("wheel loader"), Some("exif")));
    assert!(verdict.is_confident(), "{verdict:?}");
}

#[test]
fn the_empty_yard_is_looked_at_and_nothing_is_claimed() {
    let verdict = recognise(&sample("empty-yard.webp")).unwrap();
    assert_eq!(verdict.name, None);
    assert!(!verdict.is_confident());
    assert!(verdict.evidence.is_empty(), "{verdict:?}");
}

#[test]
fn the_damaged_photo_is_refused_with_the_reason() {
    assert_eq!(recognise(&sample("damaged.jpg")), Err(Refusal::Incomplete("JPEG")));
}

/// Deterministic chance (xorshift32).
struct Chance(u32);

impl Chance {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 3) as usize
    }
}

/// A small photo of each format and way of coding, with texts: damage hits something that
/// matters, and a round is quick.
fn seeds() -> Vec<Vec<u8>> {
    let code = qrcode::QrCode::new("tu:v1:Volvo/excavator/EC220E").unwrap();
    let (side, module) = (code.width() + 8, 3);
    let colours = code.to_colors();
    let size = side * module;
    let grey: Vec<u8> = (0..size * size)
        .map(|i| {
            let (x, y) = (i % size / module, i / size / module);
            let inside = (4..side - 4).contains(&x) && (4..side - 4).contains(&y);
            let dark = inside && colours[(y - 4) * code.width() + x - 4] == qrcode::Color::Dark;
            if dark { 20 } else { 235 }
        })
        .collect();
    let rgb: Vec<u8> = grey.iter().flat_map(|&grey| [grey, grey, grey / 2]).collect();
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\x0d\0\0\0\x1a\0\0\0\0\0\0\0Volvo EC220E\0";
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><dc:title>Volvo &amp; EC220E</dc:title></x:xmpmeta>";
    let iptc = b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\x11\x1c\x02\x78\0\x0cVolvo EC220E\0";
    let mut seeds = Vec::new();
    for progressive in [false, true] {
        for factor in [jpeg_encoder::SamplingFactor::F_1_1, jpeg_encoder::SamplingFactor::F_2_2] {
            let mut out = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut out, 70);
            encoder.set_progressive(progressive);
            encoder.set_sampling_factor(factor);
            encoder.set_restart_interval(if progressive { 0 } else { 7 });
            for (segment, data) in [(1, &exif[..]), (1, xmp), (13, iptc)] {
                encoder.add_app_segment(segment, data.to_vec()).unwrap();
            }
            encoder.encode(&rgb, size as u16, size as u16, jpeg_encoder::ColorType::Rgb).unwrap();
            seeds.push(out);
        }
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, size as u32, size as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_ztxt_chunk("Description".into(), "Volvo EC220E".into()).unwrap();
    encoder.add_itxt_chunk("XML:com.adobe.xmp".into(), "<dc:title>Volvo EC220E</dc:title>".into()).unwrap();
    encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
    seeds.push(png);
    let mut webp = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut webp);
    encoder.set_exif_metadata(exif[6..].to_vec());
    encoder.encode(&rgb, size as u32, size as u32, image_webp::ColorType::Rgb8).unwrap();
    seeds.push(webp);
    seeds
}

/// Sets PNG's checksums right, so that damage reaches what lies behind them.
fn repair(photo: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = photo.get(at..at + 4).map(|l| u32::from_be_bytes(l.try_into().unwrap()) as usize)
    {
        let Some(data) = photo.get(at + 4..(at + 8).saturating_add(length)) else { return };
        let crc = !data.iter().fold(!0_u32, |crc, &byte| {
            (0..8)
                .fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        });
        at += 8 + length;
        let Some(place) = photo.get_mut(at..at + 4) else { return };
        place.copy_from_slice(&crc.to_be_bytes());
        at += 4;
    }
}

/// Damages a photo as files get damaged, and as people who mean harm would: flipped bits, wild
/// bytes, large numbers, cut, doubled and moved pieces; headers more than the rest.
fn damage(photo: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..1 + chance.next() % 6 {
        let length = photo.len().max(1);
        let reach = if chance.next().is_multiple_of(2) { length.min(700) } else { length };
        let at = chance.next() % reach;
        match chance.next() % 8 {
            0 | 1 => photo[at] ^= 1 << (chance.next() % 8),
            2 => photo[at] = chance.next() as u8,
            3 => photo[at] = [0x00, 0x01, 0x7f, 0x80, 0xff][chance.next() % 5],
            4 => {
                let end = (at + 2 + chance.next() % 3).min(length);
                photo[at..end].fill([0xff, 0x00][chance.next() % 2]);
            }
            5 => {
                let end = (at + chance.next() % 64).min(length);
                let piece = photo[at..end].to_vec();
                let place = chance.next() % length;
                photo.splice(place..place, piece);
            }
            6 => {
                let end = (at + chance.next() % 32).min(length);
                photo.drain(at..end);
            }
            _ if chance.next().is_multiple_of(4) => photo.truncate(at.max(16)),
            _ => photo.swap(at, chance.next() % length),
        }
        if photo.len() < 16 {
            photo.resize(16, 0);
        }
    }
}

#[test]
fn no_damage_to_a_photo_ever_panics() {
    let seeds = seeds();
    for (i, seed) in seeds.iter().enumerate() {
        let verdict = recognise(seed).unwrap();
        assert_eq!(verdict.name.as_deref(), Some("Volvo EC220E"), "seed {i}: {verdict:?}");
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2_000);
    let mut chance = Chance(2_026);
    let (mut answered, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut photo = seeds[round % seeds.len()].clone();
        damage(&mut photo, &mut chance);
        if photo.starts_with(b"\x89PNG") && !chance.next().is_multiple_of(4) {
            repair(&mut photo);
        }
        match recognise(&photo) {
            Ok(_) => answered += 1,
            Err(_) => refused += 1,
        }
    }
    // Damage that is always refused at the door would test nothing behind it.
    assert!(answered > rounds / 10 && refused > rounds / 10, "{answered} answered, {refused} refused");
}

#[test]
fn damage_to_a_real_sample_never_panics() {
    let whole = sample("loader-exif.jpg");
    let mut chance = Chance(11);
    for _ in 0..20 {
        let mut photo = whole.clone();
        damage(&mut photo, &mut chance);
        let _ = recognise(&photo);
    }
}
