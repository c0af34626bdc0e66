//! Makes of the compiled bindings what the package is built from: `NAME.js`, which calls the
//! WebAssembly module, its types `NAME.d.ts`, and the module itself, `NAME.large.wasm`.
//!
//! usage: comity-wasm-pack COMPILED.wasm FOLDER NAME

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [compiled, folder, name] = words.as_slice() else {
        bail!("usage: comity-wasm-pack COMPILED.wasm FOLDER NAME");
    };

    let mut output = Bindgen::new()
        .input_path(compiled)
        .out_name(name)
        .web(true)?
        .typescript(true)
        // The package says itself where the module is: in the script, not beside it.
        .omit_default_module_path(true)
        .remove_producers_section(true)
        .generate_output()?;
    let wasm = output.wasm_mut().emit_wasm();

    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let ts = output.ts().context("no types were made")?;
    write(folder, &format!("{name}.js"), output.js().as_bytes())?;
    write(folder, &format!("{name}.d.ts"), ts.as_bytes())?;
    write(folder, &format!("{name}.large.wasm"), &wasm)
}

/// What is as it was keeps its age, so that what is made of it need not be made again.
fn write(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let file = folder.join(name);
    if fs::read(&file).is_ok_and(|before| before == content) {
        return Ok(());
    }
    fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))
}
