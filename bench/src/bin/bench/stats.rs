// SPDX-License-Identifier: GPL-2.0

//! Means of ratios. Counts of instructions are exact: what is uncertain is which rules and
//! which packets, so pairs of the same rules and packets are compared.

use nftrace_tests::random::Random;

/// How often a bootstrap draws.
const DRAWS: usize = 2000;

/// A geometric mean, the interval in which it lies with 95 %, and the worst of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The lowest ratio.
    pub(crate) worst: f64,
    /// How many pairs there are.
    pub(crate) pairs: usize,
}

/// The geometric mean; none of none.
pub(crate) fn geometric_mean(of: &[f64]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = of.len() as f64;
    (!of.is_empty()).then(|| (of.iter().map(|value| value.ln()).sum::<f64>() / count).exp())
}

/// How many times more the first of each pair is; none where there is no pair.
pub(crate) fn ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let ratios: Vec<f64> = pairs
        .iter()
        .filter(|(more, less)| *more > 0.0 && *less > 0.0)
        .map(|(more, less)| more / less)
        .collect();
    let mean = geometric_mean(&ratios)?;
    let random = &mut Random::new(1);
    let mut means: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let drawn: Vec<f64> = ratios.iter().map(|_| *random.pick(&ratios)).collect();
            geometric_mean(&drawn)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some(Ratio {
        mean,
        low: means[DRAWS / 40],
        high: means[DRAWS - 1 - DRAWS / 40],
        worst: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        pairs: ratios.len(),
    })
}

/// The quartiles, the median in the middle; none of none.
pub(crate) fn quartiles(of: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    // Between two values where none is at that place.
    Some([1, 2, 3].map(|quarter| {
        let (place, rest) = (last * quarter / 4, last * quarter % 4);
        let next = sorted[(place + 1).min(last)];
        sorted[place] + (next - sorted[place]) * [0.0, 0.25, 0.5, 0.75][rest]
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_ratios_lies_in_its_interval() {
        let pairs: Vec<(f64, f64)> = (1..=20).map(|i| (f64::from(i) * 10.0, 10.0)).collect();
        let ratio = ratio(&pairs).unwrap();
        assert!((ratio.mean - 8.304).abs() < 0.001, "{ratio:?}");
        assert!(
            ratio.low < ratio.mean && ratio.mean < ratio.high,
            "{ratio:?}"
        );
        assert!(ratio.low > 4.0 && ratio.high < 15.0, "{ratio:?}");
        assert!((ratio.worst - 1.0).abs() < 1e-9, "{ratio:?}");
        assert_eq!(ratio.pairs, 20);
    }

    #[test]
    fn the_same_everywhere_has_no_uncertainty() {
        let ratio = ratio(&[(300.0, 100.0); 5]).unwrap();
        assert!((ratio.mean - 3.0).abs() < 1e-9 && (ratio.high - ratio.low).abs() < 1e-9);
    }

    #[test]
    fn a_median_is_in_the_middle_and_one_outlier_does_not_move_it() {
        assert_eq!(quartiles(&[]), None);
        assert_eq!(quartiles(&[7.0]), Some([7.0; 3]));
        assert_eq!(quartiles(&[1.0, 2.0]), Some([1.25, 1.5, 1.75]));
        assert_eq!(
            quartiles(&[5.0, 1.0, 9_000.0, 2.0, 4.0]),
            Some([2.0, 4.0, 5.0])
        );
    }

    #[test]
    fn no_pairs_have_no_mean() {
        assert_eq!(ratio(&[]), None);
        assert_eq!(ratio(&[(0.0, 1.0)]), None);
    }
}
