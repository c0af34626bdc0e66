//! Makes of the compiled bindings what the package is built from: `raw.js`, which calls the
//! WebAssembly module, its types `raw.d.ts`, and the module itself, `raw.wasm`.
//!
//! usage: comity-wasm-pack COMPILED.wasm FOLDER

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut words = env::args_os().skip(1).map(PathBuf::from);
    let (compiled, folder) =
        words.next().zip(words.next()).context("usage: comity-wasm-pack COMPILED.wasm FOLDER")?;

    let mut output = Bindgen::new()
        .input_path(compiled)
        .out_name("raw")
        .web(true)?
        .typescript(true)
        // The package says itself where the module is: in the script, not beside it.
        .omit_default_module_path(true)
        .remove_producers_section(true)
        .generate_output()?;
    let wasm = output.wasm_mut().emit_wasm();

    fs::create_dir_all(&folder)?;
    let ts = output.ts().context("no types were made")?;
    for (name, content) in
        [("raw.js", output.js().as_bytes()), ("raw.d.ts", ts.as_bytes()), ("raw.wasm", &wasm)]
    {
        let file = folder.join(name);
        // What is as it was keeps its age, so that what is made of it need not be made again.
        if fs::read(&file).is_ok_and(|before| before == content) {
            continue;
        }
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
