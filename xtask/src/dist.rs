//! `cargo xtask dist`: what is given to others, in `dist/`.

use crate::js;
use crate::library;
use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};

/// Something that is given to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Python,
    Js,
    C,
}

impl Product {
    pub(crate) const ALL: [(&str, Self); 3] =
        [("python", Self::Python), ("js", Self::Js), ("c", Self::C)];
}

/// Builds `products`; the first failure ends it.
pub(crate) fn run(session: &mut Session, products: &[Product]) -> Result<(), Failure> {
    products.iter().try_for_each(|product| match product {
        Product::Python => python(session),
        Product::Js => js::dist(session),
        Product::C => c(session),
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
fn c(session: &mut Session) -> Result<(), Failure> {
    let package = library::pack(session)?;
    println!("\nthe C library is {}", package.archive.display());
    Ok(())
}
