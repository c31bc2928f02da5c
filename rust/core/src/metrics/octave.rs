//! Where a number lies among exponential buckets of schema 5: 32 for each power of two.

/// Buckets per power of two.
pub const BUCKETS: usize = 32;

/// Magnitudes up to 2^-128 count as zero.
const ZERO: f64 = f64::from_bits((1023 - 128) << 52);
/// The key of the octave (1, 2]; keys of positive octaves stay positive, and negative ones negative.
const ONE: i16 = 2000;

/// 2^(i/32): the bounds of the buckets within an octave.
#[rustfmt::skip]
#[expect(
    clippy::approx_constant,
    clippy::unreadable_literal,
    reason = "digits of irrational numbers, as a whole"
)]
const BOUNDS: [f64; BUCKETS + 1] = [
    1.0, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237,
    1.0905077326652577, 1.1143867425958924, 1.1387886347566916, 1.1637248587775775,
    1.189207115002721, 1.215247359980469, 1.241857812073484, 1.2690509571917332,
    1.2968395546510096, 1.3252366431597413, 1.3542555469368927, 1.383909881963832,
    1.4142135623730951, 1.4451808069770467, 1.4768261459394993, 1.5091644275934228,
    1.5422108254079407, 1.5759808451078865, 1.6104903319492543, 1.645755478153965,
    1.681792830507429, 1.718619298122478, 1.7562521603732995, 1.7947090750031072,
    1.8340080864093424, 1.8741676341103, 1.9152065613971474, 1.9571441241754002,
    2.0,
];

/// For each 64th of an octave, the bucket in which it begins; no 64th reaches into a third bucket.
const STARTS: [u8; 64] = starts();

#[expect(clippy::cast_precision_loss, reason = "64 steps")]
const fn starts() -> [u8; 64] {
    let mut starts = [0; 64];
    let mut step = 0;
    let mut bucket = 0;
    while step < 64 {
        let low = 1.0 + step as f64 / 64.0;
        while BOUNDS[bucket as usize + 1] <= low {
            bucket += 1;
        }
        starts[step] = bucket;
        step += 1;
    }
    starts
}

/// The bucket of a finite number that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The octave: keys are ordered as the numbers in them are.
    pub octave: i16,
    /// The bucket in it, by magnitude.
    pub bucket: u8,
}

impl Place {
    /// Where a finite `value` goes; nothing for zero.
    #[inline]
    #[expect(clippy::float_cmp, reason = "a power of two is exact")]
    pub fn of(value: f64) -> Option<Self> {
        let magnitude = value.abs();
        if magnitude <= ZERO {
            return None;
        }
        let bits = magnitude.to_bits();
        let exponent = (bits >> 52) as i16 - 1023;
        let fraction = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
        // Upper bounds belong to their bucket.
        let (key, bucket) = if fraction == 1.0 {
            (exponent - 1 + ONE, 31)
        } else {
            let start = STARTS[(bits >> 46) as usize & 63];
            let next = fraction > BOUNDS[start as usize + 1];
            (exponent + ONE, start + u8::from(next))
        };
        let octave = if value < 0.0 { -key } else { key };
        Some(Self { octave, bucket })
    }

    /// What stands for the numbers in this bucket: off by at most (g - 1) / (g + 1) = 1.08 %.
    pub fn estimate(self) -> f64 {
        let key = self.octave.abs();
        let (low, high) = (
            BOUNDS[usize::from(self.bucket)],
            BOUNDS[usize::from(self.bucket) + 1],
        );
        let middle = 2.0 * low * high / (low + high);
        let scaled = middle * f64::from(key - ONE).exp2();
        scaled.min(f64::MAX).copysign(f64::from(self.octave))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_belong_to_their_bucket() {
        for (at, bound) in BOUNDS.iter().enumerate().skip(1) {
            let place = Place::of(*bound).unwrap();
            assert_eq!(usize::from(place.bucket), at - 1, "{bound}");
            let above = Place::of(bound.next_up()).unwrap();
            assert_eq!(usize::from(above.bucket), at % BUCKETS, "{bound}");
        }
    }
}
