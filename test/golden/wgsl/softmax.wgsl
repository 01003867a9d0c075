// y = softmax(x) over rows
// tasks 6, threads 1, floating-point operations 1848

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<private> kiln_zero: u32;

fn kiln_infinity() -> f32 {
  return bitcast<f32>(0x7f800000u + kiln_zero);
}

fn kiln_is_nan_f32(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn kiln_max_f32(x: f32, y: f32) -> f32 {
  return select(select(y, x, x > y), x, kiln_is_nan_f32(x));
}

fn kiln_keep(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) + kiln_zero);
}

fn kiln_power_of_two(n: i32) -> f32 {
  return bitcast<f32>((n + 127) << 23u);
}

fn kiln_scaled_exp(x: f32, shift: i32) -> f32 {
  let c = clamp(x, -105.0, 90.0);
  let k = floor(c * 0x1.715476p+0f + 0.5);
  let t = kiln_keep(c - k * 0x1.63p-1f);
  let r = t - k * -0x1.bd0106p-13f;
  var p = 0x1.6a1a72p-10f;
  p = p * r + 0x1.123fc6p-7f;
  p = p * r + 0x1.555916p-5f;
  p = p * r + 0x1.55548ap-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = p * (r * r) + r + 1.0;
  let n = i32(k) + shift;
  let part = n >> 1u;
  return p * kiln_power_of_two(part) * kiln_power_of_two(n - part);
}

fn kiln_exp_f32(x: f32) -> f32 {
  return select(kiln_scaled_exp(x, 0), x, kiln_is_nan_f32(x));
}

@compute @workgroup_size(1)
fn kiln_k_softmax(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(num_workgroups) kiln_groups: vec3<u32>) {
  kiln_zero = u32(kiln_groups.x == 0u);
  let row: i32 = i32(kiln_group.x);
  // the largest, so that no power overflows
  var m: f32 = -kiln_infinity();
  for (var j: i32 = 0; j < 77; j++) {
    m = kiln_max_f32(m, x[row * 77 + j]);
  }
  var sum: f32 = 0.0;
  var powers: array<f32, 77>;
  for (var j: i32 = 0; j < 77; j++) {
    let e: f32 = kiln_exp_f32(x[row * 77 + j] - m);
    powers[j] = e;
    sum = sum + e;
  }
  for (var j: i32 = 0; j < 77; j++) {
    y[row * 77 + j] = powers[j] / sum;
  }
}
