//! The table in force: models by name, and how one table overrides another.

use super::error::PriceError;
use super::model::Model;
use super::name::{normalise, without_date};
use super::{digest, read, render};
use std::collections::HashMap;

/// The table built into the binary.
const SHIPPED: &str = include_str!("../../config/prices.toml");

/// Prices of models by name. Every name belongs to one model; every rate, under each of its model's
/// multipliers, is a whole number of picodollars per token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    version: u32,
    /// Of the file that overrides this table, where one does.
    own_version: Option<u32>,
    /// In the order of the file.
    models: Vec<Model>,
    /// Position in `models` by normalised name.
    names: HashMap<String, usize>,
}

impl PriceTable {
    /// The table that tallyd ships with.
    pub fn shipped() -> Self {
        Self::parse(SHIPPED, "shipped").expect("the shipped prices are read by a test")
    }

    /// Reads a price file. `origin` names it in errors and in [`Model::origin`].
    ///
    /// # Errors
    /// [`PriceError`], with place, key and value, for anything but a table that prices exactly.
    pub fn parse(text: &str, origin: &str) -> Result<Self, PriceError> {
        let (version, models) = read::file(text, origin)?;
        Ok(Self { version, ..Self::from_models(models) })
    }

    /// This table under another one. A model of `other` replaces the model with the same id, all its
    /// periods included, and keeps that model's aliases; any other name that `other` gives to a model
    /// is taken from the model that had it. What is left of this table stays.
    #[must_use]
    pub fn overridden_by(self, other: Self) -> Self {
        let Self { version: own_version, models: mut replacing, names: claimed, .. } = other;
        let mut models = Vec::new();
        for model in self.models {
            let replaced_by = replacing.iter().position(|other| other.id == model.id);
            let rest = unclaimed(model, &claimed);
            match replaced_by {
                None => models.extend(rest),
                Some(position) => {
                    let mut model = replacing.remove(position);
                    model.aliases.extend(rest.iter().flat_map(Model::names).map(str::to_owned));
                    models.push(model);
                }
            }
        }
        models.append(&mut replacing);
        Self { version: self.version, own_version: Some(own_version), ..Self::from_models(models) }
    }

    /// The version that the file gives itself, 0 where it gives none. Of two versions the greater has the
    /// better prices.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The same of the file that overrides this table; `None` where none does.
    pub fn own_version(&self) -> Option<u32> {
        self.own_version
    }

    /// The model of a name: the whole normalised name as an id or alias, else the same without a
    /// trailing date. Never a part of the name, never a family.
    pub fn find(&self, model: &str) -> Option<&Model> {
        // Names are kept normalised, and normalising a normalised name changes nothing.
        if let Some(position) = self.names.get(model) {
            return self.models.get(*position);
        }
        let name = normalise(model);
        let by_name = |name: &str| self.names.get(name);
        let position = by_name(&name).or_else(|| without_date(&name).and_then(by_name))?;
        self.models.get(*position)
    }

    /// The models, in the order of their file.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// What the table says, as 32 hex digits: equal for tables that price everything alike, whatever the
    /// order of rows, notes and sources. Prices are worked out anew when it changes.
    pub fn digest(&self) -> String {
        digest::of(&self.models)
    }

    /// The table as a price file, which reads back as the same table.
    pub fn to_toml(&self) -> String {
        let version = (self.version > 0 && self.own_version.is_none()).then_some(self.version);
        render::to_toml(version, &self.models)
    }

    /// `models` must not share names.
    fn from_models(models: Vec<Model>) -> Self {
        let names = models
            .iter()
            .enumerate()
            .flat_map(|(position, model)| model.names().map(move |name| (name.to_owned(), position)))
            .collect();
        Self { version: 0, own_version: None, models, names }
    }
}

/// The model under the names that are left to it, if any: the first of them is its new id where its own
/// is claimed.
fn unclaimed(mut model: Model, claimed: &HashMap<String, usize>) -> Option<Model> {
    let mut free = model.names().filter(|name| !claimed.contains_key(*name)).map(str::to_owned);
    let id = free.next()?;
    let aliases = free.collect();
    (model.id, model.aliases) = (id, aliases);
    Some(model)
}
