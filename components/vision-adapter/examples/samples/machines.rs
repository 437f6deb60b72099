//! The machines, seen from the side.

use std::error::Error;

use qrcode::{Color as Module, EcLevel, QrCode};
use tiny_skia::{Color, PathBuilder, Pixmap, Rect, Shader, Transform};

use crate::brush::{Brush, along, around, colour, down, tint};

/// Paint with light from above: a light, a middle and a dark tone.
#[derive(Clone, Copy)]
struct Paint {
    light: u32,
    middle: u32,
    dark: u32,
}

const AMBER: Paint = Paint { light: 0xffcf5c, middle: 0xf4ad1e, dark: 0xb9780a };
const CANARY: Paint = Paint { light: 0xffe071, middle: 0xfdc41c, dark: 0xbd8a0a };
const STEEL: Paint = Paint { light: 0x7c8084, middle: 0x55595d, dark: 0x2f3236 };
const RUBBER: Paint = Paint { light: 0x4a4a4b, middle: 0x2c2c2e, dark: 0x161617 };

impl Paint {
    fn down(self, top: f32, bottom: f32) -> Shader<'static> {
        let tones = [(0.0, colour(self.light)), (0.45, colour(self.middle)), (1.0, colour(self.dark))];
        down(top, bottom, &tones)
    }

    fn across(self, from: (f32, f32), to: (f32, f32)) -> Shader<'static> {
        let tones = [(0.0, colour(self.light)), (0.5, colour(self.middle)), (1.0, colour(self.dark))];
        along(from, to, &tones)
    }
}

/// A crawler excavator with a fleet tag on its side.
pub fn excavator(mut b: Brush, tag: &str) -> Result<Pixmap, Box<dyn Error>> {
    b.shadow((800.0, 838.0), (420.0, 52.0), 190);
    b.shadow((420.0, 800.0), (190.0, 26.0), 120);
    tracks(&mut b);
    boom(&mut b);
    house(&mut b);
    cab(&mut b);
    plate(&mut b, tag, (886.0, 612.0), 3.6, -1.2)?;
    Ok(b.map)
}

fn tracks(b: &mut Brush) {
    b.fill("M 590 716 L 1010 716 Q 1074 716 1074 772 Q 1074 834 1010 834 L 590 834 Q 526 834 526 772 Q 526 716 590 716 Z", RUBBER.down(706.0, 840.0));
    b.fill("M 600 734 L 1000 734 Q 1050 734 1050 774 Q 1050 816 1000 816 L 600 816 Q 550 816 550 774 Q 550 734 600 734 Z", STEEL.down(720.0, 850.0));
    // Grousers, above and below.
    for step in 0..19 {
        let x = 584.0 + step as f32 * 24.0;
        b.line(&format!("M {x} 714 L {} 714", x + 13.0), 6.0, colour(0x3a3a3b));
        b.line(&format!("M {x} 837 L {} 837", x + 13.0), 7.0, colour(0x1c1c1d));
    }
    for x in [598.0, 1_002.0] {
        b.disc((x, 775.0), 42.0, RUBBER.down(730.0, 820.0));
        b.disc((x, 775.0), 31.0, STEEL.down(742.0, 806.0));
        b.disc((x, 775.0), 13.0, AMBER.down(760.0, 790.0));
    }
    for step in 0..6 {
        let x = 662.0 + step as f32 * 55.0;
        b.disc((x, 804.0), 17.0, RUBBER.down(786.0, 822.0));
        b.disc((x, 804.0), 8.0, STEEL.down(796.0, 812.0));
    }
    b.fill("M 650 742 L 950 742 L 930 784 L 670 784 Z", RUBBER.down(736.0, 800.0));
    // The turntable.
    b.fill("M 690 690 L 910 690 L 924 722 L 676 722 Z", STEEL.down(684.0, 724.0));
}

