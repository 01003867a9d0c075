// the number of each task
// tasks 70000, threads 1, floating-point operations 0

@group(0) @binding(0) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(1)
fn kiln_k_many(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(num_workgroups) kiln_groups: vec3<u32>) {
  let kiln_task = i32(kiln_group.x + kiln_group.y * kiln_groups.x);
  if (kiln_task >= 70000) {
    return;
  }
  let task: i32 = kiln_task;
  y[task] = task;
}
