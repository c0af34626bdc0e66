//! `cargo xtask dist`: what is given to others, in `dist/`.

use crate::choose;
use crate::js;
use crate::library;
use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};
use crate::wheels;

/// Something that is given to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Python,
    Wheels,
    Js,
    C,
}

impl Product {
    pub(crate) const ALL: [(&str, Self); 4] =
        [("python", Self::Python), ("wheels", Self::Wheels), ("js", Self::Js), ("c", Self::C)];
}

/// What is to be built, and for which machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) products: Vec<Product>,
    /// None: for this one.
    pub(crate) target: Option<String>,
}

impl Order {
    /// Reads `[WHAT...] [--target TRIPLE]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut names = words.to_vec();
        let mut target = None;
        if let Some(at) = names.iter().position(|word| *word == "--target") {
            if at + 1 == names.len() {
                return Err("--target: a target is missing, as rustc names it".into());
            }
            target = Some(names[at + 1].to_owned());
            names.drain(at..=at + 1);
        }
        let products = choose(&names, &Product::ALL)?;
        if target.is_some() && products != [Product::C] {
            return Err("--target: only `dist c` builds for another machine".into());
        }
        Ok(Self { products, target })
    }
}

/// Builds what is ordered; the first failure ends it.
pub(crate) fn run(session: &mut Session, order: &Order) -> Result<(), Failure> {
    order.products.iter().try_for_each(|product| match product {
        Product::Python => python(session),
        Product::Wheels => wheels::dist(session),
        Product::Js => js::dist(session),
        Product::C => c(session, order.target.as_deref()),
    })
}

/// Builds the wheel and the source distribution.
fn python(session: &mut Session) -> Result<(), Failure> {
    let venv = Venv::ready(session, System::MayInstall, &[python::BUILD])?;
    let wheel = session.stage("python: build the wheel", |session| venv.build_wheel(session))?;
    session.stage("python: build the source distribution", |session| venv.build_sdist(session))?;
    println!("\nthe wheel is {}", wheel.display());
    Ok(())
}

/// Packs the C library.
fn c(session: &mut Session, target: Option<&str>) -> Result<(), Failure> {
    let package = library::pack(session, target)?;
    println!("\nthe C library is {}", package.archive.display());
    Ok(())
}
