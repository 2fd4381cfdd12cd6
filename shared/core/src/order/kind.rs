//! What a title says that a product is: the guess for one that nobody has classified yet.

use super::Kind;
use super::flags::{find, has};

/// What a title says that a line is.
pub(crate) fn kind(title: &str) -> Kind {
    let title = title.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| has(&title, word));
    if ["tip", "tips", "gratuity"].contains(&title.as_str())
        || any(&["gift card", "shipping protection", "route protection"])
    {
        Kind::Ignored
    } else if any(&["candle", "balloon", "topper"]) {
        Kind::Accessory
    } else if names_cake(&title) && !names_decoration(&title) {
        Kind::Cake
    } else {
        Kind::Unknown
    }
}

/// Whether there is a cake beside the cupcakes, which the kitchen makes otherwise.
fn names_cake(title: &str) -> bool {
    let mut rest = title;
    while let Some((before, after)) = find(rest, "cake").and_then(|at| rest.split_at_checked(at)) {
        let word = before.trim_end_matches([' ', '-']).rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        if word != Some("cup") {
            return true;
        }
        rest = after.strip_prefix("cake").unwrap_or_default();
    }
    false
}

/// Whether a word of it is a decoration or a pick, which is stuck into a cake ("pick up" is not one).
fn names_decoration(title: &str) -> bool {
    let mut words =
        title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let found = match word {
            "decoration" | "decorations" | "picks" => true,
            "pick" => words.peek() != Some(&"up"),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_what_a_line_is() {
        for (titles, expected) in [
            (["Buttercup Cake", "CHEESECAKE", "Cake & 6 Cupcakes", "Dill Pickle Cake"], Kind::Cake),
            (["Cake (pick up only)", "Pick-up cake", "Pancake stack", "Kuchen (cake)"], Kind::Cake),
            (["Gold Candle", "Balloons", "Cake Topper", "Birthday cake candles"], Kind::Accessory),
            (["Tip", "GRATUITY", "Cake Gift Card", "Route Protection"], Kind::Ignored),
            (["Cupcakes", "Cup Cakes", "mini cup-cakes", "Box of cookies"], Kind::Unknown),
            (["Cake decorations", "Cake picks", "Star cake pick", "Tip top tart"], Kind::Unknown),
        ] {
            for title in titles {
                assert_eq!(kind(title), expected, "{title}");
            }
        }
    }
}
