//! What the publisher says where there would be much to say.

use super::{Scene, only_upserts};
use crate::remote::faults::{Fault, always};

#[test]
fn a_server_that_refuses_everything_is_told_of_in_a_few_lines() {
    let scene = Scene::with_sessions(30);
    scene.gateway.plan(only_upserts(always(Fault::too_large())));
    let waiting = scene.waiting();
    let drained = scene.drain(&mut scene.publisher());
    assert_eq!((drained.parked, drained.left), (waiting, 0), "{drained:?}");
    let told = scene.log.lines("WARN");
    assert!(waiting > 6 && told.len() == 6, "{told:?}");
}
