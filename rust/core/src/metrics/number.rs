//! Numbers as Prometheus' text formats show them, digit for digit as its Python client writes them.

/// Appends `value` as Python's `repr` writes it.
pub fn push_repr(out: &mut Vec<u8>, value: f64) {
    push(out, value, false);
}

/// Appends `value` as samples carry it: like `repr`, with an exponent from a million on, as Go does.
pub fn push_sample(out: &mut Vec<u8>, value: f64) {
    push(out, value, true);
}

fn push(out: &mut Vec<u8>, value: f64, early: bool) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        push_finite(out, value, early);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "0 <= value < a million"
)]
fn push_finite(out: &mut Vec<u8>, value: f64, early: bool) {
    if value.is_sign_positive() && value < 1e6 {
        let whole = value as u32;
        if f64::from(whole) == value {
            push_int(out, whole);
            return out.extend_from_slice(b".0");
        }
    }
    let mut digits = [0; 32];
    let (count, exponent) = shortest(value.abs(), &mut digits);
    let (first, fraction) = digits[..count].split_at(1);
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let last = if early && value > 0.0 { 5 } else { 15 };
    if (0..=last).contains(&exponent) {
        push_whole(out, first, fraction, exponent.unsigned_abs() as usize);
    } else if (-4..0).contains(&exponent) {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
        out.extend_from_slice(first);
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(first);
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        push_int(out, exponent.unsigned_abs());
    }
}

/// The fewest digits that read back as the same number, of several the nearest, of two as near the even
/// one (all as Python does, the last not as std does); and the power of ten of the first.
fn shortest(value: f64, digits: &mut [u8; 32]) -> (usize, i32) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let mark = text.iter().position(|byte| *byte == b'e');
    let (mantissa, exponent) = text.split_at(mark.unwrap_or(text.len()));
    let exponent = std::str::from_utf8(exponent.get(1..).unwrap_or_default());
    let mut exponent: i32 = exponent.unwrap_or_default().parse().unwrap_or(0);
    let mut count = 0;
    let mut point = false;
    for byte in mantissa {
        match byte {
            b'.' => point = true,
            b'0' if count == 0 => exponent -= i32::from(point),
            digit => {
                digits[count] = *digit;
                exponent += i32::from(!point && count > 0) - i32::from(point && count == 0);
                count += 1;
            }
        }
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    if count == 0 {
        digits[0] = b'0';
        return (1, 0);
    }
    (count, exponent)
}

/// Digits with the point after the first `exponent + 1` of them.
fn push_whole(out: &mut Vec<u8>, first: &[u8], fraction: &[u8], exponent: usize) {
    out.extend_from_slice(first);
    let (whole, part) = fraction.split_at(exponent.min(fraction.len()));
    out.extend_from_slice(whole);
    out.resize(out.len() + exponent - whole.len(), b'0');
    out.push(b'.');
    out.extend_from_slice(if part.is_empty() { b"0" } else { part });
}

fn push_int(out: &mut Vec<u8>, mut value: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64) -> String {
        let mut out = Vec::new();
        push_sample(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn repr(value: f64) -> String {
        let mut out = Vec::new();
        push_repr(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn samples_switch_to_exponents_at_a_million() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (5.0, "5.0"),
            (-5.0, "-5.0"),
            (0.005, "0.005"),
            (123_456.5, "123456.5"),
            (999_999.0, "999999.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1_000_000.5, "1.0000005e+06"),
            (-1_234_567.0, "-1234567.0"),
            (1e15, "1e+15"),
            (1e16, "1e+16"),
            (-1e15, "-1000000000000000.0"),
            (-1e16, "-1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.5e-7, "2.5e-07"),
            (5e-324, "5e-324"),
            (1_763_722_800.25, "1.76372280025e+09"),
            (f64::from_bits(0x4080_0000_2000_0000), "512.0000610351562"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(sample(value), text);
        }
    }

    #[test]
    fn repr_keeps_sixteen_digits_before_the_point() {
        assert_eq!(repr(1_763_722_800.25), "1763722800.25");
        assert_eq!(repr(1e15), "1000000000000000.0");
        assert_eq!(repr(1e16), "1e+16");
    }
}
