// 24 random bits for each element
// tasks 3, threads 32, floating-point operations 0

@group(0) @binding(0) var<uniform> key: array<vec4<i32>, 1>;
@group(0) @binding(1) var<storage, read_write> y: array<i32>;

fn kiln_multiply_high(x: u32, y: u32) -> u32 {
  let x0 = x & 0xffffu;
  let x1 = x >> 16u;
  let y0 = y & 0xffffu;
  let y1 = y >> 16u;
  let middle = x1 * y0 + ((x0 * y0) >> 16u);
  let other = x0 * y1 + (middle & 0xffffu);
  return x1 * y1 + (middle >> 16u) + (other >> 16u);
}

fn kiln_random_bits(key: vec4<u32>, purpose: u32, index: i32) -> i32 {
  var c = vec4<u32>(u32(index) >> 2u, purpose, key.z, key.w);
  var k = key.xy;
  for (var round = 0; round < 10; round++) {
    let first = c.x;
    let second = c.z;
    c = vec4<u32>(kiln_multiply_high(0xcd9e8d57u, second) ^ c.y ^ k.x, 0xcd9e8d57u * second, kiln_multiply_high(0xd2511f53u, first) ^ c.w ^ k.y, 0xd2511f53u * first);
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return i32(c[index & 3] >> 8u);
}

@compute @workgroup_size(32)
fn kiln_k_counters(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(local_invocation_index) kiln_thread: u32) {
  let thread: i32 = i32(kiln_thread);
  let task: i32 = i32(kiln_group.x);
  let i: i32 = task * 32 + thread;
  y[i] = kiln_random_bits(vec4<u32>(bitcast<u32>(key[0][0]), bitcast<u32>(key[0][1]), bitcast<u32>(key[0][2]), bitcast<u32>(key[0][3])), 7u, i);
}
