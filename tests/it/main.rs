//! The one integration binary: black-box tests on the built `tallyd`. Each module owns a subject; none
//! reaches into the library, and all fail by a panic that names the case.

#[cfg(test)]
mod corpora;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod support;
