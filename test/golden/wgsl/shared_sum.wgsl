// y = sum of x over columns
// tasks 5, threads 64, floating-point operations 1500

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn kiln_k_shared_sum(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(local_invocation_index) kiln_thread: u32) {
  let thread: i32 = i32(kiln_thread);
  let task: i32 = i32(kiln_group.x);
  var sum: f32 = 0.0;
  for (var j: i32 = thread; j < 300; j += 64) {
    sum = sum + x[task * 300 + j];
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (thread < 32) {
    parts[thread] = parts[thread] + parts[thread + 32];
  }
  workgroupBarrier();
  if (thread < 16) {
    parts[thread] = parts[thread] + parts[thread + 16];
  }
  workgroupBarrier();
  if (thread < 8) {
    parts[thread] = parts[thread] + parts[thread + 8];
  }
  workgroupBarrier();
  if (thread < 4) {
    parts[thread] = parts[thread] + parts[thread + 4];
  }
  workgroupBarrier();
  if (thread < 2) {
    parts[thread] = parts[thread] + parts[thread + 2];
  }
  workgroupBarrier();
  if (thread < 1) {
    parts[thread] = parts[thread] + parts[thread + 1];
  }
  workgroupBarrier();
  if (thread == 0) {
    y[task] = parts[0];
  }
}
