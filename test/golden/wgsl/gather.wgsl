// y = table[indices] / 255
// tasks 10, threads 1, floating-point operations 50

@group(0) @binding(0) var<storage, read> table: array<i32>;
@group(0) @binding(1) var<uniform> indices: array<vec4<i32>, 3>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> status: array<atomic<i32>>;

fn kiln_report_status(failure: i32, value: i32, limit: i32) {
  loop {
    let seen = atomicCompareExchangeWeak(&status[0], 0, failure);
    if (seen.exchanged) {
      atomicStore(&status[1], value);
      atomicStore(&status[2], limit);
    }
    if (seen.exchanged || seen.old_value != 0) {
      break;
    }
  }
}

@compute @workgroup_size(1)
fn kiln_k_gather(@builtin(workgroup_id) kiln_group: vec3<u32>) {
  let task: i32 = i32(kiln_group.x);
  let index: i32 = indices[task >> 2u][task & 3];
  let kiln_0: bool = (index >= 0) & (index < 7);
  if (!kiln_0) {
    kiln_report_status(7, index, 7);
  }
  let safe: i32 = select(i32(0), index, (index >= 0) & (index < 7));
  for (var j: i32 = 0; j < 5; j++) {
    y[task * 5 + j] = f32(table[safe * 5 + j]) / 255.0;
  }
}
