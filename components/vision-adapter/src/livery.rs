//! Liveries: the colours that makers paint their machines in, as weak evidence. Half of all
//! machines are yellow, so a colour supports what other evidence says and hardly ever names a
//! maker by itself.

use crate::catalogue::Livery;
use crate::picture::Picture;

/// The share of the picture from which a colour counts. Less is a sign, a jacket, a flower.
const MIN_SHARE: f64 = 0.04;

/// A livery seen in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Which.
    pub livery: Livery,
    /// Of the picture, 0 to 1.
    pub share: f64,
}

/// The livery that covers most of the picture, if one covers enough of it.
pub fn measure(picture: &Picture) -> Option<Seen> {
    const ALL: [Livery; 4] = [Livery::Yellow, Livery::Orange, Livery::Red, Livery::Teal];
    let total = picture.colours.len().max(1) as f64;
    let seen: Vec<Livery> = picture.colours.iter().filter_map(|&colour| livery(colour)).collect();
    ALL.into_iter()
        .map(|livery| Seen {
            livery,
            share: seen.iter().filter(|&&other| other == livery).count() as f64 / total,
        })
        .max_by(|a, b| a.share.total_cmp(&b.share))
        .filter(|seen| seen.share >= MIN_SHARE)
}

/// The livery that a colour belongs to. The bounds on saturation and brightness leave out what a
/// yard is full of: sand (45 % saturated), brick, rust, dry grass.
fn livery([red, green, blue]: [u8; 3]) -> Option<Livery> {
    let (r, g, b) = (i32::from(red), i32::from(green), i32::from(blue));
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = max - min;
    if max < 100 || range * 100 < max * 55 {
        return None;
    }
    // Hue in degrees; red is 0, yellow 60, green 120.
    let hue = if max == r {
        60 * (g - b) / range
    } else if max == g {
        120 + 60 * (b - r) / range
    } else {
        240 + 60 * (r - g) / range
    };
    match hue {
        36..=56 if range * 100 >= max * 62 => Some(Livery::Yellow),
        10..=26 if range * 100 >= max * 70 => Some(Livery::Orange),
        -14..=6 if range * 100 >= max * 68 => Some(Livery::Red),
        168..=192 => Some(Livery::Teal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_is_told_from_what_a_yard_is_full_of() {
        for (colour, expect) in [
            ([0xff, 0xcd, 0x11], Some(Livery::Yellow)),
            ([0xf2, 0xa9, 0x00], Some(Livery::Yellow)),
            ([0xf0, 0x4e, 0x23], Some(Livery::Orange)),
            ([0xc8, 0x10, 0x2e], Some(Livery::Red)),
            ([0x00, 0xa3, 0xad], Some(Livery::Teal)),
            ([0xc2, 0xb2, 0x80], None), // sand
            ([0x7a, 0x5c, 0x3e], None), // earth
            ([0x87, 0xce, 0xeb], None), // sky
            ([0x4c, 0x7a, 0x34], None), // grass
            ([0x80, 0x80, 0x80], None),
            ([0, 0, 0], None),
        ] {
            assert_eq!(livery(colour), expect, "{colour:?}");
        }
    }

    #[test]
    fn a_little_of_a_colour_is_no_livery() {
        let picture = |yellow: usize| Picture {
            colours: [vec![[255, 200, 20]; yellow], vec![[90, 90, 90]; 100 - yellow]].concat(),
            ..Picture::default()
        };
        assert_eq!(measure(&picture(3)), None);
        assert_eq!(measure(&picture(30)), Some(Seen { livery: Livery::Yellow, share: 0.3 }));
        assert_eq!(measure(&Picture::default()), None);
    }
}