fn house(b: &mut Brush) {
    b.fill("M 664 664 L 1100 664 L 1100 698 L 664 698 Z", STEEL.down(654.0, 704.0));
    b.fill("M 764 500 Q 768 488 782 488 L 1010 488 L 1010 676 L 764 676 Z", AMBER.down(470.0, 700.0));
    // The counterweight.
    b.fill(
        "M 1004 482 L 1082 482 Q 1128 488 1134 548 L 1138 640 Q 1138 690 1096 696 L 1004 696 Z",
        STEEL.across((1_010.0, 480.0), (1_150.0, 700.0)),
    );
    b.line("M 1006 486 L 1006 694", 3.0, tint(0x151515, 150));
    b.fill("M 1018 500 L 1080 500 Q 1106 506 1112 546 L 1018 546 Z", Shader::SolidColor(tint(0xffffff, 20)));
    // Doors, grille, handrail, exhaust.
    b.line("M 838 496 L 838 672", 2.5, tint(0x5a3a00, 130));
    b.line("M 956 496 L 956 672", 2.5, tint(0x5a3a00, 130));
    for step in 0..8 {
        let y = 514.0 + step as f32 * 9.0;
        b.line(&format!("M 852 {y} L 940 {y}"), 4.0, tint(0x4a3203, 170));
    }
    b.line("M 826 600 L 826 628", 5.0, tint(0x3c2a02, 200));
    b.line("M 946 600 L 946 628", 5.0, tint(0x3c2a02, 200));
    b.line("M 790 488 L 790 452 L 996 452 L 996 488", 5.0, colour(0x33363a));
    b.line("M 893 452 L 893 488", 4.0, colour(0x33363a));
    b.fill("M 930 436 L 950 436 L 950 490 L 930 490 Z", RUBBER.across((930.0, 436.0), (952.0, 436.0)));
    b.line("M 770 491 L 1004 491", 3.0, tint(0xffffff, 110));
    // A grey band along the side, as liveries have.
    b.fill("M 764 636 L 1004 636 L 1004 676 L 764 676 Z", STEEL.down(626.0, 690.0));
}

fn cab(b: &mut Brush) {
    b.fill(
        "M 648 392 Q 652 376 672 374 L 768 374 Q 784 376 784 392 L 784 668 L 632 668 L 632 560 Z",
        STEEL.down(360.0, 690.0),
    );
    let glass = || {
        along(
            (640.0, 380.0),
            (780.0, 600.0),
            &[
                (0.0, colour(0xd8e8ee)),
                (0.45, colour(0x8fb0be)),
                (0.55, colour(0xa9c4cf)),
                (1.0, colour(0x4b6472)),
            ],
        )
    };
    b.fill("M 662 396 L 700 396 L 700 640 L 648 640 L 648 562 Z", glass());
    b.fill("M 712 396 L 766 396 L 766 560 L 712 560 Z", glass());
    b.fill("M 712 574 L 766 574 L 766 652 L 712 652 Z", AMBER.down(560.0, 680.0));
    // The seat and somebody's cap behind the glass.
    b.fill("M 722 470 Q 744 462 756 478 L 760 560 L 718 560 Z", Shader::SolidColor(tint(0x20292e, 140)));
    b.disc((734.0, 452.0), 17.0, Shader::SolidColor(tint(0x2a2320, 150)));
    b.fill("M 716 450 Q 734 424 752 450 Z", Shader::SolidColor(tint(0xd9e24a, 170)));
    b.line("M 668 402 L 690 402 L 660 560", 3.0, tint(0xffffff, 90));
    b.line("M 640 366 L 790 366", 10.0, colour(0x3a3d41));
    for x in [652.0, 676.0] {
        b.fill(
            &format!("M {x} 350 L {} 350 L {} 362 L {x} 362 Z", x + 16.0, x + 16.0),
            Shader::SolidColor(colour(0xfdf6d8)),
        );
    }
    b.line("M 636 420 L 616 428 L 612 468", 4.0, colour(0x2a2c2f));
    b.fill("M 604 446 L 618 446 L 618 486 L 604 486 Z", RUBBER.down(446.0, 486.0));
}

fn cylinder(b: &mut Brush, from: (f32, f32), knee: (f32, f32), to: (f32, f32), width: f32) {
    let line = |(x0, y0): (f32, f32), (x1, y1): (f32, f32)| format!("M {x0} {y0} L {x1} {y1}");
    b.line(&line(knee, to), width * 0.5, colour(0x8d9296));
    b.line(&line(knee, to), width * 0.2, colour(0xdfe3e6));
    b.line(&line(from, knee), width, colour(0x2e3135));
    b.line(&line(from, knee), width * 0.35, colour(0x5a5f64));
    for end in [from, to] {
        b.dot(end, width * 0.62, 0x24272a);
        b.dot(end, width * 0.26, 0x9aa0a4);
    }
}

