//! What the publisher says where there would be much to say.

use super::following::Running;
use super::{Scene, only_upserts};
use crate::process::eventually;
use crate::remote::faults::{Fault, always};

#[test]
fn a_server_that_refuses_everything_is_told_of_in_a_few_lines() {
    let scene = Scene::with_sessions(30);
    scene.gateway.plan(only_upserts(always(Fault::too_large())));
    let waiting = scene.waiting();
    let running = Running::start(&scene, scene.publisher());
    eventually("all are parked", || scene.outbox().parked().expect("can be read").len() == waiting);
    running.stop();
    let told = scene.log.lines("WARN");
    assert!(waiting > 6 && told.len() == 6, "{told:?}");
}
