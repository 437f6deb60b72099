//! Changing an input: a few steps of the kinds that find most, at random places.

use monopod_tests::random::Random;

/// The largest input: what matters fits, and larger ones only take longer.
const MAX_INPUT: usize = 256 << 10;
/// Bytes at the edges of ranges, in every encoding that is read here.
const EDGES: [u8; 12] = [0, 1, 2, 0x0b, 0x0d, 0x10, 0x40, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/// One of `kept`, changed.
pub fn change(kept: &[Vec<u8>], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = one(kept, random).clone();
    for _ in 0..1 << random.within(0..5) {
        step(&mut input, kept, words, random);
    }
    input.truncate(MAX_INPUT);
    input
}

fn one<'a, T>(from: &'a [T], random: &mut Random) -> &'a T {
    &from[at(from.len(), random)]
}

fn at(length: usize, random: &mut Random) -> usize {
    random.within(0..length.max(1) as u64) as usize
}

fn step(input: &mut Vec<u8>, kept: &[Vec<u8>], words: &[Vec<u8>], random: &mut Random) {
    if input.is_empty() {
        input.push(0);
    }
    let place = at(input.len(), random);
    let length = 1 + at((input.len() - place).min(1 << random.within(0..11)), random);
    let end = (place + length).min(input.len());
    match random.within(0..12) {
        0 | 1 => input[place] ^= 1 << random.within(0..8),
        2 => input[place] = *one(&EDGES, random),
        3 => input[place] = random.within(0..256) as u8,
        4 => input[place] = input[place].wrapping_add(random.within(1..9) as u8),
        5 => {
            input.drain(place..end);
        }
        6 => {
            let piece = input[place..end].to_vec();
            insert(input, place, &piece);
        }
        7 => {
            let piece = input[place..end].to_vec();
            let times = 1 + random.within(0..64) as usize;
            if piece.len() * times < MAX_INPUT {
                insert(input, place, &piece.repeat(times));
            }
        }
        8 | 9 if !words.is_empty() => {
            let word = one(words, random).clone();
            if random.within(0..2) == 0 {
                insert(input, place, &word);
            } else {
                input.splice(place..end, word);
            }
        }
        10 => {
            let other = one(kept, random);
            let from = at(other.len(), random);
            let to = (from + 1 + at(4_096, random)).min(other.len());
            let piece = other[from.min(to)..to].to_vec();
            input.splice(place..end, piece);
        }
        _ => input.truncate(place + 1),
    }
}

fn insert(input: &mut Vec<u8>, place: usize, piece: &[u8]) {
    input.splice(place..place, piece.iter().copied());
}