fn boom(b: &mut Brush) {
    bucket(b);
    // The arm.
    b.fill(
        "M 232 262 L 286 244 L 312 300 L 420 590 L 384 612 L 262 366 Z",
        AMBER.across((230.0, 400.0), (360.0, 360.0)),
    );
    b.line("M 262 366 L 384 612", 3.0, tint(0x5a3a00, 120));
    cylinder(b, (250.0, 330.0), (300.0, 462.0), (352.0, 590.0), 20.0);
    // The boom: a banana, with its own light along the top.
    b.fill("M 792 640 Q 748 352 520 236 Q 480 220 440 230 L 262 288 Q 244 312 264 338 L 300 350 L 462 318 Q 600 366 704 660 Z", AMBER.across((520.0, 236.0), (440.0, 420.0)));
    b.line("M 266 290 L 440 233 Q 480 223 518 239 Q 740 352 788 620", 4.0, tint(0xffffff, 120));
    b.line("M 302 349 L 462 317 Q 600 366 702 656", 4.0, tint(0x5a3a00, 150));
    b.fill("M 474 248 L 560 286 L 540 322 L 470 296 Z", Shader::SolidColor(tint(0x33363a, 235)));
    b.line("M 488 268 L 540 292", 6.0, colour(0xf2f2ee));
    b.line("M 486 284 L 520 300", 4.0, tint(0xf2f2ee, 190));
    cylinder(b, (536.0, 222.0), (400.0, 212.0), (250.0, 262.0), 22.0);
    cylinder(b, (660.0, 690.0), (614.0, 560.0), (556.0, 380.0), 26.0);
    b.dot((286.0, 318.0), 17.0, 0x2a2d30);
    b.dot((286.0, 318.0), 8.0, 0x9aa0a4);
}

fn bucket(b: &mut Brush) {
    b.line("M 352 590 L 330 640", 10.0, colour(0x3a3d41));
    b.line("M 330 640 L 366 650", 10.0, colour(0x3a3d41));
    b.fill(
        "M 356 610 L 424 588 Q 452 640 512 700 L 524 716 Q 440 790 366 756 Q 312 720 356 610 Z",
        STEEL.across((330.0, 620.0), (500.0, 760.0)),
    );
    b.fill(
        "M 424 588 Q 452 640 512 700 L 496 706 Q 436 660 408 600 Z",
        Shader::SolidColor(tint(0x101112, 150)),
    );
    for step in 0..4 {
        let (x, y) = (496.0 - step as f32 * 22.0, 726.0 + step as f32 * 11.0);
        b.fill(
            &format!("M {x} {y} L {} {} L {} {} Z", x + 26.0, y - 14.0, x + 36.0, y + 8.0),
            Shader::SolidColor(colour(0x2b2d30)),
        );
    }
    b.line("M 352 650 Q 336 710 372 744", 4.0, tint(0xffffff, 60));
    b.dot((402.0, 602.0), 12.0, 0x24272a);
}

/// A printed plate with a code on it, a little askew.
fn plate(
    b: &mut Brush,
    text: &str,
    (x, y): (f32, f32),
    module: f32,
    degrees: f32,
) -> Result<(), Box<dyn Error>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let side = code.width() as f32;
    let before = b.place;
    let half = (side / 2.0 + 4.0) * module;
    b.place = Transform::from_rotate_at(degrees, x, y).pre_translate(x - half, y - half);
    let full = half * 2.0;
    let rounded = |inset: f32| {
        let (a, z, r) = (inset, full - inset, 9.0);
        format!(
            "M {} {a} L {} {a} Q {z} {a} {z} {} L {z} {} Q {z} {z} {} {z} L {} {z} Q {a} {z} {a} {} L {a} {} Q {a} {a} {} {a} Z",
            a + r,
            z - r,
            a + r,
            z - r,
            z - r,
            a + r,
            z - r,
            a + r,
            a + r
        )
    };
    b.fill(&rounded(-5.0), Shader::SolidColor(tint(0x201500, 90)));
    b.fill(&rounded(-2.0), Shader::SolidColor(colour(0x9aa0a4)));
    b.fill(&rounded(0.0), down(0.0, full, &[(0.0, colour(0xfbfaf6)), (1.0, colour(0xe6e3da))]));
    let mut modules = PathBuilder::new();
    for (at, colour) in code.to_colors().into_iter().enumerate() {
        if colour == Module::Dark {
            let (column, row) = ((at % code.width()) as f32, (at / code.width()) as f32);
            let (x, y) = ((column + 4.0) * module, (row + 4.0) * module);
            if let Some(square) = Rect::from_xywh(x, y, module, module) {
                modules.push_rect(square);
            }
        }
    }
    if let Some(modules) = modules.finish() {
        b.fill_path(&modules, Shader::SolidColor(Color::from_rgba8(26, 26, 30, 255)));
    }
    for corner in [(7.0, 7.0), (full - 7.0, 7.0), (7.0, full - 7.0), (full - 7.0, full - 7.0)] {
        b.dot(corner, 2.6, 0x8b8f92);
    }
    b.place = before;
    Ok(())
}

