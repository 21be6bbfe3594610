//! The scales of Llama Scope R1, whose files leave them out (source: the registry of `SAELens` 6.54.12).

use std::path::Path;

/// Of activations of width 4096, s = 64 / (mean length), for blocks 0 to 31, by the folder of the data they were
/// trained on.
const SCALES: [(&str, [f32; 32]); 3] = [
    (
        "800M-Slimpajama-0-OpenR1-Math-220k",
        [
            53.53, 37.0746, 26.8013, 20.2588, 16.3562, 13.7727, 11.8026, 10.3456, 9.52711, 8.7228, 8.18737, 7.68141,
            7.01147, 6.50785, 6.07583, 5.52933, 5.04126, 4.54306, 4.13607, 3.81868, 3.49977, 3.11488, 2.85868, 2.61436,
            2.40659, 2.21855, 2.03863, 1.86641, 1.69147, 1.53039, 1.33786, 1.0963,
        ],
    ),
    (
        "400M-Slimpajama-400M-OpenR1-Math-220k",
        [
            53.9767, 36.77, 26.8633, 20.4735, 16.4914, 13.9025, 11.9592, 10.4547, 9.62585, 8.70544, 8.0885, 7.44958,
            6.80145, 6.33171, 5.70284, 5.31804, 4.79639, 4.33355, 3.93868, 3.58405, 3.41229, 2.99302, 2.75487, 2.52819,
            2.32685, 2.10107, 1.93612, 1.77847, 1.6635, 1.44885, 1.15701, 1.04198,
        ],
    ),
    (
        "0-Slimpajama-800M-OpenR1-Math-220k",
        [
            54.3088, 36.4947, 26.9613, 20.5221, 16.6773, 14.0675, 12.0343, 10.4957, 9.683, 8.67973, 7.98838, 7.23753,
            6.69445, 6.04899, 5.49359, 4.97086, 4.54189, 4.11129, 3.7319, 3.44642, 3.16142, 2.86003, 2.63616, 2.42874,
            2.2406, 2.03466, 1.84301, 1.65544, 1.47707, 1.33615, 1.13875, 0.9264,
        ],
    ),
];

/// The scale of the SAE in this folder, which reads this block.
pub(super) fn scale(path: &Path, block: usize) -> Option<f32> {
    let is_in = |folder: &str| path.iter().any(|name| name == folder);
    let (_, scales) = SCALES.iter().find(|(folder, _)| is_in(folder))?;
    scales.get(block).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_go_by_folder_and_block() {
        let of = |path: &str, block| scale(Path::new(path), block);
        assert_eq!(of("hub/800M-Slimpajama-0-OpenR1-Math-220k/L15R/sae.safetensors", 15), Some(5.52933));
        assert_eq!(of("hub/400M-Slimpajama-400M-OpenR1-Math-220k/L0R", 0), Some(53.9767));
        assert_eq!(of("hub/800M-Slimpajama-0-OpenR1-Math-220k/L32R", 32), None);
        assert_eq!(of("hub/L15R", 15), None);
        // What a longer stream is scaled by falls from block to block.
        assert!(SCALES.iter().all(|(_, scales)| scales.windows(2).all(|pair| pair[0] > pair[1])));
    }
}
