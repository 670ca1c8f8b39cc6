use super::Fixed;
use dashu::integer::IBig;

fn near(fixed: Fixed, value: &IBig, expected: f64) {
    let got = i128::try_from(value >> (fixed.bits - 80)).expect("a small number") as f64 / 2_f64.powi(80);
    assert!((got - expected).abs() < 1e-15 * (1.0 + expected.abs()), "{got} for {expected}");
}

fn of(fixed: Fixed, value: f64) -> IBig {
    IBig::from((value * 2_f64.powi(52)) as i64) << (fixed.bits - 52)
}

#[test]
fn functions_agree_with_machine_numbers() {
    for bits in [128, 300, 1100] {
        let fixed = Fixed::new(bits);
        near(fixed, &fixed.pi(), std::f64::consts::PI);
        near(fixed, &fixed.ln2(), std::f64::consts::LN_2);
        for x in [-3.25, -0.5, 0.0, 0.125, 1.0, 2.75] {
            let (mantissa, exponent) = fixed.exp(&of(fixed, x)).expect("a small argument");
            let scaled = if exponent >= 0 { mantissa << exponent as usize } else { mantissa >> (-exponent) as usize };
            near(fixed, &scaled, x.exp());
            let (sin, cos) = fixed.sin_cos(&of(fixed, x));
            near(fixed, &sin, x.sin());
            near(fixed, &cos, x.cos());
            near(fixed, &fixed.arctan(&of(fixed, x)).expect("any number"), x.atan());
        }
        for x in [0.5, 0.625, 0.984375] {
            near(fixed, &fixed.ln(&of(fixed, x)).expect("a half to one"), x.ln());
        }
    }
}

#[test]
fn identities_hold_to_the_last_bits() {
    let fixed = Fixed::new(1024);
    let (sin, cos) = fixed.sin_cos(&of(fixed, 1.375));
    let one: IBig = (&sin * &sin + &cos * &cos) >> fixed.bits;
    let gap = one - (IBig::ONE << fixed.bits);
    assert!(gap > IBig::from(-64) && gap < IBig::from(64), "{gap}");
    // Machin's formula against arctan 1 = π/4.
    let gap = (fixed.arctan(&(IBig::ONE << fixed.bits)).expect("one") << 2) - fixed.pi();
    assert!(gap > IBig::from(-4096) && gap < IBig::from(4096), "{gap}");
}