/// A wheel loader, without any tag.
pub fn loader(mut b: Brush) -> Pixmap {
    heap(&mut b);
    b.shadow((700.0, 846.0), (520.0, 46.0), 190);
    // Rear frame, engine hood, counterweight.
    b.fill("M 640 640 L 1130 640 L 1130 716 L 640 716 Z", STEEL.down(630.0, 730.0));
    b.fill("M 800 470 L 1096 480 Q 1140 486 1146 540 L 1150 660 L 800 660 Z", CANARY.down(460.0, 690.0));
    b.fill("M 1096 500 L 1150 540 L 1162 690 L 1090 700 Z", STEEL.down(490.0, 710.0));
    for step in 0..9 {
        let x = 960.0 + step as f32 * 13.0;
        b.line(&format!("M {x} 512 L {x} 576"), 5.0, tint(0x3a2a04, 190));
    }
    b.line("M 806 474 L 1094 484", 4.0, tint(0xffffff, 130));
    b.fill("M 800 604 L 1148 604 L 1150 632 L 800 632 Z", Shader::SolidColor(colour(0x2b2d30)));
    b.fill(
        "M 1012 430 L 1034 430 L 1034 484 L 1012 484 Z",
        RUBBER.across((1_010.0, 430.0), (1_036.0, 430.0)),
    );
    loader_cab(&mut b);
    loader_arm(&mut b);
    wheel(&mut b, (968.0, 736.0));
    wheel(&mut b, (528.0, 736.0));
    // Mudguards.
    b.line("M 838 660 Q 880 596 968 592 Q 1058 596 1096 664", 16.0, colour(0x26282b));
    b.line("M 410 664 Q 450 598 528 594 Q 606 598 640 650", 14.0, colour(0x26282b));
    b.map
}

fn loader_cab(b: &mut Brush) {
    b.fill(
        "M 652 330 Q 656 312 680 310 L 806 310 Q 826 312 828 332 L 836 640 L 640 640 Z",
        STEEL.down(300.0, 660.0),
    );
    let glass = || {
        along(
            (650.0, 320.0),
            (830.0, 600.0),
            &[
                (0.0, colour(0xe9d8c9)),
                (0.5, colour(0xa7a3ad)),
                (0.58, colour(0xbab3b8)),
                (1.0, colour(0x55566a)),
            ],
        )
    };
    b.fill("M 668 336 L 730 336 L 730 600 L 658 600 Z", glass());
    b.fill("M 744 336 L 808 336 L 814 560 L 744 560 Z", glass());
    b.fill("M 744 574 L 815 574 L 817 630 L 744 630 Z", CANARY.down(560.0, 650.0));
    b.fill("M 756 440 Q 780 430 794 448 L 798 560 L 752 560 Z", Shader::SolidColor(tint(0x231f22, 150)));
    b.disc((772.0, 420.0), 18.0, Shader::SolidColor(tint(0x241d1b, 160)));
    b.fill("M 752 416 Q 772 388 794 416 Z", Shader::SolidColor(tint(0xf08a2c, 190)));
    b.line("M 642 302 L 836 302", 12.0, colour(0x3a3d41));
    b.line("M 700 296 L 716 282 L 748 282 L 760 296", 5.0, colour(0xf08a2c));
    b.line("M 676 342 L 700 342 L 668 520", 3.0, tint(0xffffff, 100));
    // The ladder.
    b.line("M 690 640 L 676 760", 5.0, colour(0x26282b));
    b.line("M 730 640 L 722 760", 5.0, colour(0x26282b));
    for step in 0..4 {
        let y = 668.0 + step as f32 * 28.0;
        b.line(
            &format!("M {} {y} L {} {y}", 688.0 - step as f32 * 3.0, 730.0 - step as f32 * 2.0),
            5.0,
            colour(0x3a3d41),
        );
    }
}

