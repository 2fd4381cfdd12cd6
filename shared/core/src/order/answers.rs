//! What the customer asked for on a line: the properties that were filled in, and what variant and properties
//! say of a cake.

use super::flags::{Flags, LONG, SHORT, has};
use super::{Flag, Property};
use crate::body::{Pairing, Pairs, trim};

/// The most properties that are kept of a line.
pub(crate) const MAX_PROPERTIES: usize = 100;

/// The properties that people filled in, blank and technical ones left out.
pub(crate) fn properties(all: Option<&Pairs<'_>>, flags: &mut Flags) -> Vec<Property> {
    let technical = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with('_')
            || ["_origin", "_raw", "gwp", "_localdeliveryid"].iter().any(|part| has(&name, part))
    };
    let mut filled_in = Pairs::filled(all);
    filled_in.retain(|(name, _)| !technical(name));
    if filled_in.len() > MAX_PROPERTIES {
        filled_in.truncate(MAX_PROPERTIES);
        flags.raise(Flag::Truncated);
    }
    let mut property = |(name, value): &Pairing<'_>| Property {
        name: flags.keep(name, SHORT),
        value: flags.keep(value, LONG),
    };
    filled_in.iter().map(&mut property).collect()
}

/// What is asked of a cake.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) size: Option<String>,
    pub(crate) flavour: Option<String>,
    pub(crate) writing: Option<String>,
}

/// What the variant's title and the properties ask for.
pub(crate) fn wishes(variant: Option<&str>, properties: &[Property], flags: &mut Flags) -> Wishes {
    let answers = |question: &'static str| {
        let asked = move |property: &&Property| has(&property.name.to_ascii_lowercase(), question);
        properties.iter().filter(asked).map(|property| trim(&property.value))
    };
    let (size, flavour) =
        variant.map(|title| title.split_once('/').unwrap_or((title, ""))).unwrap_or_default();
    let flavour = Some(trim(flavour)).filter(|flavour| !flavour.is_empty());
    let writing = answers("writing").collect::<Vec<_>>().join(" / ");
    Wishes {
        size: Some(trim(size)).filter(|size| !size.is_empty()).map(str::to_owned),
        flavour: flavour
            .or_else(|| answers("gelato flavour").next())
            .map(|flavour| flags.keep(flavour, SHORT)),
        writing: (!writing.is_empty()).then(|| flags.keep(&writing, LONG)),
    }
}
