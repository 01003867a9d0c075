// y = relu(0.3 x + bias)
// tasks 4, threads 1, floating-point operations 1200

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn kiln_is_nan_f32(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn kiln_max_f32(x: f32, y: f32) -> f32 {
  return select(select(y, x, x > y), x, kiln_is_nan_f32(x));
}

@compute @workgroup_size(1)
fn kiln_k_chain(@builtin(workgroup_id) kiln_group: vec3<u32>) {
  let task: i32 = i32(kiln_group.x);
  for (var j: i32 = 0; j < 100; j++) {
    let i: i32 = task * 100 + j;
    y[i] = kiln_max_f32(fma(x[i], 0.3, bias[j]), 0.0);
  }
}
