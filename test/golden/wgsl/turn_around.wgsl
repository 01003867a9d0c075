// x in blocks, backwards
// tasks 3, threads 64, floating-point operations 0

@group(0) @binding(0) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn kiln_k_turn_around(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(local_invocation_index) kiln_thread: u32) {
  let thread: i32 = i32(kiln_thread);
  let task: i32 = i32(kiln_group.x);
  let i: i32 = task * 64 + thread;
  let mirrored: f32 = x[task * 64 + (63 - thread)];
  storageBarrier();
  x[i] = mirrored;
}
