//! Lets Tauri check `tauri.conf.json` and add Windows resources, when the `tauri` feature is on.

fn main() {
    println!("cargo:rerun-if-changed=tauri.conf.json");
    #[cfg(feature = "tauri")]
    tauri_build::build();
}