fn loader_arm(b: &mut Brush) {
    // Front frame.
    b.fill("M 430 560 L 610 540 L 650 716 L 420 716 Z", CANARY.down(530.0, 740.0));
    b.fill("M 560 540 L 640 560 L 664 716 L 590 716 Z", STEEL.down(530.0, 730.0));
    // Bucket, then the lift arm over it.
    b.fill(
        "M 296 560 L 330 620 Q 340 720 296 792 L 118 812 L 92 800 L 250 776 Q 250 650 178 580 Z",
        STEEL.across((160.0, 560.0), (330.0, 800.0)),
    );
    b.fill(
        "M 178 580 Q 250 650 250 776 L 92 800 Q 190 740 178 580 Z",
        Shader::SolidColor(tint(0x6e5f56, 255)),
    );
    b.line("M 92 804 L 296 790", 9.0, colour(0x2a2c2f));
    b.fill("M 120 792 Q 150 700 184 640 Q 236 690 246 772 Z", Shader::SolidColor(colour(0x8d7d74)));
    b.fill(
        "M 596 520 L 628 560 L 470 640 L 356 742 L 312 726 L 424 590 Z",
        CANARY.across((460.0, 560.0), (490.0, 680.0)),
    );
    b.line("M 598 524 L 426 592 L 316 724", 4.0, tint(0xffffff, 130));
    cylinder(b, (592.0, 560.0), (474.0, 566.0), (360.0, 600.0), 22.0);
    b.line("M 360 600 L 322 640", 18.0, colour(0x3a3d41));
    cylinder(b, (560.0, 690.0), (488.0, 668.0), (412.0, 656.0), 22.0);
    for at in [(606.0, 540.0), (334.0, 726.0), (322.0, 640.0)] {
        b.dot(at, 14.0, 0x24272a);
        b.dot(at, 6.0, 0x9aa0a4);
    }
    b.fill("M 566 470 L 600 470 L 600 540 L 566 540 Z", STEEL.down(460.0, 545.0));
    b.disc((583.0, 486.0), 13.0, around((583.0, 486.0), 13.0, colour(0xfffbe8), colour(0xd9cfae)));
}

fn wheel(b: &mut Brush, (x, y): (f32, f32)) {
    b.disc((x, y), 112.0, RUBBER.down(y - 112.0, y + 112.0));
    for step in 0..22 {
        let angle = step as f32 / 22.0 * std::f32::consts::TAU;
        let (sin, cos) = angle.sin_cos();
        let (sin2, cos2) = (angle + 0.16).sin_cos();
        let shape =
            format!("M {} {} L {} {}", x + cos * 114.0, y + sin * 114.0, x + cos2 * 88.0, y + sin2 * 88.0);
        b.line(&shape, 11.0, colour(0x1b1b1c));
    }
    b.disc((x, y), 82.0, RUBBER.down(y - 82.0, y + 110.0));
    b.disc((x, y), 60.0, CANARY.down(y - 60.0, y + 64.0));
    b.disc((x, y), 46.0, CANARY.across((x, y + 50.0), (x, y - 50.0)));
    b.dot((x, y), 22.0, 0x33363a);
    for step in 0..8 {
        let (sin, cos) = (step as f32 / 8.0 * std::f32::consts::TAU).sin_cos();
        b.dot((x + cos * 33.0, y + sin * 33.0), 3.6, 0x6b5208);
    }
    b.dot((x, y), 9.0, 0x83888c);
}

/// A heap of gravel in the back.
fn heap(b: &mut Brush) {
    b.fill(
        "M -60 690 Q 60 470 190 430 Q 250 412 320 470 Q 430 560 520 680 Z",
        along(
            (150.0, 420.0),
            (330.0, 700.0),
            &[(0.0, colour(0xc4b0a2)), (0.5, colour(0x93827a)), (1.0, colour(0x635751))],
        ),
    );
    let mut chance = crate::brush::Chance::new(21);
    for _ in 0..500 {
        let t = chance.next();
        let (x, y) = (chance.between(-20.0, 460.0), 450.0 + t * 230.0);
        let inside = y > 436.0 + ((x - 220.0) / 240.0).powi(2) * 220.0;
        if inside {
            b.disc(
                (x, y),
                chance.between(1.0, 3.4),
                Shader::SolidColor(tint(if chance.next() > 0.5 { 0xd2c0b2 } else { 0x574c47 }, 120)),
            );
        }
    }
}
