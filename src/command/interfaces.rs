use serde::Serialize;

use super::{Done, Outcome, print};
use crate::cli::Interfaces;
use crate::output::escape::terminal;
use crate::source::live::{Interface, interfaces};

/// An interface for programs.
#[derive(Serialize)]
struct InterfaceView {
    name: String,
    description: Option<String>,
    addresses: Vec<String>,
    up: bool,
    running: bool,
    loopback: bool,
    mtu: Option<u32>,
}

pub(super) fn run(options: &Interfaces) -> Outcome {
    let found = interfaces()?;
    if options.json {
        let views: Vec<_> = found.into_iter().map(view).collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&views)?))?;
    } else {
        print(&text(&found))?;
    }
    Ok(Done::Clean)
}

fn view(of: Interface) -> InterfaceView {
    let Interface { name, description, addresses, up, running, loopback, mtu } = of;
    let addresses = addresses.iter().map(ToString::to_string).collect();
    InterfaceView { name, description, addresses, up, running, loopback, mtu }
}

fn text(found: &[Interface]) -> String {
    if found.is_empty() {
        return "No interface can be read: run as root or with CAP_NET_RAW.\n".to_owned();
    }
    let wide = found.iter().map(|interface| interface.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for interface in found {
        let state = match (interface.up, interface.running) {
            (true, true) => "up",
            (true, false) => "no cable",
            (false, _) => "down",
        };
        // An address is where the machine is reached: a mirror port best has none.
        let says = if interface.loopback {
            "the machine's own loopback".to_owned()
        } else if interface.addresses.is_empty() {
            "no address, as a mirror port should be".to_owned()
        } else {
            interface.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        text += &format!("{:wide$}  {state:8}  {}\n", terminal(&interface.name), terminal(&says));
    }
    text + "\nWatch one with: zonewatch watch -i NAME\n"
}
