//! Takes functions out of a module into a part of it, for a program to load when it needs one.
//!
//! Both have one memory, one table and the same globals. The module calls into the part at the
//! functions that are given, its *points*: through slots of the table, which the part fills when it
//! is instantiated. Until then such a call is a trap. What is reached in no other way lies in the
//! part, and nothing else does.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result, ensure};
use walrus::ir::Value;
use walrus::passes::gc;
use walrus::{
    ConstExpr, ElementItems, ElementKind, ExportItem, Function, FunctionBuilder, FunctionId,
    FunctionKind, Global, GlobalId, GlobalKind, ImportKind, ImportedFunction, Memory, MemoryId,
    Module, ModuleData, ModuleElements, ModuleExports, ModuleImports, Table, TableId,
};

/// What the part imports the module's exports from.
const MODULE: &str = "comity";

/// What the part imports the memory as: no other build exports that.
fn memory_of(wasm: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    wasm.hash(&mut hasher);
    format!("memory {:016x}", hasher.finish())
}

/// A module and its part.
pub struct Split {
    pub module: Vec<u8>,
    pub part: Vec<u8>,
}

/// Splits a module at the functions that have one of `points` in their names.
pub fn split(wasm: &[u8], points: &[String]) -> Result<Split> {
    // Read again and again, because a module cannot be cloned: a function has the same index each time.
    let mut module = Module::from_buffer(wasm)?;
    let points = points_of(&module, points)?;
    let exits = divert(&mut module, &points)?;
    gc::run(&mut module);
    let stays: HashSet<usize> = module.funcs.iter().map(index).collect();

    let mut part = Module::from_buffer(wasm)?;
    reduce(&mut part, &points, exits, &memory_of(wasm), |function| {
        matches!(function.kind, FunctionKind::Import(_))
            || stays.contains(&index(function)) && !points.contains(&index(function))
    })?;

    let mut module = Module::from_buffer(wasm)?;
    divert(&mut module, &points)?;
    export(&mut module, &part)?;
    gc::run(&mut module);
    Ok(Split { module: module.emit_wasm(), part: part.emit_wasm() })
}

fn index(function: &Function) -> usize {
    function.id().index()
}

/// The indices of the functions to split at.
fn points_of(module: &Module, points: &[String]) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for point in points {
        let named = |f: &&Function| f.name.as_ref().is_some_and(|name| name.contains(point));
        let before = found.len();
        found.extend(module.funcs.iter().filter(named).map(index));
        ensure!(found.len() > before, "no function is named {point}: there is nothing to split at");
    }
    Ok(found)
}

/// The functions of a module with these indices.
fn functions(module: &Module, indices: &[usize]) -> Vec<FunctionId> {
    let id = |at: &usize| module.funcs.iter().find(|f| index(f) == *at).map(Function::id);
    indices.iter().filter_map(id).collect()
}

fn table_of(module: &Module) -> Result<TableId> {
    module.tables.main_function_table()?.context("the module has no table of functions")
}

/// Has each point do nothing but call what is in its slot. Returns the first slot.
fn divert(module: &mut Module, points: &[usize]) -> Result<u64> {
    let table = table_of(module)?;
    let first = module.tables.get(table).initial;
    for (slot, id) in (first..).zip(functions(module, points)) {
        let ty = module.funcs.get(id).ty();
        let (params, results) = module.types.params_results(ty);
        let (params, results) = (params.to_vec(), results.to_vec());
        let arguments: Vec<_> = params.iter().map(|param| module.locals.add(*param)).collect();
        let mut builder = FunctionBuilder::new(&mut module.types, &params, &results);
        let mut body = builder.func_body();
        arguments.iter().for_each(|argument| _ = body.local_get(*argument));
        body.i32_const(i32::try_from(slot)?).call_indirect(ty, table);
        module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(arguments));
    }
    resize(module, table, first + points.len() as u64);
    Ok(first)
}

fn resize(module: &mut Module, table: TableId, size: u64) {
    let table = module.tables.get_mut(table);
    table.initial = size;
    table.maximum = table.maximum.map(|maximum| maximum.max(size));
}

/// Leaves of a module what the part is: the points, in the slots from `first` on, and what they need
/// and the module does not have.
fn reduce(
    part: &mut Module,
    points: &[usize],
    first: u64,
    memory_name: &str,
    stays: impl Fn(&Function) -> bool,
) -> Result<()> {
    part.start = None;
    part.exports = ModuleExports::default();
    part.imports = ModuleImports::default();
    part.data = ModuleData::default();
    part.elements = ModuleElements::default();
    for function in part.funcs.iter_mut().filter(|function| stays(function)) {
        let (id, ty) = (function.id(), function.ty());
        let import = part.imports.add(MODULE, &format!("f{}", id.index()), id);
        function.kind = FunctionKind::Import(ImportedFunction { import, ty });
    }
    let ids: Vec<_> = part.globals.iter().map(|global| global.id()).collect();
    for id in ids {
        let import = part.imports.add(MODULE, &format!("g{}", id.index()), id);
        part.globals.get_mut(id).kind = GlobalKind::Import(import);
    }
    for memory in part.memories.iter_mut() {
        memory.data_segments.clear();
        let id = memory.id();
        memory.import = Some(part.imports.add(MODULE, memory_name, id));
    }
    let functions = functions(part, points);
    let main = table_of(part)?;
    for table in part.tables.iter_mut() {
        table.elem_segments.clear();
        let id = table.id();
        table.import = Some(part.imports.add(MODULE, &format!("t{}", id.index()), id));
    }
    resize(part, main, first + points.len() as u64);
    let offset = ConstExpr::Value(Value::I32(i32::try_from(first)?));
    let kind = ElementKind::Active { table: main, offset };
    let segment = part.elements.add(kind, ElementItems::Functions(functions));
    part.tables.get_mut(main).elem_segments.insert(segment);
    gc::run(part);
    Ok(())
}

/// Has the module export what the part imports.
fn export(module: &mut Module, part: &Module) -> Result<()> {
    for import in part.imports.iter() {
        let item = match import.kind {
            ImportKind::Function(id) => {
                same(module.funcs.iter().map(Function::id), id, FunctionId::index)
            }
            ImportKind::Global(id) => {
                same(module.globals.iter().map(Global::id), id, GlobalId::index)
            }
            ImportKind::Memory(id) => {
                same(module.memories.iter().map(Memory::id), id, MemoryId::index)
            }
            ImportKind::Table(id) => same(module.tables.iter().map(Table::id), id, TableId::index),
            ImportKind::Tag(_) => None,
        };
        let item = item.with_context(|| format!("the module does not have {}", import.name))?;
        module.exports.add(&import.name, item);
    }
    Ok(())
}

/// Of a module's ids the one that stands for the same as `id` does in another reading.
fn same<I: Copy + Into<ExportItem>>(
    mut ids: impl Iterator<Item = I>,
    id: I,
    index: impl Fn(&I) -> usize,
) -> Option<ExportItem> {
    ids.find(|other| index(other) == index(&id)).map(Into::into)
}
