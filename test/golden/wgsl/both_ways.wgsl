// y = x m + m[row, 2], twice
// tasks 1, threads 8, floating-point operations 512

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> m: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(8)
fn kiln_k_both_ways(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(local_invocation_index) kiln_thread: u32) {
  let thread: i32 = i32(kiln_thread);
  let task: i32 = i32(kiln_group.x);
  let i: i32 = task * 8 + thread;
  for (var round_: i32 = 0; round_ < 2; round_++) {
    let before: vec4<f32> = y[7 - i];
    storageBarrier();
    var sum: vec4<f32> = before;
    for (var k: i32 = 0; k < 8; k++) {
      let scale: f32 = x[i * 8 + k];
      sum = fma(vec4<f32>(scale), m[k], sum);
    }
    let kiln_0: i32 = i * 4 + 2;
    let alone: f32 = m[kiln_0 >> 2u][kiln_0 & 3];
    y[i] = sum + vec4<f32>(alone);
    storageBarrier();
  }
}
