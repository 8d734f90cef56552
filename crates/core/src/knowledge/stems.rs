//! Words as they are compared: without case, without what every text has, and without their endings.

use std::collections::HashSet;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization as _;

/// The words that Snowball's English list leaves out, and the ends of shortened ones.
const STOP_WORDS: &str = "i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers \
    herself it its itself they them their theirs themselves what which who whom this that these those am is are was were be been \
    being have has had having do does did doing a an the and but if or because as until while of at by for with about against \
    between into through during before after above below to from up down in out on off over under again further then once here \
    there when where why how all any both each few more most other some such no nor not only own same so than too very s t can \
    will just don should now d ll m re ve isn aren wasn weren hasn haven hadn doesn didn won wouldn shan shouldn couldn mustn let";

static STOPS: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP_WORDS.split_whitespace().collect());

/// The words of a text: runs of letters, digits and underscores, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let plain: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    plain.split(|letter| !is_letter(letter)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The stems of the words of a text, in order, without those that every text has.
pub fn stems(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let words = words(text).into_iter().filter(|word| !STOPS.contains(word.as_str()));
    words.map(|word| stemmer.stem(&word).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_that_mean_the_same_are_the_same() {
        assert_eq!(stems("The Connections were CONNECTED; connecting!"), ["connect", "connect", "connect"]);
        assert_eq!(stems("it isn't there"), [""; 0]);
        assert_eq!(words("snake_case ＡＢＣ Straße-1"), ["snake_case", "abc", "straße", "1"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = stems(&text);
        }
    }
}
