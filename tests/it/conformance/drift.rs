//! Differences that stay, each with its reason.

use super::pair::Answer;

/// Their last digit is that of the mathematics library: Go has its own, Rust takes the system's.
const TRANSCENDENTAL: &[&str] = &[
    "atan2", "^", "exp(", "ln(", "log2(", "log10(", "sin(", "cos(", "atan(", "deg(", "rad(", "stddev",
    "sqrt(",
];

/// Why the answers to this expression may differ; none when they may not.
pub fn reason(expr: &str, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
    let both_answer = theirs.status == 200 && ours.status == 200;
    let transcendental = TRANSCENDENTAL.iter().any(|function| expr.contains(function));
    if both_answer && expr.contains("count_values") && transcendental {
        return Some("count_values makes a label of the last digit of a transcendental function");
    }
    None
}
