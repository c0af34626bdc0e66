//! `cargo run --manifest-path core/examples/tokio/Cargo.toml redis://127.0.0.1:6379` has ten tasks take one
//! lock in turn. For `rediss://` the second argument is a file of certificates that are trusted.

use std::error::Error;

use comity_tokio_example::Locks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".into());
    let authorities = arguments.next().map(std::fs::read).transpose()?.unwrap_or_default();
    let locks = Locks::connect(&url, &authorities)?;
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let locks = locks.clone();
            tokio::spawn(async move {
                let held = locks.acquire("invoice:42").await?;
                println!("task {task} has it, with fence {}", held.fence);
                held.release().await
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
