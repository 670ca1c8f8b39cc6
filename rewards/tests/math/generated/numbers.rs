//! Numbers of every spelling.

use proptest::prelude::*;

use super::{hold, linear, nonzero};

/// Units with a smaller one and how many of it they hold.
const UNITS: [(&str, &str, i64); 6] = [
    ("m", "cm", 100),
    ("km", "m", 1000),
    ("hours", "minutes", 60),
    ("feet", "inches", 12),
    ("kg", "g", 1000),
    ("minutes", "seconds", 60),
];

proptest! {
    #[test]
    fn fractions(n in nonzero(500), d in 2_i64..90, k in nonzero(12)) {
        let (nk, dk) = (n * k, d * k);
        let whole = n.div_euclid(d);
        let rest = n.rem_euclid(d);
        hold(
            &format!("\\frac{{{n}}}{{{d}}}"),
            &[
                format!("\\dfrac{{{nk}}}{{{dk}}}"),
                format!("{n}/{d}"),
                format!("{n}\\cdot\\frac{{1}}{{{d}}}"),
                format!("{n}\\cdot {d}^{{-1}}"),
                format!("{whole}+\\frac{{{rest}}}{{{d}}}"),
                format!("-\\frac{{{}}}{{{d}}}", -n),
                format!("\\frac{{{}}}{{{}}}", -n, -d),
                format!("\\frac{{{n}/2}}{{{d}/2}}"),
            ],
            &[
                format!("\\frac{{{}}}{{{d}}}", n + 1),
                format!("\\frac{{{n}}}{{{}}}", d + 1),
                format!("\\frac{{{}}}{{{d}}}", -n),
                format!("\\frac{{{n}}}{{{d}}}\\cdot\\frac{{{n}}}{{{}}}", n.abs() + 1),
                format!("{n}{d}"),
                format!("{:.5}1", n as f64 / d as f64),
            ],
        )?;
    }

    #[test]
    fn decimals_and_thousands(cents in 100_001_u64..99_999_999) {
        let (whole, part) = (cents / 100, cents % 100);
        let grouped = format!("{},{:03}.{part:02}", whole / 1000, whole % 1000);
        prop_assume!(whole < 1_000_000);
        hold(
            &format!("{whole}.{part:02}"),
            &[
                grouped.clone(),
                grouped.replace(',', "{,}"),
                grouped.replace(',', "\\,"),
                format!("\\${grouped}"),
                format!("\\frac{{{cents}}}{{100}}"),
                format!("{whole}.{part:02}00"),
                format!("{cents}\\times 10^{{-2}}"),
                format!("{cents}e-2"),
            ],
            &[
                format!("{}.{part:02}", whole + 1),
                format!("{whole}.{:02}", (part + 1) % 100),
                format!("{cents}"),
                format!("{whole}.{part:02}1"),
                format!("-{whole}.{part:02}"),
                format!("{cents}\\times 10^{{-3}}"),
                grouped.replace('.', ","),
            ],
        )?;
    }

    #[test]
    fn mixed_numbers(w in 1_i64..50, n in 1_i64..20, more in 1_i64..20, negative in any::<bool>()) {
        let d = n + more;
        let sign = if negative { "-" } else { "" };
        hold(
            &format!("{sign}{w}\\frac{{{n}}}{{{d}}}"),
            &[
                format!("{sign}\\frac{{{}}}{{{d}}}", w * d + n),
                format!("{sign}{w}\\tfrac{{{n}}}{{{d}}}"),
                format!("{sign}({w}+{n}/{d})"),
            ],
            &[
                format!("{sign}\\frac{{{}}}{{{d}}}", w * n),
                format!("{sign}{}\\frac{{{n}}}{{{d}}}", w + 1),
                format!("{sign}{w}"),
                format!("{sign}\\frac{{{n}}}{{{d}}}"),
                format!("{sign}\\frac{{{}}}{{{d}}}", w * d + n + 1),
            ],
        )?;
    }

    #[test]
    fn radicals(
        a in nonzero(30),
        b in prop::sample::select(vec![2_i64, 3, 5, 6, 7, 10, 11, 15]),
        c in nonzero(30),
        k in 2_i64..6,
    ) {
        let sign = if a < 0 { "-" } else { "" };
        let term = if a.abs() == 1 { format!("{sign}\\sqrt{{{b}}}") } else { format!("{a}\\sqrt{{{b}}}") };
        let minus = linear(-a, c, &format!("\\sqrt{{{b}}}"));
        let norm = c * c - a * a * b;
        hold(
            &format!("{c}+{term}").replace("+-", "-"),
            &[
                format!("{term}+{c}").replace("+-", "-"),
                format!("{c}{}\\sqrt{{{}}}", if a < 0 { "-" } else { "+" }, a * a * b),
                format!("\\frac{{{norm}}}{{{minus}}}"),
                format!("{c}+{a}\\cdot {b}^{{1/2}}").replace("+-", "-"),
                format!("{c}+\\frac{{{}}}{{\\sqrt{{{b}}}}}", a * b).replace("+-", "-"),
                format!("\\frac{{{}+{}\\sqrt{{{b}}}}}{{{k}}}", c * k, a * k).replace("+-", "-"),
            ],
            &[
                minus.clone(),
                format!("{}+{term}", c + 1),
                format!("{c}+{term}+10^{{-20}}"),
                linear(a, c, &format!("\\sqrt{{{}}}", b + 1)),
                linear(a + 1, c, &format!("\\sqrt{{{b}}}")),
                format!("{}\\sqrt{{{b}}}", a + c),
                linear(a, c, &format!("\\sqrt[3]{{{b}}}")),
            ],
        )?;
    }

    #[test]
    fn powers(b in 2_i64..12, m in 2_i64..40, n in 1_i64..40) {
        let exponent = m + n;
        hold(
            &format!("{b}^{{{exponent}}}"),
            &[
                format!("{b}^{{{m}}}\\cdot {b}^{{{n}}}"),
                format!("({b}^{{{exponent}}})"),
                format!("\\frac{{{b}^{{{}}}}}{{{b}}}", exponent + 1),
                format!("{}^{{{exponent}}}\\cdot{b}^{{-{exponent}}}", b * b),
            ],
            &[
                format!("{b}^{{{}}}", exponent + 1),
                format!("{b}^{{{}}}", exponent - 1),
                format!("{}^{{{exponent}}}", b + 1),
                format!("{b}^{{{m}}}+{b}^{{{n}}}"),
                format!("{b}^{{-{exponent}}}"),
                format!("{b}^{{{exponent}}}+1"),
                format!("-{b}^{{{exponent}}}"),
            ],
        )?;
    }

    #[test]
    fn complex_numbers(a in nonzero(20), b in nonzero(20), c in nonzero(20), d in nonzero(20)) {
        let (re, im) = (a * c - b * d, a * d + b * c);
        let number = |re: i64, im: i64| format!("{re}+{im}i").replace("+-", "-");
        hold(
            &number(re, im),
            &[
                format!("({})({})", number(a, b), number(c, d)),
                format!("{im}i+{re}").replace("+-", "-"),
                format!("{re}+{im}\\cdot\\mathrm{{i}}").replace("+-", "-"),
            ],
            &[
                number(re, im + 1),
                number(re + 1, im),
                number(-re - 1, -im),
                format!("{}", re * 2 + 1),
                format!("({re},{im})"),
            ],
        )?;
    }

    #[test]
    fn digits_in_a_base(n in 10_u64..5000, base in prop::sample::select(vec![2_u64, 3, 4, 5, 6, 7, 8, 9])) {
        let digits = |mut n: u64, base: u64| {
            let mut text = String::new();
            while n > 0 {
                text.insert(0, char::from_digit((n % base) as u32, 10).unwrap());
                n /= base;
            }
            text
        };
        hold(
            &format!("{}_{base}", digits(n, base)),
            &[format!("{}_{{{base}}}", digits(n, base)), format!("({})_{base}", digits(n, base))],
            &[
                format!("{}_{base}", digits(n + 1, base)),
                format!("{}_{{{}}}", digits(n, base), base + 1),
                format!("{}_{base}", digits(n + base, base)),
            ],
        )?;
    }

    #[test]
    fn units_convert(
        n in 1_i64..400,
        pair in prop::sample::select(&UNITS[..]),
    ) {
        let (large, small, factor) = pair;
        hold(
            &format!("{n}\\text{{ {large}}}"),
            &[
                format!("{n}"),
                format!("{n} {large}"),
                format!("{n}\\,\\mathrm{{{large}}}"),
                format!("{}\\text{{ {small}}}", n * factor),
            ],
            &[
                format!("{n}\\text{{ {small}}}"),
                format!("{}\\text{{ {large}}}", n + 1),
                format!("{}", n * factor),
                format!("{}\\text{{ {small}}}", n * factor + 1),
                format!("{n}\\text{{ {large}}}^2"),
            ],
        )?;
    }
}
